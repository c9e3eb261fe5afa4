//! Every fault of values, found by walking them along a JSON schema.

use serde_json::Value as Schema;
use serde_yaml::{Mapping, Value};

use super::fault::{At, Fault, child_key};
use super::shape::Shape;
use super::spelling::nearest;

/// All that is wrong with `values`, in their order.
pub fn check(values: &Value, schema: &Schema) -> Vec<Fault> {
    let mut walk = Walk::default();
    walk.value(values, Shape::of(schema), "");
    walk.findings.into_iter().map(Finding::fault).collect()
}

#[derive(Default)]
struct Walk {
    findings: Vec<Finding>,
}

/// What is wrong at one place.
struct Finding {
    key: String,
    at: At,
    wrong: Wrong,
}

enum Wrong {
    /// The value is none of what it may be.
    Unfit {
        wanted: Vec<String>,
        /// How the sentence ends: what there is instead.
        end: String,
    },
    /// Anything else, as a sentence.
    Other(String),
}

impl Finding {
    fn fault(self) -> Fault {
        let message = match self.wrong {
            Wrong::Unfit { wanted, end } => {
                format!("{} must be {}{end}", last(&self.key), wanted.join(" or "))
            }
            Wrong::Other(message) => message,
        };
        Fault {
            path: self.key,
            message,
            at: self.at,
        }
    }
}

impl Walk {
    fn report(&mut self, key: &str, at: At, message: String) {
        self.add(key, at, Wrong::Other(message));
    }

    fn unfit(&mut self, key: &str, wanted: Vec<String>, end: String) {
        self.add(key, At::Value, Wrong::Unfit { wanted, end });
    }

    fn add(&mut self, key: &str, at: At, wrong: Wrong) {
        self.findings.push(Finding {
            key: key.to_owned(),
            at,
            wrong,
        });
    }

    fn value(&mut self, value: &Value, shape: Shape<'_>, key: &str) {
        if asks_environment(value) {
            return;
        }
        if let Some(referred) = shape.referred() {
            self.value(value, referred, key);
        } else if let Some(members) = shape.members() {
            self.member(value, &members, &shape.beside(), key);
        } else if let Some(forms) = shape.forms().filter(|_| !has_properties(shape)) {
            self.one_of(value, shape, forms, key);
        } else if self.fits_type(value, shape.schema, key) {
            if let Value::Mapping(map) = value {
                self.map(map, shape, key);
            }
        } else {
            return;
        }
        if let Value::Sequence(items) = value {
            self.list(items, shape, key);
        }
        self.range(value, shape.schema, key);
    }

