//! A task of two images and two structures, from training to maps of labels.

use std::fs;
use std::path::{Path, PathBuf};

use calvaria::volume::nifti::{Dtype, read_image, write_image};
use calvaria::volume::{Affine, Volume};
use ndarray::Array3;
use predicates::prelude::*;
use predicates::str::contains;

use crate::common::{calvaria, toy_head};

/// Toy heads of two images; the brain is label 300 in its left half and 7 in its right one, and a corner is ignored.
const EXPERIMENT: &str = "\
name: task
seed: 7
data: {pairs: {root: cases, images: {bright: '{id}_0.nii', dark: '{id}_1.nii'}, mask: '{id}_labels.nii'}}
labels: {left: 300, right: 7}
ignore: 9
preprocess: [{zscore: {over: whole}, channels: [bright]}, {rescale: {}, channels: [dark]}]
augment: [{gamma: {p: 0.5}, channels: [dark]}, {noise: {p: 0.5}}, {flip: {swap: [[left, right]]}}]
split: {holdout: {validation: 1}}
model: {unet: {filters: 4, levels: 2}}
optimizer: {adam: {learning_rate: 0.02}}
schedule: constant
train: {epochs: 3, steps_per_epoch: 4, batch_size: 2, patch: {size: [16, 16, 12], foreground: 0.7}}
";

fn workplace() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    fs::create_dir(folder.path().join("cases")).unwrap();
    for (at, id) in ["a", "b", "c"].into_iter().enumerate() {
        let (image, mask) = toy_head(at as u64 + 1);
        let file = |end: &str| folder.path().join(format!("cases/{id}_{end}.nii"));
        let affine = Affine::diagonal([-4.0, 4.0, 4.0], [30.0, -32.0, -32.0]);
        let place = |voxels: Array3<f32>| Volume { voxels, affine };
        let labels = Array3::from_shape_fn(mask.voxels.dim(), |(x, y, z)| {
            match mask.voxels[[x, y, z]] {
                _ if x + y + z < 3 => 9.0,
                0 => 0.0,
                _ if x < 8 => 300.0,
                _ => 7.0,
            }
        });
        write_image(&file("0"), &place(image.voxels.clone()), Dtype::Float32).unwrap();
        write_image(
            &file("1"),
            &place(image.voxels.mapv(|v| 100.0 - v)),
            Dtype::Float32,
        )
        .unwrap();
        write_image(&file("labels"), &place(labels), Dtype::Int16).unwrap();
    }
    fs::write(folder.path().join("task.yaml"), EXPERIMENT).unwrap();
    folder
}

fn run(folder: &Path, arguments: &[&str]) -> assert_cmd::assert::Assert {
    calvaria().current_dir(folder).args(arguments).assert()
}

fn cases(folder: &Path) -> Vec<csv::StringRecord> {
    let table = csv::Reader::from_path(folder.join("results/task/seed-7/cases.csv"));
    table.unwrap().records().map(Result::unwrap).collect()
}

