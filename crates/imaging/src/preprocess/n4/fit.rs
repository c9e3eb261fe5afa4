//! N4's iteration: sharpen the histogram, fit a smooth field to what that moves, subtract it.

use multiversion::multiversion;
use ndarray::Array3;
use rayon::prelude::*;

use super::N4;
use super::lanes::{LANES, filled};
use super::sharpen::{Bins, Sharpener};
use super::spline::{Approximation, Lattice};

/// The shrunk image in log intensity, and how far it is corrected. All arrays in C order.
pub(super) struct Fit {
    shape: [usize; 3],
    log: Vec<f64>,
    /// How much each voxel counts; 0 for those outside the mask.
    weights: Vec<f32>,
    corrected: Vec<f64>,
    /// Lowest and highest corrected value that counts; reversed when none does.
    range: (f64, f64),
}

/// What the iteration arrives at.
pub(super) struct Fitted<const REACH: usize> {
    pub(super) lattice: Lattice<REACH>,
    pub(super) iterations_run: Vec<usize>,
    pub(super) convergence: Vec<f64>,
}

impl Fit {
    /// Of an image and the weights of its voxels.
    pub(super) fn new(voxels: &Array3<f32>, weights: Vec<f32>) -> Self {
        let (x, y, z) = voxels.dim();
        let log: Vec<f64> = voxels
            .iter()
            .map(|v| f64::from(*v))
            .map(|v| if v > 0.0 { v.ln() } else { v })
            .collect();
        let inside = log
            .iter()
            .zip(&weights)
            .filter(|(_, weight)| **weight > 0.0);
        let range = inside.fold(EMPTY, |range, (log, _)| widened(range, *log));
        Self {
            shape: [x, y, z],
            corrected: log.clone(),
            log,
            weights,
            range,
        }
    }

    /// How many voxels count.
    pub(super) fn voxels(&self) -> usize {
        self.weights.iter().filter(|weight| **weight > 0.0).count()
    }

    /// Whether no two voxels that count differ, so that there is nothing to sharpen.
    pub(super) fn is_flat(&self) -> bool {
        self.range.0 >= self.range.1
    }

    /// Runs all levels, from a lattice of few control points to ever finer ones.
    pub(super) fn run<const REACH: usize>(mut self, settings: &N4) -> Fitted<REACH> {
        let sharpener = Sharpener::new(settings.bins, settings.fwhm, settings.wiener_noise);
        let mut lattice = Lattice::zero(settings.control_points);
        let mut iterations_run = Vec::new();
        let mut convergence = Vec::new();
        for (level, &most) in settings.iterations.iter().enumerate() {
            if level > 0 {
                lattice = lattice.refined();
            }
            let approximation = Approximation::new(lattice.basis(self.shape), &self.weights);
            let mut run = 0;
            while run < most && !self.is_flat() {
                self.add_residual_field(&mut lattice, &approximation, &sharpener);
                let change = self.subtract(&lattice, &approximation);
                run += 1;
                convergence.push(change);
                if change <= settings.convergence_threshold {
                    break;
                }
            }
            iterations_run.push(run);
        }
        Fitted {
            lattice,
            iterations_run,
            convergence,
        }
    }

    /// Adds to the field what is smooth in the difference between the corrected image and itself
    /// sharpened.
    fn add_residual_field<const REACH: usize>(
        &self,
        lattice: &mut Lattice<REACH>,
        approximation: &Approximation<REACH>,
        sharpener: &Sharpener,
    ) {
        let bins = Bins::new(self.range.0, self.range.1, sharpener.bins());
        let plane = self.shape[1] * self.shape[2];
        // Whole planes in their order: the same sum at any number of threads.
        let planes: Vec<Vec<f64>> = self
            .corrected
            .par_chunks(plane)
            .zip(self.weights.par_chunks(plane))
            .map(|(values, weights)| bins.histogram(values, weights))
            .collect();
        let mut histogram = vec![0.0; sharpener.bins()];
        for plane in planes {
            histogram
                .iter_mut()
                .zip(plane)
                .for_each(|(sum, n)| *sum += n);
        }
        let sharpened = sharpener.sharpen(bins, &histogram);
        approximation.add_fit(lattice, |start, row| {
            let voxels = start..start + row.len();
            sharpened.residuals(&self.corrected[voxels.clone()], &self.weights[voxels], row);
        });
    }

