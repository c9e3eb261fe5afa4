use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The learning rate never moves.
///
/// Reference: the published Python pipeline trains so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Constant {}

impl Constant {
    pub(super) fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}
