//! Every YAML file that ships loads, resolves and dry-runs, without data.

mod common;

use std::path::{Path, PathBuf};

use common::{calvaria, repository, toy_workplace};
use predicates::str::contains;

fn yaml_files(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(yaml_files(&path));
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            files.push(path);
        }
    }
    files.sort();
    files
}

#[test]
fn every_experiment_dry_runs() {
    let experiments = yaml_files(&repository("experiments"));
    assert!(experiments.len() >= 4);
    for experiment in experiments {
        let mut command = calvaria();
        // Only what runs on NFBS may ask where NFBS is.
        if experiment.to_string_lossy().contains("nfbs") {
            command.env("NFBS_ROOT", "/nowhere");
        }
        command
            .args(["run", "--dry-run"])
            .arg(&experiment)
            .assert()
            .success()
            .stdout(contains("all right"));
    }
}

#[test]
fn every_building_block_is_valid() {
    for block in yaml_files(&repository("configs")) {
        calvaria()
            .args(["config", "show", "--set", "data.nfbs.root=/nowhere"])
            .arg(&block)
            .assert()
            .success();
    }
}

#[test]
fn the_published_baseline_has_the_published_network() {
    calvaria()
        .env("NFBS_ROOT", "/nowhere")
        .args(["run", "--dry-run"])
        .arg(repository("experiments/nfbs-baseline.yaml"))
        .assert()
        .success()
        .stdout(contains(
            "article with 5298273 parameters, 60 epochs of batches of 4",
        ));
}

#[test]
fn a_resolved_experiment_is_itself_an_experiment() {
    let show = |path: &Path| {
        let output = calvaria()
            .env("NFBS_ROOT", "/nowhere")
            .args(["config", "show"])
            .arg(path)
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        text.split("\n# Set by").next().unwrap().to_owned()
    };
    let folder = tempfile::tempdir().unwrap();
    for experiment in yaml_files(&repository("experiments")) {
        let resolved = show(&experiment);
        let again = folder.path().join("again.yaml");
        std::fs::write(&again, &resolved).unwrap();
        assert_eq!(show(&again), resolved, "{}", experiment.display());
    }
}

#[test]
fn overrides_and_files_are_named_as_origins() {
    calvaria()
        .args(["config", "show", "--set", "model.unet.filters=24"])
        .arg(repository("experiments/quickstart.yaml"))
        .assert()
        .success()
        .stdout(contains("model.unet.filters: --set model.unet.filters=24"))
        .stdout(contains("quickstart.yaml:"));
}

#[test]
fn every_recipe_of_losses_and_augmentations_trains() {
    let folder = toy_workplace(3);
    for kind in ["loss", "augment"] {
        for recipe in yaml_files(&repository(&format!("configs/{kind}"))) {
            let name = recipe.file_stem().unwrap().to_str().unwrap().to_owned();
            let experiment = format!(
                "name: {name}\nextends: [toy.yaml, {}]\ntrain: {{epochs: 1, steps_per_epoch: 2}}\n",
                recipe.display()
            );
            let file = folder.path().join(format!("{name}.yaml"));
            std::fs::write(&file, experiment).unwrap();
            calvaria()
                .current_dir(folder.path())
                .args(["run", "--device", "cpu"])
                .arg(&file)
                .assert()
                .success();
        }
    }
}
