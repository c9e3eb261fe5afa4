//! The exponential function, the same to the last bit on every processor, for many values at once.

/// `e^x` for `x` up to 0, to two units in the last place; 0 below -87, where single precision ends, and not a number
/// for what is none.
///
/// Reference: Cephes' `expf`: `x` is a whole number of `ln 2`, which goes into the exponent, and a rest, for which a
/// polynomial stands.
#[inline(always)]
pub(super) fn exponential(x: f32) -> f32 {
    // Added to a small number this leaves its nearest whole number in the lowest bits.
    const ROUND: f32 = 12_582_912.0;
    // ln 2 in two parts, the first of few enough digits that its multiples are exact.
    const HIGH: f32 = 355.0 / 512.0;
    const LOW: f32 = -2.121_944_4e-4;
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let whole = shifted - ROUND;
    let rest = x - whole * HIGH - whole * LOW;
    let mut sum = 1.987_569_1e-4;
    for coefficient in [
        1.398_199_9e-3,
        8.333_452e-3,
        4.166_579_6e-2,
        1.666_666_5e-1,
        0.5,
    ] {
        sum = sum * rest + coefficient;
    }
    let of_rest = sum * rest * rest + rest + 1.0;
    let power = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    if x < -87.0 { 0.0 } else { of_rest * power }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_exponential_to_two_units_in_the_last_place() {
        for step in 0..=870_000 {
            let x = -(step as f32) * 1e-4;
            let exact = f64::from(x).exp();
            let apart = (f64::from(exponential(x)) - exact).abs() / exact;
            assert!(apart < 2.0 * f64::from(f32::EPSILON), "{x}: {apart}");
        }
        assert_eq!(exponential(0.0), 1.0);
        for far in [-88.0, -1e30, f32::NEG_INFINITY] {
            assert_eq!(exponential(far), 0.0);
        }
    }

    #[test]
    fn what_is_not_a_number_stays_so() {
        assert!(exponential(f32::NAN).is_nan());
    }
}
