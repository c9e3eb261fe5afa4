//! Means, deviations, percentiles, and the paired comparison of two sets of scores.
//!
//! | module | what it holds |
//! |---|---|
//! | `summary` | means, deviations and percentiles of a few numbers |
//! | [`intensities`] | the same of millions of voxels, in parallel |
//! | `paired` | paired comparison, Holm's correction, bootstrap intervals |
//! | `signed_ranks` | Wilcoxon's test |
//!
//! Functions that differ only in their order of summation or in how they treat infinities stand side by
//! side: their results differ in the last bits, and results must not move.

pub mod intensities;
mod paired;
mod signed_ranks;
mod summary;

pub use paired::{Paired, bootstrap_interval, holm};
pub use signed_ranks::{wilcoxon, wilcoxon_greater};
pub use summary::{
    mean, mean_and_population_sd, mean_and_sd, median, percentile, percentile_of_distances,
    printable, upper_median,
};
