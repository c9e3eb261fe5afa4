//! A study at work: it decides what to run next and what to stop, and records everything first.

mod decide;

use std::path::Path;

use serde_yaml::Value;

use super::budget::Stop;
use super::definition::Definition;
use super::error::SweepError;
use super::event::{Entry, Event, Score, now};
use super::history::History;
use super::run_key::RunKey;
use super::trial::{Status, Trial};
use crate::jobs::{Journal, Opened};
use crate::layout::SweepFolder;
use crate::search::{Assignment, Space};
use crate::settings::listed;

/// A study that this process alone works on.
#[derive(Debug)]
pub struct Study {
    journal: Journal,
    history: History,
    notices: Vec<String>,
}

/// What to do next.
#[derive(Clone, Debug, PartialEq)]
pub enum Next {
    /// Run this trial.
    Run(TrialStart),
    /// Begin nothing more; running trials may end.
    Stop(Stop),
}

/// A trial to run.
#[derive(Clone, Debug, PartialEq)]
pub struct TrialStart {
    /// The trial, counted from 0.
    pub number: usize,
    /// How often it has been started, this time included. From the second time on, its runs resume where they
    /// were interrupted.
    pub attempt: usize,
    /// Its parameters.
    pub assignment: Assignment,
    /// What it overrides in the definition's experiment, as `key=value`, in order.
    pub overrides: Vec<String>,
    /// The name of its folder.
    pub folder: String,
}

impl TrialStart {
    /// The latest start of a trial.
    pub(super) fn of(trial: &Trial) -> Self {
        Self {
            number: trial.number,
            attempt: trial.attempts,
            assignment: trial.assignment.clone(),
            overrides: Space::overrides(&trial.assignment),
            folder: trial.folder(),
        }
    }
}

/// Whether a trial continues.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// It continues.
    Continue,
    /// It stops now, with all its runs.
    Stop,
}

impl Study {
    /// Begins the study in `folder`, or resumes the existing one.
    ///
    /// # Errors
    ///
    /// When another process works on it, its record is damaged or was begun with another definition, or
    /// the disk refuses.
    pub fn open(folder: &Path, definition: &Definition) -> Result<Self, SweepError> {
        let path = SweepFolder::new(folder).record();
        let Opened {
            mut journal,
            events: mut entries,
            notices,
        } = Journal::open::<Entry>(&path)?;
        let version = env!("CARGO_PKG_VERSION").to_owned();
        if definition.parts.is_empty() {
            return Err(SweepError::Misuse(
                "a trial has no runs: name at least one seed".into(),
            ));
        }
        let sweep = &definition.sweep;
        let event = if entries.is_empty() {
            let value = to_json(definition)?;
            Event::Created {
                version,
                digest: Definition::digest(&value),
                definition: value,
            }
        } else {
            let recorded = History::replay(&path, &entries)?;
            let differences = recorded.definition.differences(definition);
            if !differences.is_empty() {
                return Err(SweepError::Differs {
                    path,
                    differences: listed(&differences),
                });
            }
            Event::Opened {
                version,
                budget: sweep.budget.clone(),
                parallelism: sweep.parallelism,
            }
        };
        let entry = Entry::now(event);
        journal.append(&entry)?;
        entries.push(entry);
        let mut history = History::replay(&path, &entries)?;
        // The budget, the parallelism and the executor are those given now.
        history.definition = definition.clone();
        Ok(Self {
            journal,
            history,
            notices,
        })
    }

    /// What the user should know about how the record was found.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// The study so far.
    pub fn history(&self) -> &History {
        &self.history
    }

    /// Records an event, then applies it.
    fn record(&mut self, event: Event) -> Result<(), SweepError> {
        let entry = Entry::now(event);
        self.journal.append(&entry)?;
        self.history.apply(&entry).map_err(SweepError::Misuse)
    }

    /// What to run next: a trial that was interrupted, else a new one. `running` are the trials at work.
    ///
    /// # Errors
    ///
    /// When the record cannot be written.
    pub fn next(&mut self, running: &[usize]) -> Result<Next, SweepError> {
        let usage = self.history.usage(Some(now()));
        let budget = self.history.definition.sweep.budget.clone();
        if let Some(stop) = budget.spent(&usage) {
            return Ok(Next::Stop(stop));
        }
        let number = match self.idle(running)? {
            Some(trial) => trial,
            None => match budget.full(&usage) {
                Some(stop) => return Ok(Next::Stop(stop)),
                None => match self.propose()? {
                    Some(number) => number,
                    None => return Ok(Next::Stop(Stop::Exhausted)),
                },
            },
        };
        let attempt = self.history.trials[number].attempts + 1;
        self.record(Event::Started {
            trial: number,
            attempt,
        })?;
        Ok(Next::Run(TrialStart::of(&self.history.trials[number])))
    }

    /// A trial that was interrupted. What its ended runs decide is decided first: a process may have ended before that.
    fn idle(&mut self, running: &[usize]) -> Result<Option<usize>, SweepError> {
        loop {
            let mut trials = self.history.trials.iter();
            let idle = trials.find(|trial| {
                trial.status == Status::Unfinished && !running.contains(&trial.number)
            });
            let Some(trial) = idle.map(|trial| trial.number) else {
                return Ok(None);
            };
            if self.compare(trial)? == Decision::Continue {
                return Ok(Some(trial));
            }
        }
    }

