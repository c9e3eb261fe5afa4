use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Moment, RateSchedule, anneal};

/// Half a cosine from 1 down to a floor, once over the run or several times with a jump back to 1
/// between (warm restarts).
///
/// Reference: Loshchilov & Hutter, SGDR, ICLR 2017; PyTorch's `CosineAnnealingLR` in each cycle.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Cosine {
    /// The factor at the end of each cycle.
    #[schemars(range(max = 1.0), extend("exclusiveMinimum" = 0.0))]
    pub floor: f64,
    /// How many times the rate falls.
    #[schemars(range(min = 1))]
    pub cycles: usize,
    /// How many times as long as the one before each cycle is.
    #[schemars(range(min = 1.0))]
    pub growth: f64,
}

impl Default for Cosine {
    fn default() -> Self {
        Self {
            floor: 0.01,
            cycles: 1,
            growth: 1.0,
        }
    }
}

impl RateSchedule for Cosine {
    fn factor(&self, at: Moment, _validation_ious: &[f64]) -> f64 {
        let (start, end) = self.cycle(at);
        let last = (end - 1.0 - start).max(1.0);
        anneal(1.0, self.floor, ((at.step - start) / last).min(1.0))
    }
}

impl Cosine {
    /// First step of the cycle that `at` lies in, and of the one after it. All but the first begin
    /// at whole steps.
    fn cycle(&self, at: Moment) -> (f64, f64) {
        let length = |cycle: usize| self.growth.powi(cycle as i32);
        let all: f64 = (0..self.cycles).map(length).sum();
        let (mut start, mut passed) = (0.0, 0.0);
        for cycle in 0..self.cycles - 1 {
            passed += length(cycle);
            let end = (passed / all * at.total).round();
            if at.step < end {
                return (start, end);
            }
            start = end;
        }
        (start, at.total)
    }
}
