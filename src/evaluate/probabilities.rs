//! Which files hold the probabilities of predicted masks.

use std::path::{Path, PathBuf};

use super::EvaluateError;
use super::pairs::MaskPair;
use super::pairs::{Named, begins, is_pattern, mask_name, nifti_name};
use crate::dataset::pattern::{files_in, files_matching};
use crate::layout::{probability_labels, probability_name};

/// What stands for a structure's name in a pattern.
const STRUCTURE: &str = "{structure}";

/// The files of probabilities of each pair, in the order of the structures called `names` (one empty name of a mask).
///
/// `of` is a file, where there is one; a pattern that may hold `{id}` and `{structure}`, the structure's name; or a folder,
/// in which those that calvaria has written are found by the names of the masks, or any file of a mask.
///
/// # Errors
///
/// When a file is missing, or it is unclear which belongs to a mask.
pub fn probability_files(
    of: &Path,
    pairs: &[MaskPair],
    names: &[&str],
) -> Result<Vec<Vec<PathBuf>>, EvaluateError> {
    let labels = probability_labels(names);
    if !is_pattern(of) && !of.exists() && !of.to_string_lossy().contains(STRUCTURE) {
        return Err(EvaluateError::NotThere(of.to_owned()));
    }
    // One for all structures would be each one's.
    if names.len() > 1 && !of.is_dir() && !of.to_string_lossy().contains(STRUCTURE) {
        return Err(EvaluateError::OneProbability {
            file: of.to_owned(),
            what: "structures",
        });
    }
    let mut all: Vec<Vec<PathBuf>> = vec![Vec::new(); pairs.len()];
    for (name, label) in names.iter().zip(&labels) {
        let text = of.to_string_lossy();
        let place = PathBuf::from(text.replace(STRUCTURE, name));
        let found = found_in(&place, (!name.is_empty()).then_some(label.as_str()))?;
        for (pair, files) in pairs.iter().zip(&mut all) {
            files.push(match &found {
                None if pairs.len() == 1 && (names.len() == 1 || text.contains(STRUCTURE)) => {
                    place.clone()
                }
                None => {
                    return Err(EvaluateError::OneProbability {
                        file: place,
                        what: match names.len() {
                            1 => "masks",
                            _ => "structures",
                        },
                    });
                }
                Some(found) => {
                    belongs(found, pair)?.ok_or_else(|| EvaluateError::NoProbability {
                        prediction: pair.prediction.clone(),
                        structure: match *name {
                            "" => String::new(),
                            name => format!(" of {name}"),
                        },
                        place: place.clone(),
                    })?
                }
            });
        }
    }
    Ok(all)
}

/// The files of a structure in a folder or of a pattern; none if `place` is a file itself.
fn found_in(place: &Path, label: Option<&str>) -> Result<Option<Vec<Named>>, EvaluateError> {
    if is_pattern(place) {
        let found = files_matching(place).map_err(EvaluateError::Pattern)?;
        let named = found.into_iter();
        return Ok(Some(
            named.map(|(name, path)| Named { name, path }).collect(),
        ));
    }
    if !place.is_dir() {
        return Ok(None);
    }
    let (mut own, mut others) = (Vec::new(), Vec::new());
    for path in files_in(place).map_err(EvaluateError::Folder)? {
        match probability_name(&path) {
            Some((name, of)) if label.is_none() || of.as_deref() == label => {
                own.push(Named { name, path });
            }
            Some(_) => {}
            None => others.extend(nifti_name(&path).map(|name| Named { name, path })),
        }
    }
    // Of a mask any file of its name will do.
    Ok(Some(match own.is_empty() && label.is_none() {
        true => others,
        false => own,
    }))
}

