//! Searching for better settings: pure mathematics. Nothing here runs anything or touches a file.

pub use calvaria_base::{family, random, settings, statistics};

mod forest;
pub mod importance;
pub mod objective;
pub mod parameter;
mod parameter_yaml;
pub mod pareto;
pub mod pruner;
pub mod sampler;
pub mod space;

pub use objective::Goal;
pub use pruner::Pruner;
pub use sampler::Sampler;
pub use space::{Assignment, Space};
