use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files_below::{check_there, entries};
use super::{
    Case, CaseSource, DatasetError, Description, LabelOrName, Labels, Regions, Values, empty_path,
};
use crate::files::{FileError, read_text};
use crate::preprocess::ImageFile;
use crate::settings::Fault;

/// A raw dataset of nnU-Net (version 2), such as `nnUNet_raw/Dataset004_Hippocampus`: `dataset.json`, images
/// `imagesTr/CASE_0000.nii.gz`, `CASE_0001.nii.gz`, … and maps of labels `labelsTr/CASE.nii.gz`.
///
/// `dataset.json` names the images (`channel_names`), the structures (`labels`, with regions and an `ignore` label)
/// and the order in which regions are written (`regions_class_order`); an experiment's own `labels`, `regions` and
/// `images` win over it. A case is a subject of its own. nnU-Net's folds are taken over by
/// `split: {file: {path: …/splits_final.json}}`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nnunet {
    /// The folder that holds `dataset.json`.
    #[schemars(extend("format" = "path"))]
    pub root: PathBuf,
}

/// The part of `dataset.json` that matters here.
#[derive(Deserialize)]
struct DatasetJson {
    #[serde(alias = "modality")]
    channel_names: IndexMap<String, String>,
    labels: IndexMap<String, LabelEntry>,
    regions_class_order: Option<Vec<u16>>,
    file_ending: Option<String>,
    dataset: Option<IndexMap<String, Listed>>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum LabelEntry {
    Label(u16),
    Region(Vec<u16>),
}

/// A case whose files `dataset.json` names.
#[derive(Deserialize)]
struct Listed {
    images: Vec<PathBuf>,
    label: PathBuf,
}

impl LabelEntry {
    fn labels(&self) -> Vec<u16> {
        match self {
            Self::Label(label) => vec![*label],
            Self::Region(labels) => labels.clone(),
        }
    }
}

impl CaseSource for Nnunet {
    fn cases(&self) -> Result<Vec<Case>, DatasetError> {
        let about = self.read()?;
        let channels = self.channels(&about)?;
        if let Some(listed) = &about.dataset {
            return listed
                .iter()
                .map(|(id, files)| self.listed(id, files, &channels))
                .collect();
        }
        let ending = about.file_ending.as_deref().unwrap_or(".nii.gz");
        if ![".nii.gz", ".nii"].contains(&ending) {
            return Err(self.wrong(format!(
                "file_ending is `{ending}`, and only NIfTI is read. Convert the files to .nii.gz"
            )));
        }
        let folder = self.root.join("imagesTr");
        let mut ids: BTreeMap<String, PathBuf> = BTreeMap::new();
        for path in entries(&folder)? {
            let name = path
                .file_name()
                .map(|name| name.to_string_lossy().into_owned());
            let stem = name.as_deref().and_then(|name| name.strip_suffix(ending));
            if let Some((id, "0000")) = stem.and_then(|stem| stem.rsplit_once('_')) {
                ids.insert(id.to_owned(), path);
            }
        }
        if ids.is_empty() {
            return Err(DatasetError::NoCases {
                root: folder,
                wanted: format!("images CASE_0000{ending}"),
                found: "none of that name".into(),
                remedy: "Set `root` to the folder that holds dataset.json and imagesTr",
            });
        }
        let cases = ids.into_iter().map(|(id, first)| {
            let image = |(number, name): (usize, &String)| {
                let path = folder.join(format!("{id}_{number:04}{ending}"));
                check_there(&path)?;
                Ok(ImageFile::new(name, path))
            };
            let images: Result<Vec<ImageFile>, DatasetError> =
                channels.iter().enumerate().map(image).collect();
            let mask = self.root.join("labelsTr").join(format!("{id}{ending}"));
            if !mask.exists() {
                return Err(DatasetError::NoMask {
                    image: first,
                    expected: mask,
                });
            }
            check_there(&mask)?;
            Ok(Case::of_files(&id, images?, mask))
        });
        cases.collect()
    }

