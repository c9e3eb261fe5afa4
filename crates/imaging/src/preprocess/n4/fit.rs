//! N4's iteration: sharpen the histogram, fit a smooth field to what that moves, subtract it.

use ndarray::Array3;
use rayon::prelude::*;

use super::N4;
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
            .map(|(values, weights)| {
                let inside = values
                    .iter()
                    .zip(weights)
                    .filter(|(_, weight)| **weight > 0.0);
                bins.histogram(inside.map(|(value, _)| *value))
            })
            .collect();
        let mut histogram = vec![0.0; sharpener.bins()];
        for plane in planes {
            histogram
                .iter_mut()
                .zip(plane)
                .for_each(|(sum, n)| *sum += n);
        }
        let sharpened = sharpener.sharpen(bins, &histogram);
        approximation.add_fit(lattice, |i| {
            let (value, weight) = (self.corrected[i], f64::from(self.weights[i]));
            (weight > 0.0).then(|| weight * (value - sharpened.at(value)))
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
                lattice.visit_plane(&approximation.basis, x, |i, field| {
                    if weights[i] > 0.0 {
                        let new = log[i] - field;
                        change.add(new - corrected[i], new);
                        corrected[i] = new;
                    }
                });
                change
            })
            .collect();
        let total = planes.iter().fold(Change::default(), Change::plus);
        self.range = total.range;
        total.coefficient_of_variation()
    }
}

/// A range without any value.
const EMPTY: (f64, f64) = (f64::INFINITY, f64::NEG_INFINITY);

fn widened(range: (f64, f64), value: f64) -> (f64, f64) {
    (range.0.min(value), range.1.max(value))
}

/// Statistics of one iteration's change.
struct Change {
    voxels: f64,
    // Of the ratios less 1, which they are near to: nothing is lost in the subtraction of the
    // squared mean.
    sum: f64,
    sum_of_squares: f64,
    range: (f64, f64),
}

impl Default for Change {
    fn default() -> Self {
        Self {
            voxels: 0.0,
            sum: 0.0,
            sum_of_squares: 0.0,
            range: EMPTY,
        }
    }
}

impl Change {
    /// Counts a voxel whose log intensity moved by `step` to `value`.
    fn add(&mut self, step: f64, value: f64) {
        let excess = step.exp() - 1.0;
        self.voxels += 1.0;
        self.sum += excess;
        self.sum_of_squares += excess * excess;
        self.range = widened(self.range, value);
    }

    fn plus(self, other: &Self) -> Self {
        Self {
            voxels: self.voxels + other.voxels,
            sum: self.sum + other.sum,
            sum_of_squares: self.sum_of_squares + other.sum_of_squares,
            range: (
                self.range.0.min(other.range.0),
                self.range.1.max(other.range.1),
            ),
        }
    }

    fn coefficient_of_variation(&self) -> f64 {
        let mean = self.sum / self.voxels;
        let variance = (self.sum_of_squares - self.voxels * mean * mean) / (self.voxels - 1.0);
        variance.max(0.0).sqrt() / (1.0 + mean)
    }
}
