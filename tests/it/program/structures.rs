//! Scores of several structures on the command line: `evaluate`, `compare` and the objective of a sweep.

use std::fs;
use std::path::Path;

use calvaria::volume::nifti::{Dtype, write_image};
use calvaria::volume::{Affine, Volume};
use ndarray::Array3;
use predicates::prelude::*;
use predicates::str::contains;

use crate::common::{calvaria, sweep_workplace};

/// Writes a map of labels: 1 before 2, the border moved by `shift`, and `other` in a corner.
fn write_labels(path: &Path, shift: usize, other: f32) {
    let voxels = Array3::from_shape_fn((12, 12, 12), |(x, y, z)| match (x, y, z) {
        (0..=1, 0..=1, 0..=1) => other,
        (3..=8, 3..=8, 3..=8) if y >= 6 + shift => 1.0,
        (3..=8, 3..=8, 3..=8) => 2.0,
        _ => 0.0,
    });
    let affine = Affine::diagonal([1.0, 1.5, 2.0], [0.0; 3]);
    write_image(path, &Volume { voxels, affine }, Dtype::Int16).unwrap();
}

fn run(folder: &Path, command: &str, arguments: &[&str]) -> assert_cmd::assert::Assert {
    calvaria()
        .current_dir(folder)
        .arg(command)
        .args(arguments)
        .assert()
}

/// The numbers of a printed row, by its name.
fn row(printed: &str, name: &str) -> Vec<f64> {
    let line = printed
        .lines()
        .find(|line| line.starts_with(&format!("{name} ")));
    let cells = line
        .unwrap_or_else(|| panic!("no row {name} in {printed}"))
        .split_whitespace();
    cells.skip(1).map(|cell| cell.parse().unwrap()).collect()
}

#[test]
fn evaluate_scores_each_label_and_their_mean() {
    let folder = tempfile::tempdir().unwrap();
    write_labels(&folder.path().join("pred.nii.gz"), 1, 0.0);
    write_labels(&folder.path().join("truth.nii.gz"), 0, 0.0);
    let files = ["pred.nii.gz", "truth.nii.gz"];
    let printed = |more: &[&str]| {
        let done = run(folder.path(), "evaluate", &[&files, more].concat()).success();
        String::from_utf8(done.get_output().stdout.clone()).unwrap()
    };
    let table = printed(&["--labels", "front=1,back=2"]);
    let header: Vec<&str> = table.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(header[..3], ["structure", "iou", "dice"]);
    // 2 of 3 planes, and 3 of 4.
    assert_eq!(row(&table, "front")[..2], [0.6667, 0.8]);
    assert_eq!(row(&table, "back")[..2], [0.75, 0.8571]);
    assert_eq!(row(&table, "mean")[..2], [0.7083, 0.8286]);
    // Every label that occurs, by its value.
    let all = printed(&["--labels", "all"]);
    assert_eq!(row(&all, "1"), row(&table, "front"));
    assert_eq!(row(&all, "mean"), row(&table, "mean"));
    // The same numbers as of one label alone.
    let alone = printed(&["--label", "1"]);
    let iou = row(&alone, "iou")[0];
    assert!((iou - row(&table, "front")[0]).abs() < 1e-4);
    let regions = printed(&["--regions", "whole=1+2,front=1"]);
    assert_eq!(row(&regions, "whole")[..2], [1.0, 1.0]);
    assert_eq!(row(&regions, "front"), row(&table, "front"));
}

#[test]
fn evaluate_leaves_ignored_voxels_out_and_says_what_is_in_neither_file() {
    let folder = tempfile::tempdir().unwrap();
    write_labels(&folder.path().join("pred.nii.gz"), 1, 1.0);
    write_labels(&folder.path().join("truth.nii.gz"), 0, 255.0);
    let files = ["pred.nii.gz", "truth.nii.gz"];
    let labels = ["--labels", "front=1,back=2,other=7", "--ignore", "255"];
    let done = run(folder.path(), "evaluate", &[&files[..], &labels].concat()).success();
    let output = done.get_output();
    let table = String::from_utf8(output.stdout.clone()).unwrap();
    assert_eq!(row(&table, "front")[..2], [0.6667, 0.8]);
    assert_eq!(row(&table, "other")[..2], [1.0, 1.0]);
    let warned = String::from_utf8(output.stderr.clone()).unwrap();
    assert!(
        warned.contains("neither file has a voxel of other"),
        "{warned}"
    );
}

