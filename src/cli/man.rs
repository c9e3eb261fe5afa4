//! `calvaria man`.

use std::path::PathBuf;

use clap::CommandFactory;

use super::{Cli, CliError};
use crate::files::create_folder;

/// Write the manual pages: calvaria.1, and one for each command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to write them to, such as ~/.local/share/man/man1.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    create_folder(&args.folder).map_err(CliError::work)?;
    clap_mangen::generate_to(Cli::command(), &args.folder).map_err(|error| {
        CliError::work(format!(
            "cannot write to {}: {error}. Choose a folder that you may write to.",
            args.folder.display()
        ))
    })
}
