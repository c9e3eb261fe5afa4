//! Preprocessed cases on disk, so that each is made once.

use std::fmt::Write as _;
use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::{Pipeline, Prepared, PreprocessError};
use crate::files::{FileError, create_folder};
use crate::volume::nifti::{Dtype, read_image, read_mask, write_image, write_mask};
use crate::volume::{Volume, VolumeError};

/// Raised whenever a step's results change, so that nothing made by older code is used.
const VERSION: u32 = 1;

/// How far apart image and mask may put the same voxel, in mm: what float32 headers differ by.
const TOLERANCE_MM: f64 = 1e-3;

/// A folder of preprocessed cases. Any number of processes may use it at once.
///
/// A case is filed under its name and a key over everything that shapes it: the bytes of the input
/// files, the pipeline, and the version of the code. So nothing stale is ever used, and the folder
/// may be deleted at any time.
#[derive(Clone, Debug)]
pub struct Cache {
    folder: PathBuf,
}

/// Where a preprocessed case lies.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CachedCase {
    /// The scan (float32 NIfTI).
    pub image: PathBuf,
    /// The mask (0 and 1, bytes), if the case has one.
    pub mask: Option<PathBuf>,
}

impl CachedCase {
    fn in_folder(folder: &Path, with_mask: bool) -> Self {
        Self {
            image: folder.join("image.nii"),
            mask: with_mask.then(|| folder.join("mask.nii")),
        }
    }

    /// Reads the case.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged.
    pub fn load(&self) -> Result<Prepared, VolumeError> {
        Ok(Prepared {
            image: read_image(&self.image)?,
            mask: self.mask.as_deref().map(read_mask).transpose()?,
        })
    }

    fn store(&self, case: &Prepared) -> Result<(), VolumeError> {
        write_image(&self.image, &case.image, Dtype::Float32)?;
        match (&self.mask, &case.mask) {
            (Some(path), Some(mask)) => write_mask(path, mask),
            _ => Ok(()),
        }
    }
}

impl Cache {
    /// The cache in `folder`, which is created when the first case is stored.
    pub fn new(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
        }
    }

    /// The case `id` after `pipeline`: from the cache if it is there, else made and stored.
    ///
    /// # Errors
    ///
    /// When an input cannot be read, image and mask do not fit each other ([`check_pair`]), a step
    /// fails, or the folder cannot be written.
    pub fn prepare(
        &self,
        id: &str,
        image: &Path,
        mask: Option<&Path>,
        pipeline: &Pipeline,
    ) -> Result<CachedCase, PreprocessError> {
        let key = key(image, mask, pipeline)?;
        let folder = self
            .folder
            .join(format!("{}-{}", file_name(id), &key[..16]));
        let cached = CachedCase::in_folder(&folder, mask.is_some());
        if cached.load().is_err() {
            let case = pipeline.apply(read_case(image, mask)?)?;
            self.store(&folder, &case)?;
        }
        Ok(cached)
    }

    /// Stores the case under a temporary name and moves it in place, so that `folder` is there
    /// whole or not at all.
    fn store(&self, folder: &Path, case: &Prepared) -> Result<(), PreprocessError> {
        create_folder(&self.folder)?;
        let failed = |source| FileError {
            action: "create the folder",
            path: folder.to_owned(),
            remedy: "Choose a cache folder that you may write to.",
            source,
        };
        let temporary = tempfile::Builder::new()
            .prefix(".tmp-")
            .tempdir_in(&self.folder)
            .map_err(failed)?;
        // A folder within the temporary one, which is private to the user.
        let made = temporary.path().join("case");
        let with_mask = case.mask.is_some();
        CachedCase::in_folder(&made, with_mask).store(case)?;
        let stored_by_another = || CachedCase::in_folder(folder, with_mask).load().is_ok();
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

/// Reads a case and checks that its mask fits.
fn read_case(image: &Path, mask: Option<&Path>) -> Result<Prepared, PreprocessError> {
    let case = Prepared {
        image: read_image(image)?,
        mask: mask.map(read_mask).transpose()?,
    };
    if let (Some(path), Some(mask)) = (mask, &case.mask) {
        check_pair((image, &case.image), (path, mask))?;
    }
    Ok(case)
}

/// Checks that a mask lies on its image's grid (within 0.001 mm) and marks something.
///
/// # Errors
///
/// When it does not; the message names both files, what differs and what to do.
pub fn check_pair(
    (image_path, image): (&Path, &Volume<f32>),
    (mask_path, mask): (&Path, &Volume<u8>),
) -> Result<(), PreprocessError> {
    let mismatch = |difference| PreprocessError::Mismatch {
        image: image_path.to_owned(),
        mask: mask_path.to_owned(),
        difference,
    };
    if image.shape() != mask.shape() {
        let (expected, found) = (image.shape(), mask.shape());
        return Err(mismatch(format!(
            "its shape is {found:?}, the image's {expected:?}"
        )));
    }
    let offset = image.grid().largest_offset(&mask.affine);
    if offset > TOLERANCE_MM {
        return Err(mismatch(format!(
            "they place the same voxel up to {offset:.3} mm apart; its affine is {:?}, the \
             image's {:?}",
            &mask.affine.0[..3],
            &image.affine.0[..3]
        )));
    }
    if mask.voxels.iter().all(|value| *value == 0) {
        return Err(PreprocessError::EmptyMask {
            path: mask_path.to_owned(),
        });
    }
    Ok(())
}

/// The hex SHA-256 over everything that shapes a preprocessed case.
fn key(image: &Path, mask: Option<&Path>, pipeline: &Pipeline) -> Result<String, VolumeError> {
    let digest = |path: &Path| -> Result<_, VolumeError> {
        let mut hash = Sha256::new();
        File::open(path)
            .and_then(|mut file| io::copy(&mut file, &mut hash))
            .map_err(|source| VolumeError::Open {
                path: path.to_owned(),
                source,
            })?;
        Ok(hash.finalize())
    };
    let mut hash = Sha256::new();
    hash.update(VERSION.to_le_bytes());
    hash.update(digest(image)?);
    match mask {
        None => hash.update([0]),
        Some(mask) => {
            hash.update([1]);
            hash.update(digest(mask)?);
        }
    }
    hash.update(serde_json::to_vec(pipeline).unwrap_or_else(|why| {
        unreachable!("steps are plain structs of numbers, words and lists: {why}")
    }));
    Ok(hash.finalize().iter().fold(String::new(), |mut hex, byte| {
        // Writing to a string cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    }))
}

/// A case's name as part of a file name.
fn file_name(id: &str) -> String {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.');
    id.trim_start_matches('.')
        .chars()
        .map(|c| if allowed(c) { c } else { '_' })
        .collect()
}
