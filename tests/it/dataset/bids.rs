//! Finding cases in BIDS datasets.

use std::fs;
use std::path::Path;

use calvaria::dataset::{Bids, CaseSource, Source, Split};

use super::helpers::{error_message, folder, listed, write};

fn bids(root: &Path) -> Bids {
    Bids {
        root: root.to_owned(),
        ..Bids::default()
    }
}

const FMRIPREP: &str = "derivatives/fmriprep/sub-01/anat/sub-01";

#[test]
fn a_bids_dataset_takes_the_brain_mask_in_the_scans_own_space() {
    let root = folder(&[
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T2w.nii.gz",
        "sub-01/func/sub-01_task-rest_bold.nii.gz",
        &format!("{FMRIPREP}_desc-preproc_T1w.nii.gz"),
        &format!("{FMRIPREP}_desc-brain_mask.nii.gz"),
        &format!("{FMRIPREP}_desc-head_mask.nii.gz"),
        &format!("{FMRIPREP}_dseg.nii.gz"),
        &format!("{FMRIPREP}_space-MNI152NLin2009cAsym_desc-brain_mask.nii.gz"),
        &format!("{FMRIPREP}_space-MNI152NLin2009cAsym_res-2_desc-brain_mask.nii.gz"),
        "derivatives/fmriprep/sub-01/func/sub-01_task-rest_desc-brain_mask.nii.gz",
        "derivatives/fmriprep/sub-01/func/sub-01_task-rest_space-T1w_desc-brain_mask.nii.gz",
    ]);
    let cases = bids(root.path()).cases().unwrap();
    assert_eq!(
        listed(root.path(), &cases),
        [[
            "sub-01",
            "sub-01",
            &format!("{FMRIPREP}_desc-brain_mask.nii.gz")
        ]]
    );
    assert!(cases[0].image().ends_with("sub-01/anat/sub-01_T1w.nii.gz"));
}

#[test]
fn sessions_and_runs_of_a_bids_subject_are_cases_of_one_subject() {
    let root = folder(&[
        "sub-01/ses-1/anat/sub-01_ses-1_run-1_T1w.nii.gz",
        "sub-01/ses-1/anat/sub-01_ses-1_run-2_T1w.nii.gz",
        "sub-01/ses-2/anat/sub-01_ses-2_T1w.nii",
        "derivatives/masks/sub-01_ses-1_run-1_mask.nii.gz",
        "derivatives/masks/sub-01_ses-1_run-2_mask.nii.gz",
        "derivatives/masks/sub-01_ses-2_space-orig_mask.nii.gz",
    ]);
    let cases = bids(root.path()).cases().unwrap();
    let expected = [
        [
            "sub-01_ses-1_run-1",
            "sub-01",
            "derivatives/masks/sub-01_ses-1_run-1_mask.nii.gz",
        ],
        [
            "sub-01_ses-1_run-2",
            "sub-01",
            "derivatives/masks/sub-01_ses-1_run-2_mask.nii.gz",
        ],
        [
            "sub-01_ses-2",
            "sub-01",
            "derivatives/masks/sub-01_ses-2_space-orig_mask.nii.gz",
        ],
    ];
    assert_eq!(listed(root.path(), &cases), expected);
}

#[test]
fn masks_of_other_scans_are_never_taken_for_a_bids_scans_own() {
    for other in [
        "derivatives/fmriprep/sub-01/func/sub-01_space-T1w_desc-brain_mask.nii.gz",
        "derivatives/qsiprep/sub-01/dwi/sub-01_space-T1w_desc-brain_mask.nii.gz",
        "derivatives/masks/sub-01_task-rest_desc-brain_mask.nii.gz",
        "derivatives/masks/sub-01_acq-fast_desc-brain_mask.nii.gz",
        "derivatives/masks/sub-01_ses-2_desc-brain_mask.nii.gz",
        "derivatives/masks/sub-011_desc-brain_mask.nii.gz",
        "derivatives/masks/sub-01_space-MNI152NLin2009cAsym_mask.nii.gz",
        "derivatives/masks/sub-01_res-2_mask.nii.gz",
        "derivatives/masks/sub-01_desc-brain_dseg.nii.gz",
    ] {
        let root = folder(&["sub-01/anat/sub-01_T1w.nii.gz", other]);
        let why = error_message(root.path(), Source::Bids(bids(root.path())));
        assert!(why.contains("_T1w.nii.gz has no mask"), "{other}: {why}");
    }
}

#[test]
fn bids_scans_without_a_mask_can_be_left_out() {
    let root = folder(&[
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-02/anat/sub-02_T1w.nii.gz",
        "derivatives/sub-02_mask.nii.gz",
    ]);
    let skipping = Bids {
        skip_without_mask: true,
        ..bids(root.path())
    };
    let expected = [["sub-02", "sub-02", "derivatives/sub-02_mask.nii.gz"]];
    assert_eq!(listed(root.path(), &skipping.cases().unwrap()), expected);
}

