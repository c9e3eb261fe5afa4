//! `calvaria predict` as a user meets it: nothing is lost, and nothing is silent.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use assert_cmd::assert::Assert;
use calvaria::volume::nifti::{Dtype, Encoding, read_image, read_mask, read_scan, write_image};
use calvaria::volume::{Affine, Volume};
use predicates::prelude::*;
use predicates::str::contains;
use tempfile::TempDir;

use crate::common::{calvaria, toy_head, toy_workplace};

/// A run that finds toy heads' brains.
static RUN: LazyLock<TempDir> = LazyLock::new(|| {
    let folder = toy_workplace(4);
    calvaria()
        .current_dir(folder.path())
        .args(["run", "toy.yaml", "--device", "cpu", "-q"])
        .args(["--set", "train.epochs=8"])
        .assert()
        .success();
    folder
});

fn predict(folder: &Path, arguments: &[&str]) -> Assert {
    calvaria()
        .current_dir(folder)
        .args(["predict", "--device", "cpu", "--run"])
        .arg(RUN.path().join("results/toy/seed-7"))
        .args(arguments)
        .assert()
}

/// A folder with toy heads under these names.
fn scans(names: &[&str]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    for (seed, name) in names.iter().enumerate() {
        let (image, _) = toy_head(seed as u64);
        write_image(&folder.path().join(name), &image, Dtype::Float32).unwrap();
    }
    folder
}

const MASK: &str = "scan_desc-calvaria_mask.nii.gz";
const BRAIN: &str = "scan_desc-calvaria_brain.nii.gz";

#[test]
fn a_file_that_is_not_its_own_unchanged_result_is_never_replaced() {
    let folder = scans(&["scan.nii.gz"]);
    let mask = folder.path().join(MASK);
    predict(folder.path(), &["scan.nii.gz"]).success();
    let first = fs::read(&mask).unwrap();
    // Its own result is replaced by the same.
    predict(folder.path(), &["scan.nii.gz"]).success();
    assert_eq!(fs::read(&mask).unwrap(), first);
    // A voxel corrected by a program that keeps the header, whole and gzipped again.
    let mut bytes = Vec::new();
    std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&first[..]), &mut bytes).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    std::io::Write::write_all(&mut packed, &bytes).unwrap();
    let corrected = packed.finish().unwrap();
    for foreign in [&corrected[..], b"not an image at all"] {
        fs::write(&mask, foreign).unwrap();
        fs::remove_file(folder.path().join(BRAIN)).unwrap();
        predict(folder.path(), &["scan.nii.gz"])
            .code(2)
            .stderr(contains(MASK).and(contains("--overwrite")));
        assert_eq!(fs::read(&mask).unwrap(), foreign);
        assert!(!folder.path().join(BRAIN).exists());
        predict(folder.path(), &["scan.nii.gz", "--overwrite"]).success();
        assert_eq!(fs::read(&mask).unwrap(), first);
    }
}

#[test]
fn the_result_of_another_scan_of_the_same_name_is_never_replaced() {
    let folder = scans(&["a/T1.nii.gz", "b/T1.nii.gz"]);
    let mask = folder.path().join("out/T1_desc-calvaria_mask.nii.gz");
    predict(folder.path(), &["a/T1.nii.gz", "-o", "out"]).success();
    let first = fs::read(&mask).unwrap();
    predict(folder.path(), &["b/T1.nii.gz", "-o", "out"])
        .code(2)
        .stderr(contains("out/T1_desc-calvaria_mask.nii.gz exists"));
    assert_eq!(fs::read(&mask).unwrap(), first);
    predict(folder.path(), &["a/T1.nii.gz", "-o", "out"]).success();
}

#[test]
fn kept_folders_stay_below_the_output() {
    let folder = scans(&["data/a/T1.nii.gz", "here/b/T1.nii.gz"]);
    let here = folder.path().join("here");
    let scans = ["../data/a/T1.nii.gz", "b/T1.nii.gz", "-o", "out"];
    predict(&here, &[&scans[..], &["--keep-folders"]].concat()).success();
    for place in ["data/a", "here/b"] {
        let mask = here
            .join("out")
            .join(place)
            .join("T1_desc-calvaria_mask.nii.gz");
        assert!(mask.is_file(), "{}", mask.display());
    }
    assert_eq!(fs::read_dir(&here).unwrap().count(), 2);
    // What cannot be a folder, or a file, is refused before the work.
    fs::write(here.join("file"), "").unwrap();
    predict(&here, &["b/T1.nii.gz", "-o", "file"])
        .code(2)
        .stderr(contains("is a file"));
    fs::create_dir_all(here.join("T1_desc-calvaria_brain.nii.gz")).unwrap();
    predict(&here, &["b/T1.nii.gz", "--overwrite"])
        .code(2)
        .stderr(contains("T1_desc-calvaria_brain.nii.gz exists"));
    assert!(!here.join("T1_desc-calvaria_mask.nii.gz").exists());
}

