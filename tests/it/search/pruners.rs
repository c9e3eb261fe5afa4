//! Pruners: a worked example, Optuna's decisions, and properties.

use calvaria::search::Goal::{self, Maximize, Minimize};
use calvaria::search::Pruner;
use calvaria::search::pruner::{Rival, Verdict};
use proptest::prelude::*;
use serde::Deserialize;

fn pruner(yaml: &str) -> Pruner {
    let pruner: Pruner = serde_yaml::from_str(yaml).unwrap();
    pruner.validate().unwrap();
    pruner
}

fn rivals(values: &[f64]) -> Vec<Rival> {
    values
        .iter()
        .map(|value| Rival {
            value: *value,
            finished: true,
        })
        .collect()
}

fn stops(pruner: &Pruner, value: f64, others: &[f64], goal: Goal) -> bool {
    pruner.judge(value, &rivals(others), goal).stop
}

#[test]
fn asha_on_a_worked_example() {
    // One in three continues. They reach the rung one after the other:
    //   0.5: alone, the best of one: continues        0.4: of two one continues, 0.5: stops
    //   0.6: best of three: continues                 0.55: of four one, 0.6: stops
    //   0.58: of five one, 0.6: stops               0.59: of six two, 0.6 and 0.59: continues
    //   0.585: of seven two: stops                  0.595: of eight two, 0.6 and 0.595: continues
    //   0.592: of nine three, down to itself: continues
    let asha = pruner("{asha: {rungs: [5], reduction: 3}}");
    let values = [0.5, 0.4, 0.6, 0.55, 0.58, 0.59, 0.585, 0.595, 0.592];
    let decided: Vec<bool> = (0..values.len())
        .map(|n| stops(&asha, values[n], &values[..n], Maximize))
        .collect();
    assert_eq!(
        decided,
        [false, true, false, true, true, false, true, false, false]
    );
    let losses = values.map(|value| -value);
    let mirrored: Vec<bool> = (0..values.len())
        .map(|n| stops(&asha, losses[n], &losses[..n], Minimize))
        .collect();
    assert_eq!(decided, mirrored);
}

#[test]
fn asha_says_by_which_value_it_decided() {
    let asha = pruner("{asha: {rungs: [5], reduction: 2}}");
    let verdict = asha.judge(0.3, &rivals(&[0.4, 0.2, 0.1]), Maximize);
    assert_eq!(
        verdict,
        Verdict {
            stop: false,
            cutoff: Some(0.3)
        }
    );
    assert!(asha.judge(f64::NAN, &[], Maximize).stop);
    assert!(
        !asha
            .judge(0.1, &rivals(&[f64::NAN, f64::NAN]), Maximize)
            .stop
    );
}

#[test]
fn median_waits_for_its_trials_and_its_epochs() {
    let median = pruner("{median: {startup: 3, warmup: 4, interval: 2}}");
    assert_eq!(median.due(4, None), None);
    assert_eq!(median.due(9, None), Some(5));
    assert_eq!(median.due(6, Some(5)), None);
    assert_eq!(median.due(9, Some(5)), Some(7));
    assert!(!stops(&median, 0.0, &[0.5, 0.6], Maximize));
    assert!(stops(&median, 0.54, &[0.5, 0.6, 0.55], Maximize));
    assert!(!stops(&median, 0.55, &[0.5, 0.6, 0.55], Maximize));
    assert!(stops(&median, 0.56, &[0.5, 0.6, 0.55], Minimize));
    let unfinished = [0.5, 0.6, 0.55].map(|value| Rival {
        value,
        finished: false,
    });
    assert!(!median.judge(0.0, &unfinished, Maximize).stop);
}

#[test]
fn none_stops_nothing() {
    let none = pruner("none");
    assert_eq!(none.due(100, None), None);
    assert!(!stops(&none, f64::NAN, &[1.0], Maximize));
}

