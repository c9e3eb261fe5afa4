//! Sharpening a histogram of log intensities: undoing the blur that a bias field causes
//! (Sled, Zijdenbos and Evans 1998; the heart of N3 and N4).

use std::sync::Arc;

use multiversion::multiversion;
use rustfft::{Fft, FftPlanner, num_complex::Complex};

use super::lanes::{LANES, filled};

/// Bins between a lowest and a highest value; the outermost bins are centred on these two.
#[derive(Clone, Copy)]
pub(super) struct Bins {
    lowest: f64,
    width: f64,
    count: usize,
}

impl Bins {
    /// `count` bins, at least 2, from `lowest` to `highest`, which must be above it.
    pub(super) fn new(lowest: f64, highest: f64, count: usize) -> Self {
        Self {
            lowest,
            width: (highest - lowest) / (count - 1) as f64,
            count,
        }
    }

    /// For each value the last bin whose centre is not above it, and how far the value is from that towards the next, 0 to 1
    /// for one within the range.
    #[inline(always)]
    fn locate(&self, values: &[f64; LANES]) -> ([u32; LANES], [f64; LANES]) {
        let last = (self.count - 1) as u32;
        let (mut bins, mut parts) = ([0; LANES], [0.0; LANES]);
        for lane in 0..LANES {
            let position = (values[lane] - self.lowest) / self.width;
            bins[lane] = (position as u32).min(last);
            parts[lane] = position - f64::from(bins[lane]);
        }
        (bins, parts)
    }

    /// A histogram: each value whose weight is above 0 is shared by the bins on its two sides. One entry more than there
    /// are bins, for the side that the last bin does not have.
    pub(super) fn histogram(&self, values: &[f64], weights: &[f32]) -> Vec<f64> {
        let mut counts = vec![0.0; self.count + 1];
        histogram(self, values, weights, &mut counts);
        counts
    }

    #[inline(always)]
    fn count(&self, values: &[f64; LANES], weights: &[f32; LANES], counts: &mut [f64]) {
        let (bins, parts) = self.locate(values);
        for lane in 0..LANES {
            if weights[lane] > 0.0 {
                let bin = bins[lane] as usize;
                counts[bin] += 1.0 - parts[lane];
                counts[bin + 1] += parts[lane];
            }
        }
    }
}

#[multiversion(targets = "simd")]
fn histogram(bins: &Bins, values: &[f64], weights: &[f32], counts: &mut [f64]) {
    let (values, weights) = (values.as_chunks(), weights.as_chunks());
    for (values, weights) in values.0.iter().zip(weights.0) {
        bins.count(values, weights, counts);
    }
    // Filled up with values that do not count.
    bins.count(&filled(values.1), &filled(weights.1), counts);
}

/// For a log intensity, what it would be without the blur.
pub(super) struct Sharpened {
    bins: Bins,
    // One entry more than there are bins, so that every bin has a next.
    values: Vec<f64>,
}

impl Sharpened {
    /// How far each of `values` lies above what it would be without the blur, which is linear between bins, times its
    /// weight; 0 where that is 0.
    pub(super) fn residuals(&self, values: &[f64], weights: &[f32], out: &mut [f64]) {
        residuals(self, values, weights, out);
    }

    #[inline(always)]
    fn residuals_of(&self, values: &[f64; LANES], weights: &[f32; LANES]) -> [f64; LANES] {
        let (bins, parts) = self.bins.locate(values);
        // One length for both: so one check of an index does.
        let last = self.bins.count - 1;
        let (sharp, next) = (&self.values[..=last], &self.values[1..][..=last]);
        let mut residuals = [0.0; LANES];
        for lane in 0..LANES {
            let bin = bins[lane] as usize;
            let at = sharp[bin] + (next[bin] - sharp[bin]) * parts[lane];
            residuals[lane] = f64::from(weights[lane]) * (values[lane] - at);
        }
        residuals
    }
}

#[multiversion(targets = "simd")]
fn residuals(sharpened: &Sharpened, values: &[f64], weights: &[f32], out: &mut [f64]) {
    let (values, weights, out) = (values.as_chunks(), weights.as_chunks(), out.as_chunks_mut());
    for ((values, weights), out) in values.0.iter().zip(weights.0).zip(out.0) {
        *out = sharpened.residuals_of(values, weights);
    }
    let rest = sharpened.residuals_of(&filled(values.1), &filled(weights.1));
    out.1.copy_from_slice(&rest[..out.1.len()]);
}

/// Sharpens histograms with a given number of bins.
pub(super) struct Sharpener {
    bins: usize,
    fwhm: f64,
    noise: f64,
    length: usize,
    forward: Arc<dyn Fft<f64>>,
    inverse: Arc<dyn Fft<f64>>,
}

