//! A family's members in words: what `calvaria list` prints.

use serde_json::Value;

use super::family::Family;

/// Columns of a line.
const WIDTH: usize = 100;

impl Family {
    /// Every member with its definition, its reference, and each setting's meaning, range and default: as
    /// YAML with comments that can be copied into an experiment.
    ///
    /// # Errors
    ///
    /// When a default cannot be written as YAML.
    pub fn describe(&self) -> Result<String, serde_yaml::Error> {
        let schema = (self.schema)();
        let mut text = String::new();
        for member in (self.defaults)()? {
            let map = member.as_mapping().into_iter().flatten();
            for (name, values) in map.filter_map(|(name, values)| Some((name.as_str()?, values))) {
                if !text.is_empty() {
                    text.push('\n');
                }
                text += &describe_member(name, values, form(&schema, name))?;
            }
        }
        Ok(text)
    }
}

/// The schema of a member written as a map of its name.
fn form<'a>(schema: &'a Value, name: &str) -> Option<&'a Value> {
    let forms = schema.get("oneOf")?.as_array()?;
    forms.iter().find(|form| {
        form.pointer("/properties")
            .is_some_and(|p| p.get(name).is_some())
    })
}

fn describe_member(
    name: &str,
    values: &serde_yaml::Value,
    form: Option<&Value>,
) -> Result<String, serde_yaml::Error> {
    let settings = form.and_then(|form| form.get("properties")?.get(name));
    let mut text = String::new();
    let descriptions = [form, settings].into_iter().flatten().map(description);
    let whole = descriptions.collect::<Vec<_>>().join("\n\n");
    let mut paragraphs: Vec<&str> = whole.split("\n\n").collect();
    // Some members need no text beyond their line in the list.
    paragraphs.dedup();
    for paragraph in paragraphs {
        text += &comment(paragraph, 0);
    }
    let fields = values.as_mapping().filter(|fields| !fields.is_empty());
    let Some(fields) = fields else {
        return Ok(text + &format!("{name}: {}\n", inline(values)?));
    };
    text += &format!("{name}:\n");
    let known = settings.and_then(|settings| settings.get("properties")?.as_object());
    for (key, default) in fields {
        let key = key.as_str().unwrap_or_default();
        let field = known.and_then(|known| known.get(key));
        text += &setting(key, field, default)?;
    }
    // What is not written where it is left out has its default in the schema.
    for (key, field) in known.into_iter().flatten() {
        if let Some(default) = field.get("default").filter(|_| !fields.contains_key(key)) {
            text += &setting(key, Some(field), &serde_yaml::to_value(default)?)?;
        }
    }
    Ok(text)
}

/// A setting with its meaning, its range and its default.
fn setting(
    key: &str,
    field: Option<&Value>,
    default: &serde_yaml::Value,
) -> Result<String, serde_yaml::Error> {
    let comment = field.map_or(String::new(), |field| {
        let limits = limits(field).map_or(String::new(), |limits| format!(" ({limits})"));
        comment(&format!("{}{limits}", description(field)), 2)
    });
    Ok(format!("{comment}  {key}: {}\n", inline(default)?))
}

fn description(schema: &Value) -> String {
    let text = schema.get("description").and_then(Value::as_str);
    // Links are for readers of the code's own pages.
    text.unwrap_or_default()
        .replace("[`", "`")
        .replace("`]", "`")
}

/// `text` as lines of YAML comments.
pub fn comment(text: &str, indent: usize) -> String {
    let start = format!("{}# ", " ".repeat(indent));
    let text = text.split_whitespace().collect::<Vec<_>>().join(" ");
    if text.is_empty() {
        return String::new();
    }
    let options = textwrap::Options::new(WIDTH)
        .initial_indent(&start)
        .subsequent_indent(&start)
        .break_words(false);
    textwrap::fill(&text, options) + "\n"
}

/// What a setting may be, if not everything of its type.
fn limits(field: &Value) -> Option<String> {
    let bound = |key: &str, words: &str| {
        let bound = field.get(key).filter(|bound| bound.is_number())?;
        Some(format!("{words} {}", plain(bound)))
    };
    let bounds: Vec<String> = [
        bound("minimum", "at least"),
        bound("exclusiveMinimum", "above"),
        bound("maximum", "at most"),
        bound("exclusiveMaximum", "below"),
    ]
    .into_iter()
    .flatten()
    // Every whole number here is at least 0 anyway.
    .filter(|bound| {
        bound != "at least 0" || field.get("format").and_then(Value::as_str) != Some("uint")
    })
    .collect();
    if !bounds.is_empty() {
        return Some(bounds.join(", "));
    }
    let choices = choices(field);
    (!choices.is_empty()).then(|| format!("one of {}", choices.join(", ")))
}

fn plain(number: &Value) -> String {
    let text = number.to_string();
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

/// The words that a setting may be, where it is one of several words.
fn choices(field: &Value) -> Vec<&str> {
    let list = |key: &str| {
        field
            .get(key)
            .and_then(Value::as_array)
            .into_iter()
            .flatten()
    };
    let named = list("enum").filter_map(Value::as_str);
    let constants = list("oneOf")
        .chain(list("anyOf"))
        .filter_map(|form| form.get("const")?.as_str());
    named.chain(constants).collect()
}

/// A value on one line.
fn inline(value: &serde_yaml::Value) -> Result<String, serde_yaml::Error> {
    Ok(match value {
        serde_yaml::Value::Sequence(items) => {
            let items: Result<Vec<String>, serde_yaml::Error> = items.iter().map(inline).collect();
            format!("[{}]", items?.join(", "))
        }
        serde_yaml::Value::Mapping(fields) => {
            let fields: Result<Vec<String>, serde_yaml::Error> = fields
                .iter()
                .map(|(key, value)| Ok(format!("{}: {}", inline(key)?, inline(value)?)))
                .collect();
            format!("{{{}}}", fields?.join(", "))
        }
        scalar => serde_yaml::to_string(scalar)?.trim_end().to_owned(),
    })
}
