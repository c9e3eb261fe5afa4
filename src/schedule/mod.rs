//! How the learning rate moves over a run. One file per member: a pure function of the step, or of the
//! validation so far.

use crate::settings::Fault;

/// Where in a run a step lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Moment {
    /// Steps taken before, not counting the warm-up's.
    pub step: f64,
    /// Steps of the whole run, not counting the warm-up's.
    pub total: f64,
    /// Steps of an epoch.
    pub epoch: f64,
}

/// What every schedule provides: the contract of a member of [`Schedule`].
pub trait RateSchedule {
    /// The factor on the learning rate at a moment of the run, after epochs with these validation
    /// IoUs, which are given if [`needs_validation_history`](Self::needs_validation_history).
    fn factor(&self, at: Moment, validation_ious: &[f64]) -> f64;

    /// Whether the factors depend on how long the whole run is, so that a longer run is another one
    /// from its first step.
    fn depends_on_length(&self) -> bool {
        true
    }

    /// Whether the factors depend on the validation so far.
    fn needs_validation_history(&self) -> bool {
        false
    }

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }
}

crate::family! {
    /// The course of the learning rate, as a factor on the optimiser's `learning_rate`.
    pub enum Schedule: RateSchedule, listed as "schedules" {
        /// Always the same.
        "constant" => constant::Constant,
        /// Half a cosine down, once or with warm restarts.
        "cosine" => cosine::Cosine,
        /// Up and down to almost nothing, once over the run.
        "one_cycle" => one_cycle::OneCycle,
        /// Down when the validation IoU no longer rises.
        "plateau" => plateau::Plateau,
        /// Down to nothing, all through the run.
        "poly" => poly::Poly,
        /// Down by a factor after a fixed number of epochs.
        "step" => step::Step,
    }
}

impl Default for Schedule {
    fn default() -> Self {
        Self::Cosine(Cosine::default())
    }
}

impl Schedule {
    /// The factor on the learning rate at a moment of the run, after epochs with these validation
    /// IoUs.
    pub fn factor(&self, at: Moment, validation_ious: &[f64]) -> f64 {
        with_member!(self, schedule => schedule.factor(at, validation_ious))
    }

    /// Whether the factors depend on how long the whole run is, so that a longer run is another one
    /// from its first step.
    pub fn depends_on_length(&self) -> bool {
        with_member!(self, schedule => schedule.depends_on_length())
    }

    /// Whether the factors depend on the validation so far.
    pub fn needs_validation_history(&self) -> bool {
        with_member!(self, schedule => schedule.needs_validation_history())
    }
}

