//! calvaria: reproducible 3-D medical segmentation. One YAML file in, one reproducible result out.
//!
//! The README says what it does; this page is the map of the house. Dependencies point downward
//! only.
//!
//! | module | what it holds |
//! |---|---|
//! | [`cli`] | one file a subcommand, each a thin layer over the library |
//! | [`golden`] | stored results of fixed-seed experiments, and what changed since |
//! | [`bench`] | how long an experiment's network takes |
//! | [`sweep`] | many trials of one experiment: the driver, the study's record, its pages |
//! | [`search`] | space, samplers, pruners, importance: mathematics |
//! | [`jobs`] | where command lines run: worker processes, Slurm |
//! | [`run`] | a whole experiment: prepare, train every seed and fold, score, report |
//! | [`report`] | the pages that show finished runs |
//! | [`evaluate`] | scores of each case on its own grid; comparisons of runs |
//! | [`predict`] | from a raw scan to a mask on its own grid |
//! | [`train`] | one network on one fold, on burn-train: steps, checkpoints, resume |
//! | [`track`] | TensorBoard |
//! | [`families`] | the list of families, for listings and tests |
//! | [`experiment`] | what an experiment's file may say, and how files become it |
//! | [`dataset`] | where cases come from, splits, batches |
//! | [`model`], [`loss`], [`metric`], [`augment`], [`preprocess`], [`optimizer`], [`schedule`] | the families that an experiment names: one file a member |
//! | [`plot`] | curves, overlays, contact sheets: knows volumes, nothing of runs |
//! | [`kernel`] | the operations of a 3-D U-Net, on the CPU our own: an extension of Burn's backends |
//! | [`device`] | what devices are called, which are there, why one cannot be used; where generic code meets a backend |
//! | [`volume`] | voxels with an affine, NIfTI files, resampling |
//! | [`settings`] | YAML files that build on each other, and what is wrong with them: knows no domain |
//! | [`layout`] | the files of a results folder, by name; typed readers of its tables |
//! | [`statistics`], [`console`], [`files`], [`random`], [`sync`] | means and paired tests; progress; atomic files; keyed random streams; locks |

#![warn(missing_docs)]

pub mod augment;
pub mod bench;
// The unit tests need no command line, and are built sooner without one.
#[cfg(not(test))]
pub mod cli;
pub mod console;
pub mod dataset;
pub mod device;
pub mod evaluate;
pub mod experiment;
pub mod families;
pub mod files;
pub mod golden;
pub mod jobs;
pub mod kernel;
pub mod layout;
pub mod loss;
pub mod metric;
pub mod model;
pub mod optimizer;
pub mod plot;
pub mod predict;
pub mod preprocess;
pub mod random;
pub mod report;
pub mod run;
pub mod schedule;
pub mod search;
pub mod settings;
pub mod statistics;
pub mod sweep;
pub mod sync;
pub mod track;
pub mod train;
pub mod volume;

pub use experiment::load;
pub use predict::Predictor;
pub use run::{Options, run};
