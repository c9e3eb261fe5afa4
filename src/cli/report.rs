//! `calvaria report`.

use std::path::PathBuf;

use super::CliError;
use crate::run;

/// Write report.html again from the files of finished runs.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// Folders of runs (results/quickstart/seed-42) or of experiments (results/quickstart).
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    for folder in &args.folders {
        for page in run::write_reports(folder).map_err(CliError::input)? {
            outln!("{}", page.display());
        }
    }
    Ok(())
}
