//! Which predicted mask is held against which true one, where there are many.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::EvaluateError;
use crate::dataset::pattern::{ID, files_in, files_matching};
use crate::layout::predicted_name;

/// A predicted mask and the true one of the same case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct MaskPair {
    /// The case: the name that both have.
    pub case: String,
    /// The predicted mask.
    pub prediction: PathBuf,
    /// The true mask.
    pub truth: PathBuf,
}

/// The masks of two sets by what they have in common.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct MaskPairs {
    /// Those that belong together, in order of the case.
    pub pairs: Vec<MaskPair>,
    /// Predictions without a true mask.
    pub without_truth: Vec<PathBuf>,
    /// True masks without a prediction.
    pub without_prediction: Vec<PathBuf>,
}

/// A mask and what it is known by.
pub(super) struct Named {
    pub(super) name: String,
    pub(super) path: PathBuf,
}

impl MaskPairs {
    /// Whether two paths stand for many files: folders, or patterns that hold `{id}`.
    pub fn are_meant(prediction: &Path, truth: &Path) -> bool {
        [prediction, truth]
            .iter()
            .any(|path| path.is_dir() || is_pattern(path))
    }

    /// Finds the masks of two folders, each with the folders below it, or of two patterns such as
    /// `out/{id}_desc-calvaria_mask.nii.gz`, or one of each.
    ///
    /// A mask of a folder is known by its file's name without `.nii.gz`, a prediction of calvaria by its scan's name; in a
    /// folder with such predictions only they count. Two masks belong together if their names are the same, or one begins
    /// with the other and a `_`: `sub-01_T1w` and `sub-01_T1w_brainmask`. Masks of two patterns belong together by their id.
    ///
    /// # Errors
    ///
    /// When a folder cannot be read, a pattern is wrong, nothing belongs together, or it is unclear what does.
    pub fn find(prediction: &Path, truth: &Path) -> Result<Self, EvaluateError> {
        let mut predictions = masks(prediction)?;
        let mut truths = masks(truth)?;
        let by_id = is_pattern(prediction) && is_pattern(truth);
        let belong = |a: &str, b: &str| match by_id {
            true => a == b,
            false => begins(a, b) || begins(b, a),
        };
        let mut found = Self::default();
        // Names that are the same first, so that `a` is not taken for `a_b`.
        for exactly in [true, false] {
            let mut left = Vec::new();
            for one in predictions {
                let fits = |of: &Named| match exactly {
                    true => of.name == one.name,
                    false => belong(&of.name, &one.name),
                };
                let at: Vec<usize> = (0..truths.len()).filter(|at| fits(&truths[*at])).collect();
                match at[..] {
                    [] => left.push(one),
                    [at] => {
                        let truth = truths.remove(at);
                        found.pairs.push(MaskPair {
                            case: one.name,
                            prediction: one.path,
                            truth: truth.path,
                        });
                    }
                    [first, second, ..] => {
                        return Err(EvaluateError::Unclear {
                            prediction: one.path,
                            first: truths[first].path.clone(),
                            second: truths[second].path.clone(),
                        });
                    }
                }
            }
            predictions = left;
        }
        if found.pairs.is_empty() {
            let first = |masks: &[Named]| masks.first().map_or(String::new(), |of| of.name.clone());
            return Err(EvaluateError::NoPairs {
                prediction: prediction.display().to_string(),
                truth: truth.display().to_string(),
                predicted: first(&predictions),
                true_name: first(&truths),
            });
        }
        let paths = |masks: Vec<Named>| masks.into_iter().map(|of| of.path).collect();
        found.pairs.sort();
        found.without_truth = paths(predictions);
        found.without_prediction = paths(truths);
        Ok(found)
    }
}

/// Whether `long` begins with `short` and goes on with `_`.
pub(super) fn begins(long: &str, short: &str) -> bool {
    long.strip_prefix(short)
        .is_some_and(|rest| rest.starts_with('_'))
}

pub(super) fn is_pattern(path: &Path) -> bool {
    path.to_string_lossy().contains(&format!("{{{ID}}}"))
}

/// The masks of a folder or a pattern.
fn masks(of: &Path) -> Result<Vec<Named>, EvaluateError> {
    let found = match is_pattern(of) {
        true => of_pattern(of)?,
        false if !of.exists() => return Err(EvaluateError::NotThere(of.to_owned())),
        false => of_folder(of)?,
    };
    let mut known: BTreeMap<&str, &Path> = BTreeMap::new();
    for one in &found {
        if let Some(first) = known.insert(&one.name, &one.path) {
            return Err(EvaluateError::SameName {
                name: one.name.clone(),
                first: first.to_owned(),
                second: one.path.clone(),
            });
        }
    }
    if found.is_empty() {
        return Err(EvaluateError::NoMasks(of.to_owned()));
    }
    Ok(found)
}

