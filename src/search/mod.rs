//! Searching for better settings: pure mathematics, which runs nothing and reads no files.

pub(crate) mod forest;
pub mod objective;
pub mod parameter;
mod parameter_yaml;
pub mod pruner;
pub mod sampler;
pub mod space;

pub use objective::{Goal, Objective};
pub use pruner::Pruner;
pub use sampler::Sampler;
pub use space::{Assignment, Space};
