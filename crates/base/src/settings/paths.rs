//! Values that are paths: the schema marks them with `"format": "path"`.

use std::path::{Path, PathBuf};

use schemars::{JsonSchema, schema_for};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value as Schema;
use serde_yaml::{Mapping, Value};

use super::shape::Shape;
use crate::files::expand_home;

/// Makes every relative path absolute: it starts at `folder`, or with `~` at the user's own. So a run's own
/// config.yaml means the same place.
pub fn anchor_paths(values: &mut Mapping, schema: &Schema, folder: &Path) {
    visit_map(values, Shape::of(schema), &mut |path| anchor(path, folder));
}

/// `value` with every relative path taken from `folder`.
pub fn anchored<T: Serialize + DeserializeOwned + JsonSchema>(value: T, folder: &Path) -> T {
    let schema = schema_for!(T).to_value();
    let Ok(mut values) = serde_yaml::to_value(&value) else {
        return value;
    };
    visit(&mut values, Shape::of(&schema), &mut |path| {
        anchor(path, folder);
    });
    serde_yaml::from_value(values).unwrap_or(value)
}

/// Every path in `value`.
pub fn paths<T: Serialize + JsonSchema>(value: &T) -> Vec<PathBuf> {
    let schema = schema_for!(T).to_value();
    let mut values = serde_yaml::to_value(value).unwrap_or_default();
    let mut found = Vec::new();
    visit(&mut values, Shape::of(&schema), &mut |path| {
        found.push(PathBuf::from(&*path));
    });
    found
}

fn anchor(path: &mut String, folder: &Path) {
    if path.contains("${") {
        return;
    }
    let anchored = folder.join(expand_home(Path::new(path)));
    // A path that cannot be made absolute is left for others to report.
    *path = std::path::absolute(&anchored)
        .unwrap_or(anchored)
        .display()
        .to_string();
}

fn visit(value: &mut Value, shape: Shape<'_>, on_path: &mut dyn FnMut(&mut String)) {
    match value {
        Value::String(path) if shape.is_path() => on_path(path),
        Value::Sequence(items) => {
            if let Some(inner) = shape.items() {
                for item in items {
                    visit(item, inner, on_path);
                }
            }
        }
        Value::Mapping(values) => visit_map(values, shape, on_path),
        _ => {}
    }
}

fn visit_map(values: &mut Mapping, shape: Shape<'_>, on_path: &mut dyn FnMut(&mut String)) {
    for (key, value) in values {
        if let Some(inner) = key.as_str().and_then(|name| shape.property(name)) {
            visit(value, inner, on_path);
        }
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::*;

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct File {
        #[schemars(extend("format" = "path"))]
        table: Option<PathBuf>,
        name: String,
        steps: Vec<Step>,
    }

    #[derive(Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    struct Step {
        #[schemars(extend("format" = "path"))]
        grid: PathBuf,
    }

    #[test]
    fn what_the_schema_calls_a_path_starts_at_the_folder() {
        let file = |table: &str, grid: &str| File {
            table: Some(table.into()),
            name: "a/b".into(),
            steps: vec![Step { grid: grid.into() }],
        };
        let there = anchored(file("a.csv", "/z.nii"), Path::new("/data"));
        assert_eq!(there, file("/data/a.csv", "/z.nii"));
        let found = paths(&there);
        assert_eq!(found, [Path::new("/data/a.csv"), Path::new("/z.nii")]);
        let home = std::env::var("HOME").unwrap();
        let own = anchored(file("~/a.csv", "z"), Path::new("/data"));
        assert_eq!(own, file(&format!("{home}/a.csv"), "/data/z"));
        let open = anchored(file("${DATA}/a.csv", "z"), Path::new("/data"));
        assert_eq!(open, file("${DATA}/a.csv", "/data/z"));
    }
}
