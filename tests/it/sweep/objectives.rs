//! What a sweep may optimise: scores of finished runs, two objectives at once; and pruning by finished runs.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

use calvaria::layout::RunFolder;
use calvaria::search::Goal;
use calvaria::sweep::Sweep;
use predicates::prelude::*;
use predicates::str::contains;

use crate::common::{calvaria, sweep_table, sweep_workplace};

fn sweep(folder: &Path, results: &str) -> assert_cmd::assert::Assert {
    calvaria()
        .current_dir(folder)
        .args(["sweep", "search.yaml", "--results", results])
        .assert()
}

/// A sweep's file with this objective and pruner.
fn yaml(more: &str) -> String {
    format!(
        "experiment: toy.yaml\nsampler: grid\n\
         space: {{optimizer.adam.learning_rate: {{choice: [0.03, 1.0e-5, 0.02]}}}}\n\
         executor: {{local: {{workers: 1, devices: [cpu]}}}}\n{more}\n"
    )
}

/// The toy experiment with its mask as a structure.
fn with_structure(folder: &Path) {
    let toy = folder.join("toy.yaml");
    let text = fs::read_to_string(&toy).unwrap();
    let text = text.replace("bce", "cross_entropy");
    fs::write(&toy, format!("{text}labels: {{brain: 1}}\n")).unwrap();
}

/// The rows of `sweep.csv`, by trial and column.
fn table(folder: &Path, results: &str) -> Vec<BTreeMap<String, String>> {
    let rows = sweep_table(folder, results).into_values();
    rows.map(|row| row.into_iter().collect()).collect()
}

#[test]
fn a_distance_of_a_structure_on_the_scans_own_grid_is_minimised() {
    let folder = sweep_workplace(&yaml(
        "seeds: [1, 2]\nobjective: hd95/brain\n\
         set: {train.epochs: 10, train.steps_per_epoch: 6, model.unet.filters: 4}",
    ));
    let folder = folder.path();
    with_structure(folder);
    sweep(folder, "results")
        .success()
        .stdout(contains("3 trials: 3 finished"));
    let rows = table(folder, "results");
    for (trial, row) in rows.iter().enumerate() {
        let of_seed = |seed: usize| {
            let run = format!("results/search/trial-{trial:04}/seed-{seed}");
            let cases = RunFolder::new(folder.join(run)).read_cases().unwrap();
            cases
                .iter()
                .map(|case| case.score("hd95/brain").unwrap())
                .sum::<f64>()
                / cases.len() as f64
        };
        let seeds = [of_seed(1), of_seed(2)];
        assert_eq!(row["seed-1"].parse(), Ok(seeds[0]));
        assert_eq!(row["value"].parse(), Ok((seeds[0] + seeds[1]) / 2.0));
    }
    let value = |row: &BTreeMap<String, String>| row["value"].parse::<f64>().unwrap();
    let best = rows.iter().find(|row| row["rank"] == "1").unwrap();
    assert!(rows.iter().all(|row| value(best) <= value(row)), "{rows:?}");
    // The worst is untrained.
    assert_eq!(rows[1]["rank"], "3", "{rows:?}");
    let html = fs::read_to_string(folder.join("results/search/report.html")).unwrap();
    assert!(html.contains(" with hd95/brain "));
    let plot = fs::read_to_string(folder.join("results/search/plots/history.svg")).unwrap();
    assert!(plot.contains("hd95/brain in mm"));
}

