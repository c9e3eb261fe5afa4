//! The smaller subcommands.

use calvaria::volume::nifti::{Dtype, read_image, read_mask, read_scan, write_image, write_mask};
use calvaria::volume::{Affine, Volume};
use ndarray::Array3;
use predicates::prelude::*;
use predicates::str::contains;

use crate::common::{calvaria, repository, toy_head, toy_workplace};

#[test]
fn help_names_every_subcommand() {
    let help = calvaria().arg("--help").output().unwrap();
    let text = String::from_utf8(help.stdout).unwrap();
    for name in [
        "run",
        "prepare",
        "preprocess",
        "predict",
        "evaluate",
        "list",
        "config",
    ] {
        assert!(
            text.contains(&format!("\n  {name} ")),
            "{name} is not in: {text}"
        );
    }
}

#[test]
fn help_of_predict_names_its_files() {
    calvaria()
        .args(["predict", "--help"])
        .assert()
        .success()
        .stdout(contains("NAME_desc-calvaria_mask.nii.gz"));
}

#[test]
fn preprocess_takes_a_step_by_name_inline_or_from_a_file() {
    let folder = toy_workplace(1);
    std::fs::write(
        folder.path().join("steps.yaml"),
        "- {resample: {spacing: [8, 8, 8], shape: null, interpolation: linear}}\n- zscore\n",
    )
    .unwrap();
    let input = "heads/sub-01/sub-01_T1w.nii.gz";
    for (steps, shape) in [
        ("zscore", [16, 16, 16]),
        ("{resample: {spacing: [8, 8, 8], shape: null}}", [8, 8, 8]),
        ("steps.yaml", [8, 8, 8]),
    ] {
        calvaria()
            .current_dir(folder.path())
            .args(["preprocess", steps, input, "out.nii.gz"])
            .assert()
            .success();
        let done = read_image(&folder.path().join("out.nii.gz")).unwrap();
        assert_eq!(done.shape(), shape, "{steps}");
    }
    calvaria()
        .current_dir(folder.path())
        .args(["preprocess", "n5", input, "out.nii.gz"])
        .assert()
        .code(2)
        .stderr(contains("n4"));
}

#[test]
fn evaluate_scores_a_mask_against_itself_and_refuses_another_grid() {
    let folder = tempfile::tempdir().unwrap();
    let (a, b) = (
        folder.path().join("a.nii.gz"),
        folder.path().join("b.nii.gz"),
    );
    let (_, mut mask) = toy_head(1);
    write_mask(&a, &mask).unwrap();
    mask.affine.0[1][3] += 1.0;
    write_mask(&b, &mask).unwrap();
    calvaria()
        .arg("evaluate")
        .args([&a, &a])
        .assert()
        .success()
        .stdout(
            contains("iou                 1.000000")
                .and(contains("hd95                0.000000    mm")),
        );
    mask.voxels.fill(0);
    mask.affine.0[1][3] -= 1.0;
    let empty = folder.path().join("empty.nii.gz");
    write_mask(&empty, &mask).unwrap();
    calvaria()
        .arg("evaluate")
        .args([&empty, &a])
        .args(["--nsd-tolerance", "1.5"])
        .assert()
        .success()
        .stdout(contains("hausdorff           inf         mm"));
    calvaria()
        .arg("evaluate")
        .args([&a, &a])
        .arg("--nsd-tolerance=-1")
        .assert()
        .code(2)
        .stderr(contains("nsd_tolerance must be at least 0, not -1"));
    calvaria()
        .arg("evaluate")
        .args([&a, &b])
        .assert()
        .code(2)
        .stderr(contains("does not lie on the grid of"));
}

#[test]
fn list_shows_members_and_cases() {
    calvaria()
        .args(["list", "sources"])
        .assert()
        .success()
        .stdout(contains("desc: null").and(contains("`allow_empty: true`")));
    let folder = toy_workplace(2);
    calvaria()
        .args(["list", "losses"])
        .assert()
        .success()
        .stdout(
            contains("dice:")
                .and(contains("focal:"))
                .and(contains("gamma:")),
        );
    calvaria()
        .current_dir(folder.path())
        .args(["list", "cases", "toy.yaml"])
        .assert()
        .success()
        .stdout(contains("sub-01,sub-01,16x16x16,4.000x4.000x4.000,RAS,"));
}

