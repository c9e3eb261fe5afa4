//! `calvaria evaluate`.

use std::path::PathBuf;

use super::Failed;
use crate::evaluate::evaluate_files;

/// Score a predicted mask against a true one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The predicted mask.
    prediction: PathBuf,
    /// The true mask, on the same grid.
    truth: PathBuf,
}

pub(super) fn main(args: &Args) -> Result<(), Failed> {
    let scores = evaluate_files(&args.prediction, &args.truth).map_err(Failed::input)?;
    for (name, value) in &scores.scores {
        outln!("{name:<20}{value:.6}");
    }
    Ok(())
}
