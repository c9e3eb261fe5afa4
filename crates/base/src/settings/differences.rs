//! How two values differ, key by key.

use serde::Serialize;
use serde_yaml::{Mapping, Value};

/// Longest value that is written out, in characters.
const LONGEST: usize = 80;

/// Where `is` differs from `was`, each as `key was …, is …` with the dotted key; what is not there is `null`. Maps of
/// the same names in another order differ. Lists
/// are compared item by item if they are of one length and hold maps, else as a whole.
pub fn differences<T: Serialize>(was: &T, is: &T) -> Vec<String> {
    let mut found = Vec::new();
    // Settings were read from YAML, and can be written again.
    let [was, is] = [was, is].map(|value| serde_yaml::to_value(value).unwrap_or_default());
    compare("", &was, &is, &mut found);
    found
}

/// The first eight of several differences in one sentence part, and how many more there are.
pub fn listed(differences: &[String]) -> String {
    const MOST: usize = 8;
    let shown = &differences[..differences.len().min(MOST)];
    let more = match differences.len() - shown.len() {
        0 => String::new(),
        more => format!("; and {more} more"),
    };
    shown.join("; ") + &more
}

fn compare(key: &str, was: &Value, is: &Value, found: &mut Vec<String>) {
    let child = |name: &str| match key {
        "" => name.to_owned(),
        _ => format!("{key}.{name}"),
    };
    match (was, is) {
        (Value::Mapping(old), Value::Mapping(new)) => {
            let same_names =
                old.len() == new.len() && old.keys().all(|name| new.contains_key(name));
            if same_names && !old.keys().eq(new.keys()) {
                // Only names that the user chooses can be in another order, and it means something.
                let names = |map: &Mapping| {
                    let names: Vec<&str> = map.keys().filter_map(Value::as_str).collect();
                    names.join(", ")
                };
                found.push(format!(
                    "the order of {key} was {}, is {}",
                    names(old),
                    names(new)
                ));
            }
            let added = new.keys().filter(|key| !old.contains_key(*key));
            for name in old.keys().chain(added) {
                let key = child(name.as_str().unwrap_or_default());
                let [was, is] = [old, new].map(|map| map.get(name).unwrap_or(&Value::Null));
                compare(&key, was, is, found);
            }
        }
        (Value::Sequence(old), Value::Sequence(new))
            if old.len() == new.len() && old.iter().chain(new).all(Value::is_mapping) =>
        {
            for (index, (was, is)) in old.iter().zip(new).enumerate() {
                compare(&child(&index.to_string()), was, is, found);
            }
        }
        _ if was == is => {}
        _ => found.push(format!("{key} was {}, is {}", brief(was), brief(is))),
    }
}

fn brief(value: &Value) -> String {
    let text = to_inline_yaml(value);
    match text.char_indices().nth(LONGEST) {
        None => text,
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A value in one line of YAML: plain text, or JSON, which is YAML too. It reads back as itself.
pub fn to_inline_yaml(value: &Value) -> String {
    match value {
        Value::String(text)
            if serde_yaml::from_str::<Value>(text).is_ok_and(|read| &read == value) =>
        {
            text.clone()
        }
        _ => serde_json::to_string(value).unwrap_or_else(|_| format!("{value:?}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_difference_is_named_by_its_key_with_both_values() {
        let read = |text: &str| serde_yaml::from_str::<Value>(text).unwrap();
        let was = read(
            "{train: {epochs: 3, ema: null}, augment: [{noise: {p: 1.0}}, {flip: {}}], size: [1, 2]}",
        );
        let is = read(
            "{train: {epochs: 4, ema: null}, augment: [{noise: {p: 0.5}}, {flip: {}}], size: [1, 3], new: a}",
        );
        let found = differences(&was, &is);
        let expected = [
            "train.epochs was 3, is 4",
            "augment.0.noise.p was 1.0, is 0.5",
            "size was [1,2], is [1,3]",
            "new was null, is a",
        ];
        assert_eq!(found, expected);
        assert_eq!(differences(&was, &was), [""; 0]);
        let shorter = read("{augment: [{flip: {}}]}");
        let longer = read("{augment: [{flip: {}}, {flip: {}}]}");
        assert_eq!(
            differences(&longer, &shorter),
            ["augment was [{\"flip\":{}},{\"flip\":{}}], is [{\"flip\":{}}]"]
        );
    }

    #[test]
    fn of_many_differences_some_are_named() {
        let many: Vec<String> = (0..10).map(|index| format!("k{index}")).collect();
        assert_eq!(listed(&many[..2]), "k0; k1");
        assert!(listed(&many).ends_with("; k7; and 2 more"));
    }
}