#[test]
fn a_decision_that_comes_too_late_to_save_anything_is_refused() {
    let asha = pruner("{asha: {rungs: [5, 10]}}");
    assert!(asha.check_epochs(11).is_ok());
    assert!(
        asha.check_epochs(10)
            .unwrap_err()
            .contains("after epoch 10")
    );
    assert!(pruner("{median: {warmup: 3}}").check_epochs(4).is_err());
    assert!(pruner("none").check_epochs(1).is_ok());
}

#[derive(Deserialize)]
struct Expected {
    asha: Halving,
    median: Middle,
    wilcoxon: Vec<ByRun>,
}

#[derive(Deserialize)]
struct ByRun {
    p_threshold: f64,
    n_startup_steps: usize,
    trials: Vec<Vec<f64>>,
    stopped: Vec<Option<usize>>,
}

#[derive(Deserialize)]
struct Halving {
    rungs: Vec<usize>,
    reduction: usize,
    curves: Vec<Vec<f64>>,
    stopped: Vec<Option<usize>>,
}

#[derive(Deserialize)]
struct Middle {
    startup: usize,
    warmup: usize,
    interval: usize,
    curves: Vec<Vec<f64>>,
    stopped: Vec<Option<usize>>,
}

/// When each of the trials, run one after the other, is stopped.
fn sequence(pruner: &Pruner, curves: &[Vec<f64>]) -> Vec<Option<usize>> {
    let mut stopped: Vec<Option<usize>> = Vec::new();
    for (number, curve) in curves.iter().enumerate() {
        let mut decided = None;
        let mut end = None;
        while let Some(epoch) = pruner.due(curve.len(), decided) {
            let came_as_far = |other: &usize| stopped[*other].is_none_or(|end| end >= epoch);
            let rival = |other: usize| Rival {
                value: curves[other][epoch - 1],
                finished: stopped[other].is_none(),
            };
            let rivals: Vec<Rival> = (0..number).filter(came_as_far).map(rival).collect();
            if pruner.judge(curve[epoch - 1], &rivals, Maximize).stop {
                end = Some(epoch);
                break;
            }
            decided = Some(epoch);
        }
        stopped.push(end);
    }
    stopped
}

#[test]
fn trials_stop_where_optunas_pruners_stop_them() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/sweep/pruning.json"
    );
    let Expected {
        asha,
        median,
        wilcoxon,
    } = serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap();
    let halving = pruner(&format!(
        "{{asha: {{rungs: {:?}, reduction: {}}}}}",
        asha.rungs, asha.reduction
    ));
    assert_eq!(sequence(&halving, &asha.curves), asha.stopped);
    let Middle {
        startup,
        warmup,
        interval,
        curves,
        stopped,
    } = median;
    let middle = pruner(&format!(
        "{{median: {{startup: {startup}, warmup: {warmup}, interval: {interval}}}}}"
    ));
    assert_eq!(sequence(&middle, &curves), stopped);
    for by_run in wilcoxon {
        let pruner = pruner(&format!(
            "{{wilcoxon: {{p_threshold: {}, n_startup_steps: {}}}}}",
            by_run.p_threshold, by_run.n_startup_steps
        ));
        assert_eq!(
            run_by_run(&pruner, &by_run.trials, Maximize),
            by_run.stopped
        );
        let mirrored = |trial: &Vec<f64>| trial.iter().map(|value| 1.0 - value).collect();
        let mirrored: Vec<Vec<f64>> = by_run.trials.iter().map(mirrored).collect();
        assert_eq!(run_by_run(&pruner, &mirrored, Minimize), by_run.stopped);
    }
}

/// After how many runs each of the trials, run one after the other, is stopped.
fn run_by_run(pruner: &Pruner, trials: &[Vec<f64>], goal: Goal) -> Vec<Option<usize>> {
    let mean = |runs: &[f64]| runs.iter().sum::<f64>() / runs.len() as f64;
    let mut best: Option<&Vec<f64>> = None;
    let mut stopped = Vec::new();
    for runs in trials {
        let ended = |count: usize| {
            let own: Vec<Option<f64>> = (0..runs.len())
                .map(|run| (run < count).then(|| runs[run]))
                .collect();
            best.and_then(|best| pruner.compare(&own, best, goal))
        };
        let end = (1..runs.len()).find(|count| ended(*count).is_some_and(|verdict| verdict.stop));
        if end.is_none() && best.is_none_or(|best| goal.is_better(mean(runs), mean(best))) {
            best = Some(runs);
        }
        stopped.push(end);
    }
    stopped
}

