//! Post-processing that a run chooses by its validation cases.

use std::fs;
use std::path::Path;

use assert_cmd::assert::Assert;
use calvaria::layout::{CaseScores, RunFolder};
use calvaria::predict::Chosen;
use predicates::prelude::*;
use predicates::str::contains;

use crate::common::{calvaria, toy_workplace};

/// Two folds whose networks are bad enough to need help: one epoch, a threshold that finds too much, and every piece.
const SETTINGS: [&str; 4] = [
    "split={kfold: {k: 2}}",
    "train.epochs=2",
    "predict={threshold: 0.2, largest_component: false, postprocess: auto}",
    "augment=[]",
];

fn run(folder: &Path, command: &str, more: &[&str]) -> Assert {
    let mut all = calvaria();
    all.current_dir(folder).arg(command).args(more);
    if !["report", "compare"].contains(&command) {
        all.args(["--device", "cpu"]);
    }
    all.assert()
}

fn experiment(folder: &Path, settings: &[&str], more: &[&str]) -> Assert {
    let mut arguments = vec!["toy.yaml"];
    arguments.extend(settings.iter().flat_map(|one| ["--set", one]));
    arguments.extend(more);
    run(folder, "run", &arguments)
}

fn dice(cases: &[CaseScores]) -> f64 {
    let all = cases.iter().map(|case| case.score("dice").unwrap());
    all.sum::<f64>() / cases.len() as f64
}

#[test]
fn folds_choose_together_keep_it_and_predict_with_it() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    // The same without a choice, to compare with.
    let mut plain = SETTINGS.to_vec();
    plain.extend(["name=plain", "predict.postprocess=null"]);
    experiment(folder, &plain, &["-q"]).success();
    let told = experiment(folder, &SETTINGS, &[]).success();
    let told = String::from_utf8(told.get_output().stdout.clone()).unwrap();
    let folds = |name: &str| {
        ["fold-0", "fold-1"]
            .map(|fold| RunFolder::new(folder.join(format!("results/{name}/seed-7/{fold}"))))
    };
    let chosen = folds("toy").map(|run| Chosen::read(&run).unwrap().unwrap());
    assert_eq!(chosen[0], chosen[1]);
    let chosen = &chosen[0];
    assert_eq!(chosen.runs, ["seed-7/fold-0", "seed-7/fold-1"]);
    assert_eq!(chosen.cases, 4);
    assert!(chosen.predict.postprocess.is_none() && !chosen.steps.is_empty());
    // What it says is what the runs score.
    let of = |name: &str| {
        let cases = folds(name).map(|run| run.read_cases().unwrap());
        dice(&cases.concat())
    };
    assert!((of("plain") - chosen.dice_before).abs() < 1e-9);
    assert!((of("toy") - chosen.dice_after).abs() < 1e-9);
    let gains: f64 = chosen.steps.iter().map(|step| step.gain).sum();
    assert!((chosen.dice_after - chosen.dice_before - gains).abs() < 1e-9);
    assert!(chosen.steps.iter().all(|step| step.gain >= 0.001));
    for step in &chosen.steps {
        assert!(told.contains(&step.what), "{} in {told}", step.what);
    }
    assert!(told.contains("of that by postprocess"), "{told}");
    for page in [
        "results/toy/report.html",
        "results/toy/seed-7/fold-1/report.html",
    ] {
        let page = fs::read_to_string(folder.join(page)).unwrap();
        assert!(page.contains("Post-processing") && page.contains("a little optimistic"));
    }

    // A prediction of the raw scans gives the masks that were scored.
    let home = "results/toy/seed-7";
    run(
        folder,
        "predict",
        &["--run", home, "--validation", "-o", "out", "-q"],
    )
    .success();
    let scored = run_evaluate(folder);
    assert!((scored - chosen.dice_after).abs() < 1e-9, "{scored}");

    // What is chosen stays, and a scan is done again when it is another choice.
    let before = fs::read(folds("toy")[0].postprocess()).unwrap();
    experiment(folder, &SETTINGS, &["--folds", "0", "-q"]).success();
    assert_eq!(fs::read(folds("toy")[0].postprocess()).unwrap(), before);
    let again = || {
        run(
            folder,
            "predict",
            &["--run", home, "--validation", "-o", "out"],
        )
        .success()
    };
    again().stdout(contains("4 scans passed over"));
    let text = String::from_utf8(before).unwrap();
    assert!(!text.contains("threshold\": 0.65"));
    let other = Chosen {
        predict: serde_yaml::from_str("{threshold: 0.65}").unwrap(),
        ..chosen.clone()
    };
    other.write(&folds("toy")[0]).unwrap();
    again().stdout(contains("2 scans passed over"));

    // Folds that do not agree choose again, all together.
    experiment(folder, &SETTINGS, &["-q"]).success();
    assert_eq!(Chosen::read(&folds("toy")[0]).unwrap().unwrap(), *chosen);
    // A choice that is gone is told.
    fs::remove_file(folds("toy")[1].postprocess()).unwrap();
    again().stderr(contains("has not chosen its post-processing yet").and(contains("fold-1")));
    fs::write(folds("toy")[1].postprocess(), "{").unwrap();
    run(
        folder,
        "predict",
        &["--run", home, "--validation", "-o", "out"],
    )
    .failure()
    .stderr(contains("postprocess.json").and(contains("chosen anew")));
    let chosen = fs::read_to_string(folds("toy")[0].postprocess()).unwrap();
    let changed = regex::Regex::new(r#""threshold": [0-9.]+"#).unwrap();
    let changed = changed.replace(&chosen, "\"threshold\": 7");
    fs::write(folds("toy")[1].postprocess(), &*changed).unwrap();
    let one = folds("toy")[1].path().display().to_string();
    run(
        folder,
        "predict",
        &["--run", &one, "--validation", "-o", "out"],
    )
    .failure()
    .stderr(contains("threshold").and(contains("postprocess.json")));
}

