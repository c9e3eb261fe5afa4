//! `calvaria check --reference`: pages whose numbers come from stored results.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use crate::cli::CliError;
use crate::layout::RunFolder;
use crate::run::contradictions;
use crate::transcript::{Now, Repeated, Shown, repeat};

pub(super) fn main(pages: &[PathBuf], write: bool, quiet: bool) -> Result<(), CliError> {
    let program = std::env::current_exe().map_err(CliError::work)?;
    let (mut count, mut different, mut failed) = (0, 0, 0);
    let (mut left, mut runs) = (Vec::new(), BTreeSet::new());
    for page in pages {
        let Repeated { shown, runs: read } =
            repeat(page, &program, write).map_err(CliError::input)?;
        runs.extend(read);
        let (repeated, others): (Vec<Shown>, Vec<Shown>) =
            shown.into_iter().partition(|of| of.now != Now::NotRepeated);
        count += repeated.len();
        left.extend(others);
        for of in repeated.iter().filter(|of| of.now != Now::Same) {
            different += 1;
            failed += usize::from(matches!(of.now, Now::Fails(_)));
            show(page, of);
        }
        if !quiet {
            outln!("{}: {} commands repeated", page.display(), repeated.len());
        }
    }
    let mut contradicting = 0;
    for run in &runs {
        let found = contradictions(&RunFolder::new(run)).map_err(CliError::input)?;
        contradicting += usize::from(!found.is_empty());
        for what in found {
            outln!("{}: {what}", run.display());
        }
    }
    if !quiet {
        outln!(
            "{} runs: their files agree in {}",
            runs.len(),
            runs.len() - contradicting
        );
    }
    if !(quiet || left.is_empty()) {
        outln!("Not repeated, since they need scans or programs of others:");
        left.iter().for_each(|of| outln!("  {}", of.command));
    }
    match (different, failed + contradicting, write) {
        (0, 0, _) => {
            outln!("{count} commands print and draw what the pages show.");
            Ok(())
        }
        (_, 0, true) => {
            outln!("What {different} of {count} commands print and draw was stored.");
            Ok(())
        }
        _ => Err(CliError::work(format!(
            "{different} of {count} commands print or draw something else than the pages show, and {contradicting} of {} runs \
             contradict themselves. If the change is intended, store what they print: calvaria check --reference --write",
            runs.len()
        ))),
    }
}

/// What a command did other than its page says.
fn show(page: &Path, of: &Shown) {
    outln!("{}, line {}: {}", page.display(), of.line, of.command);
    match &of.now {
        Now::Prints(now) => {
            let (before, after): (Vec<&str>, Vec<&str>) =
                (of.output.lines().collect(), now.lines().collect());
            let gone = before.iter().filter(|line| !after.contains(line));
            gone.for_each(|line| outln!("  - {line}"));
            let new = after.iter().filter(|line| !before.contains(line));
            new.for_each(|line| outln!("  + {line}"));
        }
        Now::Draws(figure) => outln!("  {} looks otherwise, or is missing", figure.display()),
        Now::Fails(why) => out!("  {why}"),
        Now::Same | Now::NotRepeated => {}
    }
}