    /// A member of a family: its name, or a map of its name to its settings, and of what may stand `beside` it.
    fn member(
        &mut self,
        value: &Value,
        members: &[(&str, Shape<'_>)],
        beside: &[(&str, Shape<'_>)],
        key: &str,
    ) {
        let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
        let keys: Vec<&str> = members
            .iter()
            .chain(beside)
            .map(|(name, _)| *name)
            .collect();
        let settings = |name: &str| members.iter().find(|(known, _)| *known == name);
        match value {
            Value::String(name) if settings(name).is_some() => {}
            Value::String(name) => self.report(key, At::Value, unknown("name", name, &names)),
            Value::Mapping(map) => {
                let known = map.iter().filter_map(|(name, value)| {
                    settings(name.as_str()?).map(|(name, shape)| (*name, *shape, value))
                });
                let known: Vec<_> = known.collect();
                for name in map.keys().filter_map(Value::as_str) {
                    if !keys.contains(&name) {
                        let why = unknown("name", name, &keys);
                        self.report(&child_key(key, name), At::Key, why);
                    }
                }
                let stands_beside = |name: &str| beside.iter().any(|(known, _)| *known == name);
                if !map.is_empty() && map.keys().filter_map(Value::as_str).all(stands_beside) {
                    let why = format!("{} must also have one of {}", last(key), names.join(", "));
                    self.report(key, At::Value, why);
                }
                if let [(first, ..), (second, ..), ..] = known[..] {
                    let why = format!(
                        "`{first}` and `{second}` stand in one map, and only one can be chosen{}",
                        if key.ends_with(|c: char| c.is_ascii_digit()) {
                            ": write a list item for each"
                        } else {
                            ""
                        }
                    );
                    self.report(&child_key(key, second), At::Key, why);
                }
                if map.is_empty() {
                    let why = format!("{} is empty. Choose one of {}", last(key), names.join(", "));
                    self.report(key, At::Value, why);
                }
                for (name, shape, value) in known {
                    if !value.is_null() {
                        self.value(value, shape, &child_key(key, name));
                    }
                }
                for (name, shape) in beside {
                    if let Some(value) = map.get(*name) {
                        self.value(value, *shape, &child_key(key, name));
                    }
                }
            }
            other => {
                let names = names.join(", ");
                let wanted = format!("one of {names}, as a name or a one-key map");
                self.unfit(key, vec![wanted], but(other));
            }
        }
    }

    /// A value of several forms: the faults of the form that it resembles most are reported.
    fn one_of(&mut self, value: &Value, shape: Shape<'_>, forms: &[Schema], key: &str) {
        let names: Vec<&str> = forms.iter().filter_map(name).collect();
        if names.len() == forms.len() {
            match value {
                Value::String(text) if names.contains(&text.as_str()) => {}
                Value::String(text) => self.report(key, At::Value, unknown("name", text, &names)),
                other => {
                    let wanted = match names[..] {
                        [only] => format!("`{only}`"),
                        _ => format!("one of {}", names.join(", ")),
                    };
                    self.unfit(key, vec![wanted], format!(", not {}", display(other)));
                }
            }
            return;
        }
        let mut inside: Option<Vec<Finding>> = None;
        let mut kinds = Vec::new();
        for form in forms {
            let mut walk = Self::default();
            walk.value(value, shape.at(form), key);
            match walk.findings.as_mut_slice() {
                [] => return,
                // Not of this form at all.
                [
                    Finding {
                        key: at,
                        wrong: Wrong::Unfit { wanted, .. },
                        ..
                    },
                ] if at == key => kinds.append(wanted),
                _ => inside = Some(walk.findings),
            }
        }
        match inside {
            Some(findings) => self.findings.extend(findings),
            None => {
                kinds.retain(|kind| kind != in_words("null"));
                self.unfit(key, kinds, but(value));
            }
        }
    }

    fn fits_type(&mut self, value: &Value, schema: &Schema, key: &str) -> bool {
        let types: Vec<&str> = match schema.get("type") {
            Some(Schema::String(one)) => vec![one],
            Some(Schema::Array(many)) => many.iter().filter_map(Schema::as_str).collect(),
            _ => return true,
        };
        let fits = |kind: &&str| match *kind {
            "null" => value.is_null(),
            "boolean" => value.is_bool(),
            "integer" => value.is_i64() || value.is_u64(),
            "number" => value.as_f64().is_some_and(f64::is_finite),
            "string" => value.is_string(),
            "array" => value.is_sequence(),
            "object" => value.is_mapping(),
            _ => false,
        };
        if types.iter().any(fits) {
            return true;
        }
        let wanted = types.iter().map(|kind| in_words(kind).to_owned()).collect();
        let mut end = but(value);
        if types.contains(&"string") && (value.is_number() || value.is_bool()) {
            end += ": put it in quotes";
        }
        self.unfit(key, wanted, end);
        false
    }

    fn map(&mut self, map: &Mapping, shape: Shape<'_>, key: &str) {
        let additional = shape.schema.get("additionalProperties");
        let properties = shape.schema.get("properties").and_then(Schema::as_object);
        let Some(properties) = properties else {
            for (name, value) in map {
                let name = key_name(name);
                match additional {
                    Some(Schema::Bool(false)) => {
                        let why = unknown("key", &name, &[]);
                        self.report(&child_key(key, &name), At::Key, why);
                    }
                    Some(each) => self.value(value, shape.at(each), &child_key(key, &name)),
                    None => {}
                }
            }
            return;
        };
        let mut allowed: Vec<&str> = properties.keys().map(String::as_str).collect();
        allowed.sort_unstable();
        for (name, value) in map {
            let name = key_name(name);
            let path = child_key(key, &name);
            match properties.get(&name) {
                Some(schema) => self.value(value, shape.at(schema), &path),
                None => self.report(&path, At::Key, unknown("key", &name, &allowed)),
            }
        }
        let required = shape.schema.get("required").and_then(Schema::as_array);
        for name in required.into_iter().flatten().filter_map(Schema::as_str) {
            if !map.contains_key(name) {
                let what = properties
                    .get(name)
                    .and_then(|schema| schema.get("description")?.as_str())
                    .map(|what| format!(" {}", what.replace('\n', " ")))
                    .unwrap_or_default();
                self.report(
                    key,
                    At::Key,
                    format!("the key `{name}` is missing here.{what}"),
                );
            }
        }
    }

    fn list(&mut self, items: &[Value], shape: Shape<'_>, key: &str) {
        let size = |name: &str| shape.schema.get(name).and_then(Schema::as_u64);
        let (least, most) = (size("minItems"), size("maxItems"));
        let count = items.len() as u64;
        if least.is_some_and(|least| count < least) || most.is_some_and(|most| count > most) {
            let wanted = match (least, most) {
                (Some(least), Some(most)) if least == most => format!("{least}"),
                (Some(least), None) => format!("at least {least}"),
                (None, Some(most)) => format!("at most {most}"),
                (least, most) => {
                    format!(
                        "{} to {}",
                        least.unwrap_or_default(),
                        most.unwrap_or_default()
                    )
                }
            };
            let items = if wanted.ends_with(" 1") || wanted == "1" {
                "item"
            } else {
                "items"
            };
            let why = format!("{} must have {wanted} {items}, not {count}", last(key));
            self.report(key, At::Value, why);
        }
        if let Some(schema) = shape.schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.value(item, shape.at(schema), &child_key(key, &index.to_string()));
            }
        }
    }

    /// A number's range; where one number may stand for a list of them, it is each item's.
    fn range(&mut self, value: &Value, schema: &Schema, key: &str) {
        for (index, item) in value.as_sequence().into_iter().flatten().enumerate() {
            self.range(item, schema, &child_key(key, &index.to_string()));
        }
        let Some(number) = value.as_f64() else { return };
        let bound = |name: &str| schema.get(name).and_then(Schema::as_f64);
        let broken = [
            ("minimum", "at least", f64::lt as fn(&f64, &f64) -> bool),
            ("exclusiveMinimum", "above", f64::le),
            ("maximum", "at most", f64::gt),
            ("exclusiveMaximum", "below", f64::ge),
        ];
        for (name, words, outside) in broken {
            if let Some(bound) = bound(name).filter(|bound| outside(&number, bound)) {
                let end = format!(", not {}", display(value));
                self.unfit(key, vec![format!("{words} {bound}")], end);
            }
        }
    }
}

fn has_properties(shape: Shape<'_>) -> bool {
    shape.schema.get("properties").is_some()
}

fn name(form: &Schema) -> Option<&str> {
    form.get("const")?.as_str()
}

/// Whether the value is still unknown, because an environment variable is not set.
fn asks_environment(value: &Value) -> bool {
    value.as_str().is_some_and(|text| text.contains("${"))
}

fn unknown(kind: &str, wrong: &str, allowed: &[&str]) -> String {
    if allowed.is_empty() {
        return format!("unknown {kind} `{wrong}`: nothing can be set here");
    }
    let suggestion = nearest(wrong, allowed)
        .map(|name| format!(" Did you mean `{name}`?"))
        .unwrap_or_default();
    format!(
        "unknown {kind} `{wrong}`.{suggestion} Allowed: {}",
        allowed.join(", ")
    )
}

fn in_words(kind: &str) -> &'static str {
    match kind {
        "null" => "left out",
        "boolean" => "true or false",
        "integer" => "a whole number",
        "number" => "a number",
        "array" => "a list",
        "object" => "a map",
        _ => "text",
    }
}

/// What there is instead, at the end of a sentence.
fn but(value: &Value) -> String {
    match value {
        Value::Null => ", but nothing is written".into(),
        other => format!(", not {}", display(other)),
    }
}

fn display(value: &Value) -> String {
    match value {
        Value::Null => "nothing".into(),
        Value::Bool(_) | Value::Number(_) => serde_yaml::to_string(value)
            .unwrap_or_default()
            .trim()
            .to_owned(),
        Value::String(text) => format!("`{text}`"),
        Value::Sequence(_) => "a list".into(),
        Value::Mapping(_) => "a map".into(),
        Value::Tagged(tagged) => format!("the tag `{}`", tagged.tag),
    }
}

/// A key of a map as text.
fn key_name(key: &Value) -> String {
    key.as_str().map_or_else(|| display(key), str::to_owned)
}

/// The human-readable name of the value at `key`: `p`, or `item 2 of scale`.
fn last(key: &str) -> String {
    let (rest, last) = key.rsplit_once('.').unwrap_or(("", key));
    match last.parse::<usize>() {
        Ok(index) => format!(
            "item {} of {}",
            index + 1,
            rest.rsplit_once('.').map_or(rest, |(_, list)| list)
        ),
        Err(_) if last.is_empty() => "an experiment".into(),
        Err(_) => last.to_owned(),
    }
}
