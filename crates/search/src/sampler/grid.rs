use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Observation, SamplingMethod, TrialSeed};
use crate::space::{Assignment, Space};

/// Every combination of every parameter's values, the last parameter varying fastest. Ranges need
/// `points`. Where parameters differ much in importance, random search finds better values in as many
/// trials.
///
/// Reference: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Grid {}

impl SamplingMethod for Grid {
    fn propose(
        &self,
        space: &Space,
        trial: TrialSeed,
        _seen: &[Observation<'_>],
    ) -> Option<Assignment> {
        space.grid_point(trial.number as u128)
    }

    fn is_exhaustive(&self) -> bool {
        true
    }
}
