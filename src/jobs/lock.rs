//! Locks on files. A held lock means that its process is alive.

use std::fs::{File, TryLockError};
use std::path::Path;

use super::ExecutorError;
use crate::files::{FileError, lock, open_to_lock};

/// Opens a file and locks it; none if another process holds it. Its content stays.
pub(super) fn try_lock(path: &Path) -> Result<Option<File>, FileError> {
    let file = open_to_lock(path)?;
    match file.try_lock() {
        Ok(()) => Ok(Some(file)),
        Err(TryLockError::WouldBlock) => Ok(None),
        Err(TryLockError::Error(source)) => Err(FileError {
            action: "lock",
            path: path.to_owned(),
            remedy: "Keep the results on a disk that has file locks (Lustre: mounted with `flock`).",
            source,
        }),
    }
}

/// Whether some process holds the file. Asking does not take it from anybody.
pub(super) fn is_held(path: &Path) -> bool {
    let shared = File::open(path).map(|file| file.try_lock_shared());
    matches!(shared, Ok(Err(TryLockError::WouldBlock)))
}

/// Locks the file at `path` for as long as this process runs the jobs in `folder`.
pub(super) fn lock_folder(path: &Path, folder: &Path) -> Result<File, ExecutorError> {
    lock(path)?.ok_or_else(|| ExecutorError::Busy {
        folder: folder.to_owned(),
    })
}
