//! What lies in a cache: to list it, and to delete what nobody needs.

use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

use super::in_use::Census;
use super::{Cache, CachedCase, RECORD, Record, VERSION};
use crate::files::FileError;

/// Files of a killed process are leftovers after this time.
const LITTER: Duration = Duration::from_secs(24 * 3600);

/// What lies in the cache under one name.
#[derive(Clone, Debug)]
pub struct Entry {
    /// Its folder.
    pub folder: PathBuf,
    /// What is noted there; `None` for what is damaged, made by another version, or left over.
    pub record: Option<Record>,
    /// Size of its files.
    pub bytes: u64,
    /// Whether it may belong to a process that is at work now.
    busy: bool,
}

impl Cache {
    /// Everything in the cache, in order of its names. Other files in the folder are passed over.
    ///
    /// # Errors
    ///
    /// When the folder cannot be read; one that does not exist is empty.
    pub fn entries(&self) -> Result<Vec<Entry>, FileError> {
        let unreadable = |source| FileError {
            action: "read",
            path: self.folder.clone(),
            remedy: "Check that you may read it.",
            source,
        };
        let listed = match self.folder.read_dir() {
            Ok(listed) => listed,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(unreadable(error)),
        };
        let mut entries = Vec::new();
        for item in listed {
            let item = item.map_err(unreadable)?;
            let name = item.file_name().to_string_lossy().into_owned();
            if item.path().is_dir() && (is_entry(&name) || name.starts_with(TEMPORARY)) {
                entries.push(Entry::of(item.path(), name.starts_with(TEMPORARY)));
            }
        }
        entries.sort_by(|a, b| a.folder.cmp(&b.folder));
        Ok(entries)
    }

    /// Deletes these entries, except those that a process works with; returns which were deleted, and which were kept
    /// for that.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    pub fn prune(&self, entries: Vec<Entry>) -> Result<Pruned, FileError> {
        let mut pruned = Pruned::default();
        if entries.is_empty() {
            return Ok(pruned);
        }
        let census = Census::take(&self.folder)?;
        for entry in entries {
            match !census.has(&entry.folder) && entry.remove()? {
                true => pruned.removed.push(entry),
                false => pruned.kept.push(entry),
            }
        }
        Ok(pruned)
    }
}

/// The result of [`Cache::prune`].
#[derive(Clone, Debug, Default)]
pub struct Pruned {
    /// What was deleted.
    pub removed: Vec<Entry>,
    /// What a process works with, or may be making now.
    pub kept: Vec<Entry>,
}

impl Entry {
    fn of(folder: PathBuf, temporary: bool) -> Self {
        let record = CachedCase::found_in(&folder).checked_record();
        let age = folder.metadata().and_then(|about| about.modified()).ok();
        let age = age.and_then(|then| SystemTime::now().duration_since(then).ok());
        Self {
            bytes: size(&folder),
            record: record.ok().filter(|record| record.version == VERSION),
            busy: temporary && age.is_none_or(|age| age < LITTER),
            folder,
        }
    }

    /// Deletes it, unless a process may be at work on it. Returns whether it did.
    ///
    /// # Errors
    ///
    /// When the system refuses.
    fn remove(&self) -> Result<bool, FileError> {
        if self.busy {
            return Ok(false);
        }
        fs::remove_dir_all(&self.folder).map_err(|source| FileError {
            action: "remove",
            path: self.folder.clone(),
            remedy: "Remove it by hand.",
            source,
        })?;
        Ok(true)
    }
}

/// Number of characters of the key in a folder's name.
pub(super) const KEY_LENGTH: usize = 16;

/// How names of folders that are being made begin.
pub(super) const TEMPORARY: &str = ".tmp-";

/// Whether a folder's name is one that [`Cache::place`] gives.
fn is_entry(name: &str) -> bool {
    let lower_hex = |c: char| matches!(c, '0'..='9' | 'a'..='f');
    name.rsplit_once('-')
        .is_some_and(|(_, key)| key.len() == KEY_LENGTH && key.chars().all(lower_hex))
}

/// Whether a folder is that of a cached case, whichever cache it is in.
pub fn is_cached_case(folder: &Path) -> bool {
    let name = folder.file_name().unwrap_or_default().to_string_lossy();
    is_entry(&name) && folder.join(RECORD).is_file()
}

/// Bytes of all files below `folder`; those that cannot be read count nothing.
fn size(folder: &Path) -> u64 {
    let Ok(items) = folder.read_dir() else {
        return 0;
    };
    let of = |item: fs::DirEntry| match item.metadata() {
        Ok(about) if about.is_dir() => size(&item.path()),
        Ok(about) => about.len(),
        Err(_) => 0,
    };
    items.flatten().map(of).sum()
}
