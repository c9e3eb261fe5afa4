//! The state of a study: the result of all events of its record.

use std::path::Path;

use super::budget::Usage;
use super::definition::Definition;
use super::error::SweepError;
use super::event::{Entry, Event, Seen};
use super::objective::Objective;
use super::run_key::RunKey;
use super::trial::{Stage, Status, Trial};
use crate::jobs::read_journal;
use crate::search::Assignment;
use crate::search::importance::{Importances, TooLittle, importances};
use crate::search::objective::Curve;
use crate::search::pruner::Rival;
use crate::search::sampler::{Observation, Outcome};
use crate::statistics::mean;

/// A study so far.
#[derive(Clone, Debug, PartialEq)]
pub struct History {
    /// What it searches, and how.
    pub definition: Definition,
    /// Its trials, by number.
    pub trials: Vec<Trial>,
    /// Seconds at work, before the present session.
    earlier: f64,
    /// When the present session began and the last event was.
    session: (f64, f64),
}

impl History {
    /// Reads a study's record, without touching or locking it: it may be at work.
    ///
    /// # Errors
    ///
    /// When there is none, it cannot be read or is damaged.
    pub fn read(path: &Path) -> Result<Self, SweepError> {
        Self::replay(path, &read_journal(path)?)
    }

    /// The state after these lines of `path`.
    pub(super) fn replay(path: &Path, entries: &[Entry]) -> Result<Self, SweepError> {
        let damaged = |line: usize, why: String| SweepError::Damaged {
            path: path.to_owned(),
            line,
            why,
        };
        let Some((first, rest)) = entries.split_first() else {
            return Err(damaged(1, "the study's record is empty".into()));
        };
        let mut history = Self::begin(first).map_err(|why| damaged(1, why))?;
        for (index, entry) in rest.iter().enumerate() {
            history
                .apply(entry)
                .map_err(|why| damaged(index + 2, why))?;
        }
        Ok(history)
    }

    fn begin(entry: &Entry) -> Result<Self, String> {
        let Event::Created {
            digest, definition, ..
        } = &entry.event
        else {
            return Err("the first event must be `created`".into());
        };
        if Definition::digest(definition) != *digest {
            return Err("the definition is not the one that the study was begun with".into());
        }
        let definition: Definition = serde_yaml::from_value(definition.clone())
            .map_err(|why| format!("the definition cannot be read ({why})"))?;
        Ok(Self {
            definition,
            trials: Vec::new(),
            earlier: 0.0,
            session: (entry.at, entry.at),
        })
    }

    /// Applies an event.
    pub(super) fn apply(&mut self, entry: &Entry) -> Result<(), String> {
        match &entry.event {
            Event::Created { .. } => return Err("the study is created a second time".into()),
            Event::Opened { .. } => {
                self.earlier += self.session.1 - self.session.0;
                self.session.0 = entry.at;
            }
            Event::Proposed {
                trial,
                parameters,
                seen,
            } => {
                if *trial != self.trials.len() {
                    return Err(format!(
                        "trial {trial} is proposed after {} others",
                        self.trials.len()
                    ));
                }
                self.trials.push(Trial {
                    number: *trial,
                    assignment: parameters.clone(),
                    seen: seen.clone(),
                    attempts: 0,
                    curves: vec![Curve::default(); self.definition.parts.len()],
                    scores: vec![None; self.definition.parts.len()],
                    decided: None,
                    compared: 0,
                    status: Status::Unfinished,
                });
            }
            Event::Started { trial, attempt } => self.open(*trial)?.attempts = *attempt,
            Event::Epoch {
                trial,
                part,
                epoch,
                value,
            } => {
                let index = self.part(*part)?;
                let curve = &mut self.open(*trial)?.curves[index];
                curve.0.insert(*epoch, value.unwrap_or(f64::NAN));
            }
            Event::Decided {
                trial,
                epoch,
                stop,
                value,
                ..
            } => {
                let trial = self.open(*trial)?;
                trial.decided = Some(*epoch);
                if *stop {
                    let value = value.unwrap_or(f64::NAN);
                    let after = Stage::Epoch(*epoch);
                    trial.status = Status::Pruned { after, value };
                }
            }
            Event::Scored {
                trial,
                part,
                values,
            } => {
                let index = self.part(*part)?;
                let objectives = self.definition.sweep.objective.len();
                if values.len() != objectives {
                    return Err(format!(
                        "{part} has {} values, and there are {objectives} objectives",
                        values.len()
                    ));
                }
                self.open(*trial)?.scores[index] = Some(values.clone());
            }
            Event::Compared {
                trial,
                runs,
                stop,
                value,
                ..
            } => {
                let trial = self.open(*trial)?;
                trial.compared = *runs;
                if *stop {
                    let (after, value) = (Stage::Runs(*runs), *value);
                    trial.status = Status::Pruned { after, value };
                }
            }
            Event::Finished {
                trial,
                value,
                parts,
                second,
            } => {
                self.open(*trial)?.status = Status::Finished {
                    value: *value,
                    parts: parts.clone(),
                    second: second.clone(),
                };
            }
            Event::Failed { trial, error } => {
                self.open(*trial)?.status = Status::Failed {
                    error: error.clone(),
                };
            }
            Event::Requeued { trial, .. } => match self.trials.get_mut(*trial) {
                Some(failed) if matches!(failed.status, Status::Failed { .. }) => {
                    failed.curves.fill(Curve::default());
                    failed.scores.fill(None);
                    failed.decided = None;
                    failed.compared = 0;
                    failed.status = Status::Unfinished;
                }
                _ => {
                    self.open(*trial)?;
                }
            },
        }
        self.session.1 = entry.at;
        Ok(())
    }

