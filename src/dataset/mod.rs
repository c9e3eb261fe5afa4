//! Cases: where they come from, which train and which validate, and how they reach the network.

mod case;
mod data;
mod description;
mod files_below;
mod inspect;
mod loader;
mod patch;
pub(crate) mod pattern;
pub mod scans;
mod split;

use std::borrow::Cow;
use std::path::Path;

use crate::preprocess::Inputs;
use crate::settings::Fault;

pub use case::{Case, DatasetError};
pub use data::{Data, Label, Masks};
pub use description::{ByName, Description, LabelOrName, Labels, Regions, Values};
pub use inspect::{Inspection, LabelFound, ScanFacts};
pub use loader::{Batch, BatchLoader, Failure, Order, Sampling, TrainingCase};
pub use patch::Patch;
pub use split::{
    Amount, Fold, Holdout, KFold, LeaveOneOut, Measure, Predefined, Split, SplitError, Stratify,
};

/// What every source does: the contract of a member of [`Source`].
///
/// A field that is a path is marked in its schema by `#[schemars(extend("format" = "path"))]`: it is then
/// relative to the file that sets it.
pub trait CaseSource {
    /// Every case, in order of its id.
    ///
    /// # Errors
    ///
    /// When there are none, or one is incomplete; the message names the file and the remedy.
    fn cases(&self) -> Result<Vec<Case>, DatasetError>;

    /// What the data say of themselves: a case's images, and what the labels mean if a file tells it.
    ///
    /// # Errors
    ///
    /// When the file that tells it cannot be read.
    fn describe(&self) -> Result<Description, DatasetError> {
        Ok(Description::default())
    }

    /// Whether [`CaseSource::describe`] tells what the labels mean.
    fn describes_labels(&self) -> bool {
        false
    }

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }
}

crate::family! {
    /// Where the cases come from.
    pub enum Source: CaseSource, listed as "sources" {
        /// A folder laid out like NFBS: a scan and its brain mask in a folder per subject.
        "nfbs" => nfbs::Nfbs,
        /// A dataset in BIDS, with masks among its derivatives.
        "bids" => bids::Bids,
        /// A CSV or TSV file with one row per case.
        "table" => table::Table,
        /// Scans and masks whose paths follow two patterns.
        "pairs" => pairs::Pairs,
        /// A raw dataset of nnU-Net.
        "nnunet" => nnunet::Nnunet,
        /// A task of the Medical Segmentation Decathlon.
        "decathlon" => decathlon::Decathlon,
    }
}

impl Source {
    /// Every case, in order of its id. [`Data::cases`] is how an experiment finds them: it knows how their masks
    /// are read.
    ///
    /// # Errors
    ///
    /// When there are none, or one is incomplete; the message names the file and the remedy.
    pub fn cases(&self) -> Result<Vec<Case>, DatasetError> {
        with_member!(self, source => source.cases())
    }

    /// What the data say of themselves: see [`CaseSource::describe`].
    ///
    /// # Errors
    ///
    /// When the file that tells it cannot be read.
    pub fn describe(&self) -> Result<Description, DatasetError> {
        with_member!(self, source => source.describe())
    }

    /// Whether the data say what their labels mean.
    pub fn describes_labels(&self) -> bool {
        with_member!(self, source => source.describes_labels())
    }
}

/// That a path is not given.
fn empty_path(key: &str, path: &Path, message: &str) -> Vec<Fault> {
    match path.as_os_str().is_empty() {
        true => vec![Fault::new(key, message)],
        false => Vec::new(),
    }
}

impl Case {
    /// The files that preprocessing starts from.
    pub fn inputs(&self) -> Inputs<'_> {
        Inputs {
            id: &self.id,
            images: Cow::Borrowed(&self.images),
            onto: self.onto.as_ref(),
            mask: Some(&self.mask),
            mask_rule: &self.mask_rule,
            grid_tolerance: self.grid_tolerance,
            region: self.region.as_deref(),
        }
    }
}