#[test]
fn predictions_beside_the_data_are_never_found_as_data() {
    let folder = toy_workplace(4);
    let cases = || {
        let listed = calvaria()
            .current_dir(folder.path())
            .args(["list", "cases", "toy.yaml"])
            .assert()
            .success();
        String::from_utf8(listed.get_output().stdout.clone()).unwrap()
    };
    let before = cases();
    let drawn = folder
        .path()
        .join("heads/sub-01/sub-01_T1w_brainmask.nii.gz");
    let mask = fs::read(&drawn).unwrap();
    predict(&folder.path().join("heads/sub-01"), &["sub-01_T1w.nii.gz"]).success();
    assert_eq!(fs::read(&drawn).unwrap(), mask);
    assert_eq!(cases(), before);
}

#[test]
fn scans_of_one_name_are_refused_or_keep_their_folders() {
    let folder = scans(&["a/T1.nii.gz", "b/T1.nii", "b/c/T1.nii.gz"]);
    let all = ["a/T1.nii.gz", "b/T1.nii", "b/c/T1.nii.gz", "-o", "out"];
    predict(folder.path(), &all)
        .code(2)
        .stderr(contains("a/T1.nii.gz and b/T1.nii").and(contains("--keep-folders")));
    assert!(!folder.path().join("out").exists());
    predict(folder.path(), &[&all[..], &["--keep-folders"]].concat()).success();
    for place in ["a", "b", "b/c"] {
        let mask = folder
            .path()
            .join("out")
            .join(place)
            .join("T1_desc-calvaria_mask.nii.gz");
        assert!(mask.is_file(), "{}", mask.display());
    }
    predict(folder.path(), &["b/T1.nii", "b/T1.nii", "-o", "twice"]).code(2);
}

#[test]
fn scans_that_are_done_are_passed_over() {
    let folder = scans(&["raw/a.nii.gz", "raw/b.nii.gz", "raw/deep/c.nii"]);
    let at = folder.path();
    let mask = |name: &str| at.join(format!("out/{name}_desc-calvaria_mask.nii.gz"));
    let told = |arguments: &[&str]| {
        let done = predict(at, &[arguments, &["-o", "out"]].concat()).success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    };
    let all = told(&["raw"]);
    assert!(
        all.contains("(1 of 3, ") && all.contains("(3 of 3, "),
        "{all}"
    );
    let made = ["a", "b", "c"].map(|name| fs::read(mask(name)).unwrap());
    assert_eq!(
        told(&["raw"]),
        "3 scans passed over: their results are in out (--overwrite segments again)\n"
    );
    // What an interruption leaves: some are done.
    fs::remove_file(mask("b")).unwrap();
    let rest = told(&["raw"]);
    assert!(
        rest.starts_with("2 scans passed over") && rest.contains("b.nii.gz: brain"),
        "{rest}"
    );
    assert_eq!(fs::read(mask("b")).unwrap(), made[1]);
    assert!(!told(&["raw", "--overwrite"]).contains("passed over"));
    // What another run, or another window, would make is not done.
    let window = ["raw/*.nii.gz", "--window", "{size: [8, 8, 8]}"];
    assert!(!told(&window).contains("passed over"));
    assert!(fs::read(mask("a")).unwrap() != made[0]);
    assert!(told(&window).starts_with("2 scans passed over"));
    // A page of all of them, though nothing is left to do.
    told(&["raw", "--qc", "look"]);
    let page = fs::read_to_string(at.join("look/index.html")).unwrap();
    let pictures = fs::read_dir(at.join("look/pictures")).unwrap().count();
    assert_eq!((page.matches("pictures/000").count(), pictures), (3, 3));
    // One more, by itself, is added to the table.
    fs::copy(at.join("raw/a.nii.gz"), at.join("raw/d.nii.gz")).unwrap();
    told(&["raw/d.nii.gz"]);
    let table = fs::read_to_string(at.join("out/calvaria-predictions.csv")).unwrap();
    assert_eq!(table.matches("raw/d.nii.gz").count(), 1, "{table}");
    // A window that leaves gaps, or has no size, is refused before any work.
    for (wrong, says) in [
        ("{size: [8, 8, 8], overlap: -1}", "overlap"),
        ("{size: [8, 8, 8], overlap: 1}", "overlap"),
        ("{size: [8, 0, 8]}", "at least 1"),
        ("{overlap: 0.25}", "needs a size"),
    ] {
        let arguments = ["raw", "-o", "other", "--window", wrong];
        predict(at, &arguments)
            .code(2)
            .stderr(contains("--window").and(contains(says)));
    }
    predict(at, &["raw/*.mgz"])
        .code(2)
        .stderr(contains("has no scans"));
}

