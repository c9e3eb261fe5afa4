//! `calvaria sweep`.

use std::path::{Path, PathBuf};

use burn_train::Interrupter;
use clap::Subcommand;

use super::{CliError, Results};
use crate::console::{Console, Verbosity};
use crate::jobs::{JobId, State, read_journal};
use crate::layout::SweepFolder;
use crate::statistics::printable;
use crate::sweep::event::{Entry, Event};
use crate::sweep::{
    Budget, Definition, History, Options, RunKey, Status, Stop, Sweep, SweepError, SweepRunError,
    Swept, in_words, preview, run,
};

/// Trials of the leaderboard that are shown.
const SHOWN: usize = 10;

/// Search for better settings: many trials of one experiment, each an ordinary run.
///
/// The same command resumes a sweep that was stopped or killed.
#[derive(Debug, clap::Args)]
#[command(args_conflicts_with_subcommands = true, subcommand_negates_reqs = true)]
pub struct Args {
    #[command(subcommand)]
    command: Option<Command>,
    /// The sweep's file.
    #[arg(required = true, value_name = "SWEEP")]
    sweep: Option<PathBuf>,
    /// Show the first trial's runs as they would be started, and start nothing.
    #[arg(long)]
    dry_run: bool,
    /// Run the trials that failed again, under their own numbers, after you have fixed the cause.
    #[arg(long, conflicts_with = "dry_run")]
    retry_failed: bool,
    #[command(flatten)]
    results: Results,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Show the trials so far, also while the sweep is at work.
    Status {
        /// The sweep's folder, such as results/sweep-loss.
        folder: PathBuf,
    },
}

pub(super) fn main(args: &Args, verbosity: Verbosity) -> Result<(), CliError> {
    match (&args.command, &args.sweep) {
        (Some(Command::Status { folder }), _) => status(folder),
        (None, Some(file)) => work(args, file, verbosity),
        (None, None) => Err(CliError::input("name a sweep's file")),
    }
}

fn work(args: &Args, file: &Path, verbosity: Verbosity) -> Result<(), CliError> {
    let sweep = Sweep::load(file).map_err(CliError::input)?;
    let definition = Definition::resolve(sweep).map_err(CliError::input)?;
    let mut options = Options {
        results: args.results.results.clone(),
        program: std::env::current_exe().map_err(CliError::work)?,
        retry_failed: args.retry_failed,
        interrupter: Interrupter::new(),
        console: Console::new(verbosity),
    };
    let failed = |error: SweepRunError| match error {
        _ if error.is_input() => CliError::input(error),
        _ => CliError::work(error),
    };
    if args.dry_run {
        outln!("{}", preview(&definition, &options).map_err(failed)?);
        return Ok(());
    }
    options.interrupter = super::interrupter();
    let Swept {
        home,
        history,
        stop,
    } = run(&definition, &options).map_err(failed)?;
    show(&history);
    let folder = SweepFolder::new(&home);
    outln!("\n  table   {}", folder.table().display());
    outln!("  report  {}", folder.report().display());
    match stop {
        Some(stop @ Stop::Failures(_)) => {
            Err(CliError::work(format!("the sweep stopped: {stop}.")))
        }
        Some(stop) if !any_finished(&history) => Err(CliError::work(format!(
            "the sweep has ended, and no trial finished: {stop}."
        ))),
        Some(stop) => {
            options
                .console
                .say(&format!("The sweep has ended: {stop}."));
            Ok(())
        }
        None => Err(CliError::interrupted(
            "stopped; finished work is saved. The same command resumes.",
        )),
    }
}

fn any_finished(history: &History) -> bool {
    let mut trials = history.trials.iter();
    trials.any(|trial| matches!(trial.status, Status::Finished { .. }))
}

fn status(folder: &Path) -> Result<(), CliError> {
    let record = SweepFolder::new(folder).record();
    if !record.is_file() {
        return Err(CliError::input(no_sweep(folder)));
    }
    let entries: Vec<Entry> =
        read_journal(&record).map_err(|error| CliError::input(SweepError::from(error)))?;
    if entries.is_empty() {
        return Err(CliError::input(no_sweep(folder)));
    }
    let history = History::read(&record).map_err(CliError::input)?;
    show(&history);
    let budget = last_budget(&entries).unwrap_or(&history.definition.sweep.budget);
    outln!("\nUsed: {}", budget.used(&history.usage(None)));
    let states = history.definition.sweep.executor.states(folder);
    show_work(&history, &states.map_err(CliError::input)?);
    Ok(())
}

