//! How the learning rate moves over a run. One file a member: a pure function of the step.

mod constant;
mod cosine;
mod one_cycle;

pub use constant::Constant;
pub use cosine::Cosine;
pub use one_cycle::OneCycle;

use burn::lr_scheduler::LrScheduler;
use burn::tensor::backend::Backend;

crate::family! {
    /// The course of the learning rate, as a factor on the optimiser's `learning_rate`.
    pub enum Schedule {
        /// Always 1.
        "constant" => Constant(Constant),
        /// Warm-up, then half a cosine down.
        "cosine" => Cosine(Cosine),
        /// Up to 1 and down to almost nothing, once over the run.
        "one_cycle" => OneCycle(OneCycle),
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Cosine(Cosine::default())
    }
}

impl Schedule {
    /// The factor on the learning rate at `step` of `total` (counted from 0).
    pub fn factor(&self, step: usize, total: usize) -> f64 {
        match self {
            Self::Constant(_) => 1.0,
            Self::Cosine(member) => member.factor(step, total),
            Self::OneCycle(member) => member.factor(step, total),
        }
    }
}

/// Half a cosine from `from` to `to` as `progress` goes from 0 to 1.
fn anneal(from: f64, to: f64, progress: f64) -> f64 {
    to + (from - to) * (1.0 + (std::f64::consts::PI * progress).cos()) / 2.0
}

/// A schedule in the middle of a run, as burn-train wants it. Its whole state is the step.
#[derive(Clone, Debug)]
pub struct ScheduleState {
    /// The schedule.
    pub schedule: Schedule,
    /// The optimiser's learning rate.
    pub learning_rate: f64,
    /// Steps taken so far.
    pub step: usize,
    /// Steps of the whole run.
    pub total: usize,
}

impl LrScheduler for ScheduleState {
    type Record<B: Backend> = usize;

    fn step(&mut self) -> f64 {
        let factor = self.schedule.factor(self.step, self.total);
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

    #[test]
    fn every_schedule_stays_between_nothing_and_the_learning_rate() {
        for schedule in Schedule::defaults() {
            for total in [1, 2, 7, 300] {
                for step in 0..total {
                    let factor = schedule.factor(step, total);
                    assert!(
                        factor > 0.0 && factor <= 1.0,
                        "{} {step}/{total}: {factor}",
                        schedule.name()
                    );
                }
            }
        }
    }

    #[test]
    fn cosine_starts_high_and_ends_low() {
        let schedule = Schedule::Cosine(Cosine {
            warmup: 0.0,
            floor: 0.01,
        });
        assert_eq!(schedule.factor(0, 100), 1.0);
        assert!(schedule.factor(99, 100) < 0.011);
        assert!((schedule.factor(50, 101) - 0.505).abs() < 1e-12);
    }

    #[test]
    fn one_cycle_agrees_with_pytorch() {
        // torch 2.15.0 OneCycleLR(max_lr=1, total_steps=10, pct_start=0.3, div_factor=25,
        // final_div_factor=1e4): get_last_lr() at each step.
        let torch = [
            0.04,
            0.52,
            1.0,
            0.950484632013,
            0.81174565395,
            0.611262021936,
            0.388741978064,
            0.18825834605,
            0.0495193679865,
            4e-06,
        ];
        let schedule = Schedule::OneCycle(OneCycle::default());
        for (step, expected) in torch.into_iter().enumerate() {
            let factor = schedule.factor(step, torch.len());
            assert!((factor - expected).abs() < 1e-11, "step {step}: {factor}");
        }
    }

    #[test]
    fn a_schedule_continues_where_it_was_saved() {
        let state = |step| ScheduleState {
            schedule: Schedule::default(),
            learning_rate: 0.1,
            step,
            total: 20,
        };
        let mut whole = state(0);
        for _ in 0..11 {
            whole.step();
        }
        let saved = whole.to_record::<burn::backend::Flex>();
        let mut resumed = state(0).load_record::<burn::backend::Flex>(saved);
        assert_eq!(whole.step(), resumed.step());
    }
}
