//! Finding cases in BIDS datasets, tables and pairs of folders.

use std::fs;
use std::path::Path;

use calvaria::dataset::{Bids, Case, CaseSource, Pairs, Source, Table};

/// A data folder with empty files of these names.
fn folder(files: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        write(root.path(), file, "");
    }
    root
}

fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Id, subject and mask (relative to the folder) of every case.
fn shown(root: &Path, cases: &[Case]) -> Vec<[String; 3]> {
    let inside = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
    let of = |case: &Case| [case.id.clone(), case.subject.clone(), inside(&case.mask)];
    cases.iter().map(of).collect()
}

fn bids(root: &Path) -> Bids {
    Bids {
        root: root.to_owned(),
        ..Bids::default()
    }
}

/// What a source says, with paths relative to the folder.
fn said(root: &Path, source: Source) -> String {
    let why = source.cases().unwrap_err().to_string();
    why.replace(&format!("{}/", root.display()), "")
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
        shown(root.path(), &cases),
        [[
            "sub-01",
            "sub-01",
            &format!("{FMRIPREP}_desc-brain_mask.nii.gz")
        ]]
    );
    assert!(cases[0].image.ends_with("sub-01/anat/sub-01_T1w.nii.gz"));
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
    assert_eq!(shown(root.path(), &cases), expected);
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
        let why = said(root.path(), Source::Bids(bids(root.path())));
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
    assert_eq!(shown(root.path(), &skipping.cases().unwrap()), expected);
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
    assert!(cases[0].image.ends_with("sub-01_T2w.nii.gz"));
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

