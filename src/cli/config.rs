//! `calvaria config`.

use std::path::PathBuf;

use clap::Subcommand;

use super::CliError;
use crate::experiment;
use crate::settings::to_yaml;
use crate::sweep::Sweep;
use crate::synth::Synthesis;

/// Show or check experiment files.
#[derive(Debug, clap::Args)]
pub struct Args {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Print the whole experiment as resolved, and where each value was set.
    Show {
        /// Experiment file.
        experiment: PathBuf,
        /// Override a value, such as model.unet.filters=24 (the value is YAML).
        #[arg(long = "set", value_name = "KEY=VALUE")]
        overrides: Vec<String>,
    },
    /// Print the JSON schema of experiment files, of sweeps' or of `synth`'s settings, from which editors complete and check.
    Schema {
        /// The kind of files.
        #[arg(value_enum, default_value = "experiment")]
        of: Kind,
    },
    /// Check files without running them.
    Validate {
        /// Experiment files.
        #[arg(required = true)]
        experiments: Vec<PathBuf>,
    },
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum Kind {
    Experiment,
    Sweep,
    Synth,
}

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    match &args.command {
        Command::Show {
            experiment,
            overrides,
        } => {
            let resolved = experiment::load(experiment, overrides).map_err(CliError::input)?;
            let yaml = to_yaml(&resolved.experiment).map_err(CliError::work)?;
            out!("{yaml}");
            outln!("\n# Set by (all else are defaults):");
            let mut origins = resolved.origins.iter().peekable();
            while let Some((key, origin)) = origins.next() {
                // A map or a list is shown by its contents, which sort right after it.
                let inside = format!("{key}.");
                if !origins
                    .peek()
                    .is_some_and(|(next, _)| next.starts_with(&inside))
                {
                    outln!("# {key}: {origin}");
                }
            }
            Ok(())
        }
        Command::Schema { of } => {
            let schema = match of {
                Kind::Experiment => experiment::schema(),
                Kind::Sweep => schemars::schema_for!(Sweep),
                Kind::Synth => schemars::schema_for!(Synthesis),
            };
            let schema = serde_json::to_string_pretty(&schema).map_err(CliError::work)?;
            outln!("{schema}");
            Ok(())
        }
        Command::Validate { experiments } => {
            let mistakes: Vec<String> = experiments
                .iter()
                .filter_map(|path| experiment::load(path, &[]).err())
                .map(|error| error.to_string())
                .collect();
            if mistakes.is_empty() {
                outln!("{} files are all right.", experiments.len());
                Ok(())
            } else {
                Err(CliError::input(mistakes.join("\nerror: ")))
            }
        }
    }
}
