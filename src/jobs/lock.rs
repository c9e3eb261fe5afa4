//! Locks on files: a held lock means that its process is alive.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::ExecutorError;
use crate::files::{FileError, lock, open_to_lock};

/// Opens a file and locks it; none if another process holds it. What the file holds stays.
pub(super) fn try_lock(path: &Path) -> Result<Option<File>, FileError> {
    let file = open_to_lock(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(FileError {
            action: "lock",
            path: path.to_owned(),
            remedy: "Keep the study on a disk that has file locks (Lustre: mounted with `flock`).",
            source,
        }),
    }
}

/// Whether some process holds the file. Looking does not take it from anybody.
pub(super) fn is_held(path: &Path) -> bool {
    let shared = File::open(path).map(|file| file.try_lock_shared());
    matches!(shared, Ok(Err(TryLockError::WouldBlock)))
}

/// Locks a file for as long as this process works on the study.
pub(super) fn hold(path: &Path, study: &Path) -> Result<File, ExecutorError> {
    lock(path)?.ok_or_else(|| ExecutorError::Busy {
        study: study.to_owned(),
    })
}
