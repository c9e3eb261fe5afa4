//! A sweep's report: what is drawn, written and linked for studies of each kind.

use std::fs;
use std::path::Path;

use calvaria::sweep::study::Decision;
use calvaria::sweep::{Definition, Next, RunKey, Study, Sweep, write_report};
use serde_yaml::Value;

use crate::common::repository;

const PART: RunKey = RunKey {
    seed: 1,
    fold: None,
};

/// Works a sweep off in `home` with values that depend on the trial alone, and writes its report. Every seventh
/// trial fails.
fn report(home: &Path, sweep: Sweep) -> String {
    let definition = Definition {
        sweep,
        parts: vec![PART],
        experiment: Value::Null,
    };
    let mut study = Study::open(home, &definition).unwrap();
    while let Next::Run(trial) = study.next(&[]).unwrap() {
        let number = trial.number;
        if number % 7 == 3 {
            let error = "exit code 1; the end of its log:\nPrepared.\nerror: <no> memory.\nnote";
            study.fail(number, error).unwrap();
            continue;
        }
        let value = 0.8 + (number as f64 * 12.9898).sin() / 10.0;
        let goes_on = (1..=30).all(|epoch| {
            let value = value - 0.5 / f64::from(epoch);
            study.report(number, PART, epoch as usize, value).unwrap() == Decision::Continue
        });
        if goes_on {
            study.finish(number).unwrap();
        }
    }
    write_report(home, study.history()).unwrap();
    fs::read_to_string(home.join("report.html")).unwrap()
}

fn sweep(more: &str) -> Sweep {
    let space = "{rate: {log_uniform: [1.0e-4, 1]}, n: {int: [1, 3]}}";
    let yaml = format!("{{experiment: a.yaml, space: {space}, sampler: random, {more}}}");
    serde_yaml::from_str(&yaml).unwrap()
}

fn text(svg: &str) -> Vec<&str> {
    let lines = svg.lines();
    lines.filter(|line| !line.starts_with('<')).collect()
}

#[test]
fn the_shipped_sweep_over_networks_is_drawn_with_every_choice_and_none() {
    let home = tempfile::tempdir().unwrap();
    let mut sweep = Sweep::load(&repository("experiments/sweep-nfbs.yaml")).unwrap();
    sweep.budget.trials = Some(40);
    let html = report(home.path(), sweep);
    let plot = |name: &str| fs::read_to_string(home.path().join("plots").join(name)).unwrap();
    let parallel = plot("parallel.svg");
    let texts = text(&parallel);
    for name in [
        "unet",
        "resenc_unet",
        "…bce…",
        "…focal…",
        "…topk…",
        "…boundary…",
        "[flip]",
        "16",
        "24",
        "32",
    ] {
        assert!(texts.contains(&name), "{name} is missing in {texts:?}");
    }
    let none = texts.iter().filter(|name| **name == "none");
    assert_eq!(none.count(), 3, "the filters of three networks");
    // Every trial with a value goes from the first axis to the last.
    let drawn = html.matches("<td>finished</td>").count() + html.matches("<td>pruned</td>").count();
    let eight = |line: &&str| {
        line.starts_with("<polyline")
            && line.split("points=\"").nth(1).is_some_and(|points| {
                let points = points.split('"').next().unwrap_or_default();
                points.split_whitespace().count() == 8
            })
    };
    assert_eq!(parallel.lines().filter(eight).count(), drawn);
    let history = plot("history.svg");
    for name in ["finished", "best so far", "pruned"] {
        assert!(text(&history).contains(&name), "{name} is missing");
    }
}

#[test]
fn importance_is_drawn_with_its_caveat() {
    let home = tempfile::tempdir().unwrap();
    let html = report(home.path(), sweep("budget: {trials: 12}"));
    let svg = fs::read_to_string(home.path().join("plots/importance.svg")).unwrap();
    let drawn = text(&svg).join(" ");
    let caveat = "by a random forest fitted to 10 finished trials. It is unreliable after few trials, and shows \
                  association, not cause.";
    assert!(drawn.contains(caveat), "{drawn}");
    assert!(drawn.contains("rate") && drawn.contains("only together"));
    assert!(home.path().join("plots/importance.png").is_file());
    // The picture stands under the heading, before the table.
    let section = html
        .split("<h2>Importance of parameters</h2>")
        .nth(1)
        .unwrap();
    assert!(section.starts_with("<figure>") && section.contains("<th>share in %</th>"));
    assert!(section.contains(caveat));
}

#[test]
fn too_few_trials_for_importance_are_reported_and_not_drawn() {
    let home = tempfile::tempdir().unwrap();
    let html = report(home.path(), sweep("budget: {trials: 3}"));
    assert!(html.contains("8 finished trials are needed, and there are 3"));
    assert!(!home.path().join("plots/importance.svg").exists());
    assert!(!html.contains("<h2>Failed trials</h2>"));
}

#[test]
fn trials_lead_to_what_there_is_of_them_and_failures_say_why() {
    let home = tempfile::tempdir().unwrap();
    let run = |trial: usize| home.path().join(format!("trial-{trial:04}/seed-1"));
    for trial in [0, 1, 3] {
        fs::create_dir_all(run(trial)).unwrap();
    }
    fs::write(run(0).join("report.html"), "").unwrap();
    fs::create_dir(home.path().join("logs")).unwrap();
    fs::write(home.path().join("logs/trial-0003-seed-1.log"), "").unwrap();
    let html = report(home.path(), sweep("budget: {trials: 5}"));
    for cell in [
        "<td><a href=\"trial-0000/seed-1/report.html\">trial-0000</a></td>",
        "<td><a href=\"trial-0001/seed-1/\">trial-0001</a></td>",
        "<td>trial-0002</td>",
    ] {
        assert!(html.contains(cell), "{cell} is missing");
    }
    assert_eq!(html.matches("href=\"logs/").count(), 2, "in both tables");
    let failed = "<tr><td><a href=\"trial-0003/seed-1/\">trial-0003</a></td>\
                  <td><a href=\"logs/trial-0003-seed-1.log\">log</a></td>\
                  <td><details><summary>error: &lt;no&gt; memory.</summary><pre>exit code 1;";
    assert!(html.contains(failed));
}
