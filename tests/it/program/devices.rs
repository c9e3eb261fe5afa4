//! Where work is done: several devices that share it, and the messages about those that cannot be used.

use std::fs;
use std::path::Path;

use calvaria::device::{DeviceChoice, DeviceName};
use calvaria::experiment;
use calvaria::run::{self, Options, RunError};
use predicates::prelude::PredicateBooleanExt;
use predicates::str::{contains, starts_with};

use crate::common::{calvaria, toy_workplace};

/// Trains the toy experiment on as many processors as asked for, each worth a device, and gives its
/// weights.
fn weights(folder: &Path, devices: usize, options: &[&str]) -> Result<Vec<u8>, RunError> {
    let data = format!("data.nfbs.root={}", folder.join("heads").display());
    let mut overrides: Vec<String> = options.iter().map(|&option| option.to_owned()).collect();
    overrides.push(data);
    let resolved = experiment::load(&folder.join("toy.yaml"), &overrides).unwrap();
    let results = tempfile::tempdir_in(folder).unwrap();
    let options = Options {
        results: results.path().into(),
        device: DeviceChoice::Named(vec![DeviceName::Cpu; devices]),
        ..Options::default()
    };
    run::run(&resolved.experiment, &options)?;
    Ok(fs::read(
        results
            .path()
            .join("toy/seed-7/checkpoints/last.safetensors"),
    )
    .unwrap())
}

#[test]
fn a_step_is_the_same_on_one_device_and_shared_by_several() {
    let folder = toy_workplace(5);
    let options = ["train.batch_size=1", "train.accumulate=6"];
    let on_one = weights(folder.path(), 1, &options).unwrap();
    for devices in [2, 3] {
        let shared = weights(folder.path(), devices, &options).unwrap();
        assert!(on_one == shared, "{devices} devices trained other weights");
    }
}

#[test]
fn networks_whose_steps_would_not_be_the_same_are_refused() {
    let folder = toy_workplace(3);
    let share = |model: &str, devices: usize| {
        let model = format!("model={model}");
        let options = ["train.accumulate=2", "train.epochs=1", &model];
        weights(folder.path(), devices, &options)
    };
    let cases = [
        (
            "{article: {filters: 2, dropout: 0.0}}",
            "normalised over batches",
        ),
        (
            "{unet: {filters: 2, levels: 2, norm: batch}}",
            "normalised over batches",
        ),
        (
            "{resunet: {filters: 2, levels: 2, dropout: 0.1}}",
            "dropout: 0.1",
        ),
    ];
    for (model, why) in cases {
        let refused = share(model, 2).unwrap_err();
        assert!(refused.is_input());
        let message = refused.to_string();
        assert!(
            message.contains(why) && message.contains("2 devices"),
            "{message}"
        );
        share(model, 1).unwrap();
    }
    share("{resunet: {filters: 2, levels: 2}}", 2).unwrap();
}

#[test]
fn no_device_is_left_idle() {
    let folder = toy_workplace(3);
    let refused = weights(folder.path(), 2, &["train.accumulate=3"]).unwrap_err();
    assert!(refused.is_input());
    let message = refused.to_string();
    assert!(
        message.contains("train.accumulate") && message.contains("multiple of 2"),
        "{message}"
    );
}

#[test]
fn the_processor_is_always_there() {
    calvaria()
        .arg("devices")
        .assert()
        .success()
        .stdout(contains("\ncpu "));
    let listed = calvaria().args(["devices", "--json"]).output().unwrap();
    let listed: serde_json::Value = serde_json::from_slice(&listed.stdout).unwrap();
    let names = listed.as_array().unwrap().iter();
    assert!(
        names
            .map(|device| &device["name"])
            .any(|name| name == "cpu")
    );
}

/// The names of this machine's devices of a kind, or why there are none.
fn there(kind: &str) -> Result<usize, String> {
    let all = calvaria::device::inventory();
    let (_, found) = all.into_iter().find(|(other, _)| *other == kind).unwrap();
    found.map(|devices| devices.len())
}

#[test]
fn gpus_that_are_not_there_are_refused_with_the_reason() {
    let folder = toy_workplace(3);
    for kind in ["cuda", "vulkan"] {
        let missing = match there(kind) {
            // One behind the last.
            Ok(count) => format!("{kind}:{count}"),
            Err(_) => kind.to_owned(),
        };
        calvaria()
            .current_dir(folder.path())
            .args(["run", "toy.yaml", "--device", &missing])
            .env("RUST_BACKTRACE", "1")
            .assert()
            .code(2)
            .stderr(
                contains(format!("error: the device {kind}:"))
                    .and(contains("cannot be used: "))
                    .and(contains("--device cpu"))
                    .and(contains("panicked").not()),
            );
        assert!(!folder.path().join("results").exists());
    }
}

#[test]
fn an_experiment_may_name_its_devices() {
    let folder = toy_workplace(3);
    let run = |more: &[&str]| {
        let mut command = calvaria();
        command
            .current_dir(folder.path())
            .args(["run", "toy.yaml", "-q"])
            .args(more);
        command.assert()
    };
    // More than there are, so that the machine does not matter.
    run(&["--set", "devices=[cuda:98, cuda:99]"])
        .code(2)
        .stderr(starts_with("error: the device cuda:98 cannot be used: "));
    run(&["--set", "devices=[cuda:0, cuda:0]"])
        .code(2)
        .stderr(contains("devices").and(contains("cuda:0 is named twice")));
    run(&["--set", "devices=[cuda:0, gpu]"])
        .code(2)
        .stderr(contains("gpu"));
    // The command line's is the last word, and what is kept does not bind the next machine.
    run(&["--set", "devices=[cuda:98]", "--device", "cpu"]).success();
    let home = folder.path().join("results/toy/seed-7");
    let config = fs::read_to_string(home.join("config.yaml")).unwrap();
    assert!(!config.contains("devices"), "{config}");
    let environment = fs::read_to_string(home.join("environment.json")).unwrap();
    assert!(environment.contains("\"device\": \"cpu\""), "{environment}");
}

#[test]
fn auto_is_a_device_that_works() {
    let devices = calvaria::device::resolve(&DeviceChoice::Auto, |_| {}).unwrap();
    let [device] = devices[..] else {
        panic!("auto is one device")
    };
    if there("cuda").is_ok() {
        assert_eq!(device, DeviceName::Cuda(0));
    } else if there("vulkan").is_err() {
        assert_eq!(device, DeviceName::Cpu);
    }
}
