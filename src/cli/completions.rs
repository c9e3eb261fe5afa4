//! `calvaria completions`.

use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, CliError};

/// Print the completions of a shell, to be put where it looks for them.
///
/// bash: calvaria completions bash > ~/.local/share/bash-completion/completions/calvaria
///
/// zsh: calvaria completions zsh > _calvaria, in a folder of $fpath
///
/// fish: calvaria completions fish > ~/.config/fish/completions/calvaria.fish
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The shell.
    #[arg(value_enum)]
    shell: Shell,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "calvaria", &mut script);
    out!("{}", String::from_utf8_lossy(&script));
    Ok(())
}