#[test]
fn prepare_fills_the_cache_that_run_uses() {
    let folder = toy_workplace(3);
    calvaria()
        .current_dir(folder.path())
        .args(["prepare", "toy.yaml"])
        .assert()
        .success()
        .stderr(contains("Prepared 3 cases"));
    let kept = || {
        let cases = std::fs::read_dir(folder.path().join("results/cache")).unwrap();
        let hidden = |name: std::ffi::OsString| name.as_encoded_bytes().starts_with(b".");
        cases
            .filter(|case| !hidden(case.as_ref().unwrap().file_name()))
            .count()
    };
    assert_eq!(kept(), 3);
    calvaria()
        .current_dir(folder.path())
        .args([
            "run",
            "toy.yaml",
            "--set",
            "train.epochs=1",
            "--device",
            "cpu",
        ])
        .assert()
        .success();
    assert_eq!(kept(), 3, "the run prepared the cases again");
}

#[test]
fn two_processes_may_prepare_the_same_cases_at_once() {
    let folder = toy_workplace(3);
    let program = calvaria().get_program().to_owned();
    let start = || {
        std::process::Command::new(&program)
            .current_dir(folder.path())
            .args(["--quiet", "prepare", "toy.yaml"])
            .spawn()
            .unwrap()
    };
    for mut process in [start(), start()] {
        assert!(process.wait().unwrap().success());
    }
    calvaria()
        .current_dir(folder.path())
        .args(["prepare", "toy.yaml", "--list"])
        .assert()
        .success()
        .stdout(contains("(used)").count(3))
        .stderr(contains("all from the cache").and(contains("3 cases, ")));
}

#[test]
fn prepare_says_how_long_steps_take_and_prunes_what_is_not_used() {
    let folder = toy_workplace(2);
    let prepare = |args: &[&str]| {
        calvaria()
            .current_dir(folder.path())
            .arg("prepare")
            .args(args)
            .assert()
            .success()
    };
    prepare(&["toy.yaml"]).stderr(contains("per case: zscore 0.0"));
    let other = "preprocess=[rescale, clip]";
    prepare(&["toy.yaml", "--set", other]).stderr(contains("per case: rescale 0.0"));
    prepare(&["--list"])
        .stdout(
            contains("16x16x16  zscore")
                .count(2)
                .and(contains("rescale > clip").count(2)),
        )
        .stderr(contains("4 cases, "));
    prepare(&["--prune"]).stderr(contains("Pruned 0 cases"));
    prepare(&["toy.yaml", "--prune", "--list"])
        .stdout(contains("rescale").not())
        .stderr(contains("Pruned 2 cases").and(contains("2 cases, ")));
    calvaria().arg("prepare").assert().code(2);
}

#[test]
fn list_cases_says_what_is_wrong_with_each() {
    let folder = toy_workplace(4);
    let at = |subject: usize, name: &str| {
        let subject = format!("sub-{subject:02}");
        let heads = folder.path().join("heads");
        heads.join(&subject).join(format!("{subject}{name}.nii.gz"))
    };
    let mask = at(1, "_T1w_brainmask");
    let mut moved = read_mask(&mask).unwrap();
    moved.affine.0[0][3] += 2.0;
    write_mask(&mask, &moved).unwrap();
    std::fs::write(
        at(2, "_T1w"),
        b"version https://git-lfs.github.com/spec/v1\n",
    )
    .unwrap();
    let scan = at(3, "_T1w");
    let mut broken = read_image(&scan).unwrap();
    broken.voxels[[1, 2, 3]] = f32::NAN;
    write_image(&scan, &broken, Dtype::Float32).unwrap();
    calvaria()
        .current_dir(folder.path())
        .args(["list", "cases", "toy.yaml"])
        .assert()
        .code(2)
        .stdout(
            contains("2.000 mm apart")
                .and(contains("git lfs pull"))
                .and(contains("1 voxels are infinite or not a number"))
                .and(contains("sub-04,sub-04,16x16x16,4.000x4.000x4.000,RAS,"))
                .and(contains(",\n")),
        )
        .stderr(contains("3 of 4 cases have problems"));
}

