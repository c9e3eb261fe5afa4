//! calvaria: reproducible 3-D medical segmentation. One YAML file in, one reproducible result out.
//!
//! # First use
//!
//! An experiment is a YAML file. [`load`](fn@load) reads it, [`run`](fn@run) trains every seed and fold, and a
//! [`Predictor`] segments raw scans with a finished run:
//!
//! ```no_run
//! use std::path::Path;
//!
//! use calvaria::device::DeviceChoice;
//! use calvaria::preprocess::Inputs;
//! use calvaria::{Options, Predictor};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! // What `--set` changes on the command line.
//! let overrides = ["train.epochs=5".to_owned()];
//! let resolved = calvaria::load(Path::new("experiments/quickstart.yaml"), &overrides)?;
//!
//! // A finished run is read, not trained again; an unfinished one resumes.
//! let runs = calvaria::run(&resolved.experiment, &Options::default())?;
//! println!("IoU {:.3}, see {}", runs[0].best_iou, runs[0].folder.display());
//!
//! let warn = |warning: &str| eprintln!("warning: {warning}");
//! let predictor = Predictor::open(&runs[0].folder, &DeviceChoice::Auto, warn)?;
//! let scan = Inputs::scan(Path::new("scan.nii.gz"), None).read()?;
//! let predicted = predictor.predict(scan.case)?;
//! println!("{} voxels of brain", predicted.mask.voxels.iter().filter(|&&v| v > 0).count());
//! # Ok(())
//! # }
//! ```
//!
//! The folder `examples` has longer programs: several seeds, files of results, a loss from outside the crate.
//!
//! # Map
//!
//! Dependencies point down: a module uses only what stands below it. What needs no Burn lies in packages of its
//! own under `crates/`. CONTRIBUTING.md says what belongs where and how to add a member to a family.
//!
//! | module | what it holds |
//! |---|---|
//! | [`cli`] | one file per subcommand, each a thin layer over the library |
//! | [`golden`] | stored results of fixed-seed experiments, and what changed since |
//! | [`transcript`] | commands that a page shows with what they print, run again and compared |
//! | [`mod@bench`] | how long an experiment's network takes per step and prediction |
//! | [`families`] | the list of families, for listings and tests |
//! | [`sweep`] | many trials of one experiment: the driver, the study's record, its pages |
//! | [`search`] | space, samplers, pruners, importance: mathematics |
//! | [`jobs`] | where command lines run: worker processes, Slurm |
//! | [`run`](mod@run) | a whole experiment: prepare, train every seed and fold, score, report |
//! | [`report`] | the HTML pages of finished runs |
//! | [`evaluate`] | scores of each case on its own grid; comparisons of runs |
//! | [`predict`] | from a raw scan to a mask on its own grid |
//! | [`train`] | one network on one fold, on burn-train: steps, checkpoints, resume |
//! | [`track`] | TensorBoard |
//! | [`experiment`] | the schema of an experiment's file, and how it is loaded |
//! | [`dataset`] | where cases come from, splits, batches |
//! | [`model`], [`loss`], [`metric`], [`augment`], [`preprocess`], [`optimizer`], [`schedule`] | the families that an experiment names: one file per member |
//! | [`synth`] | synthetic scans from maps of labels |
//! | [`plot`] | curves, overlays, contact sheets: knows volumes, but not runs |
//! | [`device`] | names of devices, which are present, why one cannot be used; the choice of a backend |
//! | [`kernel`] | the operations of a 3-D U-Net, on the CPU our own: an extension of Burn's backends |
//! | [`volume`] | voxels with an affine, NIfTI files, resampling |
//! | [`settings`] | YAML files that extend each other, and their errors: knows no domain |
//! | [`layout`] | the files of a results folder, by name; typed readers of its tables |
//! | [`statistics`], [`console`], [`files`], [`random`], [`sync`] | means and paired tests; progress; atomic files; keyed random streams; locks |

pub use calvaria_base::{family, files, random, settings, statistics, sync};
pub use calvaria_imaging::{augment, channels, metric, plot, preprocess, synth, volume, window};
pub use {calvaria_kernel as kernel, calvaria_search as search};

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
pub mod golden;
pub mod jobs;
pub mod layout;
pub mod loss;
pub mod model;
pub mod optimizer;
pub mod predict;
pub mod report;
pub mod run;
pub mod schedule;
pub mod sweep;
pub mod track;
pub mod train;
pub mod transcript;

pub use experiment::load;
pub use predict::Predictor;
pub use run::{Options, run};