fn of_folder(folder: &Path) -> Result<Vec<Named>, EvaluateError> {
    let mut all = Vec::new();
    let mut own = Vec::new();
    for path in files_in(folder).map_err(EvaluateError::Folder)? {
        if let Some((name, is_mask)) = predicted_name(&path) {
            if is_mask {
                own.push(Named { name, path });
            }
        } else if let Some(name) = nifti_name(&path) {
            all.push(Named { name, path });
        }
    }
    Ok(if own.is_empty() { all } else { own })
}

fn of_pattern(text: &Path) -> Result<Vec<Named>, EvaluateError> {
    let found = files_matching(text).map_err(EvaluateError::Pattern)?;
    let named = found.into_iter();
    Ok(named.map(|(name, path)| Named { name, path }).collect())
}

/// What a mask is known by: its file's name without extensions, or its scan's if calvaria has written it.
pub(super) fn mask_name(path: &Path) -> Option<String> {
    predicted_name(path)
        .map(|(name, _)| name)
        .or_else(|| nifti_name(path))
}

/// The name of a NIfTI file without its extensions; the image of a pair of files is its header's.
pub(super) fn nifti_name(path: &Path) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let lower = name.to_lowercase();
    let ends = [".nii.gz", ".nii", ".hdr", ".hdr.gz"];
    let end = ends.into_iter().find(|end| lower.ends_with(end))?;
    let is_hidden = name.starts_with('.');
    (!is_hidden).then(|| name[..name.len() - end.len()].to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pairs of the names of files, from folders that hold these.
    fn found(predictions: &[&str], truths: &[&str]) -> Result<Vec<(String, String)>, String> {
        let folder = tempfile::tempdir().unwrap();
        for (side, names) in [("p", predictions), ("t", truths)] {
            for name in names {
                let path = folder.path().join(side).join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, "").unwrap();
            }
        }
        let [p, t] = ["p", "t"].map(|side| folder.path().join(side));
        let name = |path: &Path| path.file_name().unwrap().to_string_lossy().into_owned();
        let found = MaskPairs::find(&p, &t).map_err(|error| error.to_string())?;
        let pairs = found.pairs.iter();
        Ok(pairs
            .map(|pair| (name(&pair.prediction), name(&pair.truth)))
            .collect())
    }

    fn pair(a: &str, b: &str) -> (String, String) {
        (a.to_owned(), b.to_owned())
    }

    #[test]
    fn masks_of_one_name_or_of_one_beginning_belong_together() {
        assert_eq!(
            found(
                &["a.nii.gz", "a_b.nii"],
                &["a.nii.gz", "a_b.nii.gz", "c.nii"]
            )
            .unwrap(),
            [pair("a.nii.gz", "a.nii.gz"), pair("a_b.nii", "a_b.nii.gz")]
        );
        let own = [
            "s_T1w_desc-calvaria_mask.nii.gz",
            "s_T1w_desc-calvaria_brain.nii.gz",
            "x.nii",
        ];
        assert_eq!(
            found(&own, &["deep/s_T1w_brainmask.nii.gz"]).unwrap(),
            [pair(own[0], "s_T1w_brainmask.nii.gz")]
        );
        // nnU-Net's: the scan's name has a number behind the case's.
        assert_eq!(
            found(
                &["h_4_0000_desc-calvaria_dseg.nii.gz"],
                &["h_4.nii.gz", "h_40.nii.gz"]
            )
            .unwrap(),
            [pair("h_4_0000_desc-calvaria_dseg.nii.gz", "h_4.nii.gz")]
        );
    }

    #[test]
    fn what_is_unclear_or_does_not_fit_is_told() {
        let unclear = found(&["a.nii"], &["a_x.nii", "a_y.nii"]).unwrap_err();
        assert!(
            unclear.contains("a_x.nii") && unclear.contains("{id}"),
            "{unclear}"
        );
        let none = found(&["a.nii"], &["b.nii"]).unwrap_err();
        assert!(none.contains("{id}"), "{none}");
        let twice = found(&["a.nii", "deep/a.nii.gz"], &["a.nii"]).unwrap_err();
        assert!(twice.contains("both called `a`"), "{twice}");
        let empty = found(&["a.txt"], &["a.nii"]).unwrap_err();
        assert!(empty.contains("no masks"), "{empty}");
    }

    #[test]
    fn patterns_pair_by_their_id() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str| {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        };
        for name in [
            "out/1_mask.nii",
            "out/2_mask.nii",
            "t/1/seg.nii",
            "t/3/seg.nii",
        ] {
            write(name);
        }
        let [p, t] = ["out/{id}_mask.nii", "t/{id}/seg.nii"].map(|text| folder.path().join(text));
        assert!(MaskPairs::are_meant(&p, &t));
        let found = MaskPairs::find(&p, &t).unwrap();
        let cases: Vec<&str> = found.pairs.iter().map(|pair| pair.case.as_str()).collect();
        assert_eq!(cases, ["1"]);
        assert!(found.without_truth[0].ends_with("out/2_mask.nii"));
        assert!(found.without_prediction[0].ends_with("t/3/seg.nii"));
    }
}
