//! Finding cases in a folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use calvaria::dataset::{Case, CaseSource, Nfbs};
use calvaria::preprocess::{GRID_TOLERANCE, ImageFile};
use calvaria::volume::MaskRule;

/// A data folder with empty files of these names.
fn folder(files: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        let path = root.path().join(file);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"").unwrap();
    }
    root
}

fn find(root: &Path) -> Result<Vec<Case>, String> {
    let nfbs = Nfbs {
        root: root.to_owned(),
        images: None,
    };
    nfbs.cases().map_err(|error| error.to_string())
}

/// The message when cases cannot be found among `files`, with paths relative to the data folder.
fn error_message(files: &[&str]) -> String {
    let root = folder(files);
    let prefix = format!("{}/", root.path().display());
    find(root.path()).unwrap_err().replace(&prefix, "")
}

#[test]
fn the_nfbs_layout_gives_a_case_per_subject() {
    let root = folder(&[
        "A00028352/sub-A00028352_ses-NFB3_T1w.nii.gz",
        "A00028352/sub-A00028352_ses-NFB3_T1w_brain.nii.gz",
        "A00028352/sub-A00028352_ses-NFB3_T1w_brainmask.nii.gz",
        "A00028185/sub-A00028185_ses-NFB3_T1w_brainmask.nii.gz",
        "A00028185/sub-A00028185_ses-NFB3_T1w_brain.nii.gz",
        "A00028185/sub-A00028185_ses-NFB3_T1w.nii.gz",
        "A00028185/._sub-A00028185_ses-NFB3_T1w.nii.gz",
        ".git/annex/objects/key.nii.gz",
        "participants.tsv",
    ]);
    let at = |file: &str| root.path().join("A00028185").join(file);
    let cases = find(root.path()).unwrap();
    assert_eq!(
        cases[0],
        Case {
            id: "sub-A00028185_ses-NFB3".into(),
            subject: "sub-A00028185".into(),
            images: vec![ImageFile::only(at("sub-A00028185_ses-NFB3_T1w.nii.gz"))],
            onto: None,
            mask: at("sub-A00028185_ses-NFB3_T1w_brainmask.nii.gz"),
            mask_rule: MaskRule::STRICT,
            grid_tolerance: GRID_TOLERANCE,
            region: None,
            columns: BTreeMap::new(),
        }
    );
    let ids: Vec<&str> = cases.iter().map(|case| case.id.as_str()).collect();
    assert_eq!(ids, ["sub-A00028185_ses-NFB3", "sub-A00028352_ses-NFB3"]);
}

#[test]
fn names_need_not_be_bids_where_a_folder_holds_one_scan_and_one_mask() {
    let root = folder(&["deep/er/head7.nii", "deep/er/manual_brainmask.nii.gz"]);
    let cases = find(root.path()).unwrap();
    assert_eq!((&*cases[0].id, &*cases[0].subject), ("head7", "head7"));
    assert!(cases[0].mask.ends_with("manual_brainmask.nii.gz"));
}

#[test]
fn scans_that_share_a_folder_are_paired_by_name() {
    let root = folder(&[
        "sub-01_T1w.nii.gz",
        "sub-01_T1w_brainmask.nii.gz",
        "sub-02_T1w.nii.gz",
        "sub-02_T1w_brainmask.nii.gz",
    ]);
    for case in find(root.path()).unwrap() {
        assert_eq!(
            case.mask,
            root.path()
                .join(format!("{}_T1w_brainmask.nii.gz", case.id))
        );
    }
}

#[test]
fn a_missing_folder_is_named() {
    let why = find(&PathBuf::from("no/such/folder")).unwrap_err();
    assert!(
        why.contains("there is no folder no/such/folder. Set `root`"),
        "{why}"
    );
}

#[test]
fn a_folder_without_cases_says_what_is_there() {
    assert!(error_message(&[]).contains("found no files"));
    assert!(error_message(&["a/readme.txt", "b/data.csv"]).contains("found 2 other files"));
    let why = error_message(&["a/x_T1w_brain.nii.gz"]);
    assert!(why.contains("only cut-out brains"), "{why}");
}

#[test]
fn a_scan_without_its_mask_is_told_where_the_mask_should_be() {
    let why = error_message(&["01/sub-01_T1w.nii.gz", "01/sub-01_T1w_brain.nii.gz"]);
    assert!(
        why.starts_with(
            "01/sub-01_T1w.nii.gz has no mask: expected 01/sub-01_T1w_brainmask.nii.gz"
        ),
        "{why}"
    );
    let why = error_message(&[
        "sub-01_T1w.nii",
        "sub-01_T2w.nii",
        "sub-01_T1w_brainmask.nii",
    ]);
    assert!(why.starts_with("sub-01_T2w.nii has no mask"), "{why}");
}

#[test]
fn a_mask_without_its_scan_is_told_where_the_scan_should_be() {
    let why = error_message(&[
        "01/sub-01_T1w_brainmask.nii.gz",
        "02/a.nii",
        "02/a_brainmask.nii",
    ]);
    assert!(
        why.starts_with(
            "the mask 01/sub-01_T1w_brainmask.nii.gz has no scan: expected 01/sub-01_T1w.nii.gz"
        ),
        "{why}"
    );
}

#[test]
fn files_that_cannot_be_told_apart_are_listed() {
    let why = error_message(&["01/a.nii", "01/b.nii", "01/c_brainmask.nii"]);
    assert!(
        why.contains("among 01/a.nii, 01/b.nii, 01/c_brainmask.nii."),
        "{why}"
    );
    let why = error_message(&["01/a.nii", "01/a.nii.gz", "01/a_brainmask.nii"]);
    assert!(
        why.contains("among 01/a.nii, 01/a.nii.gz, 01/a_brainmask.nii."),
        "{why}"
    );
}

#[test]
fn two_cases_of_one_name_are_refused() {
    let why = error_message(&[
        "1/T.nii",
        "1/T_brainmask.nii",
        "2/T.nii",
        "2/T_brainmask.nii",
    ]);
    assert!(
        why.starts_with("1/T.nii and 2/T.nii are both called `T`"),
        "{why}"
    );
}

#[cfg(unix)]
#[test]
fn links_are_followed_but_not_in_circles_nor_to_nothing() {
    use std::os::unix::fs::symlink;
    let store = folder(&["sub-01_T1w.nii.gz", "sub-01_T1w_brainmask.nii.gz"]);
    let root = folder(&["data/notes.txt"]);
    symlink(store.path(), root.path().join("data/sub-01")).unwrap();
    symlink(root.path(), root.path().join("data/up")).unwrap();
    assert_eq!(find(root.path()).unwrap().len(), 1);

    fs::remove_file(store.path().join("sub-01_T1w_brainmask.nii.gz")).unwrap();
    symlink(
        "not-downloaded",
        store.path().join("sub-01_T1w_brainmask.nii.gz"),
    )
    .unwrap();
    let why = find(root.path()).unwrap_err();
    assert!(
        why.contains("sub-01_T1w_brainmask.nii.gz") && why.contains("downloaded"),
        "{why}"
    );
}

#[test]
fn the_data_folder_is_required() {
    let why = serde_yaml::from_str::<Nfbs>("{}").unwrap_err().to_string();
    assert!(why.contains("root"), "{why}");
}