#[test]
fn preprocess_writes_the_bias_field_and_keeps_the_files_type() {
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let head = repository("experiments/data/heads/sub-01/sub-01_T1w.nii.gz");
    let preprocess = |steps: &str, output: &str, more: &[&str]| {
        calvaria()
            .current_dir(folder.path())
            .args(["preprocess", steps])
            .args([&head, &at(output)])
            .args(more)
            .assert()
    };
    let quick = "{n4: {iterations: [2], convergence_threshold: 0}}";
    preprocess(quick, "corrected.nii", &["--save-bias", "bias.nii"]).success();
    let [scan, corrected, bias] =
        [head.clone(), at("corrected.nii"), at("bias.nii")].map(|path| read_image(&path).unwrap());
    assert!(bias.voxels.iter().any(|field| field.abs() > 1e-3));
    for ((scan, corrected), bias) in scan.voxels.iter().zip(&corrected.voxels).zip(&bias.voxels) {
        assert!((scan / bias.exp() - corrected).abs() <= 1e-4 * scan.abs());
    }
    preprocess("rescale", "x.nii", &["--save-bias", "y.nii"])
        .code(2)
        .stderr(contains("exactly one n4 step"));
    preprocess(
        "{reorient: {axes: PSR}}",
        "turned.nii.gz",
        &["--dtype", "same"],
    )
    .success()
    .stderr(contains("reorient 0."));
    let [before, after] = [head.clone(), at("turned.nii.gz")].map(|path| read_scan(&path).unwrap());
    assert_eq!(before.encoding, after.encoding);
    assert_ne!(before.encoding.dtype, Dtype::Float32);
    preprocess("rescale", "x.nii", &["--dtype", "int12"])
        .code(2)
        .stderr(contains("uint8").and(contains("same")));
}

#[test]
fn preprocess_replaces_nothing_and_refuses_a_type_that_loses_the_result() {
    let folder = toy_workplace(1);
    let preprocess = |more: &[&str]| {
        calvaria()
            .current_dir(folder.path())
            .args(["preprocess"])
            .args(more)
            .assert()
    };
    let scan = "heads/sub-01/sub-01_T1w.nii.gz";
    let bytes = std::fs::read(folder.path().join(scan)).unwrap();
    std::fs::write(folder.path().join("drawn.nii.gz"), &bytes[1..]).unwrap();
    preprocess(&["zscore", scan, "drawn.nii.gz"])
        .code(2)
        .stderr(contains("drawn.nii.gz exists").and(contains("--overwrite")));
    preprocess(&["zscore", scan, "drawn.nii.gz", "--overwrite"]).success();
    preprocess(&["zscore", scan, "drawn.nii.gz"]).success();
    preprocess(&["n4", scan, "x.nii", "--save-bias", "./x.nii"])
        .code(2)
        .stderr(contains("the same file"));
    // Intensities from about -2 to 2 in whole numbers.
    preprocess(&["[]", scan, "whole.nii", "--dtype", "int16"]).success();
    preprocess(&["zscore", "whole.nii", "scored.nii", "--dtype", "same"])
        .code(2)
        .stderr(contains("--dtype same").and(contains("int16")));
    assert!(!folder.path().join("scored.nii").exists());
    let turn = "{reorient: {axes: PSR}}";
    preprocess(&[turn, "whole.nii", "turned.nii", "--dtype", "same"]).success();
}

#[test]
fn completions_and_manual_pages_name_every_subcommand() {
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let script = calvaria().args(["completions", shell]).assert().success();
        let script = String::from_utf8_lossy(&script.get_output().stdout).into_owned();
        assert!(
            script.contains("sweep") && script.contains("force"),
            "{shell}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    let pages = folder.path().join("man/man1");
    calvaria().arg("man").arg(&pages).assert().success();
    for (page, name) in [("calvaria.1", "sweep"), ("calvaria-run.1", "force")] {
        let text = std::fs::read_to_string(pages.join(page)).unwrap();
        assert!(text.contains(name), "{page}: {text}");
    }
    // Pages are written again, and no other file is replaced.
    calvaria().arg("man").arg(&pages).assert().success();
    let other = pages.join("calvaria-run.1");
    std::fs::write(&other, "a note").unwrap();
    calvaria()
        .arg("man")
        .arg(&pages)
        .assert()
        .code(2)
        .stderr(contains("calvaria-run.1").and(contains("--overwrite")));
    assert_eq!(std::fs::read(&other).unwrap(), b"a note");
    // Where a file is in the way.
    let occupied = pages.join("calvaria.1");
    calvaria().arg("man").arg(occupied).assert().code(1);
}

#[test]
fn a_number_and_its_unit_have_a_space_between_them() {
    let folder = tempfile::tempdir().unwrap();
    let mask = Volume {
        voxels: Array3::from_shape_fn((2, 2, 2), |index| u8::from(index != (0, 0, 0))),
        affine: Affine::diagonal([2000.0; 3], [0.0; 3]),
    };
    let path = folder.path().join("mask.nii.gz");
    write_mask(&path, &mask).unwrap();
    calvaria()
        .arg("evaluate")
        .args([&path, &path])
        .assert()
        .success()
        .stdout(contains("56000000.000000 mL\n").and(contains("0.000000    mm\n")));
}
