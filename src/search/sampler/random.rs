use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Stream;
use crate::search::space::{Assignment, Space};

/// Every parameter evenly at random, whatever came of other trials. A parameter's draws do not change when
/// others join the space.
///
/// Reference: Bergstra and Bengio, Random Search for Hyper-Parameter Optimization, JMLR 13, 2012.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Random {}

impl Random {
    pub(super) fn validate(&self) -> Result<(), String> {
        Ok(())
    }
}

pub(super) fn propose(space: &Space, stream: Stream) -> Assignment {
    space.assign(|key, parameter| parameter.domain.draw(&mut stream.of("random", key)))
}
