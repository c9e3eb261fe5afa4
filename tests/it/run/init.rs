//! Training that starts from other weights: taken over, partly anew, partly frozen, told where they know too much.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use assert_cmd::assert::Assert;
use calvaria::layout::RunFolder;
use predicates::prelude::*;
use predicates::str::contains;
use safetensors::SafeTensors;

use crate::common::{calvaria, toy_workplace};

fn run(folder: &Path, arguments: &[&str]) -> Assert {
    calvaria()
        .current_dir(folder)
        .args(["run", "toy.yaml", "--device", "cpu"])
        .args(arguments)
        .assert()
}

/// The tensors of the weights after the last epoch.
fn weights(run: &Path) -> BTreeMap<String, Vec<u8>> {
    let bytes = fs::read(run.join("checkpoints/last.safetensors")).unwrap();
    let file = SafeTensors::deserialize(&bytes).unwrap();
    let tensors = file.tensors();
    tensors
        .into_iter()
        .map(|(name, tensor)| (name, tensor.data().to_vec()))
        .collect()
}

fn iou_of_epoch(run: &Path, epoch: usize) -> f64 {
    RunFolder::new(run).read_metrics().unwrap()[epoch - 1].validation_iou
}

/// Learns nothing: weights stay what they were.
const STILL: [&str; 2] = ["--set", "optimizer.adam.learning_rate=1e-30"];

#[test]
fn training_starts_from_the_weights_of_a_run_or_a_file() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    run(folder, &["--set", "name=first"]).success();
    let first = folder.join("results/first/seed-7");
    let known = weights(&first);
    for (name, from) in [
        ("run", "results/first/seed-7"),
        ("file", "results/first/seed-7/checkpoints/last.safetensors"),
    ] {
        let init = format!("init.weights={from}");
        let name = format!("name={name}");
        run(
            folder,
            &[&["--set", &name, "--set", &init][..], &STILL].concat(),
        )
        .success();
    }
    // The first run's best epoch may not be its last.
    let best = RunFolder::new(&first).read_metrics().unwrap();
    let best = best
        .iter()
        .map(|epoch| epoch.validation_iou)
        .fold(0.0, f64::max);
    assert_eq!(iou_of_epoch(&folder.join("results/run/seed-7"), 1), best);
    let file = folder.join("results/file/seed-7");
    assert!(weights(&file) == known);
    let environment = fs::read_to_string(file.join("environment.json")).unwrap();
    assert!(
        environment.contains("started_from") && environment.contains("\"sha256\""),
        "{environment}"
    );
    let without = fs::read_to_string(first.join("environment.json")).unwrap();
    assert!(!without.contains("started_from"));
    // Weights of half precision, as the shipped ones are, do as well; and a layer that is skipped is new.
    let skip = [
        "--set",
        "name=skip",
        "--set",
        "init={weights: results/first/seed-7, skip: [head]}",
    ];
    run(folder, &[&skip[..], &STILL].concat()).success();
    let skipped = weights(&folder.join("results/skip/seed-7"));
    for (name, bytes) in &skipped {
        let is_head = name.starts_with("head.");
        assert_eq!(known[name] != *bytes, is_head, "{name}");
    }
    // Another number of outputs or filters fits where what differs is skipped.
    let other = [
        "--set",
        "name=other",
        "--set",
        "init.weights=results/first/seed-7",
        "--set",
        "model.unet.levels=3",
    ];
    run(folder, &other).code(2).stderr(
        contains("training cannot start from")
            .and(contains("init.skip"))
            .and(contains("is missing")),
    );
}

#[test]
fn frozen_layers_stay_what_they_were_also_when_training_resumes() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    run(folder, &["--set", "name=first"]).success();
    let known = weights(&folder.join("results/first/seed-7"));
    let layers: Vec<&str> = known
        .keys()
        .filter_map(|name| name.split('.').next())
        .filter(|name| *name != "head")
        .collect();
    let file = "results/first/seed-7/checkpoints/last.safetensors";
    let init = format!("init={{weights: {file}, freeze: [{}]}}", {
        let mut layers = layers.clone();
        layers.dedup();
        layers.join(", ")
    });
    let frozen = [
        "--set",
        "name=frozen",
        "--set",
        &init,
        "--set",
        "optimizer={adamw: {learning_rate: 0.01, weight_decay: 0.1}}",
    ];
    run(
        folder,
        &[&frozen[..], &["--set", "train.epochs=1"]].concat(),
    )
    .success();
    let of_one = weights(&folder.join("results/frozen/seed-7"));
    run(
        folder,
        &[&frozen[..], &["--set", "train.epochs=3"]].concat(),
    )
    .success();
    let of_three = weights(&folder.join("results/frozen/seed-7"));
    for (name, bytes) in &known {
        let is_head = name.starts_with("head.");
        assert_eq!(of_one[name] != *bytes, is_head, "{name} after one epoch");
        assert_eq!(
            of_three[name] != of_one[name],
            is_head,
            "{name} after resuming"
        );
    }
}