#[test]
fn two_objectives_end_in_a_front_that_is_marked_and_drawn() {
    let folder = sweep_workplace(&yaml("objective: [dice, {metric: memory, goal: minimize}]"));
    let folder = folder.path();
    let printed = sweep(folder, "results").success();
    let printed = String::from_utf8(printed.get_output().stdout.clone()).unwrap();
    let rows = table(folder, "results");
    let point = |row: &BTreeMap<String, String>| {
        ["dice", "memory"].map(|name| row[name].parse::<f64>().unwrap())
    };
    let mut marked = 0;
    for row in &rows {
        let [dice, memory] = point(row);
        assert!(memory > 1.0, "MiB: {row:?}");
        let beats = |other: &&BTreeMap<String, String>| {
            let other = point(other);
            other[0] >= dice && other[1] <= memory && other != [dice, memory]
        };
        let front = if rows.iter().any(|other| beats(&other)) {
            "no"
        } else {
            "yes"
        };
        assert_eq!(row["pareto"], front, "{rows:?}");
        let line = format!("trial-000{} ", row["trial"]);
        let line = printed.lines().find(|text| text.contains(&line)).unwrap();
        assert_eq!(line.contains("1* "), front == "yes", "{printed}");
        marked += usize::from(front == "yes");
    }
    assert!(marked > 0 && printed.contains("* on the Pareto front of dice and memory"));
    let home = folder.join("results/search");
    let html = fs::read_to_string(home.join("report.html")).unwrap();
    assert!(html.contains("On the Pareto front of dice and memory: trial-000"));
    let plot = fs::read_to_string(home.join("plots/pareto.svg")).unwrap();
    for text in ["Pareto front", "dice", "memory in MiB"] {
        assert!(plot.contains(text), "{text} is missing");
    }
    for file in [
        "plots/history.svg",
        "plots/history-second.svg",
        "plots/pareto.png",
    ] {
        assert!(home.join(file).is_file(), "{file} is missing");
    }
    calvaria()
        .current_dir(folder)
        .args(["sweep", "status", "results/search"])
        .assert()
        .success()
        .stdout(contains("on the Pareto front"));
}

/// What the record says of comparisons of runs.
fn compared(folder: &Path, results: &str) -> Vec<String> {
    let record = folder.join(results).join("search/study.jsonl");
    let text = fs::read_to_string(record).unwrap();
    let lines = text
        .lines()
        .filter(|line| line.contains("\"compared\",\"trial\""));
    let event = |line: &str| line.split_once(",\"event\"").unwrap().1.to_owned();
    lines.map(event).collect()
}

