//! `calvaria man`.

use std::path::{Path, PathBuf};

use clap::CommandFactory;

use super::{Cli, CliError};
use crate::files::create_folder;

/// Write the manual pages: calvaria.1, and one for each command.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The folder to write them to, such as ~/.local/share/man/man1.
    #[arg(value_name = "DIR")]
    folder: PathBuf,
    /// Replace files of the same names that are no manual pages of calvaria.
    #[arg(long)]
    overwrite: bool,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    create_folder(&args.folder).map_err(CliError::work)?;
    if let Some(page) = foreign(&args.folder).filter(|_| !args.overwrite) {
        return Err(CliError::input(format!(
            "{} exists, and it is no manual page of calvaria. Choose another folder, or replace the file with \
             --overwrite.",
            page.display()
        )));
    }
    clap_mangen::generate_to(Cli::command(), &args.folder).map_err(|error| {
        CliError::work(format!(
            "cannot write to {}: {error}. Choose a folder that you may write to.",
            args.folder.display()
        ))
    })
}

/// A file in the folder with the name of a page that is none of ours.
fn foreign(folder: &Path) -> Option<PathBuf> {
    let command = Cli::command();
    let names = command
        .get_subcommands()
        .map(|one| format!("calvaria-{}.1", one.get_name()));
    let mut pages = names
        .chain(["calvaria.1".into()])
        .map(|name| folder.join(name));
    pages.find(|page| {
        let ours = |text: Vec<u8>| String::from_utf8_lossy(&text).contains(".TH calvaria");
        page.symlink_metadata().is_ok() && !std::fs::read(page).is_ok_and(ours)
    })
}
