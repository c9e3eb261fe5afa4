//! The learning rate of each step of a run.

use std::sync::{Arc, Mutex};

use burn::lr_scheduler::LrScheduler;
use burn::tensor::backend::Backend;

use super::checkpoint::Progress;
use crate::schedule::{Moment, Schedule};
use crate::sync::lock;

/// A schedule in the middle of a run, as burn-train needs it: a straight warm-up, then the schedule
/// over what is left of the run.
#[derive(Clone, Debug)]
pub struct LearningRate {
    /// The schedule.
    pub schedule: Schedule,
    /// The optimiser's learning rate.
    pub learning_rate: f64,
    /// Part of the run (0 to 1) over which the rate rises to its full value.
    pub warmup: f64,
    /// Steps taken so far.
    pub step: usize,
    /// Steps of an epoch.
    pub epoch: usize,
    /// Steps of the whole run.
    pub total: usize,
    /// After how many epochs there is a validation.
    pub validate_every: usize,
    /// The finished epochs.
    pub progress: Arc<Mutex<Progress>>,
}

impl LearningRate {
    fn factor(&self) -> f64 {
        let (step, total) = (self.step as f64, self.total as f64);
        let warmup = self.warmup * total;
        if step < warmup {
            return (step + 1.0) / (warmup + 1.0);
        }
        let validation_ious: Vec<f64> = if self.schedule.needs_validation_history() {
            let progress = lock(&self.progress);
            // Without the validation of what was the last epoch before the run was made longer.
            let rows = progress.history.iter();
            let rows = rows.filter(|row| row.epoch.is_multiple_of(self.validate_every));
            rows.map(|row| row.validation_iou).collect()
        } else {
            Vec::new()
        };
        let at = Moment {
            step: step - warmup,
            total: total - warmup,
            epoch: self.epoch as f64,
        };
        self.schedule.factor(at, &validation_ious)
    }
}

impl LrScheduler for LearningRate {
    type Record<B: Backend> = usize;

    fn step(&mut self) -> f64 {
        let factor = self.factor();
        self.step += 1;
        self.learning_rate * factor
    }

    fn to_record<B: Backend>(&self) -> usize {
        self.step
    }

    fn load_record<B: Backend>(mut self, step: usize) -> Self {
        self.step = step;
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(yaml: &str) -> Schedule {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn at(step: usize, total: usize) -> Moment {
        Moment {
            step: step as f64,
            total: total as f64,
            epoch: 1.0,
        }
    }

    fn state(schedule: &str, warmup: f64, step: usize) -> LearningRate {
        LearningRate {
            schedule: parse(schedule),
            learning_rate: 0.1,
            warmup,
            step,
            epoch: 5,
            total: 20,
            validate_every: 1,
            progress: Arc::default(),
        }
    }

    #[test]
    fn a_warm_up_rises_in_a_straight_line_before_any_schedule() {
        for schedule in Schedule::NAMES {
            let mut state = state(schedule, 0.2, 0);
            for step in 1..=4 {
                let rate = state.step();
                assert!(
                    (rate - 0.02 * f64::from(step)).abs() < 1e-12,
                    "{schedule}: {rate}"
                );
            }
            let start = parse(schedule).factor(at(0, 16), &[]) * 0.1;
            assert!((state.step() - start).abs() < 1e-12, "{schedule}");
        }
    }

    #[test]
    fn a_schedule_continues_where_it_was_saved() {
        let mut whole = state("cosine", 0.1, 0);
        for _ in 0..11 {
            whole.step();
        }
        let saved = whole.to_record::<burn::backend::Flex>();
        let mut resumed = state("cosine", 0.1, 0).load_record::<burn::backend::Flex>(saved);
        assert_eq!(whole.step(), resumed.step());
    }
}