/// The mean Dice of the predictions in `out`.
fn run_evaluate(folder: &Path) -> f64 {
    calvaria()
        .current_dir(folder)
        .args(["evaluate", "out/{id}_desc-calvaria_mask.nii.gz"])
        .arg("heads/*/{id}_brainmask.nii.gz")
        .args(["--json", "scores.json", "-q"])
        .assert()
        .success();
    let scores: serde_json::Value =
        serde_json::from_slice(&fs::read(folder.join("scores.json")).unwrap()).unwrap();
    let means = scores["means"][0]["means"].as_array().unwrap().clone();
    let dice = means.iter().find(|mean| mean["metric"] == "dice").unwrap();
    dice["mean"].as_f64().unwrap()
}

#[test]
fn a_longer_run_chooses_anew_and_labels_choose_by_structure() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    let labels = [
        "labels={brain: 1}",
        "loss=dice",
        "train.epochs=1",
        "predict={postprocess: auto}",
    ];
    experiment(folder, &labels, &["-q"]).success();
    let home = RunFolder::new(folder.join("results/toy/seed-7"));
    let first = Chosen::read(&home).unwrap().unwrap();
    let cases = home.read_cases().unwrap();
    assert!((dice(&cases) - first.dice_after).abs() < 1e-9);
    let longer = labels.map(|one| one.replace("epochs=1", "epochs=4"));
    let longer: Vec<&str> = longer.iter().map(String::as_str).collect();
    experiment(folder, &longer, &["-q"]).success();
    let then = Chosen::read(&home).unwrap().unwrap();
    assert!(then.dice_before != first.dice_before);
    assert!((dice(&home.read_cases().unwrap()) - then.dice_after).abs() < 1e-9);
}