#[test]
fn maps_of_labels_are_learnt_scored_and_written() {
    let folder = workplace();
    let at = folder.path();
    run(at, &["run", "task.yaml", "--device", "cpu"])
        .success()
        .stdout(contains("left").and(contains("bright=SCAN_bright.nii.gz,dark=SCAN_dark.nii.gz")));
    let rows = cases(at);
    let id = rows[0][0].to_owned();
    assert_eq!(
        rows.iter().map(|row| row[1].to_owned()).collect::<Vec<_>>(),
        ["left", "right", "mean"]
    );

    // The images in any order, and not one alone.
    let scan = format!("dark=cases/{id}_1.nii,bright=cases/{id}_0.nii");
    let predict = |scan: &str| {
        run(
            at,
            &[
                "predict",
                "--run",
                "results/task/seed-7",
                scan,
                "-o",
                "out",
                "-q",
            ],
        )
    };
    predict(&scan).success();
    predict(&format!("cases/{id}_0.nii"))
        .code(2)
        .stderr(contains("holds one image").and(contains("bright=FILE,dark=FILE")));
    predict(&format!("dark=cases/{id}_1.nii"))
        .code(2)
        .stderr(contains("the image `bright` is missing"));
    predict(&scan.replace("dark", "drak"))
        .code(2)
        .stderr(contains("did you mean dark?"));
    // All cases at once: the one that is done is not in their table yet.
    let all = ["predict", "--run", "results/task/seed-7", "-o", "out"];
    let patterns = "dark=cases/{id}_1.nii,bright=cases/{id}_0.nii";
    run(at, &[&all[..], &[patterns]].concat())
        .success()
        .stdout(contains("(3 of 3, ").and(contains("passed over").not()));
    run(at, &[&all[..], &[patterns]].concat())
        .success()
        .stdout(contains("3 scans passed over"));
    let missing = patterns.replace("_0.nii", "_2.nii");
    run(at, &[&all[..], &[&missing]].concat())
        .code(2)
        .stderr(contains("`cases/{id}_2.nii` matches no file"));
    // Of one image there is nothing to see: it cannot be prepared.
    let mut flat = read_image(&at.join(format!("cases/{id}_0.nii"))).unwrap();
    flat.voxels.fill(7.0);
    write_image(&at.join("flat.nii"), &flat, Dtype::Float32).unwrap();
    predict(&format!("dark=cases/{id}_1.nii,bright=flat.nii"))
        .code(2)
        .stderr(contains("change the scan, or use another run"));

    let written = at.join(format!("out/{id}_0_desc-calvaria_dseg.nii.gz"));
    let map = read_image(&written).unwrap();
    assert_eq!(
        map.affine,
        read_image(&at.join(format!("cases/{id}_0.nii")))
            .unwrap()
            .affine
    );
    assert!(
        map.voxels
            .iter()
            .all(|value| [0.0, 7.0, 300.0].contains(value))
    );
    assert!(
        map.voxels.iter().any(|value| *value > 0.0),
        "three epochs find something"
    );

    // The written map has the scores of the run.
    let truth = format!("cases/{id}_labels.nii");
    let evaluated = run(
        at,
        &[
            "evaluate",
            written.to_str().unwrap(),
            &truth,
            "--labels",
            "left=300,right=7",
            "--ignore",
            "9",
        ],
    );
    let printed = String::from_utf8(evaluated.success().get_output().stdout.clone()).unwrap();
    for row in &rows {
        let line = printed
            .lines()
            .find(|line| line.starts_with(&format!("{} ", &row[1])))
            .unwrap();
        let iou: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
        assert!(
            (iou - row[2].parse::<f64>().unwrap()).abs() < 1e-4,
            "{line} {row:?}"
        );
    }
}

/// A 4-D file of these images, each of which is a file of 3-D.
fn four_d(path: &Path, images: &[PathBuf]) {
    let mut bytes = fs::read(&images[0]).unwrap();
    let voxels = u16::from_le_bytes([bytes[42], bytes[43]]) as usize
        * u16::from_le_bytes([bytes[44], bytes[45]]) as usize
        * u16::from_le_bytes([bytes[46], bytes[47]]) as usize;
    for image in &images[1..] {
        let other = fs::read(image).unwrap();
        bytes.extend(&other[other.len() - 4 * voxels..]);
    }
    bytes[40..42].copy_from_slice(&4_u16.to_le_bytes());
    bytes[48..50].copy_from_slice(&(images.len() as u16).to_le_bytes());
    fs::write(path, bytes).unwrap();
}

#[test]
fn the_images_of_a_scan_may_be_volumes_of_a_file() {
    let folder = workplace();
    let at = folder.path();
    let short = [
        "run",
        "task.yaml",
        "--device",
        "cpu",
        "--set",
        "train.epochs=1",
    ];
    run(at, &short).success();
    let [bright, dark] = ["0", "1"].map(|end| at.join(format!("cases/a_{end}.nii")));
    fs::create_dir(at.join("scans")).unwrap();
    four_d(&at.join("scans/both.nii"), &[bright.clone(), dark.clone()]);
    four_d(&at.join("three.nii"), &[dark.clone(), dark, bright]);
    let map = |scan: &str, name: &str| {
        let arguments = ["predict", "--run", "results/task/seed-7", scan, "-o", "out"];
        run(at, &arguments).success();
        read_image(&at.join(format!("out/{name}_desc-calvaria_dseg.nii.gz"))).unwrap()
    };
    let expected = map("bright=cases/a_0.nii,dark=cases/a_1.nii", "a_0");
    assert!(expected.voxels.iter().any(|value| *value > 0.0));
    assert_eq!(map("scans", "both"), expected);
    assert_eq!(
        map("bright=three.nii@2,dark=three.nii@0", "three"),
        expected
    );
    let other = map("bright=three.nii@0,dark=three.nii@2", "three");
    assert_ne!(other, expected, "other volumes are another scan");
    for wrong in ["three.nii", "bright=three.nii@3,dark=three.nii@0"] {
        let arguments = ["predict", "--run", "results/task/seed-7", wrong, "-o", "no"];
        run(at, &arguments)
            .code(2)
            .stderr(contains("three.nii").and(contains("3 volumes")));
    }
    let wrong = "bright=three.nii@-1,dark=three.nii@0";
    let arguments = ["predict", "--run", "results/task/seed-7", wrong, "-o", "no"];
    run(at, &arguments)
        .code(2)
        .stderr(contains("three.nii@-1").and(contains("from 0 on")));
}

