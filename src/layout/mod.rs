//! The results folders: the name of every file, and one writer and one reader for each table.

mod bids;
mod case_table;
mod epoch_table;
mod prediction;
mod prediction_table;
mod results;
mod run;
mod sweep;
mod tables;

pub use bids::BidsDataset;
pub use case_table::write_scores;
pub use prediction::{
    PredictionFiles, WantedMaps, is_prediction, predicted_name, probability_labels,
    probability_name,
};
pub use prediction_table::{PredictionRow, PredictionTable, doubt};
pub use results::{is_results, make_results};
pub use run::{RunFolder, Usage, runs_below};
pub use sweep::SweepFolder;
pub use tables::{CaseScores, Epoch, StructureEpoch, StructureScores, Table, TableError};
