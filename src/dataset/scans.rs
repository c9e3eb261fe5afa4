//! Scans without masks: those to segment.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::DatasetError;
use super::files_below::{files_below, nifti_stem};
use super::pattern::{ID, files_matching};
use crate::layout::is_prediction;

/// The scans of a BIDS dataset: how their names end.
pub const BIDS_SUFFIX: &str = "T1w";

/// The scans in a folder and in those below it, in order of their paths: all NIfTI files but predictions and what lies in
/// folders of results; of a BIDS dataset (it has a `dataset_description.json`) the raw scans that end in `_T1w`.
///
/// # Errors
///
/// When a folder cannot be read.
pub fn in_folder(folder: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let files = files_below(folder, "Name a folder of scans")?;
    let is_bids = folder.join("dataset_description.json").is_file();
    let is_raw = |path: &Path, stem: &str| {
        let inside = path.strip_prefix(folder).unwrap_or(path);
        let mut parts = inside.iter().map(|part| part.to_string_lossy());
        let of_subject = parts.next().is_some_and(|part| part.starts_with("sub-"));
        of_subject && stem.ends_with(&format!("_{BIDS_SUFFIX}"))
    };
    let is_scan =
        |path: &PathBuf| nifti_stem(path).is_some_and(|(stem, _)| !is_bids || is_raw(path, &stem));
    Ok(files.into_iter().filter(is_scan).collect())
}

/// The files that a pattern of the shell stands for, such as `raw/*_T1w.nii.gz`, in order; `{id}` is a `*`. Predictions are
/// none of them.
///
/// # Errors
///
/// When the pattern is wrong.
pub fn matching(pattern: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    let text = pattern.to_string_lossy().replace(&format!("{{{ID}}}"), "*");
    let found = glob::glob(&text)
        .map_err(|why| DatasetError::Pattern(format!("`{text}` cannot be read: {why}")))?;
    let files = found.flatten();
    Ok(files
        .filter(|path| path.is_file() && !is_prediction(path))
        .collect())
}

/// The files of every case, one for each pattern, in which `{id}` stands for the case's id. The cases are those of the
/// first pattern.
///
/// # Errors
///
/// When a pattern is wrong or matches nothing, or a case has no file, or several, for one of them.
pub fn by_id(patterns: &[PathBuf]) -> Result<Vec<Vec<PathBuf>>, DatasetError> {
    let mut of_each: Vec<BTreeMap<String, Vec<PathBuf>>> = Vec::new();
    for pattern in patterns {
        let mut files: BTreeMap<String, Vec<PathBuf>> = BTreeMap::new();
        for (id, path) in files_matching(pattern).map_err(DatasetError::Pattern)? {
            if !is_prediction(&path) {
                files.entry(id).or_default().push(path);
            }
        }
        of_each.push(files);
    }
    let ids: Vec<String> = of_each
        .first()
        .into_iter()
        .flat_map(BTreeMap::keys)
        .cloned()
        .collect();
    if ids.is_empty() {
        let text = patterns.first().map(|path| path.display().to_string());
        return Err(DatasetError::Pattern(format!(
            "`{}` matches no file",
            text.unwrap_or_default()
        )));
    }
    let case = |id: &String| {
        let files = of_each.iter().zip(patterns).map(|(files, pattern)| {
            let expected = pattern.to_string_lossy().replace(&format!("{{{ID}}}"), id);
            match files.get(id).map_or(&[][..], |found| found) {
                [path] => Ok(path.clone()),
                [] => Err(DatasetError::Pattern(format!(
                    "`{}` matches no file of {id}: expected {expected}",
                    pattern.display()
                ))),
                [first, second, ..] => Err(DatasetError::Pattern(format!(
                    "`{}` matches {} and {}, both of {id}",
                    pattern.display(),
                    first.display(),
                    second.display()
                ))),
            }
        });
        files.collect()
    };
    ids.iter().map(case).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    fn names(folder: &Path, paths: &[PathBuf]) -> Vec<String> {
        let inside = paths.iter().map(|path| path.strip_prefix(folder).unwrap());
        inside.map(|path| path.display().to_string()).collect()
    }

    #[test]
    fn all_scans_of_a_folder_are_found_and_of_a_dataset_the_raw_ones() {
        let plain = folder(&[
            "b.nii",
            "a/c.nii.gz",
            "b_desc-calvaria_mask.nii.gz",
            "notes.txt",
        ]);
        let found = in_folder(plain.path()).unwrap();
        assert_eq!(names(plain.path(), &found), ["a/c.nii.gz", "b.nii"]);
        let bids = folder(&[
            "dataset_description.json",
            "sub-1/anat/sub-1_T1w.nii.gz",
            "sub-1/anat/sub-1_FLAIR.nii.gz",
            "derivatives/x/sub-1/anat/sub-1_T1w.nii.gz",
        ]);
        let found = in_folder(bids.path()).unwrap();
        assert_eq!(names(bids.path(), &found), ["sub-1/anat/sub-1_T1w.nii.gz"]);
    }

    #[test]
    fn a_pattern_stands_for_its_files_but_not_for_predictions() {
        let folder = folder(&[
            "1_T1w.nii",
            "2_T1w.nii",
            "2_FLAIR.nii",
            "2_desc-calvaria_T1w.nii",
        ]);
        for pattern in ["*_T1w.nii", "{id}_T1w.nii"] {
            let found = matching(&folder.path().join(pattern)).unwrap();
            assert_eq!(names(folder.path(), &found), ["1_T1w.nii", "2_T1w.nii"]);
        }
    }

    #[test]
    fn a_case_has_one_file_for_each_pattern() {
        let folder = folder(&["1_T1w.nii", "2_T1w.nii", "1_FLAIR.nii"]);
        let patterns = ["{id}_T1w.nii", "{id}_FLAIR.nii"].map(|text| folder.path().join(text));
        let why = by_id(&patterns).unwrap_err().to_string();
        assert!(
            why.contains("no file of 2") && why.contains("2_FLAIR.nii"),
            "{why}"
        );
        std::fs::write(folder.path().join("2_FLAIR.nii"), "").unwrap();
        let cases = by_id(&patterns).unwrap();
        assert_eq!(
            names(folder.path(), &cases[1]),
            ["2_T1w.nii", "2_FLAIR.nii"]
        );
        let nothing = [folder.path().join("{id}_T2w.nii")];
        assert!(
            by_id(&nothing)
                .unwrap_err()
                .to_string()
                .contains("matches no file")
        );
    }
}
