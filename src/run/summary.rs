//! The result of a run: `summary.json`, and the lines shown at the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::score::Scored;
use crate::console::duration;
use crate::files::{FileError, read_text, write_json};
use crate::layout::CaseScores;
use crate::statistics::{mean, mean_and_sd};
use crate::train::Progress;

/// More structures than this are not listed at the end of a run: the report has them all.
const MOST_LISTED: usize = 12;
/// As many of them, the lowest ones, are listed then.
const LOWEST: usize = 5;

/// The result of a run.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RunSummary {
    /// Seed and fold, as in the folder's name.
    pub variant: String,
    /// The run's folder.
    pub folder: PathBuf,
    /// Epochs trained.
    pub epochs: usize,
    /// The epoch whose weights were kept.
    pub best_epoch: usize,
    /// Its validation IoU on the network's grid.
    pub best_iou: f64,
    /// Mean IoU of the validation cases on their own grids.
    pub native_iou: f64,
    /// Number of validation cases.
    pub cases: usize,
    /// Wall time of the last session, in seconds.
    pub seconds: f64,
    /// The scores of each structure; none of one mask.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub structures: Vec<StructureSummary>,
    /// What mirrored views bring, where there are some.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tta: Option<TtaGain>,
    /// What the post-processing brings that was chosen, where one was.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub postprocess: Option<PostprocessGain>,
}

/// What the post-processing brings that was chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PostprocessGain {
    /// Mean IoU of the validation cases on their own grids with the post-processing of the settings.
    pub native_iou_without: f64,
    /// What was changed.
    pub steps: Vec<String>,
}

/// What mirrored views of the validation cases bring and cost.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct TtaGain {
    /// Mean IoU of the validation cases on their own grids, each seen once.
    pub native_iou_without: f64,
    /// How many times as long scoring took with them.
    pub times: f64,
}

/// A structure's scores in the validation cases, on their own grids.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct StructureSummary {
    /// Its name.
    pub name: String,
    /// Mean Dice over the cases.
    pub dice: f64,
    /// Mean IoU over the cases.
    pub iou: f64,
}

impl StructureSummary {
    fn all(cases: &[CaseScores]) -> Vec<Self> {
        let structures = cases.first().into_iter().flat_map(|case| &case.structures);
        let summary = |name: &String| {
            let over_cases = |score: &str| {
                let key = format!("{score}/{name}");
                let values = cases.iter().filter_map(|case| case.score(&key));
                mean(&values.collect::<Vec<_>>())
            };
            Self {
                name: name.clone(),
                dice: over_cases("dice"),
                iou: over_cases("iou"),
            }
        };
        structures.map(|of| summary(&of.name)).collect()
    }
}

impl RunSummary {
    pub(super) fn new(
        variant: &str,
        folder: &Path,
        progress: &Progress,
        cases: &[CaseScores],
        time: Duration,
    ) -> Self {
        let ious: Vec<f64> = cases.iter().map(CaseScores::iou).collect();
        Self {
            variant: variant.to_owned(),
            folder: folder.to_owned(),
            epochs: progress.history.len(),
            best_epoch: progress.best.map_or(0, |best| best.epoch),
            best_iou: progress.best.map_or(f64::NAN, |best| best.iou),
            native_iou: mean_and_sd(&ious).0,
            cases: cases.len(),
            seconds: time.as_secs_f64(),
            structures: StructureSummary::all(cases),
            tta: None,
            postprocess: None,
        }
    }

    /// The same training with other scores.
    pub(super) fn scored(self, of: &Scored, postprocess: Option<PostprocessGain>) -> Self {
        let ious: Vec<f64> = of.scores.iter().map(CaseScores::iou).collect();
        Self {
            native_iou: mean(&ious),
            cases: ious.len(),
            structures: StructureSummary::all(&of.scores),
            tta: of.tta,
            postprocess,
            ..self
        }
    }

