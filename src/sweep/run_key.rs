//! The runs that make up a trial, and their names.

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::jobs::JobId;

/// One of the runs that make up a trial.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RunKey {
    /// The run's seed.
    pub seed: u64,
    /// The run's fold, counted from 0; none where the split has only one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fold: Option<usize>,
}

impl RunKey {
    /// The name of this run of a trial: of its job and, in the sweep's folder, of its own.
    pub fn job(self, trial: usize) -> JobId {
        JobId::new(format!("{}/{self}", trial_folder(trial)))
    }

    /// The trial and the run that a job is; none if it is another's.
    pub fn of_job(job: &JobId) -> Option<(usize, Self)> {
        let mut words = job.as_str().split('/');
        let trial = words.next()?.strip_prefix("trial-")?.parse().ok()?;
        let seed = words.next()?.strip_prefix("seed-")?.parse().ok()?;
        let fold = match words.next() {
            Some(word) => Some(word.strip_prefix("fold-")?.parse().ok()?),
            None => None,
        };
        Some((trial, Self { seed, fold }))
    }
}

impl fmt::Display for RunKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed-{}", self.seed)?;
        match self.fold {
            Some(fold) => write!(f, "/fold-{fold}"),
            None => Ok(()),
        }
    }
}

/// The name of a trial's folder.
pub(super) fn trial_folder(trial: usize) -> String {
    format!("trial-{trial:04}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_job_says_which_run_of_which_trial_it_is() {
        for (run, name) in [
            (
                RunKey {
                    seed: 42,
                    fold: Some(3),
                },
                "trial-0017/seed-42/fold-3",
            ),
            (
                RunKey {
                    seed: 1,
                    fold: None,
                },
                "trial-0017/seed-1",
            ),
        ] {
            assert_eq!(run.job(17), JobId::new(name));
            assert_eq!(RunKey::of_job(&run.job(17)), Some((17, run)));
        }
        assert_eq!(RunKey::of_job(&JobId::new("seed-1")), None);
    }
}
