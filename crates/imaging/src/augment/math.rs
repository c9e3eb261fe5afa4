//! Logarithm, exponential, sine and cosine in float32, as polynomials (Moshier's Cephes library).
//! Without branches or calls, loops over them become vector instructions; without fused operations,
//! they give the same bits on every processor, which the system's own need not.

const LN_2_HIGH: f32 = 0.693_359_4;
const LN_2_LOW: f32 = -2.121_944_4e-4;

/// Adding it to a number of magnitude below 2^22 rounds that to an integer, which then fills the lowest bits.
pub(super) const ROUND: f32 = 12_582_912.0;

/// The natural logarithm of a normal number above 0, within 2 units in the last place; 0 for 1.
#[inline(always)]
pub(super) fn ln(x: f32) -> f32 {
    // The mantissa from sqrt(1/2) to sqrt(2).
    let bits = x.to_bits() as i32;
    let exponent = (bits - 0x3f35_04f3) >> 23;
    let m = f32::from_bits((bits - (exponent << 23)) as u32) - 1.0;
    let p = 7.037_683_6e-2;
    let p = p * m - 1.151_461e-1;
    let p = p * m + 1.167_699_9e-1;
    let p = p * m - 1.242_014_1e-1;
    let p = p * m + 1.424_932_3e-1;
    let p = p * m - 1.666_805_8e-1;
    let p = p * m + 2.000_071_5e-1;
    let p = p * m - 2.499_999_4e-1;
    let p = p * m + 3.333_333e-1;
    let square = m * m;
    let exponent = exponent as f32;
    let small = p * m * square + exponent * LN_2_LOW - 0.5 * square;
    m + small + exponent * LN_2_HIGH
}

/// e to the power of `x`, within 2 units in the last place; 1 for 0. What would not be a normal
/// number is the nearest one.
#[inline(always)]
pub(super) fn exp(x: f32) -> f32 {
    let x = x.clamp(-87.0, 88.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let power = shifted - ROUND;
    let r = x - power * LN_2_HIGH - power * LN_2_LOW;
    let p = 1.987_569_1e-4;
    let p = p * r + 1.398_2e-3;
    let p = p * r + 8.333_452e-3;
    let p = p * r + 4.166_579_6e-2;
    let p = p * r + 1.666_666_5e-1;
    let p = p * r + 0.5;
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(0x3f80_0000));
    (p * r * r + r + 1.0) * scale
}

/// `x`, from 0 to 1, to the power of `exponent`, above 0. 0 and 1 stay as they are.
#[inline(always)]
pub(super) fn power(x: f32, exponent: f32) -> f32 {
    let power = exp(exponent * ln(x));
    if x > 0.0 { power } else { 0.0 }
}

/// Sine and cosine of an angle in turns, from -1/2 to 1/2.
#[inline(always)]
pub(super) fn sin_cos(turns: f32) -> (f32, f32) {
    // Within an eighth of a turn about the nearest quarter.
    let shifted = turns * 4.0 + ROUND;
    let quarter = shifted.to_bits();
    let r = (turns - (shifted - ROUND) * 0.25) * std::f32::consts::TAU;
    let z = r * r;
    let sine = ((-1.951_529_6e-4 * z + 8.332_161e-3) * z - 1.666_665_5e-1) * z * r + r;
    let cosine =
        ((2.443_315_7e-5 * z - 1.388_731_6e-3) * z + 4.166_664_6e-2) * z * z - 0.5 * z + 1.0;
    let (sine, cosine) = if quarter & 1 == 0 {
        (sine, cosine)
    } else {
        (cosine, sine)
    };
    let signed = |value: f32, sign: u32| f32::from_bits(value.to_bits() ^ (sign & 2) << 30);
    (
        signed(sine, quarter),
        signed(cosine, quarter.wrapping_add(1)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn close(value: f32, exact: f64, parts: f64) -> bool {
        (f64::from(value) - exact).abs() <= parts * f64::from(f32::EPSILON) * exact.abs()
    }

    proptest! {
        #[test]
        fn logarithm_and_exponential_are_right_to_the_last_places(x in -86.0f32..87.0) {
            let power = f64::from(x).exp();
            prop_assert!(close(exp(x), power, 2.0), "exp {x}");
            let argument = power as f32;
            let exact = f64::from(argument).ln();
            // Near 1 the logarithm is as small as the argument's own rounding.
            prop_assert!(close(ln(argument), exact, 2.0), "ln {argument}");
        }

        #[test]
        fn sine_and_cosine_are_right_all_round(turns in -0.5f32..=0.5) {
            let (sine, cosine) = sin_cos(turns);
            let (s, c) = (f64::from(turns) * std::f64::consts::TAU).sin_cos();
            prop_assert!((f64::from(sine) - s).abs() < 2e-7, "sin {turns}");
            prop_assert!((f64::from(cosine) - c).abs() < 2e-7, "cos {turns}");
        }

        #[test]
        fn powers_are_right_where_they_matter(x in 0.0f32..=1.0, exponent in 0.05f32..=20.0) {
            let exact = f64::from(x).powf(f64::from(exponent));
            prop_assert!((f64::from(power(x, exponent)) - exact).abs() < 1e-6);
        }
    }

    #[test]
    fn zero_and_one_are_exact() {
        assert_eq!((ln(1.0), exp(0.0)), (0.0, 1.0));
        for exponent in [0.05, 0.7, 1.0, 20.0] {
            assert_eq!((power(0.0, exponent), power(1.0, exponent)), (0.0, 1.0));
        }
        assert_eq!(sin_cos(0.0), (0.0, 1.0));
    }
}
