//! calvaria: reproducible 3-D medical segmentation. One YAML file in, one reproducible result out.
//!
//! The README says what it does; this page is the map of the house. Dependencies point downward
//! only.
//!
//! | module | what it holds |
//! |---|---|
//! | [`cli`] | one file a subcommand, each a thin layer over the library |
//! | [`golden`] | stored outcomes of experiments, and what moved since |
//! | [`sweep`] | the search for settings: space, samplers, pruners, the study's record |
//! | [`run`] | a whole experiment: prepare, train every seed and fold, score, report |
//! | [`report`] | plots, overlays and the HTML report |
//! | [`evaluate`] | scores per case on the native grid |
//! | [`predict`] | from a raw scan to a mask on its own grid |
//! | [`train`] | one network on one fold, on burn-train: steps, schedules, checkpoints, resume |
//! | [`track`] | TensorBoard, the table of epochs, progress |
//! | [`config`] | the experiment's schema, and what is said when a file is wrong |
//! | [`dataset`] | where cases come from, splits, batches |
//! | [`augment`] | one file a transform, sampled apart from applied |
//! | [`preprocess`] | N4, resampling, intensity; the cache |
//! | [`model`], [`loss`], [`metric`] | tensors only, generic over Burn's backends |
//! | [`kernel`] | the operations of a 3-D U-Net, on the CPU our own: an extension of Burn's backends |
//! | [`device`] | what devices are called, which are there, why one cannot be used |
//! | [`volume`] | voxels with an affine, NIfTI files, resampling |
//! | [`random`], [`files`] | keyed random streams; atomic files |

#![warn(missing_docs)]

pub mod augment;
pub mod cli;
pub mod config;
pub mod dataset;
pub mod device;
pub mod evaluate;
pub mod files;
pub mod golden;
pub mod kernel;
pub mod loss;
pub mod metric;
pub mod model;
pub mod predict;
pub mod preprocess;
pub mod random;
pub mod report;
pub mod run;
pub mod sweep;
pub mod track;
pub mod train;
pub mod volume;
