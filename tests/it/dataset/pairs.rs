//! Finding cases in pairs of folders.

use std::fs;
use std::path::Path;

use calvaria::dataset::{CaseSource, Pairs, Source};

use super::helpers::{error_message, folder, listed, write};

fn pairs(root: &Path, image: &str, mask: &str) -> Pairs {
    Pairs {
        root: root.to_owned(),
        image: image.to_owned(),
        mask: mask.to_owned(),
    }
}

#[test]
fn pairs_follow_two_patterns() {
    let root = folder(&[
        "imagesTr/BRAIN_002_0000.nii.gz",
        "imagesTr/BRAIN_001_0000.nii.gz",
        "imagesTr/._BRAIN_001_0000.nii.gz",
        "labelsTr/BRAIN_001.nii.gz",
        "labelsTr/BRAIN_002.nii.gz",
        "dataset.json",
    ]);
    let found = pairs(
        root.path(),
        "imagesTr/{id}_0000.nii.gz",
        "labelsTr/{id}.nii.gz",
    );
    let expected = [
        ["BRAIN_001", "BRAIN_001", "labelsTr/BRAIN_001.nii.gz"],
        ["BRAIN_002", "BRAIN_002", "labelsTr/BRAIN_002.nii.gz"],
    ];
    assert_eq!(listed(root.path(), &found.cases().unwrap()), expected);

    let root = folder(&[
        "s1/t1/v1.nii",
        "s1/t1/v2.nii",
        "s1/seg-x/v1.nii",
        "s1/seg-y/v2.nii",
    ]);
    let found = pairs(
        root.path(),
        "{subject}/t1/{id}.nii",
        "{subject}/seg-*/{id}.nii",
    );
    let expected = [
        ["v1", "s1", "s1/seg-x/v1.nii"],
        ["v2", "s1", "s1/seg-y/v2.nii"],
    ];
    assert_eq!(listed(root.path(), &found.cases().unwrap()), expected);
}

#[test]
fn pairs_that_do_not_pair_are_errors_with_the_expected_name() {
    let root = folder(&[
        "im/a.nii",
        "im/b.nii",
        "im/x/a.nii",
        "seg/a.nii",
        "seg2/a.nii",
    ]);
    let refusal = |image: &str, mask: &str| {
        error_message(root.path(), Source::Pairs(pairs(root.path(), image, mask)))
    };
    let why = refusal("im/{id}.nii", "seg/{id}.nii");
    assert!(
        why.starts_with("im/b.nii has no mask: expected seg/b.nii"),
        "{why}"
    );
    let why = refusal("img/{id}.nii", "seg/{id}.nii");
    assert!(
        why.contains("scans img/{id}.nii") && why.contains("im/a.nii"),
        "{why}"
    );
    let why = refusal("im/{id}.nii", "seg*/{id}.nii");
    assert!(
        why.starts_with("im/a.nii has several masks: seg/a.nii, seg2/a.nii. Make `mask`"),
        "{why}"
    );
    let why = refusal("seg*/{id}.nii", "im/{id}.nii");
    assert!(
        why.starts_with("seg/a.nii and seg2/a.nii are both called `a`"),
        "{why}"
    );
    let why = error_message(
        root.path(),
        Source::Pairs(pairs(Path::new("no/such"), "{id}", "m/{id}")),
    );
    assert!(why.contains("no folder no/such. Set `root`"), "{why}");
}

#[test]
fn a_mask_beside_its_scan_is_no_scan() {
    let root = folder(&["a.nii", "a_mask.nii", "b.nii", "b_mask.nii"]);
    let found = pairs(root.path(), "{id}.nii", "{id}_mask.nii");
    let expected = [["a", "a", "a_mask.nii"], ["b", "b", "b_mask.nii"]];
    assert_eq!(listed(root.path(), &found.cases().unwrap()), expected);

    let root = folder(&["a_T1.nii", "a.nii"]);
    let found = pairs(root.path(), "{id}_T1.nii", "{id}.nii");
    let expected = [["a", "a", "a.nii"]];
    assert_eq!(listed(root.path(), &found.cases().unwrap()), expected);
}

#[test]
fn no_part_of_a_pattern_crosses_folders() {
    let root = folder(&["im/a.nii", "im/x/b.nii", "seg-1/a.nii", "seg-1/x/a.nii"]);
    let found = pairs(root.path(), "im/{id}.nii", "seg-*/{id}.nii");
    let expected = [["a", "a", "seg-1/a.nii"]];
    assert_eq!(listed(root.path(), &found.cases().unwrap()), expected);
    // A scan that matches the masks' pattern is not its own mask.
    let found = pairs(root.path(), "im/{id}.nii", "*/{id}.nii");
    assert_eq!(listed(root.path(), &found.cases().unwrap()), expected);
}

#[test]
fn a_mask_of_another_subject_is_not_the_scans() {
    let root = folder(&["im/s1/v1.nii", "seg/s1/v1.nii", "seg/s2/v1.nii"]);
    let found = pairs(
        root.path(),
        "im/{subject}/{id}.nii",
        "seg/{subject}/{id}.nii",
    );
    let expected = [["v1", "s1", "seg/s1/v1.nii"]];
    assert_eq!(listed(root.path(), &found.cases().unwrap()), expected);

    fs::remove_file(root.path().join("seg/s1/v1.nii")).unwrap();
    let why = error_message(root.path(), Source::Pairs(found));
    assert!(why.contains("has no mask: expected seg/s1/v1.nii"), "{why}");
}

#[cfg(unix)]
#[test]
fn linked_folders_of_pairs_are_found_where_the_pattern_says() {
    use std::os::unix::fs::symlink;
    let root = folder(&["archive/im/a.nii", "labels/a.nii"]);
    symlink("archive/im", root.path().join("images")).unwrap();
    symlink(root.path(), root.path().join("archive/up")).unwrap();
    let found = pairs(root.path(), "images/{id}.nii", "labels/{id}.nii");
    let cases = found.cases().unwrap();
    assert_eq!(cases.len(), 1);
    assert!(cases[0].image.ends_with("images/a.nii"));

    symlink("gone", root.path().join("labels/b.nii")).unwrap();
    write(root.path(), "archive/im/b.nii", "");
    let why = error_message(root.path(), Source::Pairs(found));
    assert!(why.contains("cannot read labels/b.nii"), "{why}");
}

#[test]
fn patterns_are_checked_before_any_work() {
    for (image, mask, reason) in [
        ("a.nii", "b/{id}.nii", "image `a.nii` must hold {id}"),
        (
            "{id}.nii",
            "../{id}.nii",
            "mask `../{id}.nii` must stay below root",
        ),
        (
            "/{id}.nii",
            "{id}.nii",
            "image `/{id}.nii` must stay below root",
        ),
        ("{id}_{run}.nii", "{id}.nii", "nothing else in braces"),
        ("{id}/{id}.nii", "{id}.nii", "once each"),
        (
            "{id}.nii",
            "{subject}/{id}.nii",
            "image must have {subject}",
        ),
        ("{id}.nii", "{id}.nii", "image and mask must differ"),
    ] {
        let source = Source::Pairs(pairs(Path::new("data"), image, mask));
        let why = source.validate().unwrap_err().to_string();
        assert!(why.contains(reason), "{why}");
    }
}
