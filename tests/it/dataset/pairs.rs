//! Finding cases in pairs of folders.

use std::fs;
use std::path::Path;

use calvaria::dataset::{CaseSource, Pairs, Source, Split};

use super::helpers::{error_message, folder, listed, write};

fn pairs(root: &Path, image: &str, mask: &str) -> Pairs {
    Pairs {
        root: root.to_owned(),
        image: Some(image.to_owned()),
        images: None,
        mask: mask.to_owned(),
    }
}

#[cfg(unix)]
#[test]
fn a_scan_whose_name_is_not_text_is_named_and_refused() {
    use std::os::unix::ffi::OsStrExt;
    let folder = tempfile::tempdir().unwrap();
    for name in [&b"caf\xe9.nii.gz"[..], b"caf\xe8.nii.gz"] {
        let name = std::ffi::OsStr::from_bytes(name);
        std::fs::write(folder.path().join(name), "").unwrap();
    }
    let pairs = Pairs {
        root: folder.path().to_owned(),
        image: Some("{id}.nii.gz".into()),
        images: None,
        mask: "{id}_mask.nii.gz".into(),
    };
    let why = pairs.cases().unwrap_err().to_string();
    assert!(
        why.contains("not UTF-8") && why.contains("Rename it"),
        "{why}"
    );
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

#[test]
fn subject_and_session_make_up_the_id_and_visits_stay_together() {
    let root = folder(&[
        "im/p1_v1_T1.nii",
        "im/p1_v2_T1.nii",
        "im/p2_v1_T1.nii",
        "seg/p1_v1.nii",
        "seg/p1_v2.nii",
        "seg/p2_v1.nii",
    ]);
    let expected = [
        ["p1_v1", "p1", "seg/p1_v1.nii"],
        ["p1_v2", "p1", "seg/p1_v2.nii"],
        ["p2_v1", "p2", "seg/p2_v1.nii"],
    ];
    for mask in ["seg/{subject}_{session}.nii", "seg/{id}.nii"] {
        let found = pairs(root.path(), "im/{subject}_{session}_T1.nii", mask);
        let cases = found.cases().unwrap();
        assert_eq!(listed(root.path(), &cases), expected, "{mask}");
        let sessions = cases.iter().map(|case| &*case.columns["session"]);
        assert_eq!(sessions.collect::<Vec<_>>(), ["v1", "v2", "v1"]);
        let split: Split = serde_yaml::from_str("{kfold: {k: 2}}").unwrap();
        for fold in split.folds(&cases, 1).unwrap() {
            let sides = [fold.train, fold.validation];
            assert!(sides.contains(&vec!["p2_v1".to_owned()]), "{sides:?}");
        }
    }
    // A session without a mask is named by the file that it lacks; another visit's mask does not do.
    fs::remove_file(root.path().join("seg/p1_v2.nii")).unwrap();
    let found = pairs(
        root.path(),
        "im/{subject}_{session}_T1.nii",
        "seg/{subject}_{session}.nii",
    );
    let why = error_message(root.path(), Source::Pairs(found));
    assert!(why.contains("has no mask: expected seg/p1_v2.nii"), "{why}");
}

#[test]
fn sessions_may_be_folders_and_masks_lie_beside_their_scans() {
    let root = folder(&[
        "p_1/v_1/t1.nii",
        "p_1/v_1/t1_mask.nii",
        "p_1/v_2/t1.nii",
        "p_1/v_2/t1_mask.nii",
    ]);
    let found = pairs(
        root.path(),
        "{subject}/{session}/t1.nii",
        "{subject}/{session}/t1_mask.nii",
    );
    let expected = [
        ["p_1_v_1", "p_1", "p_1/v_1/t1_mask.nii"],
        ["p_1_v_2", "p_1", "p_1/v_2/t1_mask.nii"],
    ];
    assert_eq!(listed(root.path(), &found.cases().unwrap()), expected);
    let root = folder(&["a_1.nii", "a_1_mask.nii", "b_1.nii", "b_1_mask.nii"]);
    let found = pairs(
        root.path(),
        "{subject}_{session}.nii",
        "{subject}_{session}_mask.nii",
    );
    let expected = [["a_1", "a", "a_1_mask.nii"], ["b_1", "b", "b_1_mask.nii"]];
    assert_eq!(listed(root.path(), &found.cases().unwrap()), expected);
}

#[test]
fn a_name_that_can_be_read_in_several_ways_is_refused() {
    let root = folder(&["im/BRAIN_01_v1.nii", "seg/BRAIN_01_v1.nii"]);
    let found = pairs(root.path(), "im/{subject}_{session}.nii", "seg/{id}.nii");
    let why = error_message(root.path(), Source::Pairs(found));
    assert!(
        why.contains("several ways in im/BRAIN_01_v1.nii: subject BRAIN, session 01_v1 or subject BRAIN_01, session v1"),
        "{why}"
    );
    let found = pairs(
        root.path(),
        "im/BRAIN_{subject}_{session}.nii",
        "seg/BRAIN_{subject}_{session}.nii",
    );
    let expected = [["01_v1", "01", "seg/BRAIN_01_v1.nii"]];
    assert_eq!(listed(root.path(), &found.cases().unwrap()), expected);
    // Where the pattern has an id, it is the shortest end.
    let found = pairs(
        root.path(),
        "im/{subject}_{id}.nii",
        "seg/{subject}_{id}.nii",
    );
    let expected = [["v1", "BRAIN_01", "seg/BRAIN_01_v1.nii"]];
    assert_eq!(listed(root.path(), &found.cases().unwrap()), expected);
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
    assert!(cases[0].image().ends_with("images/a.nii"));

    symlink("gone", root.path().join("labels/b.nii")).unwrap();
    write(root.path(), "archive/im/b.nii", "");
    let why = error_message(root.path(), Source::Pairs(found));
    assert!(why.contains("cannot read labels/b.nii"), "{why}");
}

#[test]
fn patterns_are_checked_before_any_work() {
    for (image, mask, reason) in [
        (
            "a.nii",
            "b/{id}.nii",
            "image `a.nii` must hold {id} or {subject}",
        ),
        (
            "{session}.nii",
            "b/{id}.nii",
            "image `{session}.nii` must hold {id} or {subject}",
        ),
        (
            "{subject}_{visit}.nii",
            "b/{id}.nii",
            "nothing else in braces. Did you mean {session}?",
        ),
        (
            "{subject}_{sesion}.nii",
            "b/{id}.nii",
            "Did you mean {session}?",
        ),
        ("{subject", "b/{id}.nii", "opens a { but never closes it"),
        (
            "{subject}_{session}.nii",
            "b/{subject}.nii",
            "mask must have {id}, or {session} as image has it",
        ),
        (
            "{subject}/{id}.nii",
            "b/{subject}.nii",
            "mask must have {id} if image has it",
        ),
        (
            "{subject}.nii",
            "b/{subject}_{session}.nii",
            "image must have {session}",
        ),
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
