//! The trials in order of merit.

use std::collections::BTreeMap;
use std::io::Write;

use statrs::distribution::{ContinuousCDF, StudentsT};

use super::history::History;
use super::objective::Objective;
use super::trial::{Status, Trial};
use crate::search::pareto::{Point, fronts};
use crate::settings::to_inline_yaml;
use crate::statistics::{mean_and_sd, printable};

/// A trial's place.
#[derive(Clone, Debug, PartialEq)]
pub struct Row<'a> {
    /// Counted from 1; only finished trials have one. Of two objectives it is that of the trial's front, which several
    /// trials share: 1 is the Pareto front.
    pub rank: Option<usize>,
    /// Whether no other trial is better in one of two objectives and as good in the other.
    pub is_on_front: bool,
    /// The trial.
    pub trial: &'a Trial,
    /// The objective, the first of two; of a pruned trial, where it stopped.
    pub value: Option<f64>,
}

impl Row<'_> {
    /// The value of an objective, counted from 0.
    pub fn value_of(&self, objective: usize) -> Option<f64> {
        match objective {
            0 => self.value,
            _ => self.trial.status.value(objective),
        }
    }

    /// The spread of an objective, counted from 0, over folds and seeds.
    pub fn spread_of(&self, objective: usize) -> Option<Spread> {
        Spread::of(self.trial.status.parts(objective))
    }

    /// Its values, and of two objectives their names.
    pub fn values_in_words(&self, history: &History) -> String {
        let objectives = &history.definition.sweep.objective;
        let word = |(index, objective): (usize, &Objective)| {
            let value = self.value_of(index).map_or_else(
                || "-".to_owned(),
                |value| format!("{:.4}", printable(value, 4)),
            );
            match objectives.single() {
                Some(_) => value,
                None => format!("{} {value}", objective.metric),
            }
        };
        let words: Vec<String> = objectives.iter().enumerate().map(word).collect();
        words.join(", ")
    }
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
    /// The spread of at least two values; none if one is infinite.
    pub fn of(values: &[f64]) -> Option<Self> {
        if !values.iter().all(|value| value.is_finite()) {
            return None;
        }
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
    /// The finished trial with the best value; of equal ones, the first. None of two objectives.
    pub fn best(&self) -> Option<&Trial> {
        let goal = self.definition.sweep.objective.single()?.goal;
        let value = |trial: &Trial| trial.status.value(0).unwrap_or(f64::NAN);
        let finished = self.trials.iter().filter(|trial| !value(trial).is_nan());
        finished.reduce(|best, next| {
            if goal.is_better(value(next), value(best)) {
                next
            } else {
                best
            }
        })
    }

    /// Of two objectives, the front of each finished trial, by number: 0 on the Pareto front, where no other trial is better
    /// in one objective and as good in the other. Empty for a single objective.
    pub fn fronts(&self) -> BTreeMap<usize, usize> {
        let [first, second] = &self.definition.sweep.objective[..] else {
            return BTreeMap::new();
        };
        let point = |trial: &Trial| {
            let [a, b] = [trial.status.value(0)?, trial.status.value(1)?];
            Some((trial.number, [first.goal.loss(a), second.goal.loss(b)]))
        };
        let (numbers, points): (Vec<usize>, Vec<Point>) =
            self.trials.iter().filter_map(point).unzip();
        numbers.into_iter().zip(fronts(&points)).collect()
    }

    /// All trials: finished ones from the best on, then pruned ones from the one that came furthest on, then
    /// unfinished ones, then failed ones. Of two objectives, those of the Pareto front come first, from the best in the
    /// first objective on, then the next front.
    pub fn leaderboard(&self) -> Vec<Row<'_>> {
        let loss = |value: f64| match self.definition.sweep.objective.first() {
            Some(objective) => objective.goal.loss(value),
            None => value,
        };
        let fronts = self.fronts();
        let front = |trial: &Trial| fronts.get(&trial.number).copied();
        let order = |trial: &Trial| match &trial.status {
            Status::Finished { value, .. } => (0, front(trial).unwrap_or(0), loss(*value)),
            Status::Pruned { after, value } => (1, usize::MAX - after.number(), loss(*value)),
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
        let place = |index: usize, trial: &Trial| match &trial.status {
            Status::Finished { value, .. } => {
                (Some(front(trial).unwrap_or(index) + 1), Some(*value))
            }
            Status::Pruned { value, .. } => (None, Some(*value).filter(|value| !value.is_nan())),
            Status::Unfinished | Status::Failed { .. } => (None, None),
        };
        let ranked = trials.into_iter().enumerate();
        ranked
            .map(|(index, trial)| {
                let (rank, value) = place(index, trial);
                Row {
                    rank,
                    is_on_front: front(trial) == Some(0),
                    trial,
                    value,
                }
            })
            .collect()
    }

    /// Writes `sweep.csv`: one row per trial, in the leaderboard's order, with its parameters and the objective of
    /// each of its runs. What a trial does not have is empty. Of two objectives the columns have their names.
    ///
    /// # Errors
    ///
    /// When `out` refuses.
    pub fn write_csv(&self, out: impl Write) -> csv::Result<()> {
        let mut table = csv::Writer::from_writer(out);
        let (space, objectives) = (
            &self.definition.sweep.space,
            &self.definition.sweep.objective,
        );
        let (parts, several) = (&self.definition.parts, objectives.single().is_none());
        let mut header: Vec<String> = ["rank", "trial", "status"].map(str::to_owned).into();
        header.extend(several.then(|| "pareto".to_owned()));
        for objective in objectives.iter() {
            let metric = &objective.metric;
            header.extend(match several {
                true => ["", " sd", " low", " high"].map(|of| format!("{metric}{of}")),
                false => ["value", "sd", "low", "high"].map(str::to_owned),
            });
        }
        header.extend(["epochs", "attempts"].map(str::to_owned));
        header.extend(space.parameters().map(|(key, _)| key.to_owned()));
        for objective in objectives.iter() {
            let of = match several {
                true => format!("{} ", objective.metric),
                false => String::new(),
            };
            header.extend(parts.iter().map(|part| format!("{of}{part}")));
        }
        header.push("error".to_owned());
        table.write_record(header)?;
        let number = |value: Option<f64>| value.map(|value| value.to_string()).unwrap_or_default();
        for row in self.leaderboard() {
            let trial = row.trial;
            let mut cells = vec![
                row.rank.map(|rank| rank.to_string()).unwrap_or_default(),
                trial.number.to_string(),
                trial.status.name().to_owned(),
            ];
            let pareto = match (row.rank, row.is_on_front) {
                (None, _) => "",
                (Some(_), true) => "yes",
                (Some(_), false) => "no",
            };
            cells.extend(several.then(|| pareto.to_owned()));
            for objective in 0..objectives.len() {
                let spread = row.spread_of(objective);
                cells.extend([
                    number(row.value_of(objective)),
                    number(spread.map(|spread| spread.sd)),
                    number(spread.map(|spread| spread.interval[0])),
                    number(spread.map(|spread| spread.interval[1])),
                ]);
            }
            cells.extend([trial.reached().to_string(), trial.attempts.to_string()]);
            let parameter = |(key, _)| {
                trial
                    .assignment
                    .get(key)
                    .map(to_inline_yaml)
                    .unwrap_or_default()
            };
            cells.extend(space.parameters().map(parameter));
            for objective in 0..objectives.len() {
                let score = |part: usize| {
                    let finished = trial.status.parts(objective).get(part).copied();
                    finished.or_else(|| trial.scores[part].as_ref()?.get(objective).copied())
                };
                cells.extend((0..parts.len()).map(|part| number(score(part))));
            }
            cells.push(match &trial.status {
                Status::Failed { error } => error.clone(),
                _ => String::new(),
            });
            table.write_record(cells)?;
        }
        table.flush()?;
        Ok(())
    }
}