/// The one file that has a pair's name, or whose name begins with it, or it with the file's.
fn belongs(found: &[Named], pair: &MaskPair) -> Result<Option<PathBuf>, EvaluateError> {
    let own = mask_name(&pair.prediction);
    let names = [Some(pair.case.as_str()), own.as_deref()];
    for exactly in [true, false] {
        let fits = |of: &&Named| {
            names.into_iter().flatten().any(|name| match exactly {
                true => of.name == name,
                false => begins(&of.name, name) || begins(name, &of.name),
            })
        };
        let fitting: Vec<&Named> = found.iter().filter(fits).collect();
        match fitting[..] {
            [] => {}
            [one] => return Ok(Some(one.path.clone())),
            [first, second, ..] => {
                return Err(EvaluateError::Unclear {
                    prediction: pair.prediction.clone(),
                    first: first.path.clone(),
                    second: second.path.clone(),
                });
            }
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(names: &[&str]) -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        for name in names {
            let path = folder.path().join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, "").unwrap();
        }
        folder
    }

    fn pair(case: &str, prediction: &str) -> MaskPair {
        MaskPair {
            case: case.into(),
            prediction: prediction.into(),
            truth: "truth.nii.gz".into(),
        }
    }

    /// The names of the files that are found, or why not.
    fn found(of: &Path, pairs: &[MaskPair], names: &[&str]) -> Result<Vec<Vec<String>>, String> {
        let files = probability_files(of, pairs, names).map_err(|error| error.to_string())?;
        let name = |path: &PathBuf| path.file_name().unwrap().to_string_lossy().into_owned();
        let of_pair = |files: &Vec<PathBuf>| files.iter().map(name).collect();
        Ok(files.iter().map(of_pair).collect())
    }

    #[test]
    fn predictions_find_their_probabilities_by_name() {
        let of_mask = [
            "a_desc-calvaria_probseg.nii.gz",
            "b_desc-calvaria_probseg.nii.gz",
            "a.nii",
        ];
        let folder = place(&of_mask);
        let pairs = [
            pair("a", "out/a_desc-calvaria_mask.nii.gz"),
            pair("b", "out/b_desc-calvaria_mask.nii.gz"),
        ];
        let files = found(folder.path(), &pairs, &[""]).unwrap();
        assert_eq!(files, [[of_mask[0]], [of_mask[1]]]);
        let pattern = folder.path().join("{id}_desc-calvaria_probseg.nii.gz");
        assert_eq!(found(&pattern, &pairs, &[""]).unwrap(), files);
        let one = folder.path().join(of_mask[0]);
        assert_eq!(found(&one, &pairs[..1], &[""]).unwrap(), files[..1]);
        let several = found(&one, &pairs, &[""]).unwrap_err();
        assert!(
            several.contains("several masks") && several.contains("{id}"),
            "{several}"
        );
        let other = place(&["c_desc-calvaria_probseg.nii.gz"]);
        let none = found(other.path(), &pairs, &[""]).unwrap_err();
        assert!(none.contains("a_desc-calvaria_mask.nii.gz"), "{none}");
        // Another program's, and a BIDS dataset's.
        let plain = place(&["a.nii.gz", "b.nii.gz"]);
        assert_eq!(found(plain.path(), &pairs, &[""]).unwrap()[1], ["b.nii.gz"]);
        let bids = place(&["sub-01/anat/sub-01_label-brain_probseg.nii.gz"]);
        let pairs = [pair(
            "sub-01_desc-brain_mask",
            "x/sub-01_desc-brain_mask.nii.gz",
        )];
        assert_eq!(found(bids.path(), &pairs, &[""]).unwrap().len(), 1);
    }

    #[test]
    fn each_structure_has_its_file() {
        let names = [
            "a_label-backpart_desc-calvaria_probseg.nii.gz",
            "a_label-front_desc-calvaria_probseg.nii.gz",
        ];
        let folder = place(&names);
        let pairs = [pair("a", "a_desc-calvaria_dseg.nii.gz")];
        let files = found(folder.path(), &pairs, &["front", "back part"]).unwrap();
        assert_eq!(files, [[names[1], names[0]]]);
        let lacking = found(folder.path(), &pairs, &["front", "top"]).unwrap_err();
        assert!(lacking.contains("of top"), "{lacking}");
        let pattern = folder
            .path()
            .join("{id}_label-{structure}_desc-calvaria_probseg.nii.gz");
        assert_eq!(found(&pattern, &pairs, &["front"]).unwrap(), [[names[1]]]);
        let single = folder
            .path()
            .join("a_label-{structure}_desc-calvaria_probseg.nii.gz");
        assert_eq!(found(&single, &pairs, &["front"]).unwrap(), [[names[1]]]);
        let one = folder.path().join(names[0]);
        let several = found(&one, &pairs, &["front", "back part"]).unwrap_err();
        assert!(several.contains("{structure}"), "{several}");
    }
}