#[test]
fn two_bids_scans_of_one_name_are_refused() {
    let root = folder(&[
        "sub-01/anat/sub-01_T1w.nii",
        "sub-01/anat/sub-01_T1w.nii.gz",
        "derivatives/sub-01_mask.nii.gz",
    ]);
    let why = said(root.path(), Source::Bids(bids(root.path())));
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
    assert_eq!(shown(root.path(), &cases), expected);

    let scan = root.path().join("sub-01/anat/sub-01_T1w.nii.gz");
    fs::remove_file(&scan).unwrap();
    symlink("not-downloaded", &scan).unwrap();
    let why = said(root.path(), Source::Bids(bids(root.path())));
    assert!(
        why.contains("cannot read sub-01/anat/sub-01_T1w.nii.gz"),
        "{why}"
    );

    symlink("not-mounted", root.path().join("sub-00")).unwrap();
    let why = said(root.path(), Source::Bids(bids(root.path())));
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
fn bids_scans_without_one_mask_are_errors_that_say_where_it_was_looked_for() {
    let scan = "sub-01/anat/sub-01_T1w.nii.gz";
    let root = folder(&[scan]);
    let source = |root: &Path| Source::Bids(bids(root));
    let why = said(root.path(), source(root.path()));
    assert!(
        why.contains("there is no folder derivatives. Set `derivatives`"),
        "{why}"
    );

    write(root.path(), "derivatives/sub-01_space-MNI_mask.nii.gz", "");
    let why = said(root.path(), source(root.path()));
    assert!(
        why.starts_with(scan) && why.contains("1 in other spaces") && why.contains("skip_without"),
        "{why}"
    );
    let skipping = Bids {
        skip_without_mask: true,
        ..bids(root.path())
    };
    let why = said(root.path(), Source::Bids(skipping));
    assert!(why.contains("1 scans, all without a mask"), "{why}");

    write(root.path(), "derivatives/a/sub-01_mask.nii.gz", "");
    write(root.path(), "derivatives/b/sub-01_mask.nii.gz", "");
    let why = said(root.path(), source(root.path()));
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
    let why = said(empty.path(), source(empty.path()));
    assert!(why.contains("sub-*/[ses-*/]anat/*_T1w.nii.gz"), "{why}");
    let why = Source::Bids(bids(Path::new("no/such"))).cases();
    let why = why.unwrap_err().to_string();
    assert!(why.contains("no folder no/such. Set `root`"), "{why}");
}

#[test]
fn a_table_gives_a_case_a_row_with_paths_from_its_folder() {
    let root = folder(&[
        "raw/a.nii.gz",
        "raw/b.nii.gz",
        "brains/a.nii.gz",
        "brains/b.nii.gz",
    ]);
    let text = "id, image, mask, subject, region, site, age\n\
                scan-2, raw/b.nii.gz, brains/b.nii.gz, S1, brains/a.nii.gz, Kyiv, 40\n\
                scan-1, raw/a.nii.gz, brains/a.nii.gz, , ,\"Lviv, north\", \n";
    write(root.path(), "cases.csv", text);
    let tabs = text.replace(", ", "\t").replace(",\"Lviv\t", "\t\"Lviv, ");
    write(root.path(), "cases.tsv", &tabs);
    for name in ["cases.csv", "cases.tsv"] {
        let path = root.path().join(name);
        let cases = Table { path }.cases().unwrap();
        let expected = [
            ["scan-1", "scan-1", "brains/a.nii.gz"],
            ["scan-2", "S1", "brains/b.nii.gz"],
        ];
        assert_eq!(shown(root.path(), &cases), expected, "{name}");
        assert_eq!(cases[0].columns["site"], "Lviv, north");
        assert!(!cases[0].columns.contains_key("age"));
        assert_eq!(cases[0].region, None);
        let region = cases[1].region.as_ref().unwrap();
        assert!(region.ends_with("brains/a.nii.gz"));
    }
}

#[test]
fn what_is_wrong_with_a_table_is_said_with_its_line() {
    let root = folder(&["a.nii.gz"]);
    let refusal = |text: &str| {
        write(root.path(), "cases.csv", text);
        let path = root.path().join("cases.csv");
        said(root.path(), Source::Table(Table { path }))
    };
    let why = refusal("id,image,masks\n");
    assert!(
        why.starts_with("cases.csv, line 1: there is no column `mask` (did you mean"),
        "{why}"
    );
    let why = refusal("m1,image,mask\n");
    assert!(!why.contains("did you mean"), "{why}");
    let why = refusal("id;image;mask\n1;a.nii.gz;a.nii.gz\n");
    assert!(
        why.contains("only `id;image;mask`") && why.contains("separated by commas"),
        "{why}"
    );
    let why = refusal("id,image,mask,mask\n1,a.nii.gz,a.nii.gz,a.nii.gz\n");
    assert!(
        why.contains("line 1: there are two columns `mask`"),
        "{why}"
    );
    assert!(refusal("").contains("line 1: it is empty"));
    assert!(refusal("id,image,mask\n").contains("line 1: there is no row"));
    let why = refusal("id,image,mask\n1,a.nii.gz,\n");
    assert!(why.contains("line 2: the cell of `mask` is empty"), "{why}");
    let why = refusal("id,image,mask\n1,a.nii.gz,b.nii.gz\n");
    assert!(
        why.contains("line 2: `mask`: cannot read b.nii.gz"),
        "{why}"
    );
    let why = refusal("id,image,mask\n1,a.nii.gz,a.nii.gz\n1,a.nii.gz,a.nii.gz\n");
    assert!(why.contains("line 3: the id `1` stands in line 2"), "{why}");
    let why = refusal("id,image,mask\n1,a.nii.gz\n");
    assert!(
        why.contains("line 2: it has 2 cells, but the header has 3"),
        "{why}"
    );
    let why = refusal("id,image,mask\n1,.,a.nii.gz\n");
    assert!(why.contains("line 2: `image`: cannot read"), "{why}");
    let why = refusal("id,image,mask,region\n1,a.nii.gz,a.nii.gz,r.nii\n");
    assert!(why.contains("line 2: `region`: cannot read r.nii"), "{why}");
    let missing = Table {
        path: root.path().join("no.csv"),
    };
    assert!(said(root.path(), Source::Table(missing)).contains("cannot read no.csv"));
}

#[test]
fn lines_of_a_table_are_those_an_editor_shows() {
    let root = folder(&["a.nii"]);
    let path = root.path().join("cases.csv");
    let good = "1,a.nii,a.nii";
    for (text, line) in [
        (format!("id,image,mask\r\n{good}\r\n2,,a.nii\r\n"), 3),
        (format!("id,image,mask\r\n{good}\r\n2,a.nii\r\n"), 3),
        (
            format!("\u{feff}id,image,mask\n\n{good}\n\n\n2,,a.nii\n"),
            6,
        ),
        (format!("id,image,mask,note\n{good},\"a\nb\"\n2,,a.nii,"), 4),
        (format!("id,image,mask\r\n\r\n{good}\r\n\r\n{good}"), 5),
    ] {
        write(root.path(), "cases.csv", &text);
        let why = said(root.path(), Source::Table(Table { path: path.clone() }));
        assert!(why.contains(&format!("line {line}:")), "{text:?}: {why}");
    }
}

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
    assert_eq!(shown(root.path(), &found.cases().unwrap()), expected);

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
    assert_eq!(shown(root.path(), &found.cases().unwrap()), expected);
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
    let refusal =
        |image: &str, mask: &str| said(root.path(), Source::Pairs(pairs(root.path(), image, mask)));
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
    let why = said(
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
    assert_eq!(shown(root.path(), &found.cases().unwrap()), expected);

    let root = folder(&["a_T1.nii", "a.nii"]);
    let found = pairs(root.path(), "{id}_T1.nii", "{id}.nii");
    let expected = [["a", "a", "a.nii"]];
    assert_eq!(shown(root.path(), &found.cases().unwrap()), expected);
}

#[test]
fn no_part_of_a_pattern_crosses_folders() {
    let root = folder(&["im/a.nii", "im/x/b.nii", "seg-1/a.nii", "seg-1/x/a.nii"]);
    let found = pairs(root.path(), "im/{id}.nii", "seg-*/{id}.nii");
    let expected = [["a", "a", "seg-1/a.nii"]];
    assert_eq!(shown(root.path(), &found.cases().unwrap()), expected);
    // A scan that matches the masks' pattern is not its own mask.
    let found = pairs(root.path(), "im/{id}.nii", "*/{id}.nii");
    assert_eq!(shown(root.path(), &found.cases().unwrap()), expected);
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
    assert_eq!(shown(root.path(), &found.cases().unwrap()), expected);

    fs::remove_file(root.path().join("seg/s1/v1.nii")).unwrap();
    let why = said(root.path(), Source::Pairs(found));
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
    let why = said(root.path(), Source::Pairs(found));
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