    fn describe(&self) -> Result<Description, DatasetError> {
        let about = self.read()?;
        let mut description = Description::of_images([]);
        description.images = self.channels(&about)?;
        let mut found: Vec<(&String, Vec<u16>)> = Vec::new();
        let has_regions = about
            .labels
            .values()
            .any(|entry| matches!(entry, LabelEntry::Region(_)));
        for (name, entry) in &about.labels {
            let labels = entry.labels();
            match (name.as_str(), &labels[..]) {
                ("background", _) | (_, [0]) => {}
                ("ignore", [label]) => description.ignore = Some(*label),
                _ => found.push((name, labels)),
            }
        }
        if has_regions {
            let parts = |labels: Vec<u16>| labels.into_iter().map(LabelOrName::Label).collect();
            let regions: Regions = found
                .into_iter()
                .map(|(name, labels)| (name.clone(), parts(labels)))
                .collect();
            description.regions = Some(regions);
            description.region_order = about.regions_class_order;
        } else {
            // The order of nnU-Net's outputs.
            found.sort_by_key(|(_, labels)| labels.first().copied());
            let labels: Labels = found
                .into_iter()
                .filter_map(|(name, labels)| Some((name.clone(), Values::One(*labels.first()?))))
                .collect();
            description.labels = Some(labels);
        }
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

impl Nnunet {
    fn file(&self) -> PathBuf {
        self.root.join("dataset.json")
    }

    fn read(&self) -> Result<DatasetJson, DatasetError> {
        read_json(&self.file())
    }

    fn wrong(&self, why: String) -> DatasetError {
        DatasetError::Description(format!("{}: {why}", self.file().display()))
    }

    /// The images' names, in the order of their numbers.
    fn channels(&self, about: &DatasetJson) -> Result<Vec<String>, DatasetError> {
        numbered(&about.channel_names).map_err(|why| self.wrong(format!("channel_names {why}")))
    }

    fn listed(&self, id: &str, files: &Listed, channels: &[String]) -> Result<Case, DatasetError> {
        if files.images.len() != channels.len() {
            return Err(self.wrong(format!(
                "the case {id} has {} images, and channel_names names {}",
                files.images.len(),
                channels.len()
            )));
        }
        let image = |(name, path): (&String, &PathBuf)| {
            let path = self.root.join(path);
            check_there(&path)?;
            Ok(ImageFile::new(name, path))
        };
        let images: Result<Vec<ImageFile>, DatasetError> =
            channels.iter().zip(&files.images).map(image).collect();
        let mask = self.root.join(&files.label);
        check_there(&mask)?;
        Ok(Case::of_files(id, images?, mask))
    }
}

/// What a `dataset.json` holds.
pub(super) fn read_json<T: for<'de> Deserialize<'de>>(path: &Path) -> Result<T, DatasetError> {
    let text = read_text(path)?;
    serde_json::from_str(&text).map_err(|source| {
        DatasetError::Unreadable(FileError {
            action: "understand",
            path: path.to_owned(),
            remedy: "It must be a dataset.json as its format describes it.",
            source: source.into(),
        })
    })
}

/// The values of a map whose keys are the numbers from 0, in their order; what is wrong is the end of a sentence.
pub(super) fn numbered(map: &IndexMap<String, String>) -> Result<Vec<String>, String> {
    let by_number = |number: usize| map.get(&number.to_string()).cloned();
    let names: Option<Vec<String>> = (0..map.len()).map(by_number).collect();
    let names = names.filter(|names| !names.is_empty());
    let names = names.ok_or(
        "must number the images from 0 without gaps, as in {\"0\": \"T1\", \"1\": \"FLAIR\"}",
    )?;
    // Names must tell the images apart.
    let told_apart =
        |(at, name): (usize, &String)| match names.iter().filter(|other| *other == name).count() {
            1 => name.clone(),
            _ => format!("{name}_{at}"),
        };
    Ok(names.iter().enumerate().map(told_apart).collect())
}