#[test]
fn wilcoxon_compares_the_runs_that_have_ended_and_spares_a_trial_that_is_best_so_far() {
    let wilcoxon = pruner("wilcoxon");
    let best = [0.9, 0.8, 0.7, 0.6, 0.1];
    let some = |runs: [f64; 5]| runs.map(|run| (run > 0.0).then_some(run));
    let stops = |own: [f64; 5]| wilcoxon.compare(&some(own), &best, Maximize);
    // Whichever have ended; two are too few for any decision, and three for a p below a tenth.
    assert_eq!(stops([0.8, 0.0, 0.0, 0.0, 0.0]), None);
    assert_eq!(stops([0.8, 0.7, 0.0, 0.0, 0.0]).unwrap().p, 0.25);
    assert!(!stops([0.0, 0.7, 0.6, 0.5, 0.0]).unwrap().stop);
    let verdict = stops([0.6, 0.5, 0.4, 0.0, 0.05]).unwrap();
    assert!(verdict.stop && verdict.p == 0.0625);
    // Worse run by run, but better than the best trial's mean of all its runs: the easy ones ended first.
    let verdict = stops([0.8, 0.7, 0.6, 0.5, 0.0]).unwrap();
    assert!(!verdict.stop && verdict.p == 0.0625);
    // A structure that was not found is the worst of all, and equal to another one.
    let inf = f64::INFINITY;
    let lost = [Some(inf); 4];
    let verdict = wilcoxon
        .compare(&lost, &[1.0, 2.0, 3.0, 4.0], Minimize)
        .unwrap();
    assert!(verdict.stop && verdict.p == 0.0625);
    assert!(!wilcoxon.compare(&lost, &[inf; 4], Minimize).unwrap().stop);
    assert_eq!(pruner("asha").compare(&some(best), &best, Maximize), None);
}

#[test]
fn trials_of_too_few_runs_to_stop_one_are_refused() {
    let wilcoxon = pruner("wilcoxon");
    assert!(wilcoxon.check_runs(5).is_ok());
    let why = wilcoxon.check_runs(4).unwrap_err();
    assert!(why.contains("at least 5 runs: this one has 4"), "{why}");
    assert!(
        pruner("{wilcoxon: {p_threshold: 0.3}}")
            .check_runs(3)
            .is_ok()
    );
    let why = pruner("{wilcoxon: {p_threshold: 1.0e-320}}").check_runs(5);
    assert!(why.unwrap_err().contains("raise p_threshold"));
    assert!(pruner("none").check_runs(1).is_ok());
}

proptest! {
    #[test]
    fn asha_lets_about_one_in_reduction_go_on_and_always_the_best(
        values in prop::collection::vec(0.0..1.0f64, 1..40),
        reduction in 2usize..5,
    ) {
        let asha = pruner(&format!("{{asha: {{rungs: [1], reduction: {reduction}}}}}"));
        let others = &values[1..];
        let better = others.iter().filter(|other| **other > values[0]).count();
        let promoted = (values.len() / reduction).max(1);
        prop_assert_eq!(stops(&asha, values[0], others, Maximize), better >= promoted);
    }

    #[test]
    fn a_better_value_is_never_stopped_where_a_worse_one_goes_on(
        others in prop::collection::vec(0.0..1.0f64, 0..20),
        a in 0.0..1.0f64,
        b in 0.0..1.0f64,
    ) {
        for yaml in ["asha", "{median: {startup: 2}}", "none"] {
            let pruner = pruner(yaml);
            let (worse, better) = (a.min(b), a.max(b));
            prop_assert!(stops(&pruner, worse, &others, Maximize) || !stops(&pruner, better, &others, Maximize));
            prop_assert!(stops(&pruner, better, &others, Minimize) || !stops(&pruner, worse, &others, Minimize));
        }
    }
}
