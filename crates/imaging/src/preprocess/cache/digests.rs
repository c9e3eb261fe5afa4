//! The SHA-256 of files.

use std::collections::HashMap;
use std::fs::{self, File, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};
use std::time::{Duration, SystemTime};

use sha2::{Digest, Sha256};

use crate::files::hex;
use crate::sync::lock;
use crate::volume::VolumeError;

/// Digests of files, each read once as long as its size and its time of change stay. Clones share them.
#[derive(Clone, Debug, Default)]
pub(super) struct Digests(Arc<Mutex<HashMap<PathBuf, (Stamp, String)>>>);

/// What shows that a file was written.
pub(super) type Stamp = (u64, SystemTime);

/// A file that was written this short a time ago may be written again without a change of its stamp: file systems note
/// times in steps.
const STEP: Duration = Duration::from_secs(2);

impl Digests {
    /// The hex SHA-256 of a file.
    pub(super) fn of(&self, path: &Path) -> Result<String, VolumeError> {
        let stamp = fs::metadata(path).ok().as_ref().and_then(stamp_of);
        let known = || lock(&self.0).get(path).cloned();
        if let (Some(stamp), Some((then, digest))) = (stamp, known())
            && stamp == then
        {
            return Ok(digest);
        }
        let digest = digest(path)?;
        if let Some(stamp) = stamp {
            lock(&self.0).insert(path.to_owned(), (stamp, digest.clone()));
        }
        Ok(digest)
    }
}

/// A file's stamp; `None` if that does not show that it stays as it is.
pub(super) fn stamp_of(about: &Metadata) -> Option<Stamp> {
    let written = about.modified().ok()?;
    let age = SystemTime::now().duration_since(written).ok()?;
    (age > STEP).then_some((about.len(), written))
}

/// The hex SHA-256 of a file, read now.
pub(super) fn digest(path: &Path) -> Result<String, VolumeError> {
    let mut hash = Sha256::new();
    File::open(path)
        .and_then(|mut file| io::copy(&mut file, &mut hash))
        .map_err(|source| VolumeError::Open {
            path: path.to_owned(),
            source,
        })?;
    Ok(hex(&hash.finalize()))
}