#[test]
fn a_whole_cross_validation_is_predicted_and_scores_as_its_runs_did() {
    let folder = toy_workplace(4);
    let at = folder.path();
    let program = |arguments: &[&str]| calvaria().current_dir(at).args(arguments).assert();
    let run = [
        "run",
        "toy.yaml",
        "--device",
        "cpu",
        "-q",
        "--set",
        "split={kfold: {k: 2}}",
    ];
    program(&run).success();
    let predict = [
        "predict",
        "--run",
        "results/toy",
        "--validation",
        "-o",
        "out",
        "--device",
        "cpu",
    ];
    program(&predict).success().stdout(contains("(4 of 4, "));
    program(&predict)
        .success()
        .stdout(contains("4 scans passed over"));
    let patterns = [
        "out/{id}_T1w_desc-calvaria_mask.nii.gz",
        "heads/*/{id}_T1w_brainmask.nii.gz",
    ];
    program(&[
        "evaluate",
        patterns[0],
        patterns[1],
        "--csv",
        "scores.csv",
        "-q",
    ])
    .success();
    let table = |path: PathBuf| {
        let mut table = csv::Reader::from_path(path).unwrap();
        let columns = table.headers().unwrap().clone();
        let rows = table.records().map(Result::unwrap);
        let rows: Vec<BTreeMap<String, String>> = rows
            .map(|row| {
                columns
                    .iter()
                    .map(str::to_owned)
                    .zip(row.iter().map(str::to_owned))
                    .collect()
            })
            .collect();
        rows
    };
    let mut of_runs: Vec<_> = (0..2)
        .flat_map(|fold| table(at.join(format!("results/toy/seed-7/fold-{fold}/cases.csv"))))
        .collect();
    of_runs.sort_by_key(|row| row["case"].clone());
    let scored = table(at.join("scores.csv"));
    assert_eq!(scored.len(), 4);
    for (scored, of_run) in scored.iter().zip(&of_runs) {
        for (score, value) in scored {
            assert_eq!(value, &of_run[score], "{score} of {}", of_run["case"]);
        }
    }
    // What another scan now bears the name of, a network may have trained on; a mask that is drawn anew changes nothing.
    let file = |case: usize, end: &str| {
        let id = &scored[case]["case"];
        at.join(format!("heads/{id}/{id}_{end}.nii.gz"))
    };
    let (scan, mask) = (file(0, "T1w"), file(0, "T1w_brainmask"));
    let kept = [&scan, &mask].map(|path| fs::read(path).unwrap());
    fs::copy(file(1, "T1w"), &scan).unwrap();
    program(&predict)
        .code(2)
        .stderr(contains("1 case changed in the scan").and(contains("name the scans")));
    fs::write(&scan, &kept[0]).unwrap();
    fs::copy(file(1, "T1w_brainmask"), &mask).unwrap();
    program(&predict).success();
    fs::write(&mask, &kept[1]).unwrap();
    // A case that two seeds were validated on would have two predictions.
    program(&[&run[..], &["--seeds", "7,8"]].concat()).success();
    program(&predict).code(2).stderr(contains("of one seed"));
}

