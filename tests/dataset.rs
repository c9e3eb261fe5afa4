//! Finding cases in a folder, and splitting them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use calvaria::dataset::{Case, Fold, Nfbs, Split};
use proptest::prelude::*;

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
    };
    nfbs.cases().map_err(|error| error.to_string())
}

/// What is said when cases cannot be found among `files`, with paths relative to the data folder.
fn said(files: &[&str]) -> String {
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
            image: at("sub-A00028185_ses-NFB3_T1w.nii.gz"),
            mask: at("sub-A00028185_ses-NFB3_T1w_brainmask.nii.gz"),
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
    assert!(said(&[]).contains("found no files"));
    assert!(said(&["a/readme.txt", "b/data.csv"]).contains("found 2 other files"));
    let why = said(&["a/x_T1w_brain.nii.gz"]);
    assert!(why.contains("only cut-out brains"), "{why}");
}

#[test]
fn a_scan_without_its_mask_is_told_where_the_mask_should_be() {
    let why = said(&["01/sub-01_T1w.nii.gz", "01/sub-01_T1w_brain.nii.gz"]);
    assert!(
        why.starts_with(
            "01/sub-01_T1w.nii.gz has no mask: expected 01/sub-01_T1w_brainmask.nii.gz"
        ),
        "{why}"
    );
    let why = said(&[
        "sub-01_T1w.nii",
        "sub-01_T2w.nii",
        "sub-01_T1w_brainmask.nii",
    ]);
    assert!(why.starts_with("sub-01_T2w.nii has no mask"), "{why}");
}