    pub(super) fn write(&self, path: &Path) -> Result<(), FileError> {
        write_json(path, self)
    }

    pub(super) fn read(path: &Path) -> Result<Self, FileError> {
        serde_json::from_str(&read_text(path)?).map_err(|error| FileError {
            action: "understand",
            path: path.to_owned(),
            remedy: "Run again with --force.",
            source: error.into(),
        })
    }

    /// The mean Dice over cases and structures; none of one mask.
    pub fn mean_dice(&self) -> Option<f64> {
        let dice: Vec<f64> = self.structures.iter().map(|of| of.dice).collect();
        (!dice.is_empty()).then(|| mean(&dice))
    }

    /// Name and value of the numbers over all structures, human-readable.
    pub fn rows(&self) -> Vec<(String, String)> {
        let row = |name: &str, value: String| (name.to_owned(), value);
        let over = match self.structures.len() {
            0 => format!("mean of {} cases", self.cases),
            structures => format!("mean of {} cases and {structures} structures", self.cases),
        };
        let mut rows = vec![
            row(
                "validation IoU",
                format!(
                    "{:.4} (best of {} epochs: {})",
                    self.best_iou, self.epochs, self.best_epoch
                ),
            ),
            row(
                "on the scans' own grids",
                format!("{:.4} ({over})", self.native_iou),
            ),
            row("time", duration(Duration::from_secs_f64(self.seconds))),
        ];
        if let Some(TtaGain {
            native_iou_without,
            times,
        }) = self.tta
        {
            let gain = self.native_iou - native_iou_without;
            rows.insert(
                2,
                row(
                    "of that by tta",
                    format!("{gain:+.4} (without: {native_iou_without:.4}), in {times:.1} times the time"),
                ),
            );
        }
        if let Some(PostprocessGain {
            native_iou_without,
            steps,
        }) = &self.postprocess
        {
            let gain = self.native_iou - native_iou_without;
            let steps = match steps.is_empty() {
                true => "nothing helped".to_owned(),
                false => steps.join("; "),
            };
            rows.insert(
                2,
                row(
                    "of that by postprocess",
                    format!("{gain:+.4} (without: {native_iou_without:.4}): {steps}"),
                ),
            );
        }
        if let Some(dice) = self.mean_dice() {
            rows.insert(2, row("Dice, there as well", format!("{dice:.4}")));
        }
        rows
    }

    /// Name and scores of each structure, human-readable; of very many the lowest.
    pub fn structure_rows(&self) -> Vec<(String, String)> {
        let row = |of: &StructureSummary| {
            let value = format!("Dice {:.4}, IoU {:.4}", of.dice, of.iou);
            (of.name.clone(), value)
        };
        listed(&self.structures, |of| of.dice, row)
    }
}

/// A row for each structure; of very many for the lowest, and how many there are besides.
fn listed<T>(
    structures: &[T],
    score: impl Fn(&T) -> f64,
    row: impl Fn(&T) -> (String, String),
) -> Vec<(String, String)> {
    if structures.len() <= MOST_LISTED {
        return structures.iter().map(row).collect();
    }
    let mut ranked: Vec<&T> = structures.iter().collect();
    ranked.sort_by(|a, b| score(a).total_cmp(&score(b)));
    let mut rows: Vec<_> = ranked.iter().take(LOWEST).map(|of| row(of)).collect();
    let rest = structures.len() - LOWEST;
    rows.push((
        format!("{rest} more"),
        "with higher Dice: the report and cases.csv have them all".into(),
    ));
    rows
}

