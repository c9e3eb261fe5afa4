//! Every YAML file that ships loads, resolves and dry-runs, without data.

use std::path::{Path, PathBuf};

use calvaria::experiment::load;
use calvaria::sweep::Sweep;
use predicates::str::contains;

use crate::common::{calvaria, repository, toy_workplace};

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

/// The sweeps that ship, which are not experiments, or all files but them.
fn shipped(sweeps: bool) -> Vec<PathBuf> {
    let mut files = yaml_files(&repository("experiments"));
    files.retain(|file| {
        file.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .starts_with("sweep-")
            == sweeps
    });
    files
}

#[test]
fn every_sweep_is_valid_and_so_are_its_trials() {
    let sweeps = shipped(true);
    assert!(sweeps.len() >= 2);
    for file in sweeps {
        let sweep = Sweep::load(&file).unwrap();
        let mut overrides = sweep.overrides(&Default::default());
        overrides.push("data={nfbs: {root: /nowhere}}".into());
        let resolved = load(&sweep.experiment_path(), &overrides).unwrap();
        sweep
            .pruner
            .check_epochs(resolved.experiment.train.epochs)
            .unwrap();
        // Every parameter's values, each alone with the choices that it depends on.
        for (key, parameter) in sweep.space.parameters() {
            let values = parameter.domain.values();
            let ends = [parameter.domain.bounds().0, parameter.domain.bounds().1];
            let ends = ends.map(|end| parameter.domain.value(end));
            for value in values.unwrap_or(ends.to_vec()) {
                let mut trial = parameter.when.clone();
                trial.insert(key.into(), value);
                let mut overrides = sweep.overrides(&trial);
                overrides.push("data={nfbs: {root: /nowhere}}".into());
                load(&sweep.experiment_path(), &overrides).unwrap();
            }
        }
    }
}

#[test]
fn every_experiment_dry_runs() {
    let experiments = shipped(false);
    assert!(experiments.len() >= 4);
    for experiment in experiments {
        let mut command = calvaria();
        // Only what runs on data from elsewhere may ask where they are.
        for (name, variable) in [
            ("nfbs", "NFBS_ROOT"),
            ("ixi", "IXI_ROOT"),
            ("hippocampus-200", "HIPPOCAMPUS_ROOT"),
        ] {
            if experiment.to_string_lossy().contains(name) {
                command.env(variable, "/nowhere");
            }
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
    let mut blocks = yaml_files(&repository("configs"));
    // What `calvaria synth` reads is no part of an experiment; tests/it/synth.rs reads it.
    blocks.retain(|block| !block.starts_with(repository("configs/synth")));
    for block in blocks {
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
    for experiment in shipped(false) {
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
