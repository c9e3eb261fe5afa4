//! Ranges from which transforms draw.

use std::ops::{Bound, RangeBounds};

use rand_chacha::ChaCha8Rng;

use super::{happens, uniform};

/// Checks that `range` is two numbers, rising or equal, within `allowed`.
pub(super) fn validate_range(
    field: &str,
    range: [f64; 2],
    allowed: impl RangeBounds<f64>,
) -> Result<(), String> {
    let [low, high] = range;
    let within = |value: f64| value.is_finite() && allowed.contains(&value);
    if within(low) && within(high) && low <= high {
        return Ok(());
    }
    Err(format!(
        "{field} is [{low}, {high}] and must be two numbers {}, the first not above the second",
        described(&allowed)
    ))
}

/// Checks that `value` is a number within `allowed`.
pub(super) fn validate_number(
    field: &str,
    value: f64,
    allowed: impl RangeBounds<f64>,
) -> Result<(), String> {
    if value.is_finite() && allowed.contains(&value) {
        return Ok(());
    }
    Err(format!(
        "{field} is {value} and must be {}",
        described(&allowed)
    ))
}

fn described(allowed: &impl RangeBounds<f64>) -> String {
    let lowest = match allowed.start_bound() {
        Bound::Included(low) => format!("at least {low}"),
        Bound::Excluded(low) => format!("above {low}"),
        Bound::Unbounded => "of any size".into(),
    };
    match allowed.end_bound() {
        Bound::Included(high) => format!("{lowest} and at most {high}"),
        Bound::Excluded(high) => format!("{lowest} and below {high}"),
        Bound::Unbounded => lowest,
    }
}

/// A factor from `low` to `high`. Where 1 lies between them, it is below 1 as often as above, and
/// uniform on either side, as in nnU-Net: the mean of a wide range is then not far above 1.
pub(super) fn factor([low, high]: [f64; 2], rng: &mut ChaCha8Rng) -> f64 {
    let (low, high) = match (low < 1.0 && high > 1.0, happens(0.5, rng)) {
        (false, _) => (low, high),
        (true, true) => (low, 1.0),
        (true, false) => (1.0, high),
    };
    uniform(low, high, rng)
}
