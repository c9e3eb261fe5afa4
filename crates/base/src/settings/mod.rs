//! The settings engine: YAML files that build on each other become plain values, and what is wrong with them
//! becomes diagnostics with file, line, key and the nearest spelling. Knows nothing of segmentation.
//!
//! | module | what it holds |
//! |---|---|
//! | [`family`] | what makes losses, models, … pluggable |
//! | `source` | one file as written: its values, and where each of them stands |
//! | `layers`, `merge` | values of several files and flags, laid over each other |
//! | `check`, `shape`, `validate` | values held against a JSON schema |
//! | `paths` | values that are paths |
//! | `fault` | one value that is wrong, as it is found |
//! | `diagnostic` | a fault with its place in a file |
//! | `differences`, `repeats` | how two values differ; what stands twice in a list |
//! | `document` | whole files that extend nothing |
//! | `describe` | a family's members as human-readable text |

mod check;
mod describe;
mod diagnostic;
mod differences;
mod document;
mod error;
pub mod family;
mod fault;
mod layers;
mod merge;
mod paths;
mod repeats;
mod shape;
mod source;
mod spelling;
mod validate;

pub use check::check;
pub use describe::comment;
pub use diagnostic::{Diagnostic, Origin};
pub use differences::{differences, listed, to_inline_yaml};
pub use document::{from_yaml, read_as, to_yaml};
pub use error::ConfigError;
pub use family::Family;
pub use fault::{At, Fault, Faults, child_key, within};
pub use layers::Layers;
pub use paths::{anchored, paths};
pub use repeats::repeated;
pub use source::{Origins, unfilled};
pub use spelling::nearest;
pub use validate::validate;
