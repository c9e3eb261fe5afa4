//! Predictions as a derivative dataset of BIDS (Brain Imaging Data Structure 1.10, bids.neuroimaging.io).

use std::path::{Path, PathBuf};

use serde_json::{Map, Value, json};

use super::prediction::{PredictionFiles, WantedMaps, labels, stem};
use super::prediction_table::PredictionTable;
use crate::files::{FileError, create_folder, read_text, write_atomic, write_json};
use crate::volume::Structures;

/// The version of BIDS that the names and files follow.
const VERSION: &str = "1.10.0";

/// The file that makes a folder a dataset.
const DESCRIPTION: &str = "dataset_description.json";

/// What made a dataset, in its description.
const PROGRAM: &str = "calvaria";

/// A derivative dataset of predictions.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BidsDataset {
    root: PathBuf,
}

/// What a scan's name says: `sub-01_ses-2_T1w` is of a subject, a session, and has a suffix.
struct Name {
    subject: String,
    session: Option<String>,
    /// All but the suffix.
    entities: String,
    suffix: String,
}

impl Name {
    /// What is wrong is the end of a sentence.
    fn of(scan: &Path) -> Result<Self, String> {
        let name = stem(scan);
        let name = name.to_string_lossy();
        let wrong = || {
            format!(
                "{} is not named as in BIDS: expected a name such as sub-01_T1w.nii.gz or sub-01_ses-2_run-1_T1w.nii.gz",
                scan.display()
            )
        };
        let (entities, suffix) = name.rsplit_once('_').ok_or_else(wrong)?;
        let parts: Vec<&str> = entities.split('_').collect();
        let is_entity = |part: &&str| {
            let plain = |text: &str| !text.is_empty() && text.chars().all(char::is_alphanumeric);
            part.split_once('-')
                .is_some_and(|(key, value)| plain(key) && plain(value))
        };
        let starts = |key: &str| parts.iter().find(|part| part.starts_with(key));
        let is_suffix = !suffix.is_empty() && suffix.chars().all(char::is_alphanumeric);
        if !parts[0].starts_with("sub-") || !parts.iter().all(is_entity) || !is_suffix {
            return Err(wrong());
        }
        if starts("desc-").is_some() {
            return Err(format!(
                "{} is a derivative itself (it has desc-…): give the raw scan",
                scan.display()
            ));
        }
        Ok(Self {
            subject: parts[0].to_owned(),
            session: starts("ses-").map(|part| (*part).to_owned()),
            entities: entities.to_owned(),
            suffix: suffix.to_owned(),
        })
    }
}

impl BidsDataset {
    /// The dataset in the folder `root`, which need not exist.
    pub fn new(root: &Path) -> Self {
        Self {
            root: root.to_owned(),
        }
    }

    /// The files of a scan: `sub-01/anat/sub-01_desc-brain_mask.nii.gz` and `sub-01_desc-brain_T1w.nii.gz`, of several
    /// structures `sub-01_dseg.nii.gz`; and `sub-01_label-brain_probseg.nii.gz`.
    ///
    /// # Errors
    ///
    /// When the scan is not named as in BIDS, or a map has no name there; the end of a sentence.
    pub fn files(
        &self,
        scan: &Path,
        structures: &Structures,
        maps: WantedMaps,
    ) -> Result<PredictionFiles, String> {
        if maps.entropy {
            return Err(
                "BIDS has no name for maps of uncertainty: leave out --bids or --uncertainty"
                    .into(),
            );
        }
        let name = Name::of(scan)?;
        let folder = self.root.join(&name.subject);
        let folder = match &name.session {
            Some(session) => folder.join(session),
            None => folder,
        };
        let file = |end: &str| {
            folder
                .join("anat")
                .join(format!("{}_{end}.nii.gz", name.entities))
        };
        let is_mask = structures.is_mask();
        let labels = match is_mask {
            true => vec!["_label-brain".to_owned()],
            false => labels(&structures.names()),
        };
        let labels = labels.iter().filter(|_| maps.probabilities);
        Ok(PredictionFiles {
            mask: file(if is_mask { "desc-brain_mask" } else { "dseg" }),
            brain: is_mask.then(|| file(&format!("desc-brain_{}", name.suffix))),
            probabilities: labels
                .map(|label| file(&format!("{}_probseg", label.trim_start_matches('_'))))
                .collect(),
            entropy: None,
            disagreement: None,
        })
    }

    /// Writes what makes the folder a dataset, if it is not there.
    ///
    /// # Errors
    ///
    /// When it cannot be written, or is another program's.
    pub fn begin(&self) -> Result<(), String> {
        let path = self.root.join(DESCRIPTION);
        if path.exists() {
            return match is_predictions(&self.root) {
                true => Ok(()),
                false => Err(format!(
                    "{} is another program's: choose another folder for the results (--output).",
                    path.display()
                )),
            };
        }
        let told = |error: FileError| error.to_string();
        create_folder(&self.root).map_err(told)?;
        let description = json!({
            "Name": "Segmentations by calvaria",
            "BIDSVersion": VERSION,
            "DatasetType": "derivative",
            "GeneratedBy": [{"Name": PROGRAM, "Version": env!("CARGO_PKG_VERSION")}],
        });
        // The table of all scans has no name in BIDS.
        write_atomic(&self.root.join(".bidsignore"), |out| {
            writeln!(out, "{}", PredictionTable::NAME)
        })
        .map_err(told)?;
        write_json(&path, &description).map_err(told)
    }

