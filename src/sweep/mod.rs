//! Many runs of one experiment in search of better settings, and the record from which a killed sweep resumes.
//!
//! | module | what it holds |
//! |---|---|
//! | `config` | what a sweep's file may contain; [`objective`], by what trials are compared |
//! | [`budget`] | when to stop |
//! | [`study`] | the record at work; [`event`] holds its lines, [`history`] the state after them |
//! | `driver` | the loop; `run_key` and `command` name and write the runs of a trial, `scores` reads them |
//! | `run` | a whole sweep |
//! | `preflight` | mistakes in trials, found before any of them runs |
//! | [`leaderboard`] | the best trials, scores with intervals, `sweep.csv`; `report` and `figures`, the pages |
//!
//! Nothing here trains anything. A [`Driver`] asks the [`Study`] for the next trial, has an executor run it as
//! ordinary `calvaria run`s, and reports their results to the study.

pub mod budget;
mod command;
mod config;
mod data;
mod definition;
mod driver;
pub mod error;
pub mod event;
mod figures;
pub mod history;
pub mod leaderboard;
mod number;
pub mod objective;
mod preflight;
mod report;
mod run;
mod run_key;
mod scores;
pub mod study;
mod trial;

pub use budget::{Budget, Stop};
pub use config::{All, Folds, Sweep, in_words};
pub use definition::Definition;
pub use driver::Driver;
pub use error::{DriverError, SweepError};
pub use history::History;
pub use objective::{Objective, Objectives};
pub use report::write_report;
pub use run::{Options, SweepRunError, Swept, preview, run};
pub use run_key::RunKey;
pub use study::{Next, Study, TrialStart};
pub use trial::{Stage, Status, Trial};