#[test]
fn what_cannot_be_started_from_is_told_before_any_work_and_what_knows_too_much_too() {
    let folder = toy_workplace(4);
    let folder = folder.path();
    run(folder, &["--set", "name=first"]).success();
    let refused = |init: &str, words: &[&str]| {
        for dry in [&[][..], &["--dry-run"]] {
            let set = format!("init={init}");
            let done = run(
                folder,
                &[&["--set", "name=second", "--set", &set][..], dry].concat(),
            )
            .code(2);
            let told = String::from_utf8(done.get_output().stderr.clone()).unwrap();
            assert!(
                words.iter().all(|word| told.contains(word)),
                "{init}: {told}"
            );
        }
        assert!(!folder.join("results/second").exists());
    };
    refused(
        "{weights: nowhere}",
        &["cannot read the weights", "nowhere: No such file"],
    );
    refused(
        "{weights: toy.yaml}",
        &["toy.yaml is not a readable safetensors file"],
    );
    refused(
        "{weights: results/first/seed-7, skip: [haed]}",
        &["init.skip", "no layer `haed`", "Did you mean `head`?"],
    );
    refused(
        "{weights: results/first/seed-7, freeze: [encoder.9]}",
        &["init.freeze", "no layer `encoder.9`", "head"],
    );
    refused("{}", &["weights"]);
    refused(
        "{weights: ''}",
        &["init.weights", "must name a run's folder"],
    );
    let known = weights(&folder.join("results/first/seed-7"));
    let mut layers: Vec<&str> = known
        .keys()
        .filter_map(|name| name.split('.').next())
        .collect();
    layers.dedup();
    let all = layers.join(", ");
    refused(
        &format!("{{weights: results/first/seed-7, skip: [{all}]}}"),
        &["nothing is taken over"],
    );
    refused(
        &format!("{{weights: results/first/seed-7, freeze: [{all}]}}"),
        &["nothing would be trained"],
    );
    refused(
        "{weights: results/first/seed-7, skip: [head], freeze: [head]}",
        &["init.freeze", "so does skip"],
    );
    // Weights that were trained on the case that validates now.
    let other = [
        "--set",
        "name=leak",
        "--set",
        "init.weights=results/first/seed-7",
        "--set",
        "split={holdout: {validation: 3}}",
    ];
    run(folder, &other).success().stderr(contains(
        "validation cases of seed-7 have trained the weights",
    ));
    run(
        folder,
        &[
            "--set",
            "name=fair",
            "--set",
            "init.weights=results/first/seed-7",
        ],
    )
    .success()
    .stderr(contains("have trained").not());
    let file = "init.weights=results/first/seed-7/checkpoints/best.safetensors";
    let other = [
        "--set",
        "name=other",
        "--set",
        file,
        "--set",
        "split={holdout: {validation: 3}}",
    ];
    for more in [&["--dry-run"][..], &["-q"]] {
        run(folder, &[&other[..], more].concat())
            .success()
            .stderr(contains("have trained the weights"));
    }
    let log = fs::read_to_string(folder.join("results/other/seed-7/log.txt")).unwrap();
    assert!(log.contains("have trained the weights"), "{log}");
    // --force takes nothing away before the weights are known to fit, and not the weights themselves.
    let first = || {
        ["config.yaml", "cases.csv", "checkpoints/best.safetensors"]
            .map(|name| fs::read(folder.join("results/first/seed-7").join(name)).unwrap())
    };
    let before = first();
    for (init, words) in [
        (
            "{weights: results/fair/seed-7, freeze: [nope]}",
            "no layer `nope`",
        ),
        ("{weights: nowhere}", "cannot read the weights"),
        ("{weights: results/first/seed-7}", "would be replaced"),
        ("{weights: results/first}", "is not the folder of a run"),
    ] {
        let init = format!("init={init}");
        run(folder, &["--set", "name=first", "--force", "--set", &init])
            .code(2)
            .stderr(contains(words));
        assert!(first() == before, "{init}");
    }
    // A run that is begun does not need them any more.
    fs::remove_dir_all(folder.join("results/first")).unwrap();
    run(
        folder,
        &[
            "--set",
            "name=fair",
            "--set",
            "init.weights=results/first/seed-7",
            "--set",
            "train.epochs=4",
        ],
    )
    .success();
}