    /// A trial that has not ended.
    fn open(&mut self, number: usize) -> Result<&mut Trial, String> {
        match self.trials.get_mut(number) {
            None => Err(format!("trial {number} was never proposed")),
            Some(trial) if trial.status != Status::Unfinished => Err(format!(
                "trial {number} has already ended: it is {}",
                trial.status.name()
            )),
            Some(trial) => Ok(trial),
        }
    }

    /// The index of a run.
    pub(super) fn part(&self, part: RunKey) -> Result<usize, String> {
        let index = self.definition.parts.iter().position(|one| *one == part);
        index.ok_or_else(|| format!("{part} is not a run of this study's trials"))
    }

    /// The part of the budget used up to `now`, or to the last event.
    pub fn usage(&self, now: Option<f64>) -> Usage {
        let failed = |trial: &&Trial| matches!(trial.status, Status::Failed { .. });
        let seconds =
            self.earlier + now.unwrap_or(self.session.1).max(self.session.1) - self.session.0;
        Usage {
            trials: self.trials.len(),
            failures: self.trials.iter().filter(failed).count(),
            hours: seconds / 3600.0,
        }
    }

    /// What a sampler sees now.
    pub fn observations(&self) -> Vec<Observation<'_>> {
        let objectives = &self.definition.sweep.objective;
        let loss = |objective: usize, value: f64| objectives[objective].goal.loss(value);
        let observation = |trial: &'_ Trial| match trial.status {
            Status::Unfinished => Outcome::Running,
            Status::Pruned { after, value } => Outcome::Pruned {
                epoch: after.number(),
                loss: loss(0, value),
            },
            Status::Finished { value, .. } => Outcome::Finished {
                loss: loss(0, value),
                second: trial.status.value(1).map(|value| loss(1, value)),
            },
            Status::Failed { .. } => Outcome::Failed,
        };
        self.trials
            .iter()
            .map(|trial| Observation {
                number: trial.number,
                assignment: &trial.assignment,
                outcome: observation(trial),
            })
            .collect()
    }

    /// Which trials a sampler sees now.
    pub(super) fn seen(&self) -> Seen {
        let numbers = |unfinished: bool| {
            let chosen = self
                .trials
                .iter()
                .filter(|trial| (trial.status == Status::Unfinished) == unfinished);
            chosen.map(|trial| trial.number).collect()
        };
        Seen {
            ended: numbers(false),
            running: numbers(true),
        }
    }

    /// What a pruner judges a trial by at an epoch: its objective in the first run, and that of the other trials,
    /// by number, in theirs. Later runs are left out: runs differ in difficulty, and how many have reached an
    /// epoch depends on how fast they are.
    pub(super) fn standing(
        &self,
        number: usize,
        epoch: usize,
    ) -> Option<(f64, Vec<(usize, Rival)>)> {
        let Objective {
            goal,
            epoch: counted,
            ..
        } = self.definition.sweep.objective.watched();
        let at = |trial: &Trial| trial.curves.first()?.value(epoch, goal, counted);
        let others = self.trials.iter().filter(|other| other.number != number);
        let rival = |other: &Trial| {
            let finished = matches!(other.status, Status::Finished { .. });
            at(other).map(|value| (other.number, Rival { value, finished }))
        };
        Some((
            at(&self.trials[number])?,
            others.filter_map(rival).collect(),
        ))
    }

    /// The epoch that the begun runs of a trial have reached, and the watched metric over them there; none before the
    /// first epoch.
    pub fn so_far(&self, trial: &Trial) -> Option<(usize, f64)> {
        let epoch = trial.reached();
        let watched = self.definition.sweep.objective.watched();
        let begun = trial.curves.iter().filter(|curve| curve.reached() > 0);
        let values: Option<Vec<f64>> = begun
            .map(|curve| curve.value(epoch, watched.goal, watched.epoch))
            .collect();
        let values = values.filter(|values| !values.is_empty())?;
        Some((epoch, mean(&values)))
    }

    /// How much each parameter matters for an objective, counted from 0, by the finished trials whose value is finite.
    ///
    /// # Errors
    ///
    /// For fewer than eight finished trials, or when all have the same value.
    pub fn importances(&self, objective: usize) -> Result<Importances, TooLittle> {
        let sweep = &self.definition.sweep;
        let finished = |trial: &Trial| {
            let value = trial.status.value(objective);
            value.filter(|value| value.is_finite())
        };
        let trials: Vec<(&Assignment, f64)> = (self.trials.iter())
            .filter_map(|trial| Some((&trial.assignment, finished(trial)?)))
            .collect();
        importances(&sweep.space, sweep.seed, &trials)
    }
}
