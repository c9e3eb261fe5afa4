//! What was drawn, in a few words.

use serde_json::Value;

use super::{Drawn, DrawnOn};

/// Up to this many numbers are written out; of more, there is the count.
const NUMBERS: usize = 3;

impl DrawnOn {
    /// As [`Drawn::summary`], with the names of the images that it is for, unless it is for all of `images`.
    pub fn summary(&self, images: &[String]) -> String {
        let names = self.images.iter().map(|&place| match images.get(place) {
            Some(name) => name.clone(),
            None => format!("image {}", place + 1),
        });
        let names: Vec<String> = names.collect();
        match names.is_empty() {
            true => self.drawn.summary(),
            false => format!("{} ({})", self.drawn.summary(), names.join(", ")),
        }
    }
}

impl Drawn {
    /// The transform's name and its main parameters, such as `blur std 1.2, 0.4, 0.9`: numbers to three
    /// places, seeds and zeros left out, lists of more than three things counted.
    pub fn summary(&self) -> String {
        let Ok(Value::Object(tagged)) = serde_json::to_value(self) else {
            return format!("{self:?}");
        };
        let describe = |(name, params): (&String, &Value)| {
            let Value::Object(fields) = params else {
                return name.clone();
            };
            let parts = fields.iter().filter(|(key, _)| *key != "seed");
            let parts: Vec<String> = parts
                .filter_map(|(key, value)| field(key, value, key == name))
                .collect();
            format!("{} {}", name.replace('_', " "), parts.join(", "))
                .trim_end()
                .to_owned()
        };
        tagged.iter().map(describe).collect()
    }
}

fn field(key: &str, value: &Value, plain: bool) -> Option<String> {
    let key = key.replace('_', " ");
    let keyed = |text: String| match plain {
        true => text,
        false => format!("{key} {text}"),
    };
    match value {
        Value::Null | Value::Bool(false) => None,
        _ if zero(value) && !plain => None,
        Value::Bool(true) => Some(key),
        Value::Number(number) => Some(keyed(short(number.as_f64()?))),
        // The words of an enum speak for themselves.
        Value::String(word) => Some(word.replace('_', " ")),
        Value::Array(items) => {
            let words: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            let numbers: Option<Vec<f64>> = items.iter().map(Value::as_f64).collect();
            match (words, numbers) {
                (Some(words), _) => Some(words.join(", ").replace('_', " ")),
                (_, Some(numbers)) if numbers.len() <= NUMBERS => {
                    let numbers: Vec<String> = numbers.into_iter().map(short).collect();
                    Some(keyed(numbers.join(", ")))
                }
                _ => Some(counted(items.len(), &key)),
            }
        }
        Value::Object(fields) => {
            let parts = fields
                .iter()
                .filter_map(|(key, value)| field(key, value, false));
            let parts: Vec<String> = parts.collect();
            (!parts.is_empty()).then(|| keyed(parts.join(", ")))
        }
    }
}

/// Whether this is 0, or a list of nothing else.
fn zero(value: &Value) -> bool {
    let zero = |value: &Value| value.as_f64() == Some(0.0);
    let all_zero = |items: &Vec<Value>| !items.is_empty() && items.iter().all(zero);
    zero(value) || value.as_array().is_some_and(all_zero)
}

fn counted(count: usize, things: &str) -> String {
    let one = match things.strip_suffix("xes") {
        Some(stem) => format!("{stem}x"),
        None => things.trim_end_matches('s').to_owned(),
    };
    match count {
        1 => format!("1 {one}"),
        _ => format!("{count} {things}"),
    }
}

/// A number to three places that matter.
fn short(number: f64) -> String {
    let size = number.abs();
    if size >= 1e5 || (size > 0.0 && size < 1e-3) {
        return format!("{number:.1e}");
    }
    let places = match size {
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{number:.places$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_summary_names_the_transform_and_what_matters() {
        for (yaml, expected) in [
            (
                "gamma: {gamma: 0.71828, invert: false, keep_statistics: true}",
                "gamma 0.718, keep statistics",
            ),
            (
                "noise: {std: 0.05, distribution: gaussian, seed: 7}",
                "noise gaussian, std 0.05",
            ),
            ("blur: {std: [1.234, 0, 12.34]}", "blur std 1.23, 0, 12.3"),
            (
                "bias_field: {order: 1, coefficients: [0, 0.1, 0.2, 0.3]}",
                "bias field 4 coefficients, order 1",
            ),
            (
                "ghosting: {ghosts: 4, axis: up_down, intensity: 0.5, restore: 0}",
                "ghosting up down, ghosts 4, intensity 0.5",
            ),
            ("flip: {axes: [left_right]}", "flip left right"),
            (
                "spike: {intensity: 1234, positions: [[0, 0, 0]]}",
                "spike intensity 1234, 1 position",
            ),
        ] {
            let drawn: serde_yaml::Value = serde_yaml::from_str(yaml).unwrap();
            let drawn: Drawn =
                serde_json::from_value(serde_json::to_value(drawn).unwrap()).unwrap();
            assert_eq!(drawn.summary(), expected);
        }
    }
}