    /// Writes what belongs to the files of a scan of these images, found by these runs: a JSON file beside each, and of
    /// several structures the table of their labels.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn describe(
        &self,
        files: &PredictionFiles,
        images: &[&Path],
        runs: &[PathBuf],
        structures: &Structures,
    ) -> Result<(), FileError> {
        let texts = |paths: &mut dyn Iterator<Item = String>| Value::from_iter(paths);
        let mut common = Map::new();
        common.insert(
            "Sources".into(),
            texts(&mut images.iter().map(|path| source(path))),
        );
        let runs = &mut runs.iter().map(|run| run.display().to_string());
        common.insert("Runs".into(), texts(runs));
        // The grid of the scan itself.
        common.insert("SpatialReference".into(), "orig".into());
        common.insert(
            "GeneratedBy".into(),
            json!({"Name": PROGRAM, "Version": env!("CARGO_PKG_VERSION")}),
        );
        let write = |path: &Path, more: Value| {
            let mut all = common.clone();
            all.extend(more.as_object().cloned().unwrap_or_default());
            write_json(&beside(path, "json"), &all)
        };
        match structures.is_mask() {
            true => write(
                &files.mask,
                json!({"Type": "Brain", "Description": "Where there is brain"}),
            )?,
            false => {
                write(&files.mask, json!({"Description": "Labels of structures"}))?;
                let mut table = String::from("index\tname\n");
                table += "0\tbackground\n";
                for (structure, name) in structures.names().into_iter().enumerate() {
                    let value = structures.value_of(structures.written(structure));
                    table += &format!("{value}\t{name}\n");
                }
                write_atomic(&beside(&files.mask, "tsv"), |out| {
                    out.write_all(table.as_bytes())
                })?;
            }
        }
        if let Some(brain) = &files.brain {
            write(
                brain,
                json!({"SkullStripped": true, "Description": "The scan where there is brain"}),
            )?;
        }
        for path in &files.probabilities {
            write(path, json!({"Description": "Probability of the structure"}))?;
        }
        Ok(())
    }
}

/// Whether a folder is a dataset of predictions: its files are never data unless they are asked for by name.
pub(super) fn is_predictions(folder: &Path) -> bool {
    let text = read_text(&folder.join(DESCRIPTION)).unwrap_or_default();
    let description: Value = serde_json::from_str(&text).unwrap_or_default();
    let made_by = description["GeneratedBy"].as_array();
    made_by.is_some_and(|programs| programs.iter().any(|program| program["Name"] == PROGRAM))
}

/// A file's name with another extension than `.nii.gz`.
fn beside(path: &Path, extension: &str) -> PathBuf {
    let name = stem(path);
    path.with_file_name(format!("{}.{extension}", name.to_string_lossy()))
}

/// How a scan is named as a source: from the folder of its dataset on, or by its own name.
fn source(scan: &Path) -> String {
    let mut folders = scan.ancestors().skip(1);
    let dataset = folders.find(|folder| folder.join(DESCRIPTION).is_file());
    let inside = dataset.and_then(|dataset| scan.strip_prefix(dataset).ok());
    let name = inside.or(scan.file_name().map(Path::new)).unwrap_or(scan);
    let parts: Vec<_> = name.iter().map(|part| part.to_string_lossy()).collect();
    parts.join("/")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Undeclared;

    #[test]
    fn files_are_named_as_in_bids() {
        let dataset = BidsDataset::new(Path::new("out"));
        let maps = WantedMaps {
            probabilities: true,
            ..WantedMaps::default()
        };
        let scan = Path::new("raw/sub-01/ses-2/anat/sub-01_ses-2_run-1_T1w.nii.gz");
        let files = dataset.files(scan, &Structures::Mask, maps).unwrap();
        let names: Vec<String> = files.all().map(|path| path.display().to_string()).collect();
        let start = "out/sub-01/ses-2/anat/sub-01_ses-2_run-1_";
        assert_eq!(
            names,
            ["desc-brain_mask", "desc-brain_T1w", "label-brain_probseg"]
                .map(|end| format!("{start}{end}.nii.gz"))
        );
        let named = [
            ("grey matter".to_owned(), vec![1]),
            ("white".to_owned(), vec![2]),
        ];
        let labels = Structures::labels(&named, None, Undeclared::Refused).unwrap();
        let files = dataset
            .files(Path::new("sub-a_FLAIR.nii"), &labels, maps)
            .unwrap();
        assert_eq!(files.mask, Path::new("out/sub-a/anat/sub-a_dseg.nii.gz"));
        assert!(files.probabilities[0].ends_with("sub-a_label-greymatter_probseg.nii.gz"));
        for wrong in [
            "scan.nii",
            "sub-1_desc-x_T1w.nii",
            "sub-1_a_T1w.nii",
            "a_sub-1_T1w.nii",
        ] {
            assert!(
                dataset.files(Path::new(wrong), &labels, maps).is_err(),
                "{wrong}"
            );
        }
    }

    #[test]
    fn a_dataset_of_another_program_is_not_written_into() {
        let folder = tempfile::tempdir().unwrap();
        let dataset = BidsDataset::new(folder.path());
        dataset.begin().unwrap();
        assert!(is_predictions(folder.path()));
        dataset.begin().unwrap();
        std::fs::write(folder.path().join(DESCRIPTION), r#"{"Name": "raw"}"#).unwrap();
        assert!(dataset.begin().unwrap_err().contains("another program's"));
    }
}