    fn propose(&mut self) -> Result<Option<usize>, SweepError> {
        let (sweep, trial) = (&self.history.definition.sweep, self.history.trials.len());
        let proposal = sweep.sampler.propose(
            &sweep.space,
            sweep.seed,
            trial,
            &self.history.observations(),
        );
        let Some(parameters) = proposal else {
            return Ok(None);
        };
        let seen = self.history.seen();
        self.record(Event::Proposed {
            trial,
            parameters,
            seen,
        })?;
        Ok(Some(trial))
    }

    /// Records the watched metric after an epoch (counted from 1) of a run, and decides whether the trial
    /// continues. An epoch may be reported again, such as when a run is resumed.
    ///
    /// A decision is made when the first run reaches its epoch, by that run alone.
    ///
    /// # Errors
    ///
    /// When there is no such trial or run, or the record cannot be written.
    pub fn report(
        &mut self,
        trial: usize,
        part: RunKey,
        epoch: usize,
        value: f64,
    ) -> Result<Decision, SweepError> {
        let index = self.history.part(part).map_err(SweepError::Misuse)?;
        if let Some(decision) = self.ended(trial)? {
            return Ok(decision);
        }
        let known = self.history.trials[trial].curves[index].0.get(&epoch);
        let value = value.is_finite().then_some(value);
        if known.map(|known| known.is_finite().then_some(*known)) != Some(value) {
            self.record(Event::Epoch {
                trial,
                part,
                epoch,
                value,
            })?;
        }
        self.decide(trial)
    }

    /// Records the objectives of a run that has ended, and decides whether the trial continues. What was recorded for the
    /// run stays. Where the curve of its epochs says the objective and no pruner compares runs, nothing is recorded.
    ///
    /// # Errors
    ///
    /// When there is no such trial or run, or the record cannot be written.
    pub fn end_run(
        &mut self,
        trial: usize,
        part: RunKey,
        values: Vec<f64>,
    ) -> Result<Decision, SweepError> {
        let index = self.history.part(part).map_err(SweepError::Misuse)?;
        if let Some(decision) = self.ended(trial)? {
            return Ok(decision);
        }
        let known = self.history.trials[trial].scores[index].is_some();
        if self.history.definition.sweep.scores_runs() && !known {
            self.record(Event::Scored {
                trial,
                part,
                values,
            })?;
        }
        self.compare(trial)
    }

    /// Ends a trial whose runs have all finished. Its value is the mean over them; if one has none, the trial has
    /// failed. A trial that has ended stays as it is.
    ///
    /// # Errors
    ///
    /// When there is no such trial, or the record cannot be written.
    pub fn finish(&mut self, trial: usize) -> Result<&Status, SweepError> {
        if self.ended(trial)?.is_none() {
            let event = match self.scores(trial) {
                Ok(scores) => {
                    let mut scores = scores.into_iter();
                    match scores.next() {
                        Some(Score { value, parts }) => Event::Finished {
                            trial,
                            value,
                            parts,
                            second: scores.next(),
                        },
                        None => Event::Failed {
                            trial,
                            error: "the sweep has no objective".into(),
                        },
                    }
                }
                Err(error) => Event::Failed { trial, error },
            };
            self.record(event)?;
        }
        Ok(&self.history.trials[trial].status)
    }

    /// Ends a trial that cannot be run. A trial that has ended stays as it is.
    ///
    /// # Errors
    ///
    /// When there is no such trial, or the record cannot be written.
    pub fn fail(&mut self, trial: usize, error: &str) -> Result<(), SweepError> {
        match self.ended(trial)? {
            Some(_) => Ok(()),
            None => self.record(Event::Failed {
                trial,
                error: error.to_owned(),
            }),
        }
    }

    /// Records that a trial was interrupted from outside, such as at a cluster's time limit. [`Study::next`]
    /// returns it again once it is not among those running.
    ///
    /// # Errors
    ///
    /// When there is no such trial, or the record cannot be written.
    pub fn requeue(&mut self, trial: usize, reason: &str) -> Result<(), SweepError> {
        match self.ended(trial)? {
            Some(_) => Ok(()),
            None => self.record(Event::Requeued {
                trial,
                reason: reason.to_owned(),
            }),
        }
    }

    /// Starts every failed trial again, under its own number; returns how many.
    ///
    /// # Errors
    ///
    /// When the record cannot be written.
    pub fn retry_failed(&mut self) -> Result<usize, SweepError> {
        let failed = |trial: &&Trial| matches!(trial.status, Status::Failed { .. });
        let failed = self.history.trials.iter().filter(failed);
        let failed: Vec<usize> = failed.map(|trial| trial.number).collect();
        for trial in &failed {
            self.record(Event::Requeued {
                trial: *trial,
                reason: "it failed, and is to be tried again".into(),
            })?;
        }
        Ok(failed.len())
    }

    /// The decision about a trial that has ended; none if it has not.
    fn ended(&self, trial: usize) -> Result<Option<Decision>, SweepError> {
        let Some(known) = self.history.trials.get(trial) else {
            let path = self.journal.path().display();
            return Err(SweepError::Misuse(format!("{path} has no trial {trial}")));
        };
        Ok((known.status != Status::Unfinished).then_some(Decision::Stop))
    }
}

fn to_json(definition: &Definition) -> Result<Value, SweepError> {
    // Through JSON, as it will be read back: what JSON cannot hold is refused here, not at the next start.
    let json = serde_json::to_string(definition).and_then(|json| serde_json::from_str(&json));
    json.map_err(|why| {
        SweepError::Misuse(format!(
            "the sweep's definition cannot be recorded as JSON: {why}"
        ))
    })
}
