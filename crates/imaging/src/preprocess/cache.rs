//! Preprocessed cases on disk, so that each is made once.

mod digests;
mod entry;
mod in_use;

use std::fs;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use digests::{Digests, digest};
use entry::{KEY_LENGTH, TEMPORARY};
use in_use::InUse;

pub use entry::{Entry, Pruned, is_cached_case};

use super::{
    Applied, CaseVolumes, ImageFile, Inputs, LoadedCase, Pipeline, PreprocessError, StepTime,
};
use crate::files::{FileError, create_folder, hex, read_text, write_json};
use crate::volume::nifti::{Dtype, read_image, write_image, write_mask};
use crate::volume::{Affine, Volume, VolumeError};

/// Increased whenever a step's results change, so that nothing made by older code is used.
const VERSION: u32 = 3;

/// The file of a case's [`Record`].
const RECORD: &str = "case.json";

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

/// Where a preprocessed case lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedCase {
    /// The images (float32 NIfTI), at least one.
    pub images: Vec<PathBuf>,
    /// The mask (classes, bytes), if the case has one.
    pub mask: Option<PathBuf>,
    record: PathBuf,
}

/// What is noted beside a case's files.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// The case's name.
    pub case: String,
    /// The raw scan, of several images the first.
    pub source: PathBuf,
    /// The images' names, where there are several.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    names: Vec<String>,
    /// Voxels of the prepared images along each axis.
    pub shape: [usize; 3],
    /// Its affine, which its file keeps in single precision alone.
    affine: [[f64; 4]; 4],
    /// The names of the steps it went through.
    pub steps: Vec<String>,
    /// What was doubtful about the scan.
    pub warnings: Vec<String>,
    /// The version of the code that made it.
    version: u32,
    /// The hex SHA-256 of the first image's file, of the others' and of the mask's.
    image_digest: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    other_digests: Vec<String>,
    mask_digest: Option<String>,
}

/// The hex SHA-256 of each of a case's files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct InputDigests {
    /// The raw scan, of several images the first.
    pub image: String,
    /// The other images, in their order.
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
    /// How long each step took; `None` if the case was there already.
    pub times: Option<Vec<StepTime>>,
}

impl CachedCase {
    fn in_folder(folder: &Path, images: usize, with_mask: bool) -> Self {
        let image = |index| match images {
            1 => folder.join("image.nii"),
            _ => folder.join(format!("image-{index}.nii")),
        };
        Self {
            images: (0..images).map(image).collect(),
            mask: with_mask.then(|| folder.join("mask.nii")),
            record: folder.join(RECORD),
        }
    }

    /// The case that lies in a folder, whatever its files are.
    fn found_in(folder: &Path) -> Self {
        let with_mask = folder.join("mask.nii").exists();
        let count = (0..).take_while(|index| folder.join(format!("image-{index}.nii")).exists());
        Self::in_folder(folder, count.count().max(1), with_mask)
    }

    /// Reads the case, and checks that it is what was stored.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged.
    pub fn load(&self) -> Result<CaseVolumes, VolumeError> {
        let record = self.checked_record()?;
        let images = self.images.iter().map(|path| read_image(path));
        Ok(CaseVolumes {
            images: images.collect::<Result<_, _>>()?,
            names: match self.images.len() {
                1 => vec![ImageFile::ONLY.to_owned()],
                _ => record.names,
            },
            mask: self.mask.as_deref().map(read_classes).transpose()?,
            region: None,
        })
    }

    /// Reads the images as the pipeline made them, with their place in double precision; [`Self::load`] gives it in
    /// single precision.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged.
    pub fn load_images(&self) -> Result<Vec<Volume<f32>>, VolumeError> {
        let record = self.checked_record()?;
        let read = |path| {
            Ok(Volume {
                affine: Affine(record.affine),
                ..read_image(path)?
            })
        };
        self.images.iter().map(|path| read(path)).collect()
    }

    fn checked_record(&self) -> Result<Record, VolumeError> {
        let damaged = |path: &Path, what: &str| VolumeError::Malformed {
            path: path.to_owned(),
            why: format!("{what}. Run the command again to prepare the case again"),
        };
        let text = read_text(&self.record)?;
        let record: Record = serde_json::from_str(&text)
            .map_err(|why| damaged(&self.record, &format!("it is damaged ({why})")))?;
        let stored = std::iter::once(&record.image_digest).chain(&record.other_digests);
        let stored: Vec<&String> = stored.collect();
        let images = self.images.iter().enumerate();
        let images = images.map(|(at, path)| (path, stored.get(at).copied()));
        let mask = self
            .mask
            .iter()
            .map(|path| (path, record.mask_digest.as_ref()));
        for (path, stored) in images.chain(mask) {
            if stored != Some(&digest(path)?) {
                return Err(damaged(path, "its content is not what was stored"));
            }
        }
        Ok(record)
    }

    fn store(
        &self,
        case: &CaseVolumes,
        inputs: &Inputs,
        pipeline: &Pipeline,
        warnings: &[String],
    ) -> Result<(), PreprocessError> {
        for (path, image) in self.images.iter().zip(&case.images) {
            write_image(path, image, Dtype::Float32)?;
        }
        if let (Some(path), Some(mask)) = (&self.mask, &case.mask) {
            write_mask(path, mask)?;
        }
        let digests = self.images.iter().map(|path| digest(path));
        let mut digests = digests.collect::<Result<Vec<_>, _>>()?.into_iter();
        let source = inputs.first();
        let record = Record {
            case: inputs.id.to_owned(),
            source: std::path::absolute(source).unwrap_or_else(|_| source.to_owned()),
            names: match case.names.len() {
                1 => Vec::new(),
                _ => case.names.clone(),
            },
            shape: case.grid().shape,
            affine: case.grid().affine.0,
            steps: pipeline.0.iter().map(|step| step.name().into()).collect(),
            warnings: warnings.to_owned(),
            version: VERSION,
            image_digest: digests.next().unwrap_or_default(),
            other_digests: digests.collect(),
            mask_digest: match &self.mask {
                Some(mask) => Some(digest(mask)?),
                None => None,
            },
        };
        Ok(write_json(&self.record, &record)?)
    }
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
        let mut images = inputs.images.iter().map(|image| digest(&image.path));
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
        let Applied {
            case,
            times,
            warnings: doubts,
            ..
        } = (pipeline.apply_in_full(case).and_then(Applied::useful)).map_err(of_case)?;
        warnings.extend(doubts);
        let write = |files: &CachedCase| files.store(&case, inputs, pipeline, &warnings);
        self.store(&folder, (case.images.len(), case.mask.is_some()), write)?;
        Ok(CachedResult {
            inputs: digests,
            folder,
            files,
            shape: case.grid().shape,
            warnings,
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
                    volume: None | Some(0),
                    ..
                },
            ] => {}
            images => {
                let image = |image: &ImageFile| format!("{:?}", (&image.name, image.volume));
                hash.update(images.iter().map(image).collect::<String>());
                hash.update(format!("{:?} {}", inputs.onto, inputs.grid_tolerance));
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

/// The classes of a mask that [`CachedCase::store`] wrote.
fn read_classes(path: &Path) -> Result<Volume<u8>, VolumeError> {
    let Volume { voxels, affine } = read_image(path)?;
    let voxels = voxels.mapv(|class| class as u8);
    Ok(Volume { voxels, affine })
}

/// A case's name as part of a file name.
fn file_name(id: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    id.trim_start_matches('.')
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}
