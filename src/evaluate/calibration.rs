//! Whether probabilities keep their word: of the voxels with a probability of 0.8, four of five should be true.

use ndarray::Zip;
use serde::Serialize;

use crate::volume::{Structures, Volume};

/// Bins of equal width between 0 and 1.
const BINS: usize = 15;
/// A voxel with a lower probability that is not true says little: most of a scan is such.
const LOW: f32 = 0.01;
/// Files hold probabilities in steps, and some steps are edges of bins. Rounding must not decide in which bin these lie.
const ROUNDING: f64 = 1e-5;

/// How often voxels are true, by their probability of belonging to a structure.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Calibration {
    bins: [Bin; BINS],
    /// Those of the first bin that are neither true nor have a probability of at least 0.01.
    low: Bin,
    /// The sum of the squared differences between probability and truth.
    squares: f64,
}

/// Voxels with about the same probability.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Bin {
    voxels: u64,
    /// How many are true.
    true_: u64,
    /// The sum of their probabilities.
    sum: f64,
}

impl Bin {
    fn add(&mut self, probability: f32, is: bool) {
        self.voxels += 1;
        self.true_ += u64::from(is);
        self.sum += f64::from(probability);
    }

    fn join(&mut self, other: &Self) {
        self.voxels += other.voxels;
        self.true_ += other.true_;
        self.sum += other.sum;
    }

    fn gap(&self) -> f64 {
        (self.sum - self.true_ as f64).abs()
    }
}

/// A point of a reliability curve: the voxels whose probability is above `from`, and at most `to`; the first bin has 0 as
/// well.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct ReliabilityBin {
    /// The lower edge.
    pub from: f64,
    /// The upper edge.
    pub to: f64,
    /// How many voxels there are; bins without one are left out.
    pub voxels: u64,
    /// The mean of their probabilities.
    pub probability: f64,
    /// The part of them that is true.
    pub frequency: f64,
}

impl Calibration {
    /// Of the probabilities of a structure, all from 0 to 1, and of the true class map, voxel by voxel. Ignored voxels are
    /// left out.
    ///
    /// # Panics
    ///
    /// When the shapes differ.
    pub fn of(
        probability: &Volume<f32>,
        truth: &Volume<u8>,
        structures: &Structures,
        structure: usize,
    ) -> Self {
        let members: [bool; 256] =
            std::array::from_fn(|class| structures.contains(structure, class as u8));
        let mut all = Self::default();
        Zip::from(&probability.voxels)
            .and(&truth.voxels)
            .for_each(|&p, &class| {
                if class != Structures::IGNORED {
                    all.add(p, members[usize::from(class)]);
                }
            });
        all
    }

    fn add(&mut self, p: f32, is: bool) {
        let place = (f64::from(p) * BINS as f64 - ROUNDING).ceil() as usize;
        self.bins[place.saturating_sub(1).min(BINS - 1)].add(p, is);
        if p < LOW && !is {
            self.low.add(p, is);
        }
        let miss = f64::from(p) - f64::from(u8::from(is));
        self.squares += miss * miss;
    }

    /// Takes in the voxels of another case.
    pub fn join(&mut self, other: &Self) {
        for (bin, other) in self.bins.iter_mut().zip(&other.bins) {
            bin.join(other);
        }
        self.low.join(&other.low);
        self.squares += other.squares;
    }

    /// Name and value of each score. Lower is better. Without voxels all are 0.
    ///
    /// - `ece`, the expected calibration error: the distance between mean probability and part of true voxels, mean over
    ///   15 bins of equal width, weighted by their voxels (Naeini et al., AAAI 2015);
    /// - `ece_foreground`, the same without the voxels that are neither true nor have a probability of at least 0.01, of
    ///   which most of a scan consists;
    /// - `brier`, the mean squared difference between probability and truth (Brier, Monthly Weather Review, 1950).
    pub fn scores(&self) -> Vec<(&'static str, f64)> {
        let voxels: u64 = self.bins.iter().map(|bin| bin.voxels).sum();
        let gaps = |bins: &[Bin]| bins.iter().map(Bin::gap).sum::<f64>();
        let part = |sum: f64, of: u64| if of == 0 { 0.0 } else { sum / of as f64 };
        let mut foreground = self.bins;
        let first = &mut foreground[0];
        first.voxels -= self.low.voxels;
        first.sum -= self.low.sum;
        vec![
            ("ece", part(gaps(&self.bins), voxels)),
            (
                "ece_foreground",
                part(gaps(&foreground), voxels - self.low.voxels),
            ),
            ("brier", part(self.squares, voxels)),
        ]
    }

    /// The reliability curve: a point for each bin that has voxels.
    pub fn curve(&self) -> Vec<ReliabilityBin> {
        let edge = |at: usize| at as f64 / BINS as f64;
        let point = |(at, bin): (usize, &Bin)| ReliabilityBin {
            from: edge(at),
            to: edge(at + 1),
            voxels: bin.voxels,
            probability: bin.sum / bin.voxels as f64,
            frequency: bin.true_ as f64 / bin.voxels as f64,
        };
        let bins = self.bins.iter().enumerate();
        bins.filter(|(_, bin)| bin.voxels > 0).map(point).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_of_a_file_lie_on_one_side_of_an_edge() {
        // A byte of 17 is 1/15, the edge of two bins, in whatever precision.
        let mut one = Calibration::default();
        for byte in 0..=255_u8 {
            one.add(f32::from(byte) / 255.0, false);
        }
        let voxels: Vec<u64> = one.bins.iter().map(|bin| bin.voxels).collect();
        assert_eq!(voxels, [[18].as_slice(), &[17; BINS - 1]].concat());
    }

    #[test]
    fn voxels_far_from_the_structure_do_not_count_for_its_foreground() {
        let mut one = Calibration::default();
        (0..1000).for_each(|_| one.add(0.001, false));
        (0..5).for_each(|_| one.add(0.9, true));
        (0..5).for_each(|_| one.add(0.9, false));
        let scores = one.scores();
        assert!((scores[0].1 - (4.0 + 1.0) / 1010.0).abs() < 1e-6);
        assert!((scores[1].1 - 0.4).abs() < 1e-6);
    }
}