#[test]
fn an_image_is_learnt_on_the_grid_of_one_that_is_not_seen() {
    let folder = workplace();
    let at = folder.path();
    // The dark images lie on planes of their own.
    for id in ["a", "b", "c"] {
        let path = at.join(format!("cases/{id}_1.nii"));
        let mut dark = read_image(&path).unwrap();
        dark.affine.0[2][3] += 1.0;
        write_image(&path, &dark, Dtype::Float32).unwrap();
    }
    let yaml = EXPERIMENT
        .replace(
            "mask: '{id}_labels.nii'}}",
            "mask: '{id}_labels.nii'}, onto: bright}\nimages: [dark]",
        )
        .replace(
            "{zscore: {over: whole}, channels: [bright]}, {rescale: {}, channels: [dark]}",
            "zscore: {over: whole}",
        )
        .replace("epochs: 3", "epochs: 1");
    fs::write(at.join("task.yaml"), yaml).unwrap();
    run(at, &["run", "task.yaml", "--device", "cpu"])
        .success()
        .stdout(contains("dark=SCAN_dark.nii.gz,bright=SCAN_bright.nii.gz"));
    let id = cases(at)[0][0].to_owned();
    let predict = |scan: &str, output: &str| {
        run(
            at,
            &[
                "predict",
                "--run",
                "results/task/seed-7",
                scan,
                "-o",
                output,
            ],
        )
    };
    let map = |output: &str| {
        read_image(&at.join(format!("{output}/{id}_1_desc-calvaria_dseg.nii.gz"))).unwrap()
    };
    predict("--validation", "validation").success();
    predict(
        &format!("dark=cases/{id}_1.nii,bright=cases/{id}_0.nii"),
        "named",
    )
    .success();
    predict(&format!("dark=cases/{id}_1.nii"), "no")
        .code(2)
        .stderr(contains("the image `bright` is missing"));
    let bright = read_image(&at.join(format!("cases/{id}_0.nii"))).unwrap();
    assert_eq!(map("named").affine, bright.affine);
    assert_eq!(map("named"), map("validation"));
    // Of another grid the result is another one.
    let mut bright = bright;
    bright.affine.0[0][3] += 2.0;
    write_image(
        &at.join(format!("cases/{id}_0.nii")),
        &bright,
        Dtype::Float32,
    )
    .unwrap();
    let scan = format!("dark=cases/{id}_1.nii,bright=cases/{id}_0.nii");
    predict(&scan, "named").failure().stderr(contains("exists"));
    calvaria()
        .current_dir(at)
        .args(["predict", "--run", "results/task/seed-7", &scan])
        .args(["-o", "named", "--overwrite"])
        .assert()
        .success();
    assert_eq!(map("named").affine, bright.affine);
}

#[test]
fn maps_of_another_view_do_not_stay_beside_a_new_result() {
    let folder = workplace();
    let at = folder.path();
    let short = [
        "run",
        "task.yaml",
        "--device",
        "cpu",
        "--set",
        "train.epochs=1",
    ];
    run(at, &short).success();
    let scan = "bright=cases/a_0.nii,dark=cases/a_1.nii";
    let predict = ["predict", "--run", "results/task/seed-7", scan, "-o", "out"];
    let map = at.join("out/a_0_label-left_desc-calvaria_probseg.nii.gz");
    run(at, &[&predict[..], &["--probabilities"]].concat()).success();
    assert!(map.exists());
    run(at, &predict).success().stdout(contains("passed over"));
    assert!(map.exists(), "the same runs have made it");
    let window = ["--window", "{size: [8, 8, 8], overlap: 0}"];
    run(at, &[&predict[..], &window].concat())
        .success()
        .stdout(contains("removed").and(contains("label-left")));
    assert!(!map.exists());
}

