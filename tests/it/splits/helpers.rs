//! Made-up cases, and what a fold makes of them.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use calvaria::dataset::{Case, Fold, Split};
use calvaria::preprocess::{GRID_TOLERANCE, ImageFile};
use calvaria::volume::nifti::write_mask;
use calvaria::volume::{Affine, MaskRule, Volume};
use ndarray::Array3;
use proptest::prelude::*;

/// Masks of 1 to 60 voxels of 1 mm, so of 0.001 to 0.06 mL.
pub static MASKS: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    for marked in 1..=60 {
        let voxels =
            Array3::from_shape_fn((4, 4, 4), |(x, y, z)| u8::from(16 * x + 4 * y + z < marked));
        let affine = Affine::diagonal([1.0; 3], [0.0; 3]);
        let mask = Volume { voxels, affine };
        write_mask(&folder.path().join(format!("{marked}.nii")), &mask).unwrap();
    }
    folder
});

pub fn mask_of(marked: usize) -> PathBuf {
    MASKS.path().join(format!("{marked}.nii"))
}

pub fn case(subject: usize, session: usize, columns: &[(&str, String)]) -> Case {
    let columns = columns.iter().cloned();
    Case {
        id: format!("sub-{subject:03}_ses-{session}"),
        subject: format!("sub-{subject:03}"),
        images: vec![ImageFile::only("")],
        onto: None,
        mask: mask_of(1 + (subject * 7 + session * 11) % 60),
        mask_rule: MaskRule::STRICT,
        grid_tolerance: GRID_TOLERANCE,
        region: None,
        columns: columns
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

/// Cases of as many subjects as there are numbers, each with that many sessions.
pub fn cases(sessions: &[usize]) -> Vec<Case> {
    let numbered = sessions.iter().enumerate();
    numbered
        .flat_map(|(subject, &count)| (0..count).map(move |session| case(subject, session, &[])))
        .collect()
}

/// One case per subject, in these strata and groups.
pub fn stratified(strata: &[usize], groups: &[usize]) -> Vec<Case> {
    let both = strata.iter().zip(groups).enumerate();
    both.map(|(subject, (stratum, group))| {
        let columns = [
            ("stratum", stratum.to_string()),
            ("group", group.to_string()),
        ];
        case(subject, 0, &columns)
    })
    .collect()
}

/// Cases of subjects with a number of sessions, a family, and a site that may change. Six subjects of
/// three families are always there.
pub fn population() -> impl Strategy<Value = Vec<Case>> {
    let subject = (1_usize..4, 0_usize..8, 0_usize..4);
    prop::collection::vec(subject, 6..30).prop_map(|subjects| {
        let numbered = subjects.into_iter().enumerate();
        let cases = numbered.flat_map(|(subject, (sessions, family, site))| {
            let family = if subject < 6 { subject % 3 } else { family };
            (0..sessions).map(move |session| {
                let site = format!("site-{}", (site + session / 2) % 4);
                let columns = [("family", format!("F{family}")), ("site", site)];
                case(subject, session, &columns)
            })
        });
        cases.collect()
    })
}

pub fn split(yaml: &str) -> Split {
    let split: Split = serde_yaml::from_str(yaml).unwrap();
    split.validate().unwrap();
    split
}

pub fn why(yaml: &str, cases: &[Case]) -> String {
    split(yaml).folds(cases, 1).unwrap_err().to_string()
}

pub fn subjects(ids: &[String]) -> BTreeSet<&str> {
    ids.iter().map(|id| id.split('_').next().unwrap()).collect()
}

/// The values of a column that these cases have.
pub fn values<'a>(cases: &'a [Case], ids: &[String], column: &str) -> BTreeSet<&'a str> {
    let cases = cases.iter().filter(|case| ids.contains(&case.id));
    cases.map(|case| &*case.columns[column]).collect()
}

/// How many of these cases are in each of `strata` strata, the column `stratum` naming a case's.
pub fn counts(cases: &[Case], ids: &[String], strata: usize) -> Vec<usize> {
    let mut counts = vec![0; strata];
    for case in cases.iter().filter(|case| ids.contains(&case.id)) {
        counts[case.columns["stratum"].parse::<usize>().unwrap()] += 1;
    }
    counts
}

/// Every case once, no subject on both sides, both sides sorted and not empty.
pub fn check_fold(fold: &Fold, cases: &[Case]) {
    let all: BTreeSet<&String> = fold.train.iter().chain(&fold.validation).collect();
    assert_eq!(all, cases.iter().map(|case| &case.id).collect());
    assert_eq!(fold.train.len() + fold.validation.len(), cases.len());
    assert!(subjects(&fold.train).is_disjoint(&subjects(&fold.validation)));
    assert!(fold.train.is_sorted() && fold.validation.is_sorted());
    assert!(!fold.train.is_empty() && !fold.validation.is_empty());
}

/// How often each subject validates.
pub fn validations(folds: &[Fold]) -> BTreeMap<&str, usize> {
    let mut times = BTreeMap::new();
    for fold in folds {
        for subject in subjects(&fold.validation) {
            *times.entry(subject).or_default() += 1;
        }
    }
    times
}

/// Writes `content` to a file with the extension `extension`, and a `file` split that reads it.
pub fn from_file(extension: &str, content: &str, settings: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("folds.{extension}"));
    fs::write(&path, content).unwrap();
    let yaml = format!("{{file: {{path: {}{settings}}}}}", path.display());
    (folder, yaml)
}
