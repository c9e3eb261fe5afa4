//! The nearest spelling of a name.

/// The allowed name most similar to `wrong`, if any is similar.
pub fn nearest<'a>(wrong: &str, allowed: &[&'a str]) -> Option<&'a str> {
    allowed
        .iter()
        .map(|name| (strsim::jaro_winkler(wrong, name), *name))
        .filter(|(likeness, _)| *likeness > 0.7)
        .max_by(|a, b| a.0.total_cmp(&b.0))
        .map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_suggested_for_something_quite_different() {
        assert_eq!(nearest("zzz", &["filters", "levels"]), None);
        assert_eq!(nearest("filtres", &["filters", "levels"]), Some("filters"));
    }
}
