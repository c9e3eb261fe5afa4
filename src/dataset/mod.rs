//! Cases: where they come from, which train and which validate, and how they reach the network.

mod bids;
mod case;
mod files_below;
mod inspect;
mod loader;
mod nfbs;
mod pairs;
mod patch;
mod split;
mod table;

use crate::preprocess::Inputs;

pub use bids::Bids;
pub use case::{Case, DatasetError};
pub use inspect::{Inspection, ScanFacts};
pub use loader::{Batch, BatchLoader, Failure, Order, Sampling, TrainingCase};
pub use nfbs::Nfbs;
pub use pairs::Pairs;
pub use patch::Patch;
pub use split::{
    Amount, Fold, Holdout, KFold, LeaveOneOut, Measure, Predefined, Split, SplitError, Stratify,
};
pub use table::Table;

crate::family! {
    /// Where the cases come from.
    pub enum Source {
        /// A folder laid out like NFBS: a scan and its brain mask in a folder per subject.
        "nfbs" => Nfbs(Nfbs),
        /// A dataset in BIDS, with masks among its derivatives.
        "bids" => Bids(Bids),
        /// A CSV or TSV file with a row a case.
        "table" => Table(Table),
        /// Scans and masks whose paths follow two patterns.
        "pairs" => Pairs(Pairs),
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
            Self::Bids(bids) => bids.cases(),
            Self::Table(table) => table.cases(),
            Self::Pairs(pairs) => pairs.cases(),
        }
    }
}

impl Case {
    /// The files that preprocessing starts from.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            id: &self.id,
            image: &self.image,
            mask: Some(&self.mask),
            region: self.region.as_deref(),
        }
    }
}
