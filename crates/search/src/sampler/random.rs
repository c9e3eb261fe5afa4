use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Observation, SamplingMethod, Stream, TrialSeed, draw_new};
use crate::space::{Assignment, Space};

/// Every parameter evenly at random, whatever the results of other trials. A parameter's draws do not change when
/// others join the space.
///
/// Reference: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Random {}

impl SamplingMethod for Random {
    fn propose(
        &self,
        space: &Space,
        trial: TrialSeed,
        seen: &[Observation<'_>],
    ) -> Option<Assignment> {
        draw_new(space, trial, seen, |stream| draw(space, stream))
    }
}

/// Every parameter evenly at random.
pub(super) fn draw(space: &Space, stream: Stream) -> Assignment {
    space.assign(|key, parameter| parameter.domain.draw(&mut stream.of("random", key)))
}