    /// Corrects by the field, and returns how much the correction has changed: the coefficient of
    /// variation (standard deviation over mean) of the ratio of the old field to the new.
    fn subtract<const REACH: usize>(
        &mut self,
        lattice: &Lattice<REACH>,
        approximation: &Approximation<REACH>,
    ) -> f64 {
        let plane = self.shape[1] * self.shape[2];
        let planes: Vec<Change> = self
            .corrected
            .par_chunks_mut(plane)
            .zip(self.log.par_chunks(plane))
            .zip(self.weights.par_chunks(plane))
            .enumerate()
            .map(|(x, ((corrected, log), weights))| {
                let mut change = Change::default();
                let mut steps = vec![0.0; self.shape[2]];
                lattice.visit_plane(&approximation.basis, x, |start, field| {
                    let row = start..start + field.len();
                    let (log, weights) = (&log[row.clone()], &weights[row.clone()]);
                    subtract(
                        field,
                        log,
                        weights,
                        &mut corrected[row],
                        &mut steps,
                        &mut change,
                    );
                });
                change
            })
            .collect();
        let total = planes.iter().fold(Change::default(), Change::plus);
        self.range = total.range();
        total.coefficient_of_variation()
    }
}

/// A range without any value.
const EMPTY: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);

fn widened(range: (f64, f64), value: f64) -> (f64, f64) {
    (range.0.min(value), range.1.max(value))
}

/// Takes the field from the voxels of a row that count, and counts how they change; `steps` is room for as many numbers.
///
/// No closures here and below: they would be compiled without this function's instruction set.
#[multiversion(targets = "simd")]
fn subtract(
    field: &[f64],
    log: &[f64],
    weights: &[f32],
    corrected: &mut [f64],
    steps: &mut [f64],
    change: &mut Change,
) {
    let (fields, logs, weights) = (field.as_chunks(), log.as_chunks(), weights.as_chunks());
    let (corrected, rooms) = (corrected.as_chunks_mut(), steps.as_chunks_mut());
    let whole = fields.0.iter().zip(logs.0).zip(weights.0);
    let mut largest = [0.0; LANES];
    for (((field, log), weights), (corrected, steps)) in
        whole.zip(corrected.0.iter_mut().zip(rooms.0.iter_mut()))
    {
        *steps = change.subtract(field, log, weights, corrected, &mut largest);
    }
    // Filled up with voxels that do not count.
    let (field, log, weights) = (filled(fields.1), filled(logs.1), filled(weights.1));
    let mut rest = filled(corrected.1);
    let last = change.subtract(&field, &log, &weights, &mut rest, &mut largest);
    corrected.1.copy_from_slice(&rest[..corrected.1.len()]);
    let mut most = 0.0_f64;
    for step in largest {
        most = most.max(step);
    }
    // As many terms of the exponential's series as a double has.
    if most <= 1.0 / 64.0 {
        change.count_all::<8>(rooms.0, &last);
    } else if most <= 0.5 {
        change.count_all::<15>(rooms.0, &last);
    } else {
        for steps in rooms.0.iter().chain([&last]) {
            let mut excess = *steps;
            for lane in &mut excess {
                *lane = lane.exp() - 1.0;
            }
            change.count(&excess);
        }
    }
}

/// One over each number from 1 on.
const fn parts<const N: usize>() -> [f64; N] {
    let mut parts = [0.0; N];
    let mut term = 1;
    while term < N {
        parts[term] = 1.0 / term as f64;
        term += 1;
    }
    parts
}

/// The lower of two numbers. (Rust's `min` also sees to what is not a number, which takes longer.)
#[inline(always)]
fn lower(a: f64, b: f64) -> f64 {
    if b < a { b } else { a }
}

