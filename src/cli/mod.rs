//! The command line: one file per subcommand, each a thin layer over the library.

/// Like `print!`, but a closed pipe (`calvaria list losses | head -1`) does not panic.
macro_rules! out {
    ($($arg:tt)*) => {{
        use std::io::Write;
        let _ = write!(std::io::stdout(), $($arg)*);
    }};
}

/// [`out!`] with a line's end.
macro_rules! outln {
    ($($arg:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($arg)*);
    }};
}

/// [`outln!`] on standard error.
macro_rules! errln {
    ($($arg:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stderr(), $($arg)*);
    }};
}

mod augment;
mod bench;
mod check;
mod compare;
mod completions;
mod config;
mod devices;
mod evaluate;
mod list;
mod man;
mod plot;
mod predict;
mod prepare;
mod preprocess;
mod report;
mod run;
mod summary;
mod sweep;
mod synth;

use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use burn_train::Interrupter;
use clap::builder::{PathBufValueParser, TypedValueParser};
use clap::{Parser, Subcommand};

use crate::console::Verbosity;
use crate::device::catch_device_panic;
use crate::files::expand_home;
use crate::jobs::INTERRUPTED;
use crate::kernel::keep_memory;
use crate::run::RunError;

/// Reproducible 3-D medical segmentation: one YAML file in, one reproducible result out.
#[derive(Debug, Parser)]
#[command(
    name = "calvaria",
    version,
    propagate_version = true,
    after_help = "Exit codes: 0 done, 1 the work failed, 2 the input or config is wrong, 130 interrupted."
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
    /// Print only results and errors.
    #[arg(short, long, global = true)]
    quiet: bool,
    /// Print everything: each step of training, and what the program runs on.
    #[arg(short, long, global = true, conflicts_with = "quiet")]
    verbose: bool,
}

/// What each does stands at its arguments, so that `--help` shows all of it.
#[derive(Debug, Subcommand)]
enum Command {
    Run(run::Args),
    Prepare(prepare::Args),
    Preprocess(preprocess::Args),
    Predict(predict::Args),
    Evaluate(evaluate::Args),
    Summary(summary::Args),
    Compare(compare::Args),
    Plot(plot::Args),
    Check(check::Args),
    Report(report::Args),
    Sweep(sweep::Args),
    Augment(augment::Args),
    Synth(synth::Args),
    List(list::Args),
    Bench(bench::Args),
    Devices(devices::Args),
    Config(config::Args),
    Completions(completions::Args),
    Man(man::Args),
}

/// A failed command: its message and its exit code.
#[derive(Debug)]
pub struct CliError {
    message: String,
    code: u8,
}

impl CliError {
    /// The work itself failed: exit code 1.
    fn work(error: impl std::fmt::Display) -> Self {
        Self {
            message: error.to_string(),
            code: 1,
        }
    }

    /// The input, the configuration or the command line is wrong: exit code 2.
    fn input(error: impl std::fmt::Display) -> Self {
        Self {
            message: error.to_string(),
            code: 2,
        }
    }

    /// It was asked to stop, and the same command resumes: exit code 130.
    fn interrupted(error: impl std::fmt::Display) -> Self {
        Self {
            message: error.to_string(),
            code: INTERRUPTED,
        }
    }

    /// A failed run.
    fn of_run(error: &RunError) -> Self {
        match error {
            _ if error.is_interruption() => Self::interrupted(error),
            _ if error.is_input() => Self::input(error),
            _ => Self::work(error),
        }
    }
}

/// Runs the program. Exit codes: 0 done, 1 the work failed, 2 the input or config is wrong, 130 it was
/// interrupted (Ctrl-C, SIGTERM) and the same command resumes.
pub fn main() -> ExitCode {
    keep_memory();
    let cli = Cli::parse_from(std::env::args_os().map(with_home));
    let verbosity = match (cli.quiet, cli.verbose) {
        (true, _) => Verbosity::Quiet,
        (_, true) => Verbosity::Verbose,
        _ => Verbosity::Normal,
    };
    // An uncaught panic becomes an error message as well.
    let done = catch_device_panic(|| match cli.command {
        Command::Run(args) => run::main(&args, verbosity),
        Command::Prepare(args) => prepare::main(&args, verbosity),
        Command::Preprocess(args) => preprocess::main(&args, cli.quiet),
        Command::Predict(args) => predict::main(&args, cli.quiet),
        Command::Evaluate(args) => evaluate::main(&args, cli.quiet),
        Command::Summary(args) => summary::main(&args),
        Command::Compare(args) => compare::main(&args),
        Command::Plot(args) => plot::main(&args),
        Command::Check(args) => check::main(&args, cli.quiet),
        Command::Report(args) => report::main(&args),
        Command::Sweep(args) => sweep::main(&args, verbosity),
        Command::Synth(args) => synth::main(&args, cli.quiet),
        Command::Augment(args) => augment::main(&args, verbosity),
        Command::List(args) => list::main(&args),
        Command::Bench(args) => bench::main(&args),
        Command::Devices(args) => devices::main(&args),
        Command::Config(args) => config::main(&args),
        Command::Completions(args) => completions::main(&args),
        Command::Man(args) => man::main(&args),
    });
    let code = match done.unwrap_or_else(|panic| Err(CliError::work(panic))) {
        Ok(()) => 0,
        Err(failed) => {
            errln!("error: {}", failed.message);
            failed.code
        }
    };
    // A GPU's thread may still be at work.
    #[cfg(all(unix, feature = "gpu"))]
    crate::kernel::leave(code);
    #[cfg(not(all(unix, feature = "gpu")))]
    ExitCode::from(code)
}

/// An argument such as `--results=~/results` with the user's own folder in it: shells replace `~` only where a word
/// starts with it.
fn with_home(argument: OsString) -> OsString {
    let parts = argument.to_str().and_then(|text| text.split_once('='));
    match parts {
        Some((flag, value)) if flag.starts_with("--") && value.starts_with("~") => {
            let path = expand_home(Path::new(value));
            [OsStr::new(flag), OsStr::new("="), path.as_os_str()]
                .into_iter()
                .collect()
        }
        _ => argument,
    }
}

/// Where results are kept.
#[derive(Debug, clap::Args)]
struct Results {
    /// Folder under which runs and the preprocessing cache are kept.
    #[arg(
        long,
        value_name = "DIR",
        env = "CALVARIA_RESULTS",
        value_parser = PathBufValueParser::new().map(|path| expand_home(&path)),
        default_value = "results"
    )]
    results: PathBuf,
}

/// Prints the warnings about a scan.
fn warn(scan: &Path, warnings: &[String], quiet: bool) {
    for warning in warnings.iter().filter(|_| !quiet) {
        errln!("warning: {}: {warning}.", scan.display());
    }
}

/// Prints a warning about a device.
fn warn_of_device(warning: &str) {
    errln!("warning: {warning}");
}

/// An interrupter that Ctrl-C and SIGTERM trip; a second signal ends the program at once.
fn interrupter() -> Interrupter {
    let interrupter = Interrupter::new();
    let handle = interrupter.clone();
    // Without a handler the signal simply ends the program, and the last epoch is saved anyway.
    let _ = ctrlc::set_handler(move || {
        if handle.should_stop() {
            std::process::exit(INTERRUPTED.into());
        }
        errln!("\nStopping after this step; press again to stop immediately.");
        handle.stop(Some("interrupted"));
    });
    interrupter
}