#[test]
fn a_run_is_not_continued_with_labels_in_another_order() {
    let folder = workplace();
    let at = folder.path();
    let run = |more: &[&str]| {
        run(
            at,
            &[&["run", "task.yaml", "--device", "cpu", "-q"], more].concat(),
        )
    };
    run(&["--set", "train.epochs=1"]).success();
    run(&[
        "--set",
        "labels={right: 7, left: 300}",
        "--set",
        "train.epochs=2",
    ])
    .code(2)
    .stderr(contains(
        "the order of labels was left, right, is right, left",
    ));
    run(&["--set", "train.epochs=2"]).success();
}

#[test]
fn what_is_wrong_with_labels_is_told_with_the_case() {
    let folder = workplace();
    let at = folder.path();
    let refused = |settings: &[&str], says: &str| {
        let sets = settings.iter().flat_map(|set| ["--set", *set]);
        let arguments: Vec<&str> = ["run", "task.yaml", "--device", "cpu", "-q"]
            .into_iter()
            .chain(sets)
            .collect();
        run(at, &arguments)
            .code(2)
            .stderr(contains(says.to_owned()));
    };
    refused(&["labels={left: 300}", "augment=[]"], "in the case a");
    refused(
        &["labels={left: 300, right: 7, tail: 8}"],
        "no case has tail",
    );
    refused(&["labels={left: 300, right: 9}"], "the label 9 is ignored");
    refused(&["images=[brigth]"], "brigth");
    refused(&["loss=bce"], "use cross_entropy");
    // A case at which nobody looked.
    let file = at.join("cases/b_labels.nii");
    let map = read_image(&file).unwrap();
    let ignored = Volume {
        voxels: map.voxels.mapv(|_| 9.0),
        affine: map.affine,
    };
    write_image(&file, &ignored, Dtype::Int16).unwrap();
    refused(&[], "nothing but ignored voxels");
}

/// Takes case c for validation, and says what a run of one epoch tells.
fn run_with_c_aside(folder: &Path) -> assert_cmd::assert::Assert {
    fs::write(
        folder.join("sides.csv"),
        "id,side\na,train\nb,train\nc,validation\n",
    )
    .unwrap();
    let sets = [
        "--set",
        "split={file: {path: sides.csv}}",
        "--set",
        "train.epochs=1",
    ];
    run(
        folder,
        &[&["run", "task.yaml", "--device", "cpu"], &sets[..]].concat(),
    )
}

#[test]
fn a_structure_that_one_side_of_the_split_lacks_is_told() {
    let folder = workplace();
    let at = folder.path();
    let without_left = |id: &str| {
        let file = at.join(format!("cases/{id}_labels.nii"));
        let map = read_image(&file).unwrap();
        let right = Volume {
            voxels: map
                .voxels
                .mapv(|label| if label == 300.0 { 7.0 } else { label }),
            affine: map.affine,
        };
        write_image(&file, &right, Dtype::Int16).unwrap();
    };
    without_left("c");
    run_with_c_aside(at).success().stderr(
        contains("warning: no case to validate on has left: its scores are 1 where nothing")
            .and(contains("no case to train on").not()),
    );
    without_left("a");
    without_left("b");
    run(at, &["list", "cases", "task.yaml"])
        .code(2)
        .stderr(contains("No case has left: no mask has a voxel of it"));
}

#[test]
fn an_image_that_stands_on_both_sides_of_a_split_is_refused_whatever_its_name() {
    let folder = workplace();
    let at = folder.path();
    fs::copy(at.join("cases/b_0.nii"), at.join("cases/c_1.nii")).unwrap();
    run_with_c_aside(at).code(2).stderr(
        contains("b_0.nii and ")
            .and(contains("c_1.nii are the same file under two names"))
            .and(contains("case b trains while case c validates")),
    );
}
