//! Ranges from which transforms draw.

use std::fmt::Display;

use rand_chacha::ChaCha8Rng;

use super::{chance, uniform};
use crate::settings::Fault;

/// What is wrong with a range of two numbers. The field's schema limits the numbers themselves.
pub(super) fn rising<T: PartialOrd + Display>(field: &str, [low, high]: [T; 2]) -> Vec<Fault> {
    if low <= high {
        return Vec::new();
    }
    let message =
        format!("{field} must be two numbers, the first not above the second, not [{low}, {high}]");
    vec![Fault::new(field, message)]
}

/// A factor from `low` to `high`. Where 1 lies between them, it is below 1 as often as above, and
/// uniform on either side, as in nnU-Net: the mean of a wide range is then not far above 1.
pub(super) fn factor([low, high]: [f64; 2], rng: &mut ChaCha8Rng) -> f64 {
    let (low, high) = match (low < 1.0 && high > 1.0, chance(0.5, rng)) {
        (false, _) => (low, high),
        (true, true) => (low, 1.0),
        (true, false) => (1.0, high),
    };
    uniform(low, high, rng)
}
