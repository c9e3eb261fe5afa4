use rand_chacha::ChaCha8Rng;
use rand_distr::{Beta, Distribution};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Augmentation, Change, Drawn, DrawnOn};
use crate::settings::Fault;
use crate::volume::Structures;

/// Mixes a sample with the next one of its batch (the last with the first), images and masks:
/// `λ * own + (1 - λ) * next`, λ from a Beta distribution. Masks become soft. It comes after all other
/// transforms, when the batch is put together, and needs batches of at least two.
///
/// Reference: Zhang et al., "mixup: Beyond empirical risk minimization", ICLR, 2018.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Mixup {
    /// Both parameters of the Beta distribution: near 0 one of the two samples dominates, at 1 every λ is
    /// equally likely.
    #[schemars(range(max = 100.0), extend("exclusiveMinimum" = 0.0))]
    pub alpha: f64,
    /// Probability.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub p: f64,
}

impl Default for Mixup {
    fn default() -> Self {
        Self { alpha: 0.2, p: 0.5 }
    }
}

impl Augmentation for Mixup {
    type Params = MixupParams;

    fn probability(&self) -> Option<f64> {
        Some(self.p)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<MixupParams> {
        // Only an alpha that `validate` refuses makes no distribution.
        let beta = Beta::new(self.alpha, self.alpha).ok()?;
        Some(MixupParams {
            lambda: beta.sample(rng),
        })
    }

    fn concerns_all(&self) -> Option<&'static str> {
        Some("mixes all images of a sample with those of another")
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        if structures.is_mask() {
            return Vec::new();
        }
        let message = "mixup mixes masks of 0 and 1; classes of several structures cannot be mixed. Take it out of the list";
        vec![Fault::of_key("", message)]
    }

    fn mixes_batch(&self) -> bool {
        true
    }
}

/// What [`Mixup`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct MixupParams {
    /// λ, the sample's own share, from 0 to 1.
    pub lambda: f64,
}

// A sample alone has nothing to be mixed with: see [`mix_batch`].
impl Change for MixupParams {}

/// Mixes the samples of a batch, `drawn` for each, whose values lie one after the other in `images` and `masks`.
pub fn mix_batch(drawn: &[Vec<DrawnOn>], images: &mut [f32], masks: &mut [f32]) {
    let own_shares = drawn.iter().map(|drawn| {
        let lambda = |one: &DrawnOn| match &one.drawn {
            Drawn::Mixup(params) => Some(params.lambda as f32),
            _ => None,
        };
        drawn.iter().find_map(lambda).unwrap_or(1.0)
    });
    let own_shares: Vec<f32> = own_shares.collect();
    if own_shares.len() > 1 && own_shares.iter().any(|share| *share < 1.0) {
        mix(images, &own_shares);
        mix(masks, &own_shares);
    }
}

fn mix(values: &mut [f32], own_shares: &[f32]) {
    let size = values.len() / own_shares.len();
    let first = values[..size].to_vec();
    for (at, &own) in own_shares.iter().enumerate().filter(|(_, own)| **own < 1.0) {
        // The next sample is still as it was.
        let (before, after) = values.split_at_mut((at + 1) * size);
        let next = after.get(..size).unwrap_or(&first);
        for (value, next) in before[at * size..].iter_mut().zip(next) {
            *value = own * *value + (1.0 - own) * next;
        }
    }
}
