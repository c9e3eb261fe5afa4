//! Cases: where they come from, which train and which validate, and how they reach the network.

mod case;
mod loader;
mod nfbs;
mod split;

pub use case::{Case, DatasetError};
pub use loader::{Batch, BatchLoader, Failure, Order, Sampling, TrainingCase};
pub use nfbs::Nfbs;
pub use split::{Amount, Fold, Holdout, KFold, Split};

crate::family! {
    /// Where the cases come from.
    pub enum Source {
        /// A folder laid out like NFBS: a scan and its brain mask in a folder per subject.
        "nfbs" => Nfbs(Nfbs),
    }
}

impl Source {
    /// Every case, in order of its id.
    ///
    /// # Errors
    ///
    /// When there are none, or one is incomplete; the message names the file and the remedy.
    pub fn cases(&self) -> Result<Vec<Case>, DatasetError> {
        match self {
            Self::Nfbs(nfbs) => nfbs.cases(),
        }
    }
}
