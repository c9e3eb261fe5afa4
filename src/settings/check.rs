//! Every mistake in an experiment's values, found by walking them along the JSON schema.

use serde_json::Value as Schema;
use serde_yaml::{Mapping, Value};

use super::diagnostic::{At, Diagnostic};
use super::spelling::nearest;

/// All that is wrong with `values`, in their order.
pub fn check(values: &Value, schema: &Schema) -> Vec<Diagnostic> {
    let mut walk = Walk {
        root: schema,
        mistakes: Vec::new(),
    };
    walk.value(values, schema, "");
    walk.mistakes
}

struct Walk<'a> {
    root: &'a Schema,
    mistakes: Vec<Diagnostic>,
}

impl<'a> Walk<'a> {
    fn say(&mut self, key: &str, at: At, why: String) {
        self.mistakes.push(Diagnostic::new(key, at, why));
    }

    fn value(&mut self, value: &Value, schema: &'a Schema, key: &str) {
        if asks_environment(value) {
            return;
        }
        let referred = schema
            .get("$ref")
            .and_then(Schema::as_str)
            .and_then(|to| self.root.pointer(to.strip_prefix('#')?));
        if let Some(referred) = referred {
            self.value(value, referred, key);
        } else if let Some(members) = members(schema) {
            self.member(value, &members, key);
        } else if let Some(forms) = forms(schema) {
            self.one_of(value, forms, key);
        } else if self.fits_type(value, schema, key) {
            match value {
                Value::Mapping(map) => self.map(map, schema, key),
                Value::Sequence(items) => self.list(items, schema, key),
                _ => {}
            }
        }
        self.range(value, schema, key);
    }

    /// A member of a family: its name, or a map of its name to its settings.
    fn member(&mut self, value: &Value, members: &[(&'a str, &'a Schema)], key: &str) {
        let names: Vec<&str> = members.iter().map(|(name, _)| *name).collect();
        let settings = |name: &str| members.iter().find(|(known, _)| *known == name);
        match value {
            Value::String(name) if settings(name).is_some() => {}
            Value::String(name) => self.say(key, At::Value, unknown("name", name, &names)),
            Value::Mapping(map) => {
                let known = map.iter().filter_map(|(name, value)| {
                    settings(name.as_str()?).map(|(name, schema)| (*name, *schema, value))
                });
                let known: Vec<_> = known.collect();
                for name in map.keys().filter_map(Value::as_str) {
                    if settings(name).is_none() {
                        let why = unknown("name", name, &names);
                        self.say(&below(key, name), At::Key, why);
                    }
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
                    self.say(&below(key, second), At::Key, why);
                }
                if map.is_empty() {
                    let why = format!("{} is empty. Choose one of {}", last(key), names.join(", "));
                    self.say(key, At::Value, why);
                }
                for (name, schema, value) in known {
                    if !value.is_null() {
                        self.value(value, schema, &below(key, name));
                    }
                }
            }
            other => {
                let why = format!(
                    "{} must be one of {}, as a name or a one-key map{}",
                    last(key),
                    names.join(", "),
                    but(other)
                );
                self.say(key, At::Value, why);
            }
        }
    }

