//! Laying one set of values over another: maps merge deeply; lists, family members and maps of names that the user
//! chooses (`labels: {anterior: 1}`) are replaced.

use serde_json::Value as Schema;
use serde_yaml::{Mapping, Value};

use super::diagnostic::{Diagnostic, Origin};
use super::error::ConfigError;
use super::fault::child_key;
use super::shape::Shape;
use super::source::{Origins, fill_environment, parse_yaml};

/// Lays `upper` over `base`. The schema describes both and marks the keys of families, whose members replace
/// each other. The origins of replaced values are removed, those of the upper values are added.
pub fn merge(
    base: &mut Mapping,
    upper: Mapping,
    origins: &mut Origins,
    new_origins: Origins,
    schema: &Schema,
) {
    let mut laying = Laying {
        origins,
        new_origins: &new_origins,
    };
    laying.map(base, upper, "", Some(Shape::of(schema)));
    origins.extend(new_origins);
}

/// One set of values on its way over another.
struct Laying<'a> {
    origins: &'a mut Origins,
    new_origins: &'a Origins,
}

impl Laying<'_> {
    fn map(&mut self, base: &mut Mapping, upper: Mapping, path: &str, shape: Option<Shape<'_>>) {
        for (key, value) in upper {
            let name = key.as_str().unwrap_or_default().to_owned();
            let inner = shape.and_then(|shape| shape.property(&name));
            self.value(base, key, value, &child_key(path, &name), inner);
        }
    }

    fn value(
        &mut self,
        base: &mut Mapping,
        key: Value,
        value: Value,
        path: &str,
        shape: Option<Shape<'_>>,
    ) {
        let family = shape.and_then(Shape::family);
        // A flag such as `labels.anterior=3` changes one name and keeps the others.
        let is_new =
            shape.is_some_and(Shape::has_free_names) && self.new_origins.contains_key(path);
        match (base.get_mut(&key), value) {
            (Some(Value::Mapping(old)), Value::Mapping(new))
                if !is_new && family.is_none_or(|family| !replaces(&new, old, family)) =>
            {
                self.map(old, new, path, shape);
            }
            // `unet` over `{unet: {…}}` is the same member with nothing changed.
            (Some(Value::Mapping(old)), Value::String(new))
                if family.is_some_and(|family| family.members_in(old) == [&*new]) => {}
            (_, value) => {
                remove_origins(self.origins, path);
                base.insert(key, value);
            }
        }
    }
}

/// Whether `new` names another member of the family than `old`. What only stands beside a member (`{label: 2}` of
/// data) belongs to the one that is there.
fn replaces(new: &Mapping, old: &Mapping, family: Shape<'_>) -> bool {
    let named = family.members_in(new);
    let stands_beside = named.is_empty() && !new.is_empty();
    !stands_beside && named != family.members_in(old)
}

fn remove_origins(origins: &mut Origins, path: &str) {
    let inside = format!("{path}.");
    origins.retain(|key, _| key != path && !key.starts_with(&inside));
}

/// Parses `a.b.c=value` (the value is YAML) into the values that it means.
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
    let mut value =
        parse_yaml(value).map_err(|error| Diagnostic::at(place(), error.to_string()))?;
    fill_environment(&mut value);
    for key in path.split('.').rev() {
        let mut map = Mapping::new();
        map.insert(key.trim().into(), value);
        value = Value::Mapping(map);
    }
    let upper = match value {
        Value::Mapping(map) => map,
        _ => Mapping::new(),
    };
    let origin = Origin::Flag(text.to_owned());
    Ok((upper, Origins::from([(path.trim().to_owned(), origin)])))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn merged(base: &str, upper: &str) -> String {
        let mut base: Mapping = serde_yaml::from_str(base).unwrap();
        let upper = serde_yaml::from_str(upper).unwrap();
        let family = json!({"oneOf": [
            {"const": "unet"},
            {"properties": {"unet": {"type": "object"}}},
            {"const": "article"},
            {"properties": {"article": {"type": "object"}}},
        ]});
        let label = json!({"type": "number"});
        let data = json!({"oneOf": [
            {"properties": {"nfbs": {"type": "object"}, "label": label}, "required": ["nfbs"]},
            {"properties": {"table": {"type": "object"}, "label": label}, "required": ["table"]},
        ]});
        let schema = json!({"properties": {
            "model": family, "data": data, "train": {"type": "object"},
        }});
        let origins = &mut Origins::new();
        merge(&mut base, upper, origins, Origins::new(), &schema);
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
        assert_eq!(
            merged("{model: unet}", "{model: article}"),
            "model: article"
        );
    }

    #[test]
    fn a_map_of_free_names_is_replaced_and_a_flag_sets_one_of_them() {
        let schema = json!({"properties": {"labels": {"type": "object", "additionalProperties": {"type": "integer"}}}});
        let merged = |upper: Mapping, origins: Origins| {
            let mut base: Mapping = serde_yaml::from_str("labels: {a: 1, b: 2}").unwrap();
            merge(&mut base, upper, &mut Origins::new(), origins, &schema);
            serde_yaml::to_string(&base).unwrap()
        };
        let of_flag = |text: &str| {
            let (upper, origins) = parse_override(text).unwrap();
            merged(upper, origins)
        };
        assert_eq!(of_flag("labels={b: 3}"), "labels:\n  b: 3\n");
        assert_eq!(of_flag("labels.b=3"), "labels:\n  a: 1\n  b: 3\n");
    }

    #[test]
    fn what_stands_beside_a_member_goes_with_it() {
        let both = "{data: {nfbs: {root: a}, label: 2}}";
        assert_eq!(
            merged("{data: {nfbs: {root: a}}}", "{data: {label: 2}}"),
            "data:\n  nfbs:\n    root: a\n  label: 2"
        );
        assert_eq!(
            merged(both, "{data: {nfbs: {root: b}}}"),
            "data:\n  nfbs:\n    root: b\n  label: 2"
        );
        assert_eq!(
            merged(both, "{data: {table: {path: c}}}"),
            "data:\n  table:\n    path: c"
        );
    }

    #[test]
    fn an_override_needs_a_key_and_a_value() {
        let (upper, _) = parse_override("a.b=[1, 2]").unwrap();
        assert_eq!(
            serde_yaml::to_string(&upper).unwrap(),
            "a:\n  b:\n  - 1\n  - 2\n"
        );
        assert!(parse_override("a.b").is_err());
        assert!(parse_override("a..b=1").is_err());
        assert!(parse_override("a=[").is_err());
    }
}