/// `yes` or `no`, by their bits: of an `if` the compiler makes stores of some lanes alone, which take many times as long.
#[inline(always)]
fn choose(is_yes: bool, yes: f64, no: f64) -> f64 {
    let mask = u64::from(is_yes).wrapping_neg();
    f64::from_bits(yes.to_bits() & mask | no.to_bits() & !mask)
}

/// Statistics of one iteration's change, of every n-th voxel of the rows.
struct Change {
    voxels: [f64; LANES],
    // Of the ratios less 1, which they are near to: nothing is lost in the subtraction of the
    // squared mean.
    sum: [f64; LANES],
    sum_of_squares: [f64; LANES],
    lowest: [f64; LANES],
    highest: [f64; LANES],
}

impl Default for Change {
    fn default() -> Self {
        Self {
            voxels: [0.0; LANES],
            sum: [0.0; LANES],
            sum_of_squares: [0.0; LANES],
            lowest: [EMPTY.0; LANES],
            highest: [EMPTY.1; LANES],
        }
    }
}

impl Change {
    /// Returns how far each voxel moves.
    #[inline(always)]
    fn subtract(
        &mut self,
        field: &[f64; LANES],
        log: &[f64; LANES],
        weights: &[f32; LANES],
        corrected: &mut [f64; LANES],
        largest: &mut [f64; LANES],
    ) -> [f64; LANES] {
        let mut steps = [0.0; LANES];
        for lane in 0..LANES {
            let new = log[lane] - field[lane];
            let counts = weights[lane] > 0.0;
            let value = choose(counts, new, corrected[lane]);
            let step = value - corrected[lane];
            steps[lane] = step;
            corrected[lane] = value;
            self.voxels[lane] += if counts { 1.0 } else { 0.0 };
            self.lowest[lane] = lower(self.lowest[lane], choose(counts, new, EMPTY.0));
            self.highest[lane] = -lower(-self.highest[lane], -choose(counts, new, EMPTY.1));
            largest[lane] = -lower(-largest[lane], -step.abs());
        }
        steps
    }

    /// Counts the exponentials of steps, less 1, by the first terms of their series.
    #[inline(always)]
    fn count_all<const TERMS: usize>(&mut self, steps: &[[f64; LANES]], last: &[f64; LANES]) {
        let parts = const { parts::<TERMS>() };
        for steps in steps.iter().chain([last]) {
            let mut excess = [0.0; LANES];
            for term in (1..TERMS).rev() {
                for lane in 0..LANES {
                    excess[lane] = steps[lane] * parts[term] * (1.0 + excess[lane]);
                }
            }
            self.count(&excess);
        }
    }

    #[inline(always)]
    fn count(&mut self, excess: &[f64; LANES]) {
        for (lane, excess) in excess.iter().enumerate() {
            self.sum[lane] += excess;
            self.sum_of_squares[lane] += excess * excess;
        }
    }

    fn plus(self, other: &Self) -> Self {
        let sums = |a: [f64; LANES], b: [f64; LANES]| std::array::from_fn(|lane| a[lane] + b[lane]);
        Self {
            voxels: sums(self.voxels, other.voxels),
            sum: sums(self.sum, other.sum),
            sum_of_squares: sums(self.sum_of_squares, other.sum_of_squares),
            lowest: std::array::from_fn(|lane| self.lowest[lane].min(other.lowest[lane])),
            highest: std::array::from_fn(|lane| self.highest[lane].max(other.highest[lane])),
        }
    }

    /// Lowest and highest corrected value.
    fn range(&self) -> (f64, f64) {
        let ends = self.lowest.iter().zip(self.highest);
        ends.fold(EMPTY, |(low, high), (lowest, highest)| {
            (low.min(*lowest), high.max(highest))
        })
    }

    fn coefficient_of_variation(&self) -> f64 {
        let lanes = [self.voxels, self.sum, self.sum_of_squares];
        let [voxels, sum, squares] = lanes.map(|lanes| lanes.iter().sum::<f64>());
        let mean = sum / voxels;
        let variance = (squares - voxels * mean * mean) / (voxels - 1.0);
        variance.max(0.0).sqrt() / (1.0 + mean)
    }
}
