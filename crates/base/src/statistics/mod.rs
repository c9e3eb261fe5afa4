//! Means, deviations, percentiles, and the paired comparison of two sets of scores.
//!
//! | module | what it holds |
//! |---|---|
//! | `summary` | means, deviations and percentiles of a few numbers |
//! | [`intensities`] | the same of millions of voxels, in parallel |
//! | `paired` | Wilcoxon's test, Holm's correction, bootstrap intervals |
//!
//! Functions that differ only in their order of summation or in how they treat infinities stand side by
//! side: their results differ in the last bits, and results must not move.

pub mod intensities;
mod paired;
mod summary;

pub use paired::{Paired, bootstrap_interval, holm, wilcoxon};
pub use summary::{
    mean, mean_and_population_sd, mean_and_sd, median, percentile, percentile_of_distances,
    printable, upper_median,
};