#[test]
fn evaluate_scores_folders_as_it_scores_their_pairs() {
    let folder = tempfile::tempdir().unwrap();
    let at = folder.path();
    for side in ["out", "labels"] {
        fs::create_dir(at.join(side)).unwrap();
    }
    for (case, shift) in [("a", 0), ("b", 1), ("c", 2)] {
        write_labels(
            &at.join(format!("out/{case}_desc-calvaria_dseg.nii.gz")),
            shift,
            0.0,
        );
        write_labels(&at.join(format!("labels/{case}.nii.gz")), 0, 0.0);
    }
    write_labels(&at.join("labels/d.nii.gz"), 0, 0.0);
    let labels = ["--labels", "front=1,back=2"];
    let files = ["--csv", "scores.csv", "--json", "scores.json"];
    let evaluated = |pair: [&str; 2], more: &[&str]| {
        let done = run(at, "evaluate", &[&pair, &labels[..], more].concat()).success();
        let output = done.get_output().clone();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    let [printed, warned] = evaluated(["out", "labels"], &files);
    assert!(
        warned.contains("labels/d.nii.gz has no prediction"),
        "{warned}"
    );
    // 1, 2 of 3 and 1 of 3 planes.
    let means: Vec<&str> = printed
        .lines()
        .filter(|line| line.contains(" dice "))
        .collect();
    assert!(
        means[0].contains("0.766667") && means[0].contains(" to "),
        "{printed}"
    );
    assert!(printed.contains("front: mean of 3 cases"), "{printed}");
    let by_pattern = ["out/{id}_desc-calvaria_dseg.nii.gz", "labels/{id}.nii.gz"];
    assert_eq!(evaluated(by_pattern, &[])[0], printed);

    let mut table = csv::Reader::from_path(at.join("scores.csv")).unwrap();
    let rows: Vec<csv::StringRecord> = table.records().map(Result::unwrap).collect();
    assert_eq!(rows.len(), 9);
    assert_eq!((&rows[3][0], &rows[3][1]), ("b", "front"));
    let [alone, _] = evaluated(["out/b_desc-calvaria_dseg.nii.gz", "labels/b.nii.gz"], &[]);
    let iou: f64 = rows[3][2].parse().unwrap();
    assert!((iou - row(&alone, "front")[0]).abs() < 1e-4);
    let json: serde_json::Value =
        serde_json::from_slice(&fs::read(at.join("scores.json")).unwrap()).unwrap();
    assert_eq!(json["cases"][1]["structures"]["front"]["iou"], iou);
    assert_eq!(json["means"][2]["structure"], "mean");
    assert!(
        json["without_prediction"][0]
            .as_str()
            .unwrap()
            .ends_with("labels/d.nii.gz")
    );

    // A mask is not replaced by a table.
    let mask = fs::read(at.join("labels/a.nii.gz")).unwrap();
    for flag in ["--csv", "--json"] {
        run(
            at,
            "evaluate",
            &[
                &["out", "labels"],
                &labels[..],
                &[flag, "labels/../labels/a.nii.gz"],
            ]
            .concat(),
        )
        .code(2)
        .stderr(contains(format!(
            "{flag} would replace the mask labels/a.nii.gz"
        )));
        assert_eq!(fs::read(at.join("labels/a.nii.gz")).unwrap(), mask);
    }

    // What is not there is told as such, with what may stand there.
    for (pair, what) in [
        (
            ["out", "nowhere"],
            "nowhere is not there. Name a file, a folder",
        ),
        (
            ["nowhere/{id}_dseg.nii.gz", "labels"],
            "`nowhere/{id}_dseg.nii.gz` is of the folder nowhere, which does not exist",
        ),
    ] {
        run(at, "evaluate", &[&pair, &labels[..]].concat())
            .code(2)
            .stderr(contains(what));
    }

    // A file that is no map of labels does not stop the others.
    fs::write(at.join("labels/b.nii.gz"), "no scan").unwrap();
    run(at, "evaluate", &[&["out", "labels"], &labels[..]].concat())
        .code(2)
        .stdout(contains("front: mean of 2 cases"))
        .stderr(contains("labels/b.nii.gz").and(contains("1 of 3 masks could not be scored: b.")));
}

#[test]
fn evaluate_refuses_labels_that_cannot_be_with_the_remedy() {
    let folder = tempfile::tempdir().unwrap();
    write_labels(&folder.path().join("pred.nii.gz"), 1, 0.0);
    write_labels(&folder.path().join("truth.nii.gz"), 0, 255.0);
    for (more, says) in [
        (&[][..], "`--labels`"),
        (&["--labels", "front=1"], "labels that are not declared"),
        (&["--labels", "front=1,back=2"], "255"),
        (&["--labels", "front"], "NAME=LABEL"),
        (&["--labels", "front=one"], "a whole number"),
        (&["--labels", "front=1,back=1"], "stands twice"),
        (&["--labels", "mean=1"], "`mean` cannot be"),
        (&["--labels", "a=1", "--ignore", "1"], "is ignored"),
        (
            &["--labels", "a=7,b=8", "--undeclared", "background"],
            "neither pred.nii.gz nor truth.nii.gz",
        ),
        (
            &["--labels", "a=1", "--regions", "b=1"],
            "cannot be used with",
        ),
        (&["--ignore", "255"], "--ignore needs --labels"),
    ] {
        let arguments = [&["pred.nii.gz", "truth.nii.gz"], more].concat();
        run(folder.path(), "evaluate", &arguments)
            .code(2)
            .stderr(contains(says));
    }
    let arguments = [
        "pred.nii.gz",
        "truth.nii.gz",
        "--labels",
        "front=1",
        "--undeclared",
        "background",
    ];
    run(folder.path(), "evaluate", &arguments).success();
}

/// Writes a run's scores in these structures: the first gains `gain`.
fn write_run(folder: &Path, run: &str, structures: &[&str], gain: f64) {
    let mut table = String::from("case,structure,iou,dice,hd95,true_volume_ml\n");
    for case in 0..20 {
        let dice = |at: usize| {
            let gain = if at == 0 {
                gain + 0.0003 * f64::from(u8::from(gain > 0.0)) * ((case * 5) % 11) as f64
            } else {
                0.0
            };
            0.7 + 0.01 * ((case * 7 + at) % 10) as f64 + gain
        };
        let row = |name: &str, dice: f64, ml: f64| {
            format!(
                "c{case:02},{name},{},{dice},{},{ml}\n",
                dice / 2.0,
                5.0 - dice
            )
        };
        for (at, name) in structures.iter().enumerate() {
            table += &row(name, dice(at), (1000 + case + name.len()) as f64);
        }
        let count = structures.len() as f64;
        let mean = (0..structures.len()).map(dice).sum::<f64>() / count;
        let ml = structures
            .iter()
            .map(|name| (1000 + case + name.len()) as f64)
            .sum::<f64>()
            / count;
        table += &row("mean", mean, ml);
    }
    fs::create_dir_all(folder.join(run)).unwrap();
    fs::write(folder.join(run).join("cases.csv"), table).unwrap();
}

fn compared(folder: &Path, arguments: &[&str]) -> (String, String) {
    let done = run(folder, "compare", arguments).success();
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        text(&done.get_output().stdout),
        text(&done.get_output().stderr),
    )
}

