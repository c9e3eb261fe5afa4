use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Every combination of every parameter's values, the last parameter varying fastest. Ranges need
/// `points`. Where parameters differ much in importance, random search finds better values in as many
/// trials.
///
/// Reference: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grid {}

impl Grid {
    pub(super) fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}