#[test]
fn a_trial_that_is_worse_on_seed_after_seed_is_stopped_and_a_killed_sweep_decides_the_same() {
    let folder = sweep_workplace(&yaml(
        "seeds: [1, 2, 3, 4, 5, 6]\nobjective: iou_soft\npruner: wilcoxon",
    ));
    let folder = folder.path();
    sweep(folder, "whole")
        .success()
        .stderr(contains("trial-0001 pruned").and(contains("after 4 runs")));
    let rows = table(folder, "whole");
    assert_eq!(
        (rows[0]["status"].as_str(), rows[1]["status"].as_str()),
        ("finished", "pruned")
    );
    // What had ended is told, and no run was begun after the decision.
    assert!(!rows[1]["seed-4"].is_empty() && rows[1]["seed-6"].is_empty());
    let last = "whole/search/trial-0001/seed-6/summary.json";
    assert!(!folder.join(last).exists());
    let record = folder.join("cut/search/study.jsonl");
    for word in [
        "\"scored\",\"trial\":0",
        "\"compared\",\"trial\":1,\"runs\":3",
    ] {
        let mut child = Command::new(assert_cmd::cargo::cargo_bin("calvaria"))
            .current_dir(folder)
            .args(["sweep", "search.yaml", "--results", "cut"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        while !fs::read_to_string(&record).is_ok_and(|text| text.contains(word)) {
            assert!(child.try_wait().unwrap().is_none(), "ended too soon");
            std::thread::sleep(Duration::from_millis(20));
        }
        child.kill().unwrap();
        child.wait().unwrap();
        // Workers are asked to end with it.
        std::thread::sleep(Duration::from_millis(500));
    }
    sweep(folder, "cut").success();
    assert_eq!(sweep_table(folder, "whole"), sweep_table(folder, "cut"));
    assert_eq!(compared(folder, "whole"), compared(folder, "cut"));
}

#[test]
fn a_metric_alone_is_an_objective_and_knows_what_is_better() {
    let sweep = |objective: &str| -> Sweep {
        let yaml = format!(
            "{{experiment: a.yaml, space: {{loss: {{choice: [dice]}}}}, objective: {objective}}}"
        );
        serde_yaml::from_str(&yaml).unwrap()
    };
    for (name, goal) in [
        ("validation_dice/anterior", Goal::Maximize),
        ("validation_loss", Goal::Minimize),
        ("validation_sm_iou", Goal::Maximize),
        ("nsd/a b", Goal::Maximize),
        ("assd", Goal::Minimize),
        ("pieces_false", Goal::Minimize),
        ("time", Goal::Minimize),
        ("memory", Goal::Minimize),
    ] {
        let named = sweep(&format!("\"{name}\""));
        assert_eq!(named.objective[0].goal, goal, "{name}");
        assert_eq!(named, sweep(&format!("{{metric: {name}}}")));
        // One in a list is one, and what is written reads back.
        assert_eq!(named, sweep(&format!("[\"{name}\"]")));
        let written = serde_json::to_string(&named.objective).unwrap();
        assert!(written.starts_with("{\"metric\":"), "{written}");
    }
    let two = sweep("[dice, time]");
    let written = serde_json::to_string(&two).unwrap();
    assert_eq!(serde_json::from_str::<Sweep>(&written).unwrap(), two);
}

#[test]
fn what_cannot_be_optimised_or_pruned_is_refused_with_a_remedy() {
    let folder = sweep_workplace("");
    let folder = folder.path();
    let refused = |more: &str, words: &[&str]| {
        fs::write(folder.join("search.yaml"), yaml(more)).unwrap();
        let done = sweep(folder, "results").code(2);
        let error = String::from_utf8(done.get_output().stderr.clone()).unwrap();
        for word in words {
            assert!(error.contains(word), "{more}: {word} is missing in {error}");
        }
    };
    refused(
        "objective: {metric: hd95, goal: maximize}",
        &[
            "(objective.goal)",
            "must be minimize: less of hd95 is better",
        ],
    );
    refused(
        "objective: [dice, {metric: dise}]",
        &[
            "(objective.1.metric)",
            "Did you mean `dice`?",
            "time, memory",
        ],
    );
    refused("objective: [dice, time, memory]", &["1 to 2 items, not 3"]);
    refused("objective: [dice, dice]", &["names dice twice"]);
    refused("objective: true_volume_ml", &["which is not a metric"]);
    refused("objective: time/brain", &["not a metric of a structure"]);
    refused(
        "objective: dice/",
        &["which is not a metric of a structure. Allowed: "],
    );
    refused(
        "objective: {metric: dice, epoch: last}",
        &["(objective.epoch)", "the best epoch's weights"],
    );
    refused(
        "objective: hd95/brain",
        &["the experiment finds one mask", "Use `hd95`"],
    );
    refused("objective: pieces_found", &["Set evaluate.pieces to true"]);
    refused(
        "objective: validation_sm_iou",
        &["Add sm_iou to validate.metrics"],
    );
    refused(
        "objective: dice\npruner: median",
        &[
            "(pruner)",
            "dice is known only when a run has finished",
            "use wilcoxon",
        ],
    );
    refused(
        "objective: [dice, time]\npruner: wilcoxon",
        &["(pruner)", "there are two objectives", "dice and time"],
    );
    refused(
        "seeds: [1, 2, 3, 4]\nobjective: dice\npruner: wilcoxon",
        &["at least 5 runs: this one has 4", "seeds: [1, 2, 3]"],
    );
    refused(
        "pruner: {wilcoxon: {p_threshold: 1}}",
        &["(pruner.wilcoxon.p_threshold)", "below 1"],
    );
}
