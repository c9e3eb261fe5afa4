//! Laying one set of values over another: maps merge deeply; lists and family members are
//! replaced.

use serde_yaml::{Mapping, Value};

use super::diagnostic::{Diagnostic, Origin};
use super::error::ConfigError;
use super::source::{Origins, fill_environment, yaml_error};

/// Keys whose value is one member of a family: setting another member replaces the first.
const FAMILIES: &[&str] = &["data", "split", "model", "loss", "optimizer", "schedule"];

/// Lays `overlay` over `base`. Origins of what is replaced go, those of the overlay come.
pub fn merge(base: &mut Mapping, overlay: Mapping, origins: &mut Origins, news: Origins) {
    for (key, value) in overlay {
        let name = key.as_str().unwrap_or_default().to_owned();
        let replaces_member = FAMILIES.contains(&name.as_str())
            && base
                .get(&key)
                .is_some_and(|old| member(old) != member(&value));
        if replaces_member {
            base.remove(&key);
            forget(origins, &name);
        }
        lay(base, key, value, &name, origins);
    }
    origins.extend(news);
}

fn lay(base: &mut Mapping, key: Value, value: Value, path: &str, origins: &mut Origins) {
    match (base.get_mut(&key), value) {
        (Some(Value::Mapping(old)), Value::Mapping(new)) => {
            for (name, value) in new {
                let below = format!("{path}.{}", name.as_str().unwrap_or_default());
                lay(old, name, value, &below, origins);
            }
        }
        // `unet` over `{unet: {…}}` is the same member with nothing changed.
        (Some(old @ Value::Mapping(_)), new @ Value::String(_)) if member(old) == member(&new) => {}
        (_, value) => {
            forget(origins, path);
            base.insert(key, value);
        }
    }
}

fn member(value: &Value) -> Option<&str> {
    match value {
        Value::String(name) => Some(name),
        Value::Mapping(map) if map.len() == 1 => map.keys().next()?.as_str(),
        _ => None,
    }
}

fn forget(origins: &mut Origins, path: &str) {
    let below = format!("{path}.");
    origins.retain(|key, _| key != path && !key.starts_with(&below));
}

/// Parses `a.b.c=value` (the value is YAML) into the overlay that it means.
///
/// # Errors
///
/// When there is no `=`, a key is empty or the value is not YAML.
pub fn parse_override(text: &str) -> Result<(Mapping, Origins), ConfigError> {
    let place = || format!("--set {text}");
    let (path, value) = text
        .split_once('=')
        .ok_or_else(|| Diagnostic::at(place(), "write key=value, such as model.unet.filters=24"))?;
    if path.split('.').any(|key| key.trim().is_empty()) {
        return Err(Diagnostic::at(place(), "the key is empty or has an empty part").into());
    }
    let mut value: Value =
        serde_yaml::from_str(value).map_err(|error| Diagnostic::at(place(), yaml_error(&error)))?;
    fill_environment(&mut value);
    for key in path.split('.').rev() {
        let mut map = Mapping::new();
        map.insert(key.trim().into(), value);
        value = Value::Mapping(map);
    }
    let overlay = match value {
        Value::Mapping(map) => map,
        _ => Mapping::new(),
    };
    let origin = Origin::Flag(place());
    Ok((overlay, Origins::from([(path.trim().to_owned(), origin)])))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn merged(base: &str, overlay: &str) -> String {
        let mut base: Mapping = serde_yaml::from_str(base).unwrap();
        let overlay = serde_yaml::from_str(overlay).unwrap();
        merge(&mut base, overlay, &mut Origins::new(), Origins::new());
        serde_yaml::to_string(&base).unwrap().trim().to_owned()
    }

    #[test]
    fn maps_merge_and_lists_are_replaced() {
        assert_eq!(
            merged(
                "{train: {epochs: 2, batch_size: 4}, augment: [flip, noise]}",
                "{train: {epochs: 9}, augment: [gamma]}"
            ),
            "train:\n  epochs: 9\n  batch_size: 4\naugment:\n- gamma"
        );
    }

    #[test]
    fn another_member_replaces_and_the_same_member_merges() {
        assert_eq!(
            merged(
                "{model: {unet: {filters: 8}}}",
                "{model: {article: {dropout: 0.1}}}"
            ),
            "model:\n  article:\n    dropout: 0.1"
        );
        assert_eq!(
            merged(
                "{model: {unet: {filters: 8}}}",
                "{model: {unet: {levels: 3}}}"
            ),
            "model:\n  unet:\n    filters: 8\n    levels: 3"
        );
        assert_eq!(merged("{loss: dice}", "{loss: bce}"), "loss: bce");
    }

    #[test]
    fn an_override_needs_a_key_and_a_value() {
        let (overlay, _) = parse_override("a.b=[1, 2]").unwrap();
        assert_eq!(
            serde_yaml::to_string(&overlay).unwrap(),
            "a:\n  b:\n  - 1\n  - 2\n"
        );
        assert!(parse_override("a.b").is_err());
        assert!(parse_override("a..b=1").is_err());
        assert!(parse_override("a=[").is_err());
    }
}
