//! Whether a trial stops, and what it is worth at its end.

use super::super::definition::Definition;
use super::super::error::SweepError;
use super::super::event::{Event, Score};
use super::super::objective::Objective;
use super::super::run_key::RunKey;
use super::super::trial::Trial;
use super::{Decision, Study};
use crate::search::objective::Curve;
use crate::search::pruner::Rival;
use crate::statistics::mean;

impl Study {
    /// Has the pruner decide at every epoch that is due.
    pub(super) fn decide(&mut self, trial: usize) -> Result<Decision, SweepError> {
        loop {
            let Definition { sweep, .. } = &self.history.definition;
            let Trial {
                curves, decided, ..
            } = &self.history.trials[trial];
            let reached = curves.first().map_or(0, Curve::reached);
            let due = sweep.pruner.due(reached, *decided);
            let standing =
                due.and_then(|epoch| Some((epoch, self.history.standing(trial, epoch)?)));
            let Some((epoch, (value, rivals))) = standing else {
                return Ok(Decision::Continue);
            };
            let (compared, rivals): (Vec<usize>, Vec<Rival>) = rivals.into_iter().unzip();
            let verdict = (sweep.pruner).judge(value, &rivals, sweep.objective.watched().goal);
            self.record(Event::Decided {
                trial,
                epoch,
                stop: verdict.stop,
                value: value.is_finite().then_some(value),
                cutoff: verdict.cutoff,
                rivals: rivals.len(),
                compared,
            })?;
            if verdict.stop {
                return Ok(Decision::Stop);
            }
        }
    }

    /// Has the pruner compare the ended runs of a trial with those of the best trial, once whenever one has ended. When all
    /// have, there is nothing to save.
    pub(super) fn compare(&mut self, number: usize) -> Result<Decision, SweepError> {
        let Definition { sweep, parts, .. } = &self.history.definition;
        let trial = &self.history.trials[number];
        let runs = trial.ended();
        let goal = sweep.objective.single().map(|objective| objective.goal);
        let best = self.history.best();
        let (Some(goal), Some(best), true) =
            (goal, best, runs > trial.compared && runs < parts.len())
        else {
            return Ok(Decision::Continue);
        };
        let first = |values: &Option<Vec<f64>>| values.as_ref()?.first().copied();
        let own: Vec<Option<f64>> = trial.scores.iter().map(first).collect();
        let Some(verdict) = sweep.pruner.compare(&own, best.status.parts(0), goal) else {
            return Ok(Decision::Continue);
        };
        self.record(Event::Compared {
            trial: number,
            runs,
            stop: verdict.stop,
            value: mean(&own.into_iter().flatten().collect::<Vec<_>>()),
            best: best.number,
            p: verdict.p,
        })?;
        Ok(match verdict.stop {
            true => Decision::Stop,
            false => Decision::Continue,
        })
    }

    /// Each objective of a trial, or why it has none.
    pub(super) fn scores(&self, number: usize) -> Result<Vec<Score>, String> {
        let Definition { sweep, parts, .. } = &self.history.definition;
        let trial = &self.history.trials[number];
        let score = |(index, objective): (usize, &Objective)| {
            let value = |((part, curve), values): ((&RunKey, &Curve), &Option<Vec<f64>>)| {
                let (metric, epoch) = (&objective.metric, curve.reached());
                let value = match values {
                    Some(values) => values.get(index).copied(),
                    None if sweep.scores_runs() || epoch == 0 => None,
                    None => curve.value(epoch, objective.goal, objective.epoch),
                };
                match value {
                    None => Err(format!("{part} has no {metric}")),
                    Some(value) if value.is_nan() => {
                        Err(format!("{metric} of {part} is not a number"))
                    }
                    Some(value) => Ok(value),
                }
            };
            let runs = parts.iter().zip(&trial.curves).zip(&trial.scores);
            let parts = runs.map(value).collect::<Result<Vec<f64>, String>>()?;
            Ok(Score {
                value: mean(&parts),
                parts,
            })
        };
        sweep.objective.iter().enumerate().map(score).collect()
    }
}