#[test]
fn other_suffixes_find_other_bids_scans_and_masks() {
    let root = folder(&[
        "sub-01/anat/sub-01_T1w.nii.gz",
        "sub-01/anat/sub-01_T2w.nii.gz",
        "derivatives/sub-01_desc-brain_mask.nii.gz",
        "derivatives/sub-01_space-T2w_label-lesion_roi.nii.gz",
    ]);
    let other = Bids {
        suffix: "T2w".into(),
        mask: "roi".into(),
        ..bids(root.path())
    };
    let cases = other.cases().unwrap();
    assert!(cases[0].image().ends_with("sub-01_T2w.nii.gz"));
    assert!(
        cases[0]
            .mask
            .ends_with("sub-01_space-T2w_label-lesion_roi.nii.gz")
    );
    let wrong = Bids {
        suffix: "_T1w.nii".into(),
        ..other
    };
    let why = Source::Bids(wrong).validate().unwrap_err().to_string();
    assert!(why.contains("bids.suffix: suffix must be a word"), "{why}");
}

/// Two subjects with brain masks, a third with a lesion mask alone.
const MIXED: [&str; 6] = [
    "sub-01/anat/sub-01_T1w.nii",
    "sub-02/anat/sub-02_T1w.nii",
    "sub-03/anat/sub-03_T1w.nii",
    "derivatives/sub-01_desc-brain_mask.nii",
    "derivatives/sub-02_desc-brain_mask.nii",
    "derivatives/sub-03_desc-lesion_mask.nii",
];

#[test]
fn bids_masks_of_different_kinds_are_refused_with_whose_they_are() {
    let root = folder(&MIXED);
    let why = error_message(root.path(), Source::Bids(bids(root.path())));
    assert!(
        why.contains("desc-brain (sub-01, sub-02); desc-lesion (sub-03)") && why.contains("`desc`"),
        "{why}"
    );
    write(root.path(), "derivatives/sub-03_desc-brain_mask.nii", "");
    assert_eq!(bids(root.path()).cases().unwrap().len(), 3);

    let root = folder(&MIXED[..5]);
    write(root.path(), "derivatives/sub-03_mask.nii", "");
    let why = error_message(root.path(), Source::Bids(bids(root.path())));
    assert!(why.contains("neither desc nor label (sub-03)"), "{why}");
}

#[test]
fn the_kind_of_bids_masks_can_be_chosen() {
    let root = folder(&MIXED);
    let choosing = |desc: &str, skip_without_mask| Bids {
        desc: Some(desc.into()),
        skip_without_mask,
        ..bids(root.path())
    };
    let why = error_message(root.path(), Source::Bids(choosing("brain", false)));
    assert!(
        why.starts_with("sub-03/anat/sub-03_T1w.nii has no mask")
            && why.contains("sub-03_[…]_desc-brain_mask.nii.gz")
            && why.contains("1 in other spaces or of another kind"),
        "{why}"
    );
    let ids = |source: &Bids| -> Vec<String> {
        let cases = source.cases().unwrap().into_iter();
        cases.map(|case| case.id).collect()
    };
    assert_eq!(ids(&choosing("brain", true)), ["sub-01", "sub-02"]);
    assert_eq!(ids(&choosing("lesion", true)), ["sub-03"]);

    for file in [
        "sub-01_label-GM_mask.nii",
        "sub-01_label-WM_mask.nii",
        "sub-01_mask.nii",
    ] {
        write(root.path(), &format!("tissues/{file}"), "");
    }
    let tissue = |label: Option<&str>| Bids {
        derivatives: Some(root.path().join("tissues")),
        label: label.map(str::to_owned),
        skip_without_mask: true,
        ..bids(root.path())
    };
    let why = error_message(root.path(), Source::Bids(tissue(None)));
    assert!(why.contains("Choose by `desc` or `label`"), "{why}");
    for (label, file) in [("GM", "sub-01_label-GM_mask.nii"), ("", "sub-01_mask.nii")] {
        assert!(tissue(Some(label)).cases().unwrap()[0].mask.ends_with(file));
    }
    let why = Source::Bids(choosing("desc-brain", true))
        .validate()
        .unwrap_err();
    assert!(why.to_string().contains("bids.desc: desc must be"), "{why}");
}

#[test]
fn two_bids_scans_of_one_name_are_refused() {
    let root = folder(&[
        "sub-01/anat/sub-01_T1w.nii",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "derivatives/sub-01_mask.nii.gz",
    ]);
    let why = error_message(root.path(), Source::Bids(bids(root.path())));
    assert!(
        why.contains("sub-01_T1w.nii and") && why.contains("both called `sub-01`"),
        "{why}"
    );
}