    /// A value of several forms: what is said is about the form that it comes nearest to.
    fn one_of(&mut self, value: &Value, forms: &'a [Schema], key: &str) {
        let names: Vec<&str> = forms.iter().filter_map(name).collect();
        if names.len() == forms.len() {
            match value {
                Value::String(text) if names.contains(&text.as_str()) => {}
                Value::String(text) => self.say(key, At::Value, unknown("name", text, &names)),
                other => {
                    let names = names.join(", ");
                    let why = format!("{} must be one of {names}, not {}", last(key), shown(other));
                    self.say(key, At::Value, why);
                }
            }
            return;
        }
        let mut inside: Option<Vec<Diagnostic>> = None;
        let mut kinds = Vec::new();
        for form in forms {
            let mut walk = Walk {
                root: self.root,
                mistakes: Vec::new(),
            };
            walk.value(value, form, key);
            match walk.mistakes.as_slice() {
                [] => return,
                // Not of this form at all.
                [only] if only.key == key => kinds.push(only.why.clone()),
                _ => inside = Some(walk.mistakes),
            }
        }
        if let Some(mistakes) = inside {
            self.mistakes.extend(mistakes);
            return;
        }
        let (start, end) = (format!("{} must be ", last(key)), but(value));
        let kinds: Vec<&str> = kinds
            .iter()
            .map(|why| why.strip_prefix(&start).unwrap_or(why))
            .map(|why| why.strip_suffix(&end).unwrap_or(why))
            .filter(|kind| *kind != in_words("null"))
            .collect();
        self.say(
            key,
            At::Value,
            format!("{start}{}{end}", kinds.join(" or ")),
        );
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
            "number" => value.as_f64().is_some_and(|number| !number.is_nan()),
            "string" => value.is_string(),
            "array" => value.is_sequence(),
            "object" => value.is_mapping(),
            _ => false,
        };
        if types.iter().any(fits) {
            return true;
        }
        let wanted: Vec<&str> = types.iter().map(|kind| in_words(kind)).collect();
        let mut why = format!(
            "{} must be {}{}",
            last(key),
            wanted.join(" or "),
            but(value)
        );
        if types.contains(&"string") && (value.is_number() || value.is_bool()) {
            why += ": put it in quotes";
        }
        self.say(key, At::Value, why);
        false
    }

    fn map(&mut self, map: &Mapping, schema: &'a Schema, key: &str) {
        let Some(properties) = schema.get("properties").and_then(Schema::as_object) else {
            if schema.get("additionalProperties") == Some(&Schema::Bool(false)) {
                for name in map.keys().filter_map(Value::as_str) {
                    self.say(&below(key, name), At::Key, unknown("key", name, &[]));
                }
            }
            return;
        };
        let mut allowed: Vec<&str> = properties.keys().map(String::as_str).collect();
        allowed.sort_unstable();
        for (name, value) in map {
            let name = name.as_str().map_or_else(|| shown(name), str::to_owned);
            let path = below(key, &name);
            match properties.get(&name) {
                Some(schema) => self.value(value, schema, &path),
                None => self.say(&path, At::Key, unknown("key", &name, &allowed)),
            }
        }
        let required = schema.get("required").and_then(Schema::as_array);
        for name in required.into_iter().flatten().filter_map(Schema::as_str) {
            if !map.contains_key(name) {
                let what = properties
                    .get(name)
                    .and_then(|schema| schema.get("description")?.as_str())
                    .map(|what| format!(" {}", what.replace('\n', " ")))
                    .unwrap_or_default();
                self.say(
                    key,
                    At::Key,
                    format!("the key `{name}` is missing here.{what}"),
                );
            }
        }
    }

    fn list(&mut self, items: &[Value], schema: &'a Schema, key: &str) {
        let size = |name: &str| schema.get(name).and_then(Schema::as_u64);
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
            let why = format!("{} must have {wanted} items, not {count}", last(key));
            self.say(key, At::Value, why);
        }
        if let Some(schema) = schema.get("items") {
            for (index, item) in items.iter().enumerate() {
                self.value(item, schema, &below(key, &index.to_string()));
            }
        }
    }

    fn range(&mut self, value: &Value, schema: &Schema, key: &str) {
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
                let why = format!(
                    "{} must be {words} {bound}, not {}",
                    last(key),
                    shown(value)
                );
                self.say(key, At::Value, why);
            }
        }
    }
}

/// A family's members and their settings, if `schema` is a family.
fn members(schema: &Schema) -> Option<Vec<(&str, &Schema)>> {
    let forms = schema.get("oneOf")?.as_array()?;
    let found: Vec<(&str, &Schema)> = forms
        .iter()
        .filter_map(|form| form.get("properties")?.as_object())
        .filter(|properties| properties.len() == 1)
        .filter_map(|properties| properties.iter().next())
        .filter(|(_, settings)| settings.get("type") != Some(&Schema::from("null")))
        .map(|(name, settings)| (name.as_str(), settings))
        .collect();
    (!found.is_empty()).then_some(found)
}

fn forms(schema: &Schema) -> Option<&[Schema]> {
    let forms = schema.get("oneOf").or_else(|| schema.get("anyOf"))?;
    forms.as_array().map(Vec::as_slice)
}

fn name(form: &Schema) -> Option<&str> {
    form.get("const")?.as_str()
}

/// Whether it is still open what the value is, because an environment variable is not set.
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
        other => format!(", not {}", shown(other)),
    }
}

fn shown(value: &Value) -> String {
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

fn below(key: &str, name: &str) -> String {
    if key.is_empty() {
        name.to_owned()
    } else {
        format!("{key}.{name}")
    }
}

/// What people call the value at `key`: `p`, or `item 2 of scale`.
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
