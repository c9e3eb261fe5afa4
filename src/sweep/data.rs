//! The data of a sweep's trials, fixed when the study is opened: trials are ranked by the same cases.

use serde_yaml::Value;

use super::config::section;
use super::definition::{Definition, options};
use super::error::SweepError;
use crate::experiment::{self, Experiment};
use crate::layout::SweepFolder;
use crate::run::{FixedData, fix_data};
use crate::search::{Assignment, Space};

/// The data that trials are made from.
#[derive(Debug)]
pub(super) struct TrialData {
    home: SweepFolder,
    /// The values of `data` that are known to give what was fixed for them.
    checked: Vec<Value>,
}

impl TrialData {
    /// Fixes the data of the definition's experiment. What was fixed before, also for trials with other data, must
    /// still be the same.
    pub(super) fn open(home: &SweepFolder, definition: &Definition) -> Result<Self, SweepError> {
        let mut opened = Self {
            home: home.clone(),
            checked: Vec::new(),
        };
        let base = base(definition)?;
        for data in FixedData::read(&home.data())?.data() {
            let data = serde_yaml::from_value(data.clone()).map_err(|why| {
                SweepError::Misuse(format!("{} is damaged: {why}", home.data().display()))
            })?;
            let experiment = Experiment {
                data,
                ..base.clone()
            };
            opened.fix(definition, &experiment)?;
        }
        opened.fix(definition, &base)?;
        Ok(opened)
    }

    /// Fixes the data of a trial whose parameters choose its data.
    pub(super) fn fix_trial(
        &mut self,
        definition: &Definition,
        assignment: &Assignment,
    ) -> Result<(), SweepError> {
        let mut keys = assignment.keys().filter_map(Value::as_str);
        if !keys.any(|key| section(key) == "data") {
            return Ok(());
        }
        let overrides = Space::overrides(assignment);
        let trial = experiment::load(&self.home.experiment(), &overrides)?;
        self.fix(definition, &trial.experiment)
    }

    fn fix(&mut self, definition: &Definition, experiment: &Experiment) -> Result<(), SweepError> {
        let data = serde_yaml::to_value(&experiment.data).unwrap_or_default();
        if !self.checked.contains(&data) {
            let options = options(&definition.sweep);
            fix_data(&self.home.data(), experiment, &options)?;
            self.checked.push(data);
        }
        Ok(())
    }
}

/// The experiment of a definition.
fn base(definition: &Definition) -> Result<Experiment, SweepError> {
    serde_yaml::from_value(definition.experiment.clone())
        .map_err(|why| SweepError::Misuse(format!("the experiment cannot be read: {why}")))
}