#[cfg(unix)]
#[test]
fn links_in_a_bids_dataset_neither_hide_scans_nor_lead_in_circles() {
    use std::os::unix::fs::symlink;
    let root = folder(&[
        "sub-01/anat/sub-01_T1w.nii.gz",
        "derivatives/a/sub-01_mask.nii.gz",
    ]);
    symlink(root.path(), root.path().join("derivatives/a/raw")).unwrap();
    symlink("a", root.path().join("derivatives/latest")).unwrap();
    symlink("../../sub-01", root.path().join("derivatives/a/sub-01")).unwrap();
    let cases = bids(root.path()).cases().unwrap();
    let expected = [["sub-01", "sub-01", "derivatives/a/sub-01_mask.nii.gz"]];
    assert_eq!(listed(root.path(), &cases), expected);

    let scan = root.path().join("sub-01/anat/sub-01_T1w.nii.gz");
    fs::remove_file(&scan).unwrap();
    symlink("not-downloaded", &scan).unwrap();
    let why = error_message(root.path(), Source::Bids(bids(root.path())));
    assert!(
        why.contains("cannot read sub-01/anat/sub-01_T1w.nii.gz"),
        "{why}"
    );

    symlink("not-mounted", root.path().join("sub-00")).unwrap();
    let why = error_message(root.path(), Source::Bids(bids(root.path())));
    assert!(why.contains("cannot read sub-00"), "{why}");
}

#[test]
fn a_participants_table_gives_the_columns() {
    let root = folder(&[
        "sub-01/anat/sub-01_T1w.nii.gz",
        "derivatives/sub-01_mask.nii.gz",
    ]);
    let table =
        "\u{feff}participant_id\tage\tsex\tsite\r\nsub-02\t30\tM\tA\r\nsub-01\t41\tn/a\tB\r\n";
    write(root.path(), "participants.tsv", table);
    let cases = bids(root.path()).cases().unwrap();
    let columns: Vec<(&str, &str)> = (cases[0].columns.iter())
        .map(|(name, value)| (name.as_str(), value.as_str()))
        .collect();
    assert_eq!(columns, [("age", "41"), ("site", "B")]);
}

#[test]
fn participants_without_the_prefix_are_found_too() {
    let root = folder(&[
        "sub-01/anat/sub-01_T1w.nii.gz",
        "derivatives/sub-01_mask.nii.gz",
    ]);
    let table = "participant_id\tsex\r\n02\tM\r\n01\tF\r\n";
    write(root.path(), "participants.tsv", table);
    let cases = bids(root.path()).cases().unwrap();
    assert_eq!(cases[0].columns["sex"], "F");
    let unknown = "participant_id\tsex\nCC01\tF\n";
    write(root.path(), "participants.tsv", unknown);
    let cases = bids(root.path()).cases().unwrap();
    let split: Split = serde_yaml::from_str("{leave_one_out: {group: sex}}").unwrap();
    let why = split.folds(&cases, 1).unwrap_err().to_string();
    assert!(
        why.contains("case sub-01 has no value") && why.contains("participants.tsv"),
        "{why}"
    );
    let twice = "participant_id\tsex\nsub-01\tF\n01\tM\n";
    write(root.path(), "participants.tsv", twice);
    let why = bids(root.path()).cases().unwrap_err().to_string();
    assert!(
        why.contains("participants.tsv, line 3") && why.contains("01 has a row"),
        "{why}"
    );
}

#[test]
fn bids_scans_without_one_mask_are_errors_that_say_where_it_was_looked_for() {
    let scan = "sub-01/anat/sub-01_T1w.nii.gz";
    let root = folder(&[scan]);
    let source = |root: &Path| Source::Bids(bids(root));
    let why = error_message(root.path(), source(root.path()));
    assert!(
        why.contains("there is no folder derivatives. Set `derivatives`"),
        "{why}"
    );

    write(root.path(), "derivatives/sub-01_space-MNI_mask.nii.gz", "");
    let why = error_message(root.path(), source(root.path()));
    assert!(
        why.starts_with(scan) && why.contains("1 in other spaces") && why.contains("skip_without"),
        "{why}"
    );
    let skipping = Bids {
        skip_without_mask: true,
        ..bids(root.path())
    };
    let why = error_message(root.path(), Source::Bids(skipping));
    assert!(why.contains("1 scans, all without a mask"), "{why}");

    write(root.path(), "derivatives/a/sub-01_mask.nii.gz", "");
    write(root.path(), "derivatives/b/sub-01_mask.nii.gz", "");
    let why = error_message(root.path(), source(root.path()));
    assert!(
        why.contains("derivatives/a/sub-01_mask.nii.gz, derivatives/b/sub-01_mask.nii.gz"),
        "{why}"
    );
    let one = Bids {
        derivatives: Some(root.path().join("derivatives/b")),
        ..bids(root.path())
    };
    assert_eq!(one.cases().unwrap().len(), 1);

    let empty = folder(&["derivatives/x.txt", "readme.md"]);
    let why = error_message(empty.path(), source(empty.path()));
    assert!(why.contains("sub-*/[ses-*/]anat/*_T1w.nii.gz"), "{why}");
    let why = Source::Bids(bids(Path::new("no/such"))).cases();
    let why = why.unwrap_err().to_string();
    assert!(why.contains("no folder no/such. Set `root`"), "{why}");
}
