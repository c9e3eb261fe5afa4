use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value as Json, json};
use serde_yaml::{Mapping, Value};

use super::{Case, DatasetError, Source};
use crate::preprocess::GRID_TOLERANCE;
use crate::settings::Fault;
use crate::volume::{Marked, MaskRule};

/// Where the cases come from, and beside the source's name how their masks are read, as in
/// `{pairs: {…}, label: 2}`.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Data {
    /// Where the cases come from.
    #[serde(flatten)]
    pub source: Source,
    /// How their masks are read.
    #[serde(flatten)]
    pub masks: Masks,
}

/// How the files of masks are read, and what is done about grids. By default a mask consists of 0 and one positive value (1, 2, 255, …), and
/// both of them occur; anything else is refused.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Masks {
    /// For masks that are maps of labels: the value that is marked, or a list of such values.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub label: Option<Label>,
    /// For masks that are probabilities: the value from which on voxels are marked, such as 0.5.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub threshold: Option<f64>,
    /// Whether masks may be empty (subjects without a lesion, for instance). Such cases train and validate like
    /// others; a prediction for one of them that is empty too has the best value of every metric.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub allow_empty: bool,
    /// How far a mask or a region may lie from its scan, in voxels; by default 0.1. What lies within it, but not
    /// exactly on the scan, is warned of and taken voxel by voxel.
    #[schemars(range(min = 0.0, max = 1.0))]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub grid_tolerance: Option<f64>,
    /// For cases of several images on different grids: the image onto whose grid the others are moved when they are
    /// read (linearly). The mask must lie on that grid. Without it images on different grids are refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub onto: Option<String>,
}

/// One value of a map of labels, or several.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged, expecting = "expected a number or a list of numbers")]
#[schemars(inline)]
pub enum Label {
    /// One value.
    One(f64),
    /// Any of several values.
    Several(Vec<f64>),
}

impl From<Source> for Data {
    /// Cases whose masks consist of 0 and one positive value.
    fn from(source: Source) -> Self {
        Self {
            source,
            masks: Masks::default(),
        }
    }
}

impl Data {
    /// Every case, in order of its id.
    ///
    /// # Errors
    ///
    /// When there are none, or one is incomplete; the message names the file and the remedy.
    pub fn cases(&self) -> Result<Vec<Case>, DatasetError> {
        let mut cases = self.source.cases()?;
        for case in &mut cases {
            case.mask_rule = self.masks.rule();
            if let Some(onto) = &self.masks.onto {
                case.onto = Some(case.image_of(onto)?.clone());
            }
            case.grid_tolerance = self.masks.grid_tolerance.unwrap_or(GRID_TOLERANCE);
        }
        Ok(cases)
    }

    /// What is wrong with the values that the schema does not show.
    pub fn rules(&self) -> Vec<Fault> {
        let mut faults = self.source.rules();
        faults.extend(self.masks.rules());
        faults
    }
}

impl Masks {
    /// What may stand beside a source, in words.
    pub const ABOUT: &str = "Beside a source's name may stand what is marked in its masks, where they are not 0 and one \
        positive value: `label: 2` (or a list of labels) or `threshold: 0.5`; and `allow_empty: true`, where masks may \
        be empty; and `grid_tolerance: 0.1`, how far they may lie from their scans, in voxels; and `onto: t1`, onto whose grid \
        the images of a case are moved where they lie on different ones. As in `data: {nfbs: \
        {root: heads}, label: 2}`.";

    const KEYS: [&str; 5] = [
        "label",
        "threshold",
        "allow_empty",
        "grid_tolerance",
        "onto",
    ];

    /// Whether they say which voxels one mask is made of.
    pub fn are_chosen(&self) -> bool {
        self.label.is_some() || self.threshold.is_some()
    }

    /// The rule that these settings are.
    pub fn rule(&self) -> MaskRule {
        let marked = match (&self.label, self.threshold) {
            (Some(Label::One(label)), _) => Marked::Labels(vec![*label]),
            (Some(Label::Several(labels)), _) => Marked::Labels(labels.clone()),
            (None, Some(threshold)) => Marked::From(threshold),
            (None, None) => Marked::OneValue,
        };
        MaskRule {
            marked,
            allow_empty: self.allow_empty,
            ..MaskRule::STRICT
        }
    }

    fn rules(&self) -> Vec<Fault> {
        match (&self.label, self.threshold) {
            (Some(_), Some(_)) => {
                let message = "threshold cannot stand beside label: masks are either maps of labels or probabilities";
                vec![Fault::new("threshold", message)]
            }
            (Some(Label::Several(labels)), None) if labels.is_empty() => {
                let message = "label must name at least one value";
                vec![Fault::new("label", message)]
            }
            _ => Vec::new(),
        }
    }
}

impl<'de> Deserialize<'de> for Data {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut source = Value::deserialize(deserializer)?;
        let mut masks = Mapping::new();
        if let Value::Mapping(map) = &mut source {
            for key in Masks::KEYS {
                masks.extend(map.remove(key).map(|value| (key.into(), value)));
            }
        }
        Ok(Self {
            source: serde_yaml::from_value(source).map_err(D::Error::custom)?,
            masks: serde_yaml::from_value(masks.into()).map_err(D::Error::custom)?,
        })
    }
}

impl JsonSchema for Data {
    fn schema_name() -> Cow<'static, str> {
        "Data".into()
    }

    /// The source's, with the settings of masks beside each member.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let masks = generator.subschema_for::<Masks>();
        let masks = masks.get("$ref").and_then(Json::as_str).unwrap_or_default();
        let setting = |key: &str| json!({ "$ref": format!("{masks}/properties/{key}") });
        let mut schema = Source::json_schema(generator);
        let forms = schema.get_mut("oneOf").and_then(Json::as_array_mut);
        for form in forms.into_iter().flatten() {
            if let Some(properties) = form.get_mut("properties").and_then(Json::as_object_mut) {
                properties.extend(Masks::KEYS.map(|key| (key.to_owned(), setting(key))));
            }
        }
        let description =
            "Where the cases come from, and beside the source's name how their masks are read.";
        schema.insert("description".into(), description.into());
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn data(yaml: &str) -> Data {
        serde_yaml::from_str(yaml).unwrap()
    }

    #[test]
    fn what_is_read_is_written_again_without_defaults() {
        for yaml in [
            "nfbs:\n  root: heads\n",
            "nfbs:\n  root: heads\nlabel: 2.0\n",
            "table:\n  path: cases.csv\nlabel:\n- 2.0\n- 41.0\nallow_empty: true\n",
            "table:\n  path: cases.csv\nthreshold: 0.5\n",
        ] {
            assert_eq!(serde_yaml::to_string(&data(yaml)).unwrap(), yaml);
        }
    }

    #[test]
    fn the_settings_become_the_rule_of_every_mask() {
        let rule = |yaml: &str| data(&format!("{{nfbs: {{root: x}}, {yaml}}}")).masks.rule();
        assert_eq!(rule("allow_empty: false"), MaskRule::STRICT);
        assert_eq!(rule("label: 2").marked, Marked::Labels(vec![2.0]));
        assert_eq!(
            rule("label: [2, 41]").marked,
            Marked::Labels(vec![2.0, 41.0])
        );
        assert_eq!(rule("threshold: 0.5").marked, Marked::From(0.5));
        assert!(rule("allow_empty: true").allow_empty);
    }
}
