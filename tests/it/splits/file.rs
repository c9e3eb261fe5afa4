//! Folds that a file defines.

use super::helpers::*;
use super::scikit_learn::fixture;

#[test]
fn nnu_nets_file_is_read() {
    let cases = cases(&[1; 12]);
    let yaml = format!("file: {{path: {}}}", fixture("splits_final.json").display());
    let folds = split(&yaml).folds(&cases, 0).unwrap();
    assert_eq!(folds.len(), 5);
    folds.iter().for_each(|fold| check_fold(fold, &cases));
    assert!(validations(&folds).values().all(|times| *times == 1));
    assert_eq!(folds[0].train[..2], ["sub-001_ses-0", "sub-002_ses-0"]);
}

#[test]
fn a_table_gives_each_case_a_fold_or_a_side() {
    let cases = cases(&[1; 3]);
    let ids = |numbers: &[usize]| -> Vec<String> {
        numbers
            .iter()
            .map(|&number| cases[number].id.clone())
            .collect()
    };
    let table = "id,age,fold\nsub-000_ses-0,7,1\nsub-001_ses-0,,0\nsub-002_ses-0,8,1\n";
    let (_folder, yaml) = from_file("csv", table, "");
    let folds = split(&yaml).folds(&cases, 0).unwrap();
    assert_eq!(folds.len(), 2);
    assert_eq!(
        (&folds[0].train, &folds[0].validation),
        (&ids(&[0, 2]), &ids(&[1]))
    );
    assert_eq!(
        (&folds[1].train, &folds[1].validation),
        (&ids(&[1]), &ids(&[0, 2]))
    );

    let table = "side\tid\ntrain\tsub-002_ses-0\nval\tsub-001_ses-0\nvalidation\tsub-000_ses-0\n";
    let (_folder, yaml) = from_file("tsv", table, "");
    let folds = split(&yaml).folds(&cases, 0).unwrap();
    assert_eq!(folds.len(), 1);
    assert_eq!(
        (&folds[0].train, &folds[0].validation),
        (&ids(&[2]), &ids(&[0, 1]))
    );
}

#[test]
fn a_fold_may_leave_cases_out_where_that_is_said() {
    let cases = cases(&[1; 4]);
    let fold = r#"{"index": 3, "train": ["sub-000_ses-0"], "validation": ["sub-002_ses-0"]}"#;
    let (_folder, yaml) = from_file("json", fold, ", skip_unlisted: true");
    let folds = split(&yaml).folds(&cases, 0).unwrap();
    assert_eq!((folds.len(), folds[0].index), (1, 0));
    let (_folder, yaml) = from_file("json", fold, "");
    let message = why(&yaml, &cases);
    assert!(
        message
            .contains("folds.json: fold 0 leaves out 2 of 4 cases: sub-001_ses-0, sub-003_ses-0.")
            && message.contains("skip_unlisted: true"),
        "{message}"
    );
}

#[test]
fn a_wrong_file_is_told_what_is_wrong() {
    let mut cases = cases(&[2, 1, 1]);
    for (case, family) in cases.iter_mut().zip(["A", "A", "B", "A"]) {
        case.columns.insert("family".into(), family.into());
    }
    let (a, b, c, d) = (&cases[0].id, &cases[1].id, &cases[2].id, &cases[3].id);
    let fold = |train: &str, val: &str| format!("[{{train: [{train}], val: [{val}]}}]");
    let good = format!("{{train: [{a}, {b}], val: [{c}, {d}]}}");
    for (extension, content, settings, message) in [
        (
            "yaml",
            fold(&format!("{a}, {c}"), &format!("{b}, {d}")),
            "",
            "folds.yaml: subject sub-000 stands on both sides of fold 0: case sub-000_ses-0 trains, case sub-000_ses-1 validates",
        ),
        (
            "yaml",
            fold(&format!("{a}, {b}, {c}"), &format!("{c}, {d}")),
            "",
            "subject sub-001 stands on both sides of fold 0",
        ),
        (
            "yaml",
            good.clone(),
            ", group: family",
            "`family` A stands on both sides of fold 0: case sub-000_ses-1 trains, case sub-002_ses-0 validates",
        ),
        (
            "yaml",
            good.clone(),
            ", group: famly",
            "Did you mean `family`?",
        ),
        (
            "yaml",
            fold("sub-000-ses-0", c),
            "",
            "fold 0 names case `sub-000-ses-0`, which is not among the data's 4 cases. Did you mean `sub-000_ses-0`?",
        ),
        (
            "yaml",
            fold(&format!("{a}, {a}"), c),
            "",
            "names case `sub-000_ses-0` twice",
        ),
        (
            "yaml",
            fold(&format!("{a}, {b}, {c}, {d}"), ""),
            "",
            "fold 0 has no case to validate on",
        ),
        (
            "yaml",
            fold("", &format!("{a}, {b}, {c}, {d}")),
            "",
            "fold 0 has no case to train on",
        ),
        ("yaml", "[]".into(), "", "there is no fold in it"),
        (
            "yaml",
            String::new(),
            "",
            "Write a fold, or a list of folds",
        ),
        (
            "yaml",
            "{train: [x], vall: [y]}".into(),
            "",
            "unknown field `vall`",
        ),
        (
            "yaml",
            "{train: [x]}".into(),
            "",
            "missing field `validation`",
        ),
        (
            "yaml",
            "{train: [1], val: [2]}".into(),
            "",
            "in quotes where they are digits",
        ),
        (
            "yaml",
            format!("[{good}, {{index: 0, {}]", &good[1..]),
            "",
            "the fold at place 1 (counted from 0) has the index 0",
        ),
        ("json", "{\"train\": [".into(), "", "line 1 column"),
        ("csv", format!("id,fold\n{a},0\n{b},x\n"), "", "line: 3"),
        (
            "csv",
            format!("id,fold\n{a},0\n{b},\n"),
            "",
            "the row of case `sub-000_ses-1` does not fit",
        ),
        (
            "csv",
            format!("id,fold,side\n{a},0,\n{b},,train\n"),
            "",
            "the row of case `sub-000_ses-1`",
        ),
        (
            "csv",
            format!("id,fold\n{a},0\n{b},0\n{c},2\n{d},2\n"),
            "",
            "fold 1 has no case to validate on",
        ),
        (
            "csv",
            format!("id,fold\n{a},4000000000\n{b},1\n"),
            "",
            "fold",
        ),
        (
            "csv",
            format!("case,fold\n{a},0\n"),
            "",
            "Write a header with `id`",
        ),
        (
            "csv",
            format!("id,side\n{a},test\n"),
            "",
            "`train` or `validation`",
        ),
    ] {
        let (_folder, yaml) = from_file(extension, &content, settings);
        let why = why(&yaml, &cases);
        assert!(why.contains(message), "{content}: {why}");
    }
    let why = why("file: {path: no/such.json}", &cases);
    assert!(why.contains("cannot read no/such.json"), "{why}");
}
