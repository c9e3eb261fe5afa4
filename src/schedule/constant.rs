use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Moment, RateSchedule};

/// The learning rate never moves.
///
/// Reference: the published Python pipeline trains so.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Constant {}

impl RateSchedule for Constant {
    fn factor(&self, _at: Moment, _validation_ious: &[f64]) -> f64 {
        1.0
    }

    fn depends_on_length(&self) -> bool {
        false
    }
}
