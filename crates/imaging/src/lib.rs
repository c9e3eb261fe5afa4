//! Images without a network: volumes and NIfTI files, preprocessing, augmentation, plots.
//!
//! A package of its own, compiled as one unit beside Burn: its loops over voxels are fast because small functions are
//! inlined into them.

pub use calvaria_base::{family, files, random, settings, statistics, sync};

pub mod augment;
pub mod channels;
pub mod metric;
pub mod plot;
pub mod preprocess;
pub mod synth;
pub mod volume;
pub mod window;
