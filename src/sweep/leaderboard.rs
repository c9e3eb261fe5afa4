//! The trials in order of merit.

use std::io::Write;

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::history::{History, Status, Trial};
use crate::settings::to_inline_yaml;
use crate::statistics::mean_and_sd;

/// A trial's place.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<'a> {
    /// Counted from 1; only finished trials have one.
    pub rank: Option<usize>,
    /// The trial.
    pub trial: &'a Trial,
    /// The objective; of a pruned trial, at the epoch where it stopped.
    pub value: Option<f64>,
    /// The spread of the objective over folds and seeds.
    pub spread: Option<Spread>,
}

/// The spread of a trial's objective over its runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Spread {
    /// Standard deviation over the runs (n - 1).
    pub sd: f64,
    /// The 95 % interval of the mean by Student's t, as if the runs were independent. Folds are not: they share
    /// training cases, so the true interval is wider (Nadeau and Bengio, Machine Learning 52, 2003). The best of
    /// many trials is also best by luck: run it again with other seeds to know its value.
    pub interval: [f64; 2],
}

impl Spread {
    /// The spread of at least two values.
    pub fn of(values: &[f64]) -> Option<Self> {
        let n = values.len() as f64;
        let student = StudentsT::new(0.0, 1.0, n - 1.0).ok()?;
        let (middle, sd) = mean_and_sd(values);
        let half = student.inverse_cdf(0.975) * sd / n.sqrt();
        Some(Self {
            sd,
            interval: [middle - half, middle + half],
        })
    }
}

impl History {
    /// All trials: finished ones from the best on, then pruned ones from the one that came furthest on, then
    /// unfinished ones, then failed ones.
    pub fn leaderboard(&self) -> Vec<Row<'_>> {
        let goal = self.definition.sweep.objective.goal;
        let order = |trial: &Trial| match &trial.status {
            Status::Finished { value, .. } => (0, 0, goal.loss(*value)),
            Status::Pruned { epoch, value } => (1, usize::MAX - epoch, goal.loss(*value)),
            Status::Unfinished => (2, 0, 0.0),
            Status::Failed { .. } => (3, 0, 0.0),
        };
        let mut trials: Vec<&Trial> = self.trials.iter().collect();
        trials.sort_by(|a, b| {
            let ((kind, late, loss), (other, later, least)) = (order(a), order(b));
            // NaN of either sign comes last.
            let no_number = loss.is_nan().cmp(&least.is_nan());
            (kind, late)
                .cmp(&(other, later))
                .then(no_number)
                .then(loss.total_cmp(&least))
        });
        let row = |(index, trial): (usize, &'_ Trial)| match &trial.status {
            Status::Finished { value, parts } => (Some(index + 1), Some(*value), Spread::of(parts)),
            Status::Pruned { value, .. } => {
                (None, Some(*value).filter(|value| !value.is_nan()), None)
            }
            Status::Unfinished | Status::Failed { .. } => (None, None, None),
        };
        let ranked = trials.into_iter().enumerate();
        ranked
            .map(|(index, trial)| {
                let (rank, value, spread) = row((index, trial));
                Row {
                    rank,
                    trial,
                    value,
                    spread,
                }
            })
            .collect()
    }

    /// Writes `sweep.csv`: one row per trial, in the leaderboard's order, with its parameters and the objective of
    /// each of its runs. What a trial does not have is empty.
    ///
    /// # Errors
    ///
    /// When `out` refuses.
    pub fn write_csv(&self, out: impl Write) -> csv::Result<()> {
        let mut table = csv::Writer::from_writer(out);
        let space = &self.definition.sweep.space;
        let fixed = [
            "rank", "trial", "status", "value", "sd", "low", "high", "epochs", "attempts",
        ];
        let keys = space.parameters().map(|(key, _)| key.to_owned());
        let parts = self.definition.parts.iter().map(ToString::to_string);
        let header = fixed
            .into_iter()
            .map(str::to_owned)
            .chain(keys)
            .chain(parts);
        table.write_record(header.chain(["error".to_owned()]))?;
        for Row {
            rank,
            trial,
            value,
            spread,
        } in self.leaderboard()
        {
            let number =
                |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
            let mut row = vec![
                rank.map(|rank| rank.to_string()).unwrap_or_default(),
                trial.number.to_string(),
                trial.status.name().to_owned(),
                number(value),
                number(spread.map(|spread| spread.sd)),
                number(spread.map(|spread| spread.interval[0])),
                number(spread.map(|spread| spread.interval[1])),
                trial.reached().to_string(),
                trial.attempts.to_string(),
            ];
            let parameter = |(key, _)| {
                trial
                    .assignment
                    .get(key)
                    .map(to_inline_yaml)
                    .unwrap_or_default()
            };
            row.extend(space.parameters().map(parameter));
            let (scores, error) = match &trial.status {
                Status::Finished { parts, .. } => (parts.as_slice(), ""),
                Status::Failed { error } => (&[][..], error.as_str()),
                _ => (&[][..], ""),
            };
            let score = |index| number(scores.get(index).copied());
            row.extend((0..self.definition.parts.len()).map(score));
            row.push(error.to_owned());
            table.write_record(row)?;
        }
        table.flush()?;
        Ok(())
    }
}
