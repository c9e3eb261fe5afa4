//! Preprocessed cases on disk, so that each is made once.

mod case;
mod digests;
mod entry;
mod in_use;
mod pieces;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use case::RECORD;
use digests::Digests;
use entry::{KEY_LENGTH, TEMPORARY};
use in_use::InUse;

pub use case::{CachedCase, Record};
pub use entry::{Entry, Pruned, is_cached_case};
pub use pieces::{OpenCase, PiecewiseCase, VoxelOf};

use super::{Applied, ImageFile, Inputs, LoadedCase, Pipeline, PreprocessError, StepTime};
use crate::files::{FileError, create_folder, hex};
use crate::volume::{Structures, Volume, VolumeError};

/// Increased whenever a step's results change, so that nothing made by older code is used.
const VERSION: u32 = 3;

/// A folder of preprocessed cases. Any number of processes may use it at once.
///
/// A case is filed under its name and a key over everything that shapes it: the bytes of the input
/// files, how the mask is read, the pipeline and the files it names, and the version of the code. So
/// nothing stale is ever used, and the folder may be deleted at any time.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
    digests: Digests,
    in_use: InUse,
}

/// The hex SHA-256 of each of a case's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputDigests {
    /// The raw scan, of several images the first.
    pub image: String,
    /// The other images, in their order, and last the one whose grid they take if it is none of them.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub others: Vec<String>,
    /// Its mask, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mask: Option<String>,
    /// Its region, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub region: Option<String>,
}

/// A case from the cache.
#[derive(Clone, Debug)]
pub struct CachedResult {
    /// What it was made from.
    pub inputs: InputDigests,
    /// Its folder.
    pub folder: PathBuf,
    /// Where it lies.
    pub files: CachedCase,
    /// Voxels of the images along each axis.
    pub shape: [usize; 3],
    /// What was doubtful about the scan.
    pub warnings: Vec<String>,
    /// How many voxels of the raw mask each class has that it has, background and ignored ones included; empty for a
    /// mask of one structure.
    pub classes: BTreeMap<u8, u64>,
    /// How long each step took; `None` if the case was there already.
    pub times: Option<Vec<StepTime>>,
}

/// A path that stays what it is wherever the next command runs.
fn absolute(path: &Path) -> PathBuf {
    std::path::absolute(path).unwrap_or_else(|_| path.to_owned())
}

/// How many voxels each class has that occurs.
fn classes_of(mask: &Volume<u8>) -> BTreeMap<u8, u64> {
    let counts = Structures::count_voxels(&mask.voxels);
    let counts = (0..=u8::MAX).zip(counts);
    counts.filter(|(_, count)| *count > 0).collect()
}

/// That structures of a case have vanished on the way through the steps.
fn told(vanished: &[u8], structures: &Structures, before: &BTreeMap<u8, u64>) -> Option<String> {
    let named = vanished.iter().map(|class| {
        let voxels = before.get(class).copied().unwrap_or_default();
        let plural = if voxels == 1 { "" } else { "s" };
        format!(
            "{} ({voxels} voxel{plural} before)",
            structures.class_name(*class)
        )
    });
    let named: Vec<String> = named.collect();
    (!named.is_empty()).then(|| {
        format!(
            "nothing is left after preprocessing of {}: it is too small for the grid, or lies outside it. A smaller \
             `spacing` or a larger `shape` keeps it",
            named.join(", ")
        )
    })
}

