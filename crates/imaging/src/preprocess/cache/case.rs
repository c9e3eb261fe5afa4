//! A preprocessed case's files, and what is noted beside them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::super::{CaseVolumes, ImageFile, PreprocessError};
use super::digests::digest;
use crate::files::{read_text, write_json};
use crate::volume::nifti::{Dtype, read_image, write_image, write_mask};
use crate::volume::{Affine, Volume, VolumeError};

/// The file of a case's [`Record`].
pub(super) const RECORD: &str = "case.json";

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
    /// The images' names.
    #[serde(default = "only", skip_serializing_if = "is_only")]
    pub(super) names: Vec<String>,
    /// Voxels of the prepared images along each axis.
    pub shape: [usize; 3],
    /// Its affine, which its file keeps in single precision alone.
    pub(super) affine: [[f64; 4]; 4],
    /// The names of the steps it went through.
    pub steps: Vec<String>,
    /// What was doubtful about the scan.
    pub warnings: Vec<String>,
    /// How many voxels of the raw mask each class has, if it is a map of several structures.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub(super) classes: BTreeMap<u8, u64>,
    /// The version of the code that made it.
    pub(super) version: u32,
    /// The hex SHA-256 of the first image's file, of the others' and of the mask's.
    pub(super) image_digest: String,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(super) other_digests: Vec<String>,
    pub(super) mask_digest: Option<String>,
}

/// The names that need not be noted.
fn only() -> Vec<String> {
    vec![ImageFile::ONLY.to_owned()]
}

fn is_only(names: &[String]) -> bool {
    names == only()
}

impl CachedCase {
    pub(super) fn in_folder(folder: &Path, images: usize, with_mask: bool) -> Self {
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
    pub(super) fn found_in(folder: &Path) -> Self {
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
            names: record.names,
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

    pub(super) fn checked_record(&self) -> Result<Record, VolumeError> {
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

    /// Writes a case's files, and what is noted about it with their digests.
    pub(super) fn store(&self, case: &CaseVolumes, record: Record) -> Result<(), PreprocessError> {
        for (path, image) in self.images.iter().zip(&case.images) {
            write_image(path, image, Dtype::Float32)?;
        }
        if let (Some(path), Some(mask)) = (&self.mask, &case.mask) {
            write_mask(path, mask)?;
        }
        let digests = self.images.iter().map(|path| digest(path));
        let mut digests = digests.collect::<Result<Vec<_>, _>>()?.into_iter();
        let record = Record {
            image_digest: digests.next().unwrap_or_default(),
            other_digests: digests.collect(),
            mask_digest: self.mask.as_deref().map(digest).transpose()?,
            ..record
        };
        Ok(write_json(&self.record, &record)?)
    }
}

/// The classes of a mask that [`CachedCase::store`] wrote.
fn read_classes(path: &Path) -> Result<Volume<u8>, VolumeError> {
    let Volume { voxels, affine } = read_image(path)?;
    let voxels = voxels.mapv(|class| class as u8);
    Ok(Volume { voxels, affine })
}