/// Name, mean and deviation of every number over several runs, human-readable.
pub fn mean_over_runs(runs: &[RunSummary]) -> Vec<(String, String)> {
    let row = |name: &str, value: fn(&RunSummary) -> f64| {
        let values: Vec<f64> = runs.iter().map(value).collect();
        (name.to_owned(), spread(&values))
    };
    let mut rows = vec![
        row("validation IoU", |run| run.best_iou),
        row("on the scans' own grids", |run| run.native_iou),
    ];
    let dice: Vec<f64> = runs.iter().filter_map(RunSummary::mean_dice).collect();
    if dice.len() == runs.len() && !dice.is_empty() {
        rows.push(("Dice, there as well".into(), spread(&dice)));
    }
    rows
}

/// Name, mean and deviation of each structure's scores over several runs, human-readable; of very many the lowest.
pub fn structures_over_runs(runs: &[RunSummary]) -> Vec<(String, String)> {
    let names = runs.first().into_iter().flat_map(|run| &run.structures);
    let over_runs = |name: &String| {
        let of_run = |run: &RunSummary| {
            let of = run.structures.iter().find(|of| of.name == *name)?;
            Some((of.dice, of.iou))
        };
        let (dice, iou): (Vec<f64>, Vec<f64>) = runs.iter().filter_map(of_run).unzip();
        (name.clone(), dice, iou)
    };
    let structures: Vec<_> = names.map(|of| over_runs(&of.name)).collect();
    let row = |(name, dice, iou): &(String, Vec<f64>, Vec<f64>)| {
        let value = format!("Dice {}, IoU {}", spread(dice), spread(iou));
        (name.clone(), value)
    };
    listed(&structures, |(_, dice, _)| mean(dice), row)
}

fn spread(values: &[f64]) -> String {
    let (mean, sd) = mean_and_sd(values);
    format!("{mean:.4} ± {sd:.4}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(structures: &[(&str, f64)]) -> RunSummary {
        RunSummary {
            variant: "seed-1".into(),
            folder: PathBuf::from("a"),
            epochs: 3,
            best_epoch: 2,
            best_iou: 0.5,
            native_iou: 0.25,
            cases: 4,
            seconds: 1.0,
            tta: None,
            postprocess: None,
            structures: (structures.iter())
                .map(|(name, dice)| StructureSummary {
                    name: (*name).into(),
                    dice: *dice,
                    iou: dice / 2.0,
                })
                .collect(),
        }
    }

    #[test]
    fn a_run_of_one_mask_says_what_it_said_before() {
        let one = run(&[]);
        let text = serde_json::to_string(&one).unwrap();
        assert!(!text.contains("structures"), "{text}");
        assert_eq!(serde_json::from_str::<RunSummary>(&text).unwrap(), one);
        let rows = one.rows();
        assert_eq!(rows.len(), 3);
        assert_eq!(rows[1].1, "0.2500 (mean of 4 cases)");
        assert!(one.structure_rows().is_empty() && structures_over_runs(&[one]).is_empty());
    }

    #[test]
    fn each_structure_has_a_line_and_of_very_many_the_lowest() {
        let runs = [
            run(&[("anterior", 0.8), ("posterior", 0.6)]),
            run(&[("anterior", 0.9), ("posterior", 0.6)]),
        ];
        assert_eq!(
            runs[0].structure_rows()[0],
            ("anterior".into(), "Dice 0.8000, IoU 0.4000".into())
        );
        assert!(runs[0].rows()[1].1.contains("4 cases and 2 structures"));
        let over = structures_over_runs(&runs);
        assert_eq!(over[0].1, "Dice 0.8500 ± 0.0707, IoU 0.4250 ± 0.0354");
        assert_eq!(mean_over_runs(&runs)[2].1, "0.7250 ± 0.0354");
        let names: Vec<String> = (0..148).map(|n| format!("structure {n}")).collect();
        let many: Vec<(&str, f64)> = (0..148)
            .map(|n| (names[n].as_str(), 1.0 - n as f64 / 200.0))
            .collect();
        let rows = run(&many).structure_rows();
        assert_eq!((rows[0].0.as_str(), rows.len()), ("structure 147", 6));
        assert_eq!(rows[5].0, "143 more");
    }
}