impl Cache {
    /// The cache in `folder`, which is created when the first case is stored.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        let folder = folder.into();
        Self {
            digests: Digests::default(),
            in_use: InUse::of(&folder),
            folder,
        }
    }

    /// What the files of a case hold. Each file is read once, unless it changes.
    ///
    /// # Errors
    ///
    /// When one cannot be read.
    pub fn digests(&self, inputs: &Inputs) -> Result<InputDigests, VolumeError> {
        let digest = |path| self.digests.of(path);
        let mut images = inputs.files().map(|image| digest(&image.path));
        Ok(InputDigests {
            image: images.next().transpose()?.unwrap_or_default(),
            others: images.collect::<Result<_, _>>()?,
            mask: inputs.mask.map(digest).transpose()?,
            region: inputs.region.map(digest).transpose()?,
        })
    }

    /// A case after `pipeline`: from the cache, or else made and stored. It is not pruned as long as this cache, or a
    /// clone of it, lives.
    ///
    /// # Errors
    ///
    /// When an input cannot be read, image and mask do not fit each other, a step fails, or the
    /// folder cannot be written. The message names the case's scan.
    pub fn prepare(
        &self,
        inputs: &Inputs,
        pipeline: &Pipeline,
    ) -> Result<CachedResult, PreprocessError> {
        let digests = self.digests(inputs)?;
        let folder = self.folder_of(inputs.id, &self.key(&digests, inputs, pipeline)?);
        self.in_use.add(&folder)?;
        let files = CachedCase::in_folder(&folder, inputs.images.len(), inputs.mask.is_some());
        if let Ok(record) = files.checked_record() {
            return Ok(CachedResult {
                inputs: digests,
                folder,
                files,
                shape: record.shape,
                warnings: record.warnings,
                classes: record.classes,
                times: None,
            });
        }
        let of_case = |source| PreprocessError::Case {
            image: inputs.first().to_owned(),
            source: Box::new(source),
        };
        let LoadedCase {
            case, mut warnings, ..
        } = inputs.read()?;
        let structures = inputs.structures();
        let classes = match (structures, &case.mask) {
            (Some(_), Some(mask)) => classes_of(mask),
            _ => BTreeMap::new(),
        };
        let Applied {
            case,
            times,
            warnings: doubts,
            vanished,
            ..
        } = (pipeline.apply_in_full(case).and_then(Applied::useful)).map_err(of_case)?;
        warnings.extend(doubts);
        warnings.extend(structures.and_then(|structures| told(&vanished, structures, &classes)));
        let record = Record {
            case: inputs.id.to_owned(),
            source: absolute(inputs.first()),
            names: case.names.clone(),
            shape: case.grid().shape,
            affine: case.grid().affine.0,
            steps: (pipeline.0.iter())
                .map(|step| step.member.name().into())
                .collect(),
            warnings: warnings.clone(),
            classes: classes.clone(),
            version: VERSION,
            image_digest: String::new(),
            other_digests: Vec::new(),
            mask_digest: None,
        };
        let write = |files: &CachedCase| files.store(&case, record);
        self.store(&folder, (case.images.len(), case.mask.is_some()), write)?;
        Ok(CachedResult {
            inputs: digests,
            folder,
            files,
            shape: case.grid().shape,
            warnings,
            classes,
            times: Some(times),
        })
    }

    /// The folder that a case has, or would have, in the cache.
    ///
    /// # Errors
    ///
    /// When an input cannot be read.
    pub fn place(&self, inputs: &Inputs, pipeline: &Pipeline) -> Result<PathBuf, VolumeError> {
        let key = self.key(&self.digests(inputs)?, inputs, pipeline)?;
        Ok(self.folder_of(inputs.id, &key))
    }

    /// The hex SHA-256 over everything that shapes a preprocessed case.
    fn key(
        &self,
        digests: &InputDigests,
        inputs: &Inputs,
        pipeline: &Pipeline,
    ) -> Result<String, VolumeError> {
        let mut hash = Sha256::new();
        hash.update(VERSION.to_le_bytes());
        hash.update(&digests.image);
        match &*inputs.images {
            [
                ImageFile {
                    name,
                    volume: None | Some(0),
                    ..
                },
            ] if name == ImageFile::ONLY && inputs.onto.is_none() => {}
            images => {
                let image = |image: &ImageFile| format!("{:?}", (&image.name, image.volume));
                hash.update(images.iter().map(image).collect::<String>());
                let onto = inputs.onto.map(|image| &image.name);
                hash.update(format!("{onto:?} {}", inputs.grid_tolerance));
                digests.others.iter().for_each(|other| hash.update(other));
            }
        }
        for optional in [&digests.mask, &digests.region] {
            match optional {
                None => hash.update([0]),
                Some(digest) => {
                    hash.update([1]);
                    hash.update(digest);
                }
            }
        }
        if inputs.mask.is_some() {
            hash.update(format!("{:?} {}", inputs.mask_rule, inputs.grid_tolerance));
        }
        for path in pipeline.files() {
            hash.update(self.digests.of(&path)?);
        }
        hash.update(serde_json::to_vec(pipeline).unwrap_or_else(|why| {
            unreachable!("steps are plain structs of numbers, words and lists: {why}")
        }));
        Ok(hex(&hash.finalize()))
    }

    fn folder_of(&self, id: &str, key: &str) -> PathBuf {
        self.folder
            .join(format!("{}-{}", file_name(id), &key[..KEY_LENGTH]))
    }

    /// Stores a case under a temporary name and moves it in place, so that `folder` is never incomplete.
    fn store(
        &self,
        folder: &Path,
        (images, with_mask): (usize, bool),
        write: impl FnOnce(&CachedCase) -> Result<(), PreprocessError>,
    ) -> Result<(), PreprocessError> {
        create_folder(&self.folder)?;
        let failed = |source| FileError {
            action: "create the folder",
            path: folder.to_owned(),
            remedy: "Choose a cache folder that you may write to.",
            source,
        };
        let temporary = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .tempdir_in(&self.folder)
            .map_err(failed)?;
        // A folder within the temporary one, which is private to the user.
        let made = temporary.path().join("case");
        write(&CachedCase::in_folder(&made, images, with_mask))?;
        let stored_by_another = || {
            CachedCase::in_folder(folder, images, with_mask)
                .checked_record()
                .is_ok()
        };
        if folder.exists() && !stored_by_another() {
            // A damaged case: out of the way, to be deleted with the temporary folder.
            fs::rename(folder, temporary.path().join("damaged")).map_err(failed)?;
        }
        match fs::rename(&made, folder) {
            Ok(()) => Ok(()),
            Err(_) if stored_by_another() => Ok(()),
            Err(source) => Err(failed(source).into()),
        }
    }
}

/// A case's name as part of a file name.
fn file_name(id: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    id.trim_start_matches('.')
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}
