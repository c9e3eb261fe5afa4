//! `calvaria augment`: a contact sheet of what training sees.

use calvaria::augment::{Augmentations, DrawnOn};
use predicates::prelude::*;
use predicates::str::contains;
use serde::Deserialize;

use crate::common::{calvaria, toy_workplace};

const AUGMENT: &str = "augment=[flip, {noise: {p: 0.7}}, {gamma: {p: 0.5}}]";

#[derive(Deserialize)]
struct Listing {
    file: String,
    case: String,
    seed: u64,
    tiles: Vec<Listed>,
}

#[derive(Deserialize)]
struct Listed {
    epoch: u64,
    drawn: Vec<DrawnOn>,
}

#[test]
fn the_sheet_shows_the_draws_of_training() {
    let folder = toy_workplace(3);
    let output = calvaria()
        .current_dir(folder.path())
        .args(["augment", "toy.yaml", "--set", AUGMENT, "--case", "sub-02"])
        .args(["-n", "7", "-o", "sheets/two.png", "--json"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let listing: Listing = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!((listing.case.as_str(), listing.seed), ("sub-02", 7));
    let (_, augment) = AUGMENT.split_once('=').unwrap();
    let augment: Augmentations = serde_yaml::from_str(augment).unwrap();
    assert_eq!(listing.tiles.len(), 7);
    for (number, tile) in (1..).zip(&listing.tiles) {
        assert_eq!(tile.epoch, number);
        assert_eq!(
            tile.drawn,
            augment.draw(7, number, "sub-02", 0, &["image".into()])
        );
    }
    let sheet = image::open(folder.path().join(&listing.file)).unwrap();
    assert_eq!(sheet.width(), 1600);
}

#[test]
fn the_first_training_case_is_drawn_by_default_and_each_tile_has_its_line() {
    let folder = toy_workplace(3);
    let assert = calvaria()
        .current_dir(folder.path())
        .args(["augment", "toy.yaml", "-n", "2", "--plane", "coronal"])
        .assert()
        .success()
        .stdout(contains("-augmented.png\nepoch 1: ").and(contains("\nepoch 2: ")))
        .stdout(contains("noise gaussian, std 0.0"));
    let text = String::from_utf8(assert.get_output().stdout.clone()).unwrap();
    let file = folder.path().join(text.lines().next().unwrap());
    assert!(file.is_file());
    // The same command draws the same picture.
    let before = std::fs::read(&file).unwrap();
    calvaria()
        .current_dir(folder.path())
        .args(["augment", "toy.yaml", "-n", "2", "--plane", "coronal"])
        .assert()
        .success();
    assert_eq!(std::fs::read(&file).unwrap(), before);
    // A picture of another origin stays, and so does one that was changed.
    let mut changed = before.clone();
    *changed.last_mut().unwrap() ^= 1;
    for foreign in [&changed[..], b"a photograph"] {
        std::fs::write(&file, foreign).unwrap();
        let sheet = ["augment", "toy.yaml", "-n", "2", "--plane", "coronal"];
        calvaria()
            .current_dir(folder.path())
            .args(sheet)
            .assert()
            .code(2)
            .stderr(contains("--overwrite"));
        assert_eq!(std::fs::read(&file).unwrap(), foreign);
        calvaria()
            .current_dir(folder.path())
            .args(sheet)
            .arg("--overwrite")
            .assert()
            .success();
        assert_eq!(std::fs::read(&file).unwrap(), before);
    }
}

#[test]
fn what_cannot_be_drawn_is_refused_with_a_remedy() {
    let folder = toy_workplace(3);
    for (args, message) in [
        (&["--case", "sub02"][..], "Did you mean sub-02?"),
        (&["--set", "augment=[]"], "no augmentations"),
        (&["-o", "sheet.jpg"], ".png"),
        (&["-n", "0"], "1..=60"),
        (
            &[
                "--set",
                "augment=[{mixup: {alpha: 1}}]",
                "--set",
                "train.batch_size=1",
            ],
            "train.batch_size",
        ),
        (&["--set", "augment=[mixup, mixup]"], "only once"),
    ] {
        calvaria()
            .current_dir(folder.path())
            .args(["augment", "toy.yaml"])
            .args(args)
            .assert()
            .code(2)
            .stderr(contains(message));
    }
}

#[test]
fn each_image_of_a_sample_has_a_tile_and_each_draw_its_images() {
    let folder = toy_workplace(3);
    for case in ["sub-01", "sub-02", "sub-03"] {
        let image = |kind: &str| {
            let name = format!("heads/{case}/{case}_{kind}.nii.gz");
            folder.path().join(name)
        };
        std::fs::copy(image("T1w"), image("FLAIR")).unwrap();
    }
    let data = "data={pairs: {root: heads, mask: '*/{id}_T1w_brainmask.nii.gz', \
                images: {t1: '*/{id}_T1w.nii.gz', flair: '*/{id}_FLAIR.nii.gz'}}}";
    let augment = "augment=[{flip: {p: 1}}, {noise: {p: 1}}, {blur: {p: 1}, channels: [flair]}]";
    let sheet = |augment: &str| {
        let mut command = calvaria();
        command
            .current_dir(folder.path())
            .args(["augment", "toy.yaml", "-n", "2", "-o", "two.png"])
            .args(["--set", data, "--set", augment]);
        command
    };
    let told = sheet(augment).assert().success();
    let told = String::from_utf8(told.get_output().stdout.clone()).unwrap();
    let second = told.lines().nth(1).unwrap();
    assert!(
        second.starts_with("epoch 1: flip left right; noise"),
        "{told}"
    );
    assert!(
        second.contains("(t1); noise") && second.contains("; blur"),
        "{told}"
    );
    assert!(second.ends_with(" (flair)"), "{told}");
    let wrong = augment.replace("[flair]", "[flare]");
    sheet(&wrong)
        .assert()
        .failure()
        .stderr(contains("Did you mean `flair`?"));
}