impl Sharpener {
    /// For histograms of `bins` bins, blurred by a Gaussian of full width `fwhm` at half maximum
    /// (in log intensity); `noise` is the Wiener filter's.
    pub(super) fn new(bins: usize, fwhm: f64, noise: f64) -> Self {
        // Padded at both sides, so that what leaves at one end does not come in at the other.
        let length = 2 * bins.next_power_of_two();
        let mut planner = FftPlanner::new();
        Self {
            bins,
            fwhm,
            noise,
            length,
            forward: planner.plan_fft_forward(length),
            inverse: planner.plan_fft_inverse(length),
        }
    }

    /// The number of bins.
    pub(super) fn bins(&self) -> usize {
        self.bins
    }

    /// Deconvolves a histogram by the Gaussian and takes, for each bin, the expectation of the
    /// sharp value given the blurred one. The inverse transforms are left without their 1 / length:
    /// it cancels in the expectation.
    pub(super) fn sharpen(&self, bins: Bins, histogram: &[f64]) -> Sharpened {
        let margin = (self.length - self.bins) / 2;
        let centre = |i: usize| bins.lowest + (i as f64 - margin as f64) * bins.width;
        let blur = self.blur(bins.width);

        let mut sharp = vec![Complex::default(); self.length];
        for (out, count) in sharp[margin..].iter_mut().zip(&histogram[..self.bins]) {
            out.re = *count;
        }
        self.forward.process(&mut sharp);
        for (value, blur) in sharp.iter_mut().zip(&blur) {
            *value *= blur / (blur * blur + self.noise);
        }
        self.inverse.process(&mut sharp);

        // The blur is real, so two real sequences go through it as the parts of a complex one.
        for (i, value) in sharp.iter_mut().enumerate() {
            let density = value.re.max(0.0);
            *value = Complex::new(centre(i) * density, density);
        }
        self.forward.process(&mut sharp);
        for (value, blur) in sharp.iter_mut().zip(&blur) {
            *value *= blur;
        }
        self.inverse.process(&mut sharp);

        let mut values: Vec<f64> = sharp[margin..margin + self.bins]
            .iter()
            .map(|moment| match moment.im {
                0.0 => 0.0,
                // Where nearly nothing is, rounding could leave the range of the centres.
                density => (moment.re / density).clamp(centre(0), centre(self.length - 1)),
            })
            .collect();
        values.push(values[self.bins - 1]);
        Sharpened { bins, values }
    }

    /// The Gaussian's transform. The Gaussian is even, so its transform is real.
    fn blur(&self, bin_width: f64) -> Vec<f64> {
        let width = self.fwhm / bin_width;
        let ln_2 = std::f64::consts::LN_2;
        let height = 2.0 * (ln_2 / std::f64::consts::PI).sqrt() / width;
        let mut gaussian: Vec<_> = (0..self.length)
            .map(|i| {
                let distance = i.min(self.length - i) as f64 / width;
                Complex::from(height * (-4.0 * ln_2 * distance * distance).exp())
            })
            .collect();
        self.forward.process(&mut gaussian);
        gaussian.iter().map(|value| value.re).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What `value` would be without the blur.
    fn at(sharpened: &Sharpened, value: f64) -> f64 {
        let mut residual = [0.0];
        sharpened.residuals(&[value], &[1.0], &mut residual);
        value - residual[0]
    }

    #[test]
    fn a_value_is_shared_by_the_two_bins_around_it() {
        let bins = Bins::new(10.0, 14.0, 5);
        let counts = bins.histogram(&[10.0, 11.25, 14.0, 12.0], &[1.0, 0.5, 1.0, 0.0]);
        assert_eq!(counts, [1.0, 0.75, 0.25, 0.0, 1.0, 0.0]);
    }

    #[test]
    fn sharpening_draws_the_values_of_a_blurred_peak_to_its_middle() {
        let sharpener = Sharpener::new(200, 0.15, 0.01);
        // Gaussians of exactly the assumed width around 1 and 2.
        let gaussian = |x: f64, m: f64| (-4.0 * 2.0_f64.ln() * ((x - m) / 0.15).powi(2)).exp();
        let histogram: Vec<f64> = (0..=200)
            .map(|i| i as f64 * 3.0 / 199.0)
            .map(|x| gaussian(x, 1.0) + gaussian(x, 2.0))
            .collect();
        let sharpened = sharpener.sharpen(Bins::new(0.0, 3.0, 200), &histogram);
        for (value, middle) in [
            (0.93, 1.0),
            (1.0, 1.0),
            (1.07, 1.0),
            (1.95, 2.0),
            (2.05, 2.0),
        ] {
            let moved = at(&sharpened, value);
            assert!(
                (moved - middle).abs() < 0.4 * (value - middle).abs() + 0.005,
                "{value} {moved}"
            );
        }
    }
    #[test]
    fn where_no_value_is_the_expectation_stays_near_the_range() {
        let mut histogram = [0.0; 201];
        (histogram[0], histogram[199]) = (1e6, 3.0);
        let sharpened =
            Sharpener::new(200, 0.15, 0.01).sharpen(Bins::new(0.0, 9.0, 200), &histogram);
        for i in 0..=900 {
            let value = at(&sharpened, f64::from(i) / 100.0);
            assert!((-9.0..=18.0).contains(&value), "{value}");
        }
    }
}