#[test]
fn a_dataset_of_bids_makes_one() {
    let names = [
        "raw/sub-1/anat/sub-1_T1w.nii.gz",
        "raw/sub-2/ses-a/anat/sub-2_ses-a_T1w.nii.gz",
    ];
    let folder = scans(&names);
    let at = folder.path();
    fs::write(
        at.join("raw/dataset_description.json"),
        r#"{"Name": "raw", "BIDSVersion": "1.10.0"}"#,
    )
    .unwrap();
    let arguments = [
        "raw",
        "--bids",
        "--probabilities",
        "-o",
        "raw/derivatives/brains",
    ];
    predict(at, &arguments).success();
    let out = at.join("raw/derivatives/brains");
    let second = out.join("sub-2/ses-a/anat");
    for end in ["desc-brain_mask", "desc-brain_T1w", "label-brain_probseg"] {
        for extension in ["nii.gz", "json"] {
            let file = second.join(format!("sub-2_ses-a_{end}.{extension}"));
            assert!(file.is_file(), "{}", file.display());
        }
    }
    let json = |path: PathBuf| -> serde_json::Value {
        serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
    };
    assert_eq!(
        json(out.join("dataset_description.json"))["DatasetType"],
        "derivative"
    );
    let sidecar = json(second.join("sub-2_ses-a_desc-brain_mask.json"));
    assert_eq!(sidecar["Type"], "Brain");
    assert_eq!(
        sidecar["Sources"][0],
        "sub-2/ses-a/anat/sub-2_ses-a_T1w.nii.gz"
    );
    // What it made is passed over, and not taken for scans; what an interruption left out is written.
    let left_out = second.join("sub-2_ses-a_desc-brain_T1w.json");
    fs::remove_file(&left_out).unwrap();
    predict(at, &arguments)
        .success()
        .stdout(contains("2 scans passed over"));
    assert_eq!(json(left_out)["SkullStripped"], true);
    predict(
        at,
        &["raw/sub-1/anat/sub-1_T1w.nii.gz", "--bids", "-o", "raw"],
    )
    .code(2)
    .stderr(contains("another program's"));
    fs::write(at.join("scan.nii"), "").unwrap();
    predict(at, &["scan.nii", "--bids", "-o", "out"])
        .code(2)
        .stderr(contains("sub-01_T1w"));
}

#[test]
fn maps_tell_how_likely_and_how_sure() {
    let folder = scans(&["scan.nii.gz"]);
    let at = folder.path();
    predict(at, &["scan.nii.gz", "--probabilities", "--uncertainty"]).success();
    let read =
        |kind: &str| read_image(&at.join(format!("scan_desc-calvaria_{kind}.nii.gz"))).unwrap();
    let mask = read_mask(&at.join(MASK)).unwrap();
    let (probability, entropy) = (read("probseg"), read("entropy"));
    assert_eq!(probability.grid(), mask.grid());
    let mut in_doubt = 0;
    for ((p, inside), h) in probability
        .voxels
        .iter()
        .zip(&mask.voxels)
        .zip(&entropy.voxels)
    {
        // Only the largest piece is kept.
        assert!(*inside == 0 || *p > 0.49);
        let p = f64::from(p.clamp(1e-3, 1.0 - 1e-3));
        let expected = -(p * p.log2() + (1.0 - p) * (1.0 - p).log2());
        // Both are in steps of 1/255.
        assert!((f64::from(*h) - expected).abs() < 0.03, "{h} {expected}");
        in_doubt += usize::from(*h > 0.5);
    }
    assert!(in_doubt > 0);
    // One network, seen once, does not disagree.
    assert!(!at.join("scan_desc-calvaria_disagreement.nii.gz").exists());
}

#[test]
fn the_brain_is_0_outside_whatever_the_scans_scaling() {
    let folder = scans(&[]);
    let (image, _) = toy_head(3);
    for (name, dtype, slope, inter, kept) in [
        ("zero_between", Dtype::Int16, 0.106_186, -217.391_312, false),
        ("zero_below_all", Dtype::Uint8, 5.0, 300.0, false),
        ("zero_is_there", Dtype::Int16, 0.25, -10.0, true),
    ] {
        let scan = folder.path().join(format!("{name}.nii.gz"));
        let encoding = Encoding {
            dtype,
            slope,
            inter,
        };
        let mut shifted = image.clone();
        shifted.change(|value| value + inter as f32);
        write_image(&scan, &shifted, encoding).unwrap();
        let done = predict(folder.path(), &[&format!("{name}.nii.gz")]).success();
        let warned = String::from_utf8_lossy(&done.get_output().stderr).contains("float32");
        assert_eq!(warned, !kept, "{name}");
        let at = |kind: &str| {
            folder
                .path()
                .join(format!("{name}_desc-calvaria_{kind}.nii.gz"))
        };
        let (mask, brain) = (
            read_mask(&at("mask")).unwrap(),
            read_scan(&at("brain")).unwrap(),
        );
        let scan = read_image(&scan).unwrap();
        assert_eq!(brain.encoding.dtype == dtype, kept, "{name}");
        for ((brain, mask), scan) in brain
            .volume
            .voxels
            .iter()
            .zip(&mask.voxels)
            .zip(&scan.voxels)
        {
            let expected = if *mask == 0 { 0.0 } else { *scan };
            assert_eq!(*brain, expected, "{name}");
        }
    }
}

