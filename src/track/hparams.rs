//! A run's settings for TensorBoard: its table of hyperparameters, and the text of its config.
//!
//! The records are those of TensorBoard's plugins `hparams` and `text`: their content is in the metadata of a
//! summary.

use std::collections::HashMap;

use protobuf::well_known_types::Value;
use protobuf::{Message, RepeatedField};
use tensorboard_proto::api::Status;
use tensorboard_proto::plugin_hparams::{HParamsPluginData, SessionEndInfo, SessionStartInfo};
use tensorboard_proto::summary::{Summary_Value, SummaryMetadata, SummaryMetadata_PluginData};
use tensorboard_proto::tensor::TensorProto;
use tensorboard_proto::types::DataType;
use tensorboard_proto::{tensor_shape::TensorShapeProto, tensor_shape::TensorShapeProto_Dim};

use super::tensorboard::{TensorBoard, since_1970};
use crate::channels::CHANNELS;

/// Settings that do not affect how a run trains: its name and seed, where its data are, what is scored and drawn.
const LEFT_OUT: [&str; 5] = ["name", "seed", "data", "evaluate", "report"];

/// A hyperparameter's value.
#[derive(Clone, Debug, PartialEq)]
pub enum Setting {
    /// A number.
    Number(f64),
    /// A switch.
    Switch(bool),
    /// Anything else.
    Text(String),
}

/// The hyperparameters in a whole experiment: every single value under its dotted key, and under
/// the key of a member (`loss`) or of a list of members (`augment`) the names.
pub fn hyperparameters(experiment: &serde_json::Value) -> Vec<(String, Setting)> {
    let mut found = Vec::new();
    for (key, value) in experiment.as_object().into_iter().flatten() {
        if !LEFT_OUT.contains(&key.as_str()) {
            if let Some(name) = member(value) {
                found.push((key.clone(), Setting::Text(name.to_owned())));
            }
            flatten(key, value, &mut found);
        }
    }
    found
}

fn flatten(key: &str, value: &serde_json::Value, found: &mut Vec<(String, Setting)>) {
    use serde_json::Value as Json;
    match value {
        Json::Null => {}
        Json::Bool(switch) => found.push((key.to_owned(), Setting::Switch(*switch))),
        Json::Number(number) => {
            let number = number.as_f64().unwrap_or(f64::NAN);
            found.push((key.to_owned(), Setting::Number(number)));
        }
        Json::String(text) => found.push((key.to_owned(), Setting::Text(text.clone()))),
        Json::Array(items) => {
            let names: Option<Vec<&str>> = items.iter().map(member).collect();
            let text = match &names {
                Some(names) if !names.is_empty() => names.join(", "),
                _ => value.to_string(),
            };
            found.push((key.to_owned(), Setting::Text(text)));
            if names.is_some() {
                for (at, item) in items.iter().enumerate() {
                    flatten(&format!("{key}.{at}"), item, found);
                }
            }
        }
        Json::Object(fields) => {
            for (name, field) in fields {
                flatten(&format!("{key}.{name}"), field, found);
            }
        }
    }
}

/// The name in a one-key map, as members of families are written, whichever images they are for.
fn member(value: &serde_json::Value) -> Option<&str> {
    let fields = value.as_object()?;
    let mut names = fields.keys().filter(|key| *key != CHANNELS);
    match (names.next(), names.next()) {
        (Some(name), None) => Some(name),
        _ => None,
    }
}

impl TensorBoard {
    /// Enters the run in the table of hyperparameters. Runs of one `group` (folds and seeds of one
    /// setting) share a row, which shows their mean.
    pub fn start_session(&mut self, group: &str, settings: &[(String, Setting)]) {
        let values: HashMap<String, Value> = settings
            .iter()
            .map(|(key, setting)| (key.clone(), proto(setting)))
            .collect();
        let mut start = SessionStartInfo::new();
        start.set_hparams(values);
        start.set_group_name(group.to_owned());
        start.set_start_time_secs(since_1970().as_secs_f64());
        let mut data = HParamsPluginData::new();
        data.set_session_start_info(start);
        self.hparams("_hparams_/session_start_info", &data);
    }

