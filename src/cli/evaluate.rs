//! `calvaria evaluate`.

use std::path::PathBuf;

use super::CliError;
use crate::evaluate::evaluate_files;
use crate::metric::{Evaluation, METRICS};

/// Score a predicted mask against a true one.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The predicted mask.
    prediction: PathBuf,
    /// The true mask, on the same grid.
    truth: PathBuf,
    /// Distance in mm up to which two surfaces agree, for `nsd`.
    #[arg(long, value_name = "MM", default_value_t = Evaluation::default().nsd_tolerance)]
    nsd_tolerance: f64,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    let settings = Evaluation {
        nsd_tolerance: args.nsd_tolerance,
    };
    settings.validate().map_err(CliError::input)?;
    let scored =
        evaluate_files(&args.prediction, &args.truth, &settings).map_err(CliError::input)?;
    for (name, value) in &scored.scores {
        let unit = METRICS.iter().find(|metric| metric.name == *name);
        let unit = unit.map_or("", |metric| metric.unit);
        outln!("{}", format!("{name:<20}{value:<11.6} {unit}").trim_end());
    }
    Ok(())
}
