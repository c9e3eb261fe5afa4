use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::FilterKernel;
use crate::settings::Fault;

/// The weighted mean of a sample and its neighbours.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Blur {
    /// How much the sample and each neighbour count.
    #[schemars(inner(range(min = 0.0)))]
    pub weights: [f64; 2],
}

impl Default for Blur {
    fn default() -> Self {
        Self {
            weights: [1.0, 1.0],
        }
    }
}

impl FilterKernel for Blur {
    fn apply(&self, [before, here, after]: [f64; 3]) -> f64 {
        let [own, neighbour] = self.weights;
        (own * here + neighbour * (before + after)) / (own + 2.0 * neighbour)
    }

    fn rules(&self) -> Vec<Fault> {
        match self.weights {
            [0.0, 0.0] => vec![Fault::new("weights", "weights must not all be 0")],
            _ => Vec::new(),
        }
    }
}
