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
        if shown.is_empty() {
            return Err(CliError::input(format!(
                "{} shows no commands: it has no block of ```console with a line `$ calvaria …`.",
                page.display()
            )));
        }
        runs.extend(read);
        let (repeated, others): (Vec<Shown>, Vec<Shown>) =
            shown.into_iter().partition(|of| of.now != Now::NotRepeated);
        count += repeated.len();
        left.extend(others);
        for of in &repeated {
            failed += usize::from(matches!(of.now, Now::Fails(_)));
            different += usize::from(matches!(of.now, Now::Differs { .. }));
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
        outln!("Not repeated: only `calvaria summary`, `compare` and `plot` are.");
        left.iter().for_each(|of| outln!("  {}", of.command));
    }
    let mut wrong = Vec::new();
    if failed > 0 {
        wrong.push(format!("{failed} of {count} commands fail"));
    }
    if contradicting > 0 {
        wrong.push(format!(
            "{contradicting} of {} runs contradict themselves",
            runs.len()
        ));
    }
    match (different, write) {
        (0, _) => {}
        (_, true) => outln!("What {different} of {count} commands print and draw was stored."),
        (_, false) => {
            let names: Vec<String> = pages
                .iter()
                .map(|page| page.display().to_string())
                .collect();
            wrong.push(format!(
                "{different} of {count} commands print or draw something else than the pages show; if that is right, store it: \
                 calvaria check --reference {} --write",
                names.join(" ")
            ));
        }
    }
    match (wrong.is_empty(), different) {
        (true, 0) => outln!("{count} commands print and draw what the pages show."),
        (true, _) => {}
        (false, _) => return Err(CliError::work(format!("{}.", wrong.join("; ")))),
    }
    Ok(())
}

/// What a command did other than its page says.
fn show(page: &Path, of: &Shown) {
    let head = || outln!("{}, line {}: {}", page.display(), of.line, of.command);
    match &of.now {
        Now::Differs { prints, draws } => {
            head();
            if let Some(now) = prints {
                show_lines(&of.output, now);
            }
            if let Some(figure) = draws {
                outln!("  {} looks otherwise, or was missing", figure.display());
            }
        }
        Now::Fails(why) => {
            head();
            out!("  {why}");
        }
        Now::Same | Now::NotRepeated => {}
    }
}

fn show_lines(before: &str, after: &str) {
    let [before, after] = [before, after].map(|text| text.lines().collect::<Vec<_>>());
    let gone: Vec<&&str> = before.iter().filter(|line| !after.contains(line)).collect();
    let new: Vec<&&str> = after.iter().filter(|line| !before.contains(line)).collect();
    if gone.is_empty() && new.is_empty() {
        outln!("  the same lines, in another order or number");
    }
    gone.iter().for_each(|line| outln!("  - {line}"));
    new.iter().for_each(|line| outln!("  + {line}"));
}
