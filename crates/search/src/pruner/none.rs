use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{PruningRule, Rival};
use crate::objective::Goal;

/// Every trial runs to its end.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct NoPruner {}

impl PruningRule for NoPruner {
    fn due(&self, _decided: Option<usize>) -> Option<usize> {
        None
    }

    fn last_needed(&self) -> Option<usize> {
        None
    }

    fn cutoff(&self, _value: f64, _rivals: &[Rival], _goal: Goal) -> Option<f64> {
        None
    }
}