#[test]
fn a_trained_run_is_scored_again_as_its_experiment_says_now() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    let mut plain = SETTINGS.to_vec();
    plain.push("predict.postprocess=null");
    experiment(folder, &plain, &["-q"]).success();
    let homes = ["fold-0", "fold-1"]
        .map(|fold| RunFolder::new(folder.join("results/toy/seed-7").join(fold)));
    let trained = || {
        homes
            .clone()
            .map(|run| [run.best_weights(), run.metrics()].map(|file| fs::read(file).unwrap()))
    };
    let (before, cases) = (trained(), homes[0].read_cases().unwrap());
    let again = experiment(folder, &SETTINGS, &[]).success();
    again.stderr(
        contains("fold-1 is trained, and is scored again: predict.postprocess was null, is auto.")
            .and(contains("Choosing the post-processing")),
    );
    assert_eq!(trained(), before);
    let chosen = Chosen::read(&homes[0]).unwrap().unwrap();
    // As if it had been asked for from the beginning.
    let mut anew = SETTINGS.to_vec();
    anew.push("name=anew");
    experiment(folder, &anew, &["-q"]).success();
    let of = RunFolder::new(folder.join("results/anew/seed-7/fold-0"));
    assert_eq!(Chosen::read(&of).unwrap().unwrap(), chosen);
    // Another threshold gives other masks, and the choice is gone; the first one gives the first masks.
    let other = [
        SETTINGS[0],
        SETTINGS[1],
        "predict={threshold: 0.9, largest_component: false}",
        SETTINGS[3],
    ];
    experiment(folder, &other, &["--folds", "0", "-q"]).success();
    assert!(Chosen::read(&homes[0]).unwrap().is_none());
    assert!(homes[0].read_cases().unwrap() != cases);
    // Folds that are scored in two ways have no mean.
    run(folder, "report", &["results/toy"]).failure().stderr(
        contains("was scored with other settings than").and(contains("predict.threshold was 0.9")),
    );
    experiment(folder, &plain, &["-q"]).success();
    assert_eq!(homes[0].read_cases().unwrap(), cases);
    assert_eq!(trained(), before);
    run(folder, "report", &["results/toy"]).success();
    // Its time is that of the training, and the log tells what was done.
    let log = fs::read_to_string(homes[0].log()).unwrap();
    assert!(
        log.contains("is trained, and is scored again: predict."),
        "{log}"
    );
    // Without its weights nothing can be scored, and nothing is lost.
    let kept = [homes[0].summary(), homes[0].config(), homes[0].cases()];
    let held = || kept.clone().map(|file| fs::read(file).unwrap());
    let (before, weights) = (held(), homes[0].best_weights());
    fs::rename(&weights, folder.join("aside")).unwrap();
    experiment(folder, &other, &["--folds", "0", "-q"])
        .code(2)
        .stderr(contains("cannot be scored again").and(contains("best.safetensors")));
    assert_eq!(held(), before);
    fs::rename(folder.join("aside"), &weights).unwrap();
    // Without its state it can be scored, also after an interruption, but not be made longer.
    fs::remove_file(homes[0].last_state()).unwrap();
    fs::rename(homes[0].summary(), homes[0].trained()).unwrap();
    fs::remove_file(homes[0].cases()).unwrap();
    run(folder, "compare", &["results/anew", "results/toy"])
        .code(2)
        .stderr(contains("fold-0 is not finished"));
    experiment(folder, &plain, &["--folds", "0"])
        .success()
        .stderr(
            contains("is scored again").and(contains("toy/report.html does not show this run")),
        );
    assert_eq!(held(), before);
    assert!(!homes[0].trained().exists());
    let mut longer = plain.clone();
    longer.extend(["train.epochs=3"]);
    experiment(folder, &longer, &["-q"])
        .code(2)
        .stderr(contains("last.state").and(contains("cannot be made longer")));
    assert_eq!(held(), before);
}

#[test]
fn scores_of_two_ways_to_score_are_not_compared() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    let plain = ["split={kfold: {k: 2}}", "train.epochs=1"];
    experiment(folder, &plain, &["-q"]).success();
    let wider = [plain[0], plain[1], "name=wider", "evaluate.nsd_tolerance=9"];
    experiment(folder, &wider, &["-q"]).success();
    let compare = |metrics: &str| {
        let runs = ["results/toy", "results/wider", "--metrics", metrics];
        run(folder, "compare", &runs)
    };
    compare("iou").success();
    compare("iou,nsd").code(2).stderr(contains("up to 9 mm"));
    let other = [plain[0], plain[1], "predict.threshold=0.9"];
    experiment(folder, &other, &["--folds", "1", "-q"]).success();
    compare("iou").code(2).stderr(
        contains("fold-1 was scored with other settings")
            .and(contains("predict.threshold was 0.5, is 0.9")),
    );
}