#[test]
fn a_mask_without_its_scan_is_told_where_the_scan_should_be() {
    let why = said(&[
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
    let why = said(&["01/a.nii", "01/b.nii", "01/c_brainmask.nii"]);
    assert!(
        why.contains("among 01/a.nii, 01/b.nii, 01/c_brainmask.nii."),
        "{why}"
    );
    let why = said(&["01/a.nii", "01/a.nii.gz", "01/a_brainmask.nii"]);
    assert!(
        why.contains("among 01/a.nii, 01/a.nii.gz, 01/a_brainmask.nii."),
        "{why}"
    );
}

#[test]
fn two_cases_of_one_name_are_refused() {
    let why = said(&[
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

/// Cases of as many subjects as there are numbers, each with that many sessions.
fn cases(sessions: &[usize]) -> Vec<Case> {
    let case = |subject: usize, session: usize| Case {
        id: format!("sub-{subject:03}_ses-{session}"),
        subject: format!("sub-{subject:03}"),
        image: PathBuf::new(),
        mask: PathBuf::new(),
        region: None,
        columns: BTreeMap::new(),
    };
    let numbered = sessions.iter().enumerate();
    numbered
        .flat_map(|(subject, &count)| (0..count).map(move |session| case(subject, session)))
        .collect()
}

fn split(yaml: &str) -> Split {
    serde_yaml::from_str(yaml).unwrap()
}

fn subjects(ids: &[String]) -> BTreeSet<&str> {
    ids.iter().map(|id| id.split('_').next().unwrap()).collect()
}

/// Every case once, nobody on both sides, both sides sorted and not empty.
fn check_fold(fold: &Fold, cases: &[Case]) {
    let all: BTreeSet<&String> = fold.train.iter().chain(&fold.validation).collect();
    assert_eq!(all, cases.iter().map(|case| &case.id).collect());
    assert_eq!(fold.train.len() + fold.validation.len(), cases.len());
    assert!(subjects(&fold.train).is_disjoint(&subjects(&fold.validation)));
    assert!(fold.train.is_sorted() && fold.validation.is_sorted());
    assert!(!fold.train.is_empty() && !fold.validation.is_empty());
}

proptest! {
    #[test]
    fn every_case_validates_in_exactly_one_of_k_folds(
        sessions in prop::collection::vec(1_usize..4, 2..40),
        k in 2_usize..8,
        seed: u64,
    ) {
        prop_assume!(k <= sessions.len());
        let cases = cases(&sessions);
        let folds = split(&format!("kfold: {{k: {k}}}")).folds(&cases, seed).unwrap();
        prop_assert_eq!(folds.len(), k);
        for (index, fold) in folds.iter().enumerate() {
            prop_assert_eq!(fold.index, index);
            check_fold(fold, &cases);
        }
        let validated: Vec<&String> = folds.iter().flat_map(|fold| &fold.validation).collect();
        prop_assert_eq!(validated.len(), cases.len());
        prop_assert_eq!(validated.into_iter().collect::<BTreeSet<_>>().len(), cases.len());
        let sizes: Vec<usize> = folds.iter().map(|fold| subjects(&fold.validation).len()).collect();
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
    }

    #[test]
    fn a_holdout_validates_the_number_asked_for(
        sessions in prop::collection::vec(1_usize..4, 2..40),
        amount in prop_oneof![(1_usize..40).prop_map(Ok), (0.01_f64..0.99).prop_map(Err)],
        seed: u64,
    ) {
        let all = sessions.len();
        let expected = match amount {
            Ok(count) => count,
            Err(part) => ((part * all as f64).round() as usize).clamp(1, all - 1),
        };
        prop_assume!(expected < all);
        let amount = amount.map_or_else(|part| part.to_string(), |count| count.to_string());
        let cases = cases(&sessions);
        let folds = split(&format!("holdout: {{validation: {amount}}}")).folds(&cases, seed).unwrap();
        prop_assert_eq!(folds.len(), 1);
        check_fold(&folds[0], &cases);
        prop_assert_eq!(subjects(&folds[0].validation).len(), expected);
    }

    #[test]
    fn a_split_does_not_depend_on_the_order_of_the_cases(
        sessions in prop::collection::vec(1_usize..4, 5..20),
        seed: u64,
    ) {
        let mut cases = cases(&sessions);
        for split in Split::defaults() {
            let folds = split.folds(&cases, seed).unwrap();
            cases.reverse();
            prop_assert_eq!(split.folds(&cases, seed).unwrap(), folds);
        }
    }
}

#[test]
fn each_subject_is_as_likely_to_validate_as_any_other() {
    let cases = cases(&[1; 5]);
    let mut counts = [0_i32; 5];
    for seed in 0..2000 {
        let fold = &split("holdout: {validation: 1}")
            .folds(&cases, seed)
            .unwrap()[0];
        counts[cases
            .iter()
            .position(|case| case.id == fold.validation[0])
            .unwrap()] += 1;
    }
    // Four standard deviations of a binomial with probability 1 in 5.
    assert!(
        counts.iter().all(|count| (count - 400).abs() < 72),
        "{counts:?}"
    );
}

#[test]
fn the_split_of_a_seed_never_changes() {
    // Pinned: a new version of the shuffle would silently change every stored result.
    let folds = split("kfold: {k: 3}").folds(&cases(&[1; 7]), 42).unwrap();
    let validated = |fold: &Fold| {
        fold.validation
            .iter()
            .map(|id| id[4..7].parse().unwrap())
            .collect()
    };
    let validated: Vec<Vec<usize>> = folds.iter().map(validated).collect();
    assert_eq!(validated, [vec![1, 3], vec![0, 2], vec![4, 5, 6]]);
}

#[test]
fn too_few_subjects_are_an_error_with_the_numbers() {
    let why = |yaml, sessions: &[usize]| {
        split(yaml)
            .folds(&cases(sessions), 1)
            .unwrap_err()
            .to_string()
    };
    let said = why("kfold", &[2; 4]);
    assert!(
        said.contains("cannot make 5 folds") && said.contains("(subjects: 4, cases: 8)"),
        "{said}"
    );
    let said = why("holdout: {validation: 4}", &[1; 4]);
    assert!(
        said.contains("cannot hold out 4") && said.contains("(subjects: 4, cases: 4)"),
        "{said}"
    );
    assert!(why("holdout", &[3]).contains("cannot hold out 1"));
    assert!(why("holdout", &[]).contains("(subjects: 0, cases: 0)"));
}

#[test]
fn amounts_that_are_neither_a_count_nor_a_fraction_are_refused() {
    for wrong in ["0", "0.0", "1.0", "1.5", "-3", ".nan"] {
        let why = split(&format!("holdout: {{validation: {wrong}}}"))
            .validate()
            .unwrap_err();
        assert!(why.starts_with("holdout: validation is"), "{why}");
    }
    let why = serde_yaml::from_str::<Split>("holdout: {validation: some}")
        .unwrap_err()
        .to_string();
    assert!(why.contains("whole number of subjects"), "{why}");
    assert!(
        split("kfold: {k: 1}")
            .validate()
            .unwrap_err()
            .contains("k is 1")
    );
}

#[test]
fn splits_read_back_from_yaml() {
    for written in [
        "holdout",
        "kfold",
        "holdout: {validation: 4}",
        "kfold: {k: 3}",
    ] {
        let split = split(written);
        split.validate().unwrap();
        let yaml = serde_yaml::to_string(&split).unwrap();
        assert_eq!(serde_yaml::from_str::<Split>(&yaml).unwrap(), split);
    }
}

#[test]
fn the_data_folder_is_required() {
    let why = serde_yaml::from_str::<Nfbs>("{}").unwrap_err().to_string();
    assert!(why.contains("root"), "{why}");
}
