//! What every part of calvaria stands on, and what knows nothing of images: settings read from YAML, files written
//! whole or not at all, random streams by key, means and paired tests, locks.

pub mod files;
pub mod random;
pub mod settings;
pub mod statistics;
pub mod sync;
