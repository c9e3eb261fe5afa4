//! The messages when cases cannot be split as asked.

use calvaria::dataset::Split;

use super::helpers::*;
use super::properties::SETTINGS;

#[test]
fn a_column_or_mask_that_is_missing_is_named() {
    let mut cases = cases(&[1; 6]);
    let message = why("kfold: {k: 2, group: family}", &cases);
    assert!(
        message.contains("case sub-000_ses-0 has no value in the column `family`")
            && message.contains("no columns"),
        "{message}"
    );
    for case in &mut cases[..5] {
        case.columns.insert("site".into(), "Lyon".into());
    }
    for yaml in [
        "kfold: {k: 2, stratify: {column: site}}",
        "holdout: {stratify: {column: site}}",
        "leave_one_out: {group: site}",
    ] {
        let message = why(yaml, &cases);
        assert!(message.contains("case sub-005_ses-0"), "{yaml}: {message}");
    }
    cases[3].mask = "no/mask.nii".into();
    for yaml in [
        "kfold: {k: 2, stratify: mask_volume}",
        "holdout: {stratify: mask_volume}",
    ] {
        let message = why(yaml, &cases);
        assert!(message.contains("no/mask.nii"), "{yaml}: {message}");
    }
}

#[test]
fn too_few_subjects_are_an_error_with_the_numbers() {
    let message = why("kfold", &cases(&[2; 4]));
    assert!(
        message.contains("cannot make 5 folds") && message.contains("(subjects: 4, cases: 8)"),
        "{message}"
    );
    let message = why("holdout: {validation: 4}", &cases(&[1; 4]));
    assert!(
        message.contains("cannot hold out 4") && message.contains("(subjects: 4, cases: 4)"),
        "{message}"
    );
    assert!(why("holdout", &cases(&[3])).contains("cannot hold out 1"));
    assert!(why("holdout", &[]).contains("(subjects: 0, cases: 0)"));
    assert!(why("leave_one_out", &cases(&[3])).contains("cannot leave one out"));
    let one_site = stratified(&[0; 6], &[0; 6]);
    for yaml in [
        "holdout: {group: group}",
        "kfold: {k: 2, group: group, stratify: mask_volume}",
        "leave_one_out: {group: group}",
    ] {
        let message = why(yaml, &one_site);
        assert!(
            message.contains("too few groups by `group`")
                && message.contains("(groups by `group`: 1, cases: 6)"),
            "{message}"
        );
    }
}

#[test]
fn values_out_of_range_are_refused() {
    let refused = |yaml: &str| -> String {
        let split: Split = serde_yaml::from_str(yaml).unwrap();
        split.validate().unwrap_err().to_string()
    };
    for wrong in ["0", "0.0", "1.0", "1.5", "-3", ".nan"] {
        let why = refused(&format!("holdout: {{validation: {wrong}}}"));
        assert!(
            why.starts_with("holdout.validation: validation must be"),
            "{why}"
        );
    }
    assert!(refused("kfold: {k: 1}").contains("k must be at least 2, not 1"));
    assert!(refused("kfold: {repeats: 0}").contains("repeats must be at least 1"));
    assert!(refused("kfold: {group: ''}").contains("group must name a column"));
    assert!(refused("holdout: {stratify: {column: ''}}").contains("stratify.column must"));
    assert!(refused("leave_one_out: {group: ''}").contains("group must name a column"));
    assert!(refused("file").contains("path must name a file"));
    assert!(refused("file: {path: folds.txt}").contains("ends in one of .json"));

    let unread = |yaml: &str| serde_yaml::from_str::<Split>(yaml).unwrap_err().to_string();
    assert!(unread("holdout: {validation: some}").contains("whole number of subjects"));
    for wrong in ["volume", "{colum: site}", "{column: site, bins: 3}"] {
        let why = unread(&format!("kfold: {{stratify: {wrong}}}"));
        assert!(
            why.contains("`mask_volume`, or a column as in `{column: site}`"),
            "{why}"
        );
    }
    assert!(unread("file: {}").contains("missing field `path`"));
}

#[test]
fn splits_read_back_from_yaml() {
    for written in SETTINGS
        .iter()
        .copied()
        .chain(["{file: {path: a.json, group: family}}"])
    {
        let split = split(written);
        let yaml = serde_yaml::to_string(&split).unwrap();
        assert_eq!(serde_yaml::from_str::<Split>(&yaml).unwrap(), split);
    }
}