/// The message for a folder that is not a sweep's, with the sweeps in it.
fn no_sweep(folder: &Path) -> String {
    let inside = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut sweeps: Vec<String> = (inside.map(|entry| entry.path()))
        .filter(|path| SweepFolder::new(path).record().is_file())
        .map(|path| path.display().to_string())
        .collect();
    sweeps.sort();
    let instead = if sweeps.is_empty() {
        "a sweep's own folder, the results folder and the sweep's name, such as results/sweep-loss"
            .into()
    } else {
        format!("one of those in it: {}", sweeps.join(", "))
    };
    format!(
        "{} holds no sweep: there is no {} in it, or it is empty. Give {instead}.",
        folder.display(),
        SweepFolder::RECORD
    )
}

/// The budget of a study's last session; none if there was no session yet.
fn last_budget(entries: &[Entry]) -> Option<&Budget> {
    entries.iter().rev().find_map(|entry| match &entry.event {
        Event::Opened { budget, .. } => Some(budget),
        _ => None,
    })
}

/// The trials that have not ended, with their runs.
fn show_work(history: &History, states: &[(JobId, State)]) {
    for trial in &history.trials {
        let jobs: Vec<&(JobId, State)> = (states.iter())
            .filter(|(job, state)| {
                let over = matches!(state, State::Ended(_));
                let own = RunKey::of_job(job).is_some_and(|(number, _)| number == trial.number);
                own && (!over || trial.status == Status::Unfinished)
            })
            .collect();
        if jobs.is_empty() && trial.status != Status::Unfinished {
            continue;
        }
        let metric = history.definition.sweep.objective.watched().metric;
        let reached = match history.so_far(trial) {
            Some((epoch, value)) => format!("epoch {epoch}, {metric} {:.4}", printable(value, 4)),
            None => "before its first epoch".into(),
        };
        outln!("\n{} {}: {reached}", trial.folder(), trial.status.name());
        for (job, state) in jobs {
            outln!("  {job:<28}{state}");
        }
    }
}

fn show(history: &History) {
    let sweep = &history.definition.sweep;
    let rows = history.leaderboard();
    let count = |name: &str| {
        rows.iter()
            .filter(|row| row.trial.status.name() == name)
            .count()
    };
    outln!(
        "\n{}: {} trials: {} finished, {} pruned, {} failed, {} unfinished",
        sweep.name,
        rows.len(),
        count("finished"),
        count("pruned"),
        count("failed"),
        count("unfinished")
    );
    for row in rows.iter().take(SHOWN) {
        let rank = row
            .rank
            .map_or_else(|| "-".to_owned(), |rank| rank.to_string());
        // Two intervals would make the line too long: the table and the report have them.
        let spread = row
            .spread_of(0)
            .filter(|_| sweep.objective.single().is_some());
        let interval = spread.map_or_else(String::new, |spread| {
            let [low, high] = spread.interval.map(|value| printable(value, 4));
            format!(" [{low:.4}, {high:.4}]")
        });
        let mark = if row.is_on_front { "*" } else { " " };
        outln!(
            "  {rank:>3}{mark} trial-{:04}  {:<10} {}{interval}  {}",
            row.trial.number,
            row.trial.status.name(),
            row.values_in_words(history),
            in_words(&row.trial.assignment)
        );
    }
    if rows.iter().any(|row| row.is_on_front) {
        outln!("  * on the Pareto front of {}", sweep.objective.names());
    }
    if rows.len() > SHOWN {
        outln!("  … and {} more", rows.len() - SHOWN);
    }
    for (index, objective) in sweep.objective.iter().enumerate() {
        let of = match sweep.objective.single() {
            Some(_) => String::new(),
            None => format!(" for {}", objective.metric),
        };
        match history.importances(index) {
            Ok(found) => {
                outln!("\nImportance{of}. {}", found.caveat());
                for one in &found.parameters {
                    let (share, sd) = (100.0 * one.share, 100.0 * one.sd);
                    outln!("  {:<40}{share:>5.1} % ± {sd:.1}", one.key);
                }
            }
            Err(why) => outln!("\nThe parameters' importance{of} is not known: {why}."),
        }
    }
}