    /// Marks the run as finished in the table of hyperparameters.
    pub fn end_session(&mut self) {
        let mut end = SessionEndInfo::new();
        end.set_status(Status::STATUS_SUCCESS);
        end.set_end_time_secs(since_1970().as_secs_f64());
        let mut data = HParamsPluginData::new();
        data.set_session_end_info(end);
        self.hparams("_hparams_/session_end_info", &data);
    }

    /// Records a text, in Markdown.
    pub fn text(&mut self, tag: &str, markdown: &str) {
        let mut tensor = TensorProto::new();
        tensor.set_dtype(DataType::DT_STRING);
        tensor.set_tensor_shape(one_long());
        tensor.set_string_val(RepeatedField::from_vec(vec![markdown.into()]));
        self.plugin("text", Vec::new(), tag, tensor);
    }

    fn hparams(&mut self, tag: &str, data: &HParamsPluginData) {
        let mut nothing = TensorProto::new();
        nothing.set_dtype(DataType::DT_FLOAT);
        nothing.set_tensor_shape(one_long());
        nothing.set_float_val(vec![0.0]);
        match data.write_to_bytes() {
            Ok(content) => self.plugin("hparams", content, tag, nothing),
            Err(error) => self.fail(std::io::Error::other(error)),
        }
    }

    fn plugin(&mut self, name: &str, content: Vec<u8>, tag: &str, tensor: TensorProto) {
        let mut plugin = SummaryMetadata_PluginData::new();
        plugin.set_plugin_name(name.to_owned());
        plugin.set_content(content);
        let mut metadata = SummaryMetadata::new();
        metadata.set_plugin_data(plugin);
        let mut value = Summary_Value::new();
        value.set_tag(tag.to_owned());
        value.set_metadata(metadata);
        value.set_tensor(tensor);
        self.summary(value, 0);
    }
}

fn one_long() -> TensorShapeProto {
    let mut one = TensorShapeProto_Dim::new();
    one.set_size(1);
    let mut shape = TensorShapeProto::new();
    shape.set_dim(RepeatedField::from_vec(vec![one]));
    shape
}

fn proto(setting: &Setting) -> Value {
    let mut value = Value::new();
    match setting {
        Setting::Number(number) => value.set_number_value(*number),
        Setting::Switch(switch) => value.set_bool_value(*switch),
        Setting::Text(text) => value.set_string_value(text.clone()),
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_lists_and_values_have_dotted_keys() {
        let experiment = serde_json::json!({
            "name": "quickstart",
            "seed": 42,
            "loss": {"sum": [{"dice": {"smooth": 1.0}}, {"focal": {"gamma": 2.0}}]},
            "augment": [{"flip": {"p": 0.5}}, {"blur": {"p": 0.2}, "channels": ["flair", "t1"]}],
            "train": {"epochs": 8, "checkpointing": false, "ema": null, "patch": {"size": [32, 32]}},
        });
        let text = |text: &str| Setting::Text(text.into());
        let wanted = [
            ("augment", text("flip, blur")),
            ("augment.0.flip.p", Setting::Number(0.5)),
            ("augment.1.blur.p", Setting::Number(0.2)),
            ("augment.1.channels", text(r#"["flair","t1"]"#)),
            ("loss", text("sum")),
            ("loss.sum", text("dice, focal")),
            ("loss.sum.0.dice.smooth", Setting::Number(1.0)),
            ("loss.sum.1.focal.gamma", Setting::Number(2.0)),
            ("train.checkpointing", Setting::Switch(false)),
            ("train.epochs", Setting::Number(8.0)),
            ("train.patch.size", text("[32,32]")),
        ];
        let mut found = hyperparameters(&experiment);
        found.sort_by(|a, b| a.0.cmp(&b.0));
        let wanted: Vec<_> = wanted.map(|(key, value)| (key.to_owned(), value)).into();
        assert_eq!(found, wanted);
    }
}
