//! How well probabilities are calibrated, against torchmetrics and scikit-learn.

use std::fs;
use std::path::Path;

use calvaria::volume::nifti::{Dtype, write_image};
use calvaria::volume::{Affine, Volume};
use ndarray::Array3;
use predicates::prelude::*;
use predicates::str::contains;
use safetensors::SafeTensors;
use serde_json::Value;

use crate::common::{calvaria, repository};

const LABELS: [&str; 4] = ["--labels", "front=1,back=2", "--ignore", "255"];

fn write(path: &Path, voxels: Array3<f32>) {
    let affine = Affine::diagonal([1.0; 3], [0.0; 3]);
    write_image(path, &Volume { voxels, affine }, Dtype::Float32).unwrap();
}

/// The fixture's cases as files: `out` as calvaria predicts, `labels`.
fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    let bytes = fs::read(repository(
        "tests/fixtures/calibration/calibration.safetensors",
    ))
    .unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for side in ["out", "labels"] {
        fs::create_dir(at.join(side)).unwrap();
    }
    for case in ["a", "b"] {
        let truth = tensors.tensor(&format!("{case}.truth")).unwrap();
        let shape: [usize; 3] = truth.shape().try_into().unwrap();
        let values = truth.data().iter().map(|&class| f32::from(class));
        let truth = Array3::from_shape_vec(shape, values.collect()).unwrap();
        let predicted = truth.mapv(|of| if of == 255.0 { 0.0 } else { of });
        write(&at.join(format!("labels/{case}.nii.gz")), truth);
        write(
            &at.join(format!("out/{case}_desc-calvaria_dseg.nii.gz")),
            predicted,
        );
        for name in ["front", "back"] {
            let (values, _) = tensors
                .tensor(&format!("{case}.{name}"))
                .unwrap()
                .data()
                .as_chunks::<4>();
            let values = values.iter().map(|&bytes| f32::from_le_bytes(bytes));
            let voxels = Array3::from_shape_vec(shape, values.collect()).unwrap();
            let file = format!("out/{case}_label-{name}_desc-calvaria_probseg.nii.gz");
            write(&at.join(file), voxels);
        }
    }
    folder
}

fn expected() -> Value {
    let path = repository("tests/fixtures/calibration/expected.json");
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

fn evaluate(folder: &Path, arguments: &[&str]) -> assert_cmd::assert::Assert {
    let mut program = calvaria();
    program
        .current_dir(folder)
        .args(["evaluate"])
        .args(arguments);
    program.args(LABELS).assert()
}

#[test]
fn calibration_is_that_of_torchmetrics_and_scikit_learn() {
    let folder = workplace();
    let at = folder.path();
    let more = [
        "out",
        "labels",
        "--probabilities",
        "out",
        "--csv",
        "scores.csv",
        "--json",
        "scores.json",
        "--reliability",
        "curves",
    ];
    evaluate(at, &more)
        .success()
        .stdout(contains("ece_foreground"));
    let expected = expected();
    let mut table = csv::Reader::from_path(at.join("scores.csv")).unwrap();
    let columns = table.headers().unwrap().clone();
    let mut compared = 0;
    for row in table
        .records()
        .map(Result::unwrap)
        .filter(|row| &row[1] != "mean")
    {
        // torchmetrics computes in single precision.
        for (score, tolerance) in [("ece", 1e-6), ("ece_foreground", 1e-6), ("brier", 1e-9)] {
            let column = columns.iter().position(|name| name == score).unwrap();
            let found: f64 = row[column].parse().unwrap();
            let wanted = expected[&row[1]][&row[0]][score].as_f64().unwrap();
            assert!(
                (found - wanted).abs() < tolerance,
                "{score}: {found}, not {wanted}"
            );
            compared += 1;
        }
    }
    assert_eq!(compared, 12);
    // The curves are of all voxels of both cases.
    let mut table = csv::Reader::from_path(at.join("curves/reliability.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    let json: Value = serde_json::from_slice(&fs::read(at.join("scores.json")).unwrap()).unwrap();
    for name in ["front", "back"] {
        let rows: Vec<_> = rows.iter().filter(|row| &row[0] == name).collect();
        let wanted = &expected[name]["all"];
        let curve = json["reliability"][name].as_array().unwrap();
        assert_eq!(rows.len(), wanted["frequency"].as_array().unwrap().len());
        assert_eq!(rows.len(), curve.len());
        for (at, row) in rows.iter().enumerate() {
            for (column, key) in [(4, "probability"), (5, "frequency")] {
                let found: f64 = row[column].parse().unwrap();
                let wanted = wanted[key][at].as_f64().unwrap();
                assert!(
                    (found - wanted).abs() < 1e-6,
                    "{name} {key}: {found}, not {wanted}"
                );
                assert_eq!(curve[at][key].as_f64().unwrap(), found);
            }
        }
    }
    for picture in ["reliability.png", "reliability.svg"] {
        assert!(at.join("curves").join(picture).is_file());
    }
    // Patterns, and one pair, say the same.
    let [out, labels] = ["out/{id}_desc-calvaria_dseg.nii.gz", "labels/{id}.nii.gz"];
    let pattern = "out/{id}_label-{structure}_desc-calvaria_probseg.nii.gz";
    let again = ["--json", "again.json", "--probabilities", pattern];
    evaluate(at, &[&[out, labels][..], &again].concat()).success();
    let again: Value = serde_json::from_slice(&fs::read(at.join("again.json")).unwrap()).unwrap();
    assert_eq!(again["means"], json["means"]);
    let one = [
        "out/a_desc-calvaria_dseg.nii.gz",
        "labels/a.nii.gz",
        "--probabilities",
        "out",
    ];
    evaluate(at, &one).success().stdout(contains("brier"));
}

#[test]
fn files_that_are_no_probabilities_are_refused_with_the_remedy() {
    let folder = workplace();
    let at = folder.path();
    let place = "out/b_label-back_desc-calvaria_probseg.nii.gz";
    write(&at.join(place), Array3::from_elem((11, 6, 10), 37.0));
    // One file for two structures.
    let pattern = "out/{id}_label-front_desc-calvaria_probseg.nii.gz";
    evaluate(at, &["out", "labels", "--probabilities", pattern])
        .failure()
        .stderr(contains("{structure}"));
    evaluate(at, &["out", "labels", "--probabilities", "nowhere"])
        .failure()
        .stderr(contains("nowhere"));
    let folders = ["out", "labels", "--probabilities", "out"];
    evaluate(at, &folders)
        .code(2)
        .stderr(contains("has the value 37").and(contains("b_label-back")));
    write(&at.join(place), Array3::from_elem((11, 6, 9), 0.5));
    evaluate(at, &folders)
        .code(2)
        .stderr(contains("does not lie on the grid"));
    fs::remove_file(at.join(place)).unwrap();
    evaluate(at, &folders)
        .code(2)
        .stderr(contains("has no probabilities of back in out"));
    evaluate(at, &["out", "labels", "--reliability", "curves"])
        .code(2)
        .stderr(contains("--probabilities"));
}
