//! Which of a cache's cases processes work with: those are not pruned.
//!
//! Each process lists its cases in a file of its own, which it keeps locked: the system frees the lock however the
//! process ends. A lock over all lists makes a process wait while another one prunes.

use std::collections::BTreeSet;
use std::fs::{self, File, TryLockError};
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tempfile::NamedTempFile;

use crate::files::{FileError, open_to_lock};
use crate::sync::lock;

/// The folder of the lists, in the cache.
const FOLDER: &str = ".in-use";

/// The lock over all lists.
const LOCK: &str = "lock";

/// The list of this process. Clones share it; it is deleted with the last of them.
#[derive(Clone, Debug)]
pub(super) struct InUse {
    folder: PathBuf,
    list: Arc<Mutex<Option<NamedTempFile>>>,
}

impl InUse {
    pub(super) fn of(cache: &Path) -> Self {
        Self {
            folder: cache.join(FOLDER),
            list: Arc::default(),
        }
    }

    /// Adds a case's folder to the list. Waits while another process prunes.
    pub(super) fn add(&self, case: &Path) -> Result<(), FileError> {
        let all = open_to_lock(&self.folder.join(LOCK))?;
        // On a disk without locks, nothing is known of other processes; `prune` keeps what is listed there.
        let _ = all.lock_shared();
        let name = case.file_name().unwrap_or_default().to_string_lossy();
        let mut list = lock(&self.list);
        let mut added = || -> io::Result<()> {
            if list.is_none() {
                let made = NamedTempFile::with_prefix_in("list-", &self.folder)?;
                let _ = made.as_file().try_lock();
                *list = Some(made);
            }
            list.as_mut()
                .map_or(Ok(()), |list| writeln!(list, "{name}"))
        };
        added().map_err(|source| FileError {
            action: "write in",
            path: self.folder.clone(),
            remedy: "Check that the cache is writable and the disk is not full.",
            source,
        })
    }
}

/// The cases that processes work with, this one included. No process begins to use another case as long as it lives.
pub(super) struct Census {
    names: BTreeSet<String>,
    _all: File,
}

impl Census {
    /// Reads all lists, and deletes those of processes that have ended.
    pub(super) fn take(cache: &Path) -> Result<Self, FileError> {
        let folder = cache.join(FOLDER);
        let all = open_to_lock(&folder.join(LOCK))?;
        let _ = all.lock();
        let mut names = BTreeSet::new();
        for item in fs::read_dir(&folder).into_iter().flatten().flatten() {
            let path = item.path();
            if item.file_name() == LOCK || is_left_over(&path) {
                continue;
            }
            let text = fs::read_to_string(&path).unwrap_or_default();
            names.extend(text.lines().map(str::to_owned));
        }
        Ok(Self { names, _all: all })
    }

    pub(super) fn has(&self, case: &Path) -> bool {
        let name = case.file_name().unwrap_or_default().to_string_lossy();
        self.names.contains(&*name)
    }
}

/// Whether a list's process has ended; the list is then deleted.
fn is_left_over(list: &Path) -> bool {
    let Ok(file) = File::open(list) else {
        return true;
    };
    let held = matches!(
        file.try_lock(),
        Err(TryLockError::WouldBlock | TryLockError::Error(_))
    );
    if !held {
        // If it cannot be deleted, the next one to prune finds it again.
        let _ = fs::remove_file(list);
    }
    !held
}