#[test]
fn compare_takes_the_mean_or_one_structure_or_each() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "a", &["anterior", "posterior"], 0.0);
    write_run(folder.path(), "b", &["anterior", "posterior"], 0.02);
    let (mean, warned) = compared(folder.path(), &["a", "b", "--metrics", "dice"]);
    assert!(
        mean.contains("b is better than a by 0.0108 dice ["),
        "{mean}"
    );
    assert!(warned.is_empty(), "{warned}");
    let (one, _) = compared(folder.path(), &["a", "b", "--metric", "dice/anterior"]);
    assert!(
        one.contains("b is better than a by 0.0215 dice/anterior ["),
        "{one}"
    );
    let (each, _) = compared(
        folder.path(),
        &["a", "b", "--metrics", "dice", "--structures"],
    );
    for says in [
        "no significant difference between a and b: +0.0000 dice/posterior",
        "correction for 3 comparisons",
        "\ndice/anterior ",
    ] {
        assert!(each.contains(says), "{says} in {each}");
    }
}

#[test]
fn compare_keeps_to_what_runs_have_in_common() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "a", &["anterior", "posterior"], 0.0);
    write_run(
        folder.path(),
        "more",
        &["anterior", "posterior", "tail"],
        0.02,
    );
    write_run(folder.path(), "other", &["head"], 0.0);
    let (found, warned) = compared(folder.path(), &["a", "more", "--metrics", "dice"]);
    assert!(
        warned.contains("tail of more is left out, and means are over anterior, posterior"),
        "{warned}"
    );
    assert!(
        found.contains("more is better than a by 0.0108 dice ["),
        "{found}"
    );
    run(folder.path(), "compare", &["a", "other"])
        .code(2)
        .stderr(contains(
            "no structure in common: a has anterior, posterior, other has head",
        ));
    fs::create_dir_all(folder.path().join("mask")).unwrap();
    fs::write(folder.path().join("mask/cases.csv"), "case,iou\nc00,0.5\n").unwrap();
    run(folder.path(), "compare", &["a", "mask"])
        .code(2)
        .stderr(contains("mask has one mask"));
    run(folder.path(), "compare", &["mask", "mask", "--structures"])
        .code(2)
        .stderr(contains("these runs find one mask"));
    run(
        folder.path(),
        "compare",
        &["a", "a", "--metrics", "dice/tail"],
    )
    .code(2)
    .stderr(contains("no metric `dice/tail`").and(contains("dice/posterior")));
    run(
        folder.path(),
        "compare",
        &["a", "a", "--metrics", "dise/tail"],
    )
    .code(2)
    .stderr(contains("`dise` is not a metric").and(contains("dice/anterior")));
    // The same structure of another size was scored against other masks.
    write_run(folder.path(), "moved", &["anterior", "posterior"], 0.0);
    let table = folder.path().join("moved/cases.csv");
    let text = fs::read_to_string(&table)
        .unwrap()
        .replace(",1017\n", ",1018\n");
    fs::write(&table, text).unwrap();
    run(folder.path(), "compare", &["a", "moved"])
        .code(2)
        .stderr(contains("case c08 has a true posterior of 1017.000 mL"));
}