#[test]
fn a_bad_scan_does_not_stop_the_others() {
    let folder = scans(&["first.nii.gz", "last.nii.gz"]);
    fs::write(folder.path().join("text.nii.gz"), "nothing").unwrap();
    let names = [
        "first.nii.gz",
        "text.nii.gz",
        "missing.nii.gz",
        "last.nii.gz",
    ];
    predict(folder.path(), &names).code(1).stderr(contains(
        "2 of 4 scans could not be segmented: text.nii.gz, missing.nii.gz",
    ));
    for name in ["first", "last"] {
        let mask = folder
            .path()
            .join(format!("{name}_desc-calvaria_mask.nii.gz"));
        assert!(mask.is_file(), "{name}");
    }
    predict(folder.path(), &["missing.nii.gz"]).code(2);
}

#[test]
fn what_cannot_be_right_is_remarked_on() {
    let folder = scans(&[]);
    // A head with voxels twice as large along each axis.
    let (image, _) = toy_head(2);
    let [x, y, z] = image.spacing();
    let huge = Volume {
        affine: Affine::diagonal([2.0 * x, 2.0 * y, 2.0 * z], [0.0; 3]),
        ..image
    };
    write_image(&folder.path().join("huge.nii.gz"), &huge, Dtype::Float32).unwrap();
    predict(folder.path(), &["huge.nii.gz"])
        .success()
        .stderr(contains("implausible").and(contains("validated on")));
}

#[test]
fn advice_is_for_someone_who_has_a_run_and_a_scan() {
    let folder = scans(&[]);
    let (mut image, _) = toy_head(1);
    image.voxels[[1, 2, 3]] = f32::NAN;
    write_image(&folder.path().join("nan.nii.gz"), &image, Dtype::Float32).unwrap();
    predict(folder.path(), &["nan.nii.gz"]).code(2).stderr(
        contains("nan.nii.gz")
            .and(contains("calvaria preprocess nan_to_zero"))
            .and(contains("first preprocessing step").not()),
    );
    let calls = ["preprocess", "nan_to_zero", "nan.nii.gz", "repaired.nii.gz"];
    calvaria()
        .current_dir(folder.path())
        .args(calls)
        .assert()
        .success();
    predict(folder.path(), &["repaired.nii.gz"]).success();
    predict(folder.path(), &["repaired.nii.gz", "-o", "mask.nii.gz"])
        .code(2)
        .stderr(contains("names the folder"));
    assert!(!folder.path().join("mask.nii.gz").exists());
}

#[cfg(unix)]
#[test]
fn names_need_not_be_text() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let folder = scans(&["scan.nii.gz"]);
    let name = |end: &[u8]| PathBuf::from(OsStr::from_bytes(&[b"caf\xe9", end].concat()));
    fs::rename(
        folder.path().join("scan.nii.gz"),
        folder.path().join(name(b".nii.gz")),
    )
    .unwrap();
    calvaria()
        .current_dir(folder.path())
        .args(["predict", "--device", "cpu", "--run"])
        .arg(RUN.path().join("results/toy/seed-7"))
        .arg(name(b".nii.gz"))
        .assert()
        .success();
    let mask = folder.path().join(name(b"_desc-calvaria_mask.nii.gz"));
    assert!(mask.is_file());
}

#[test]
fn results_keep_both_forms_of_their_scan() {
    let folder = scans(&[]);
    let (image, _) = toy_head(4);
    let mut moved = image.grid();
    moved.affine.0[0][3] += 20.0;
    // A header with the form of another place besides its own.
    let path = folder.path().join("scan.nii");
    write_image(&path, &image, Dtype::Float32).unwrap();
    let mut bytes = fs::read(&path).unwrap();
    bytes[268..272].copy_from_slice(&(moved.affine.0[0][3] as f32).to_le_bytes());
    bytes[254] = 4;
    fs::write(&path, bytes).unwrap();
    let scan = read_scan(&path).unwrap();
    predict(folder.path(), &["scan.nii"])
        .success()
        .stderr(contains("two forms").and(contains("20.0 mm")));
    for name in [MASK, BRAIN] {
        let result = read_scan(&folder.path().join(name)).unwrap();
        assert_eq!(result.forms, scan.forms, "{name}");
    }
    // So do results of single steps.
    let calls = ["preprocess", "zscore", "scan.nii", "scored.nii"];
    calvaria()
        .current_dir(folder.path())
        .args(calls)
        .assert()
        .success();
    let scored = read_scan(&folder.path().join("scored.nii")).unwrap();
    assert_eq!(scored.forms, scan.forms);
}
