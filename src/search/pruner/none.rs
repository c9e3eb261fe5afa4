use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every trial runs to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoPruner {}

impl NoPruner {
    pub(super) fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}
