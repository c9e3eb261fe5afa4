//! The command lines of trials.

use std::ffi::OsString;
use std::path::Path;

use super::run_key::RunKey;
use super::study::TrialStart;
use crate::jobs::Job;
use crate::layout::SweepFolder;

/// The command line of one run of a trial.
pub(super) fn job(home: &SweepFolder, program: &Path, trial: &TrialStart, run: RunKey) -> Job {
    let mut command: Vec<OsString> = vec![program.into(), "run".into()];
    command.push(home.experiment().into());
    let name = format!("name={}", trial.folder);
    for setting in trial.overrides.iter().chain([&name]) {
        command.extend(["--set".into(), setting.into()]);
    }
    command.extend(["--results".into(), home.path().into()]);
    command.extend(["--fixed-data".into(), home.data().into()]);
    command.extend(["--seeds".into(), run.seed.to_string().into()]);
    if let Some(fold) = run.fold {
        command.extend(["--folds".into(), fold.to_string().into()]);
    }
    let id = run.job(trial.number);
    Job {
        log: home.run_log(id.as_str()),
        id,
        command,
    }
}
