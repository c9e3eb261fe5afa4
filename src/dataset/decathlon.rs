use std::path::PathBuf;

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files_below::{check_there, nifti_stem};
use super::nnunet::{numbered, read_json};
use super::{Case, CaseSource, DatasetError, Description, Labels, Values, empty_path};
use crate::preprocess::ImageFile;
use crate::settings::Fault;

/// A task of the Medical Segmentation Decathlon (Antonelli et al., 2022), such as `Task04_Hippocampus`:
/// `dataset.json`, one file of images a case, 4-D where there are several, and a map of labels.
///
/// `dataset.json` lists the cases (`training`) and names the images (`modality`) and the structures (`labels`); an
/// experiment's own `labels`, `regions` and `images` win over it. A case is a subject of its own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Decathlon {
    /// The folder that holds `dataset.json`.
    #[schemars(extend("format" = "path"))]
    pub root: PathBuf,
}

/// The part of `dataset.json` that matters here.
#[derive(Deserialize)]
struct DatasetJson {
    modality: IndexMap<String, String>,
    labels: IndexMap<String, String>,
    training: Vec<Pair>,
}

#[derive(Deserialize)]
struct Pair {
    image: PathBuf,
    label: PathBuf,
}

impl CaseSource for Decathlon {
    fn cases(&self) -> Result<Vec<Case>, DatasetError> {
        let about: DatasetJson = read_json(&self.file())?;
        let names = self.images(&about)?;
        let mut cases: Vec<Case> = Vec::new();
        for pair in &about.training {
            let [image, label] = [&pair.image, &pair.label]
                .map(|path| self.root.join(path.strip_prefix(".").unwrap_or(path)));
            check_there(&image)?;
            check_there(&label)?;
            let Some((id, _)) = nifti_stem(&image) else {
                return Err(self.wrong(format!(
                    "{} is not a NIfTI file (.nii or .nii.gz)",
                    image.display()
                )));
            };
            if let Some(first) = cases.iter().find(|case| case.id == id) {
                return Err(DatasetError::DuplicateId {
                    id,
                    first: first.image().to_owned(),
                    second: image,
                    remedy: "Name each case once under `training` in dataset.json",
                });
            }
            let volume = |at| (names.len() > 1).then_some(at);
            let images = names.iter().enumerate().map(|(at, name)| ImageFile {
                volume: volume(at),
                ..ImageFile::new(name, &image)
            });
            cases.push(Case::of_files(&id, images.collect(), label));
        }
        if cases.is_empty() {
            return Err(DatasetError::NoCases {
                root: self.root.clone(),
                wanted: "cases under `training` in dataset.json".into(),
                found: "none".into(),
                remedy: "Set `root` to the folder of a task, which holds dataset.json",
            });
        }
        cases.sort_by(|a, b| a.id.cmp(&b.id));
        Ok(cases)
    }

    fn describe(&self) -> Result<Description, DatasetError> {
        let about: DatasetJson = read_json(&self.file())?;
        let mut labels = Vec::new();
        for (label, name) in &about.labels {
            let value: u16 = label.parse().map_err(|_| {
                self.wrong(format!(
                    "`labels` must map labels to names, as in {{\"1\": \"Anterior\"}}, not {label}"
                ))
            })?;
            if value > 0 {
                labels.push((value, name.clone()));
            }
        }
        labels.sort();
        let mut names: Vec<&String> = labels.iter().map(|(_, name)| name).collect();
        names.sort();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let why = format!("`labels` has two labels called {}", twice[0]);
            return Err(self.wrong(why));
        }
        let labels: Labels = labels
            .into_iter()
            .map(|(value, name)| (name, Values::One(value)))
            .collect();
        let mut description = Description::of_images([]);
        description.images = self.images(&about)?;
        description.labels = Some(labels);
        Ok(description)
    }

    fn describes_labels(&self) -> bool {
        true
    }

    fn rules(&self) -> Vec<Fault> {
        let message = "root must name the folder that holds dataset.json";
        empty_path("root", &self.root, message)
    }
}

impl Decathlon {
    fn file(&self) -> PathBuf {
        self.root.join("dataset.json")
    }

    fn wrong(&self, why: String) -> DatasetError {
        DatasetError::Description(format!("{}: {why}", self.file().display()))
    }

    fn images(&self, about: &DatasetJson) -> Result<Vec<String>, DatasetError> {
        numbered(&about.modality).map_err(|why| self.wrong(format!("modality {why}")))
    }
}