/// Half a cosine from `from` to `to` as `progress` goes from 0 to 1.
fn anneal(from: f64, to: f64, progress: f64) -> f64 {
    to + (from - to) * (1.0 + (std::f64::consts::PI * progress).cos()) / 2.0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(step: usize, total: usize) -> Moment {
        Moment {
            step: step as f64,
            total: total as f64,
            epoch: 1.0,
        }
    }

    fn parse(yaml: &str) -> Schedule {
        let schedule: Schedule = serde_yaml::from_str(yaml).unwrap();
        schedule.validate().unwrap();
        schedule
    }

    /// A run of this many steps, one per epoch.
    fn run(yaml: &str, total: usize) -> Vec<f64> {
        let schedule = parse(yaml);
        (0..total)
            .map(|step| schedule.factor(at(step, total), &[]))
            .collect()
    }

    fn assert_close(ours: &[f64], theirs: &[f64]) {
        assert_eq!(ours.len(), theirs.len());
        for (step, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
            assert!(
                (ours - theirs).abs() < 1e-11,
                "step {step}: {ours}, not {theirs}"
            );
        }
    }

    /// Every member with its defaults has its numbers in a test below; `constant` needs none.
    #[test]
    fn every_schedule_is_compared_with_pytorch() {
        let compared = ["constant", "cosine", "one_cycle", "plateau", "poly", "step"];
        assert_eq!(Schedule::NAMES, compared);
    }

    #[test]
    fn every_schedule_stays_between_nothing_and_the_learning_rate() {
        let mut schedules = Schedule::defaults();
        schedules.push(parse("{cosine: {cycles: 4, growth: 1.7}}"));
        for schedule in schedules {
            for total in [1, 2, 7, 300] {
                for step in 0..total {
                    let flat = vec![0.5; step];
                    let factor = schedule.factor(at(step, total), &flat);
                    assert!(
                        factor > 0.0 && factor <= 1.0,
                        "{} {step}/{total}: {factor}",
                        schedule.name()
                    );
                }
            }
        }
    }

    // The numbers are those of torch 2.15.0, learning rate 1: get_last_lr() at each step.

    #[test]
    fn cosine_agrees_with_pytorch() {
        // CosineAnnealingLR(T_max=5, eta_min=0.01)
        let torch = [
            1.0,
            0.905463412216,
            0.657963412216,
            0.352036587784,
            0.104536587784,
            0.01,
        ];
        assert_close(&run("cosine", 6), &torch);
        let restarted = run("{cosine: {cycles: 3}}", 18);
        assert_close(&restarted, &[torch, torch, torch].concat());
        let growing = run("{cosine: {cycles: 2, growth: 2.0}}", 18);
        assert_close(&growing[..6], &torch);
        assert_close(&growing[6..], &run("cosine", 12));
    }

    #[test]
    fn one_cycle_agrees_with_pytorch() {
        // OneCycleLR(max_lr=1, total_steps=10, pct_start=0.3, div_factor=25, final_div_factor=1e4)
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
        assert_close(&run("one_cycle", 10), &torch);
    }

    #[test]
    fn poly_agrees_with_pytorch() {
        // PolynomialLR(total_iters=8, power=0.9)
        let torch = [
            1.0,
            0.886762354257,
            0.771889506724,
            0.655076493418,
            0.535886731268,
            0.413645344658,
            0.287174588749,
            0.153893051668,
        ];
        assert_close(&run("poly", 8), &torch);
    }

    #[test]
    fn step_agrees_with_pytorch() {
        // StepLR(step_size=2, gamma=0.1)
        let torch = [1.0, 1.0, 0.1, 0.1, 0.01, 0.01, 0.001];
        assert_close(&run("{step: {epochs: 2}}", 7), &torch);
        let schedule = parse("{step: {epochs: 2}}");
        let third = Moment {
            step: 17.0,
            total: 100.0,
            epoch: 8.0,
        };
        assert_close(&[schedule.factor(third, &[])], &[0.1]);
    }

    #[test]
    fn plateau_agrees_with_pytorch() {
        // ReduceLROnPlateau(mode="max", threshold=1e-4, threshold_mode="rel", min_lr=0.01, eps=0)
        // after each of these validation IoUs.
        let ious = [
            0.1, 0.3, 0.29, 0.3, 0.30001, 0.31, 0.31, 0.31, 0.2, 0.31, 0.309, 0.1, 0.4, 0.4, 0.4,
            0.4, 0.4, 0.4,
        ];
        let ours = |settings: &str| -> Vec<f64> {
            let schedule = parse(&format!("{{plateau: {{floor: 0.01, {settings}}}}}"));
            (1..=ious.len())
                .map(|epochs| schedule.factor(at(0, 1), &ious[..epochs]))
                .collect()
        };
        let halved = |halvings: [i32; 18]| halvings.map(|n| 0.5_f64.powi(n));
        assert_close(
            &ours("patience: 1, factor: 0.5"),
            &halved([0, 0, 0, 1, 1, 1, 1, 2, 2, 3, 3, 4, 4, 4, 5, 5, 6, 6]),
        );
        assert_close(
            &ours("patience: 1, factor: 0.5, cooldown: 2"),
            &halved([0, 0, 0, 1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3, 4, 4, 4]),
        );
        let mut floored = [0.01; 18];
        floored[..3].copy_from_slice(&[1.0, 1.0, 0.1]);
        assert_close(&ours("patience: 0, factor: 0.1"), &floored);
    }
}