#[test]
fn a_sweep_may_look_at_one_structure_that_its_experiment_finds() {
    let sweep = |metric: &str| {
        format!(
            "experiment: toy.yaml\nspace: {{optimizer.adam.learning_rate: {{log_uniform: [1.0e-3, 3.0e-2]}}}}\n\
             objective: {{metric: {metric}, goal: maximize}}\nbudget: {{trials: 2}}\n"
        )
    };
    let try_ = |folder: &Path, metric: &str| {
        fs::write(folder.join("search.yaml"), sweep(metric)).unwrap();
        run(folder, "sweep", &["search.yaml", "--dry-run"])
    };
    let folder = sweep_workplace(&sweep("validation_iou"));
    let folder = folder.path();
    try_(folder, "validation_loss/anterior")
        .code(2)
        .stderr(contains("validation_iou/NAME, validation_dice/NAME"));
    try_(folder, "validation_dice/anterior")
        .code(2)
        .stderr(contains("the experiment finds one mask").and(contains("Use `validation_dice`")));
    let toy = folder.join("toy.yaml");
    let text = fs::read_to_string(&toy).unwrap();
    let text = text.replace("bce", "cross_entropy");
    fs::write(
        &toy,
        format!("{text}labels: {{anterior: 1, posterior: 2}}\n"),
    )
    .unwrap();
    try_(folder, "validation_dice/anterier").code(2).stderr(
        contains("Did you mean `validation_dice/anterior`?")
            .and(contains("validation_dice/posterior")),
    );
    for known in ["validation_dice/anterior", "dice/anterior"] {
        try_(folder, known).success();
    }
}
