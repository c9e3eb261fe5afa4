//! The files below a folder.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::DatasetError;
use crate::files::FileError;
use crate::layout::{is_prediction, is_results};

/// Every file below `root`, in order of its path. Files and folders whose name starts with a dot are
/// passed over, and so are predictions and folders of results. Links are followed, but a folder that several lead to
/// is read once.
///
/// # Errors
///
/// When `root` is not a folder (`remedy` names what to set), or a folder below it cannot be read.
pub(super) fn files_below(root: &Path, remedy: &'static str) -> Result<Vec<PathBuf>, DatasetError> {
    Walk::files_below(root, remedy, false)
}

/// Like [`files_below`], but a folder that several links lead to is read by each of its paths: where
/// paths follow a pattern, any of them could be the one that is meant. Circles are not followed.
///
/// # Errors
///
/// As for [`files_below`].
pub(super) fn paths_below(root: &Path, remedy: &'static str) -> Result<Vec<PathBuf>, DatasetError> {
    Walk::files_below(root, remedy, true)
}

struct Walk {
    /// Whether a folder is read again when another link leads to it.
    again: bool,
    /// The folders that lead here and, unless they may be read again, those already read.
    seen: BTreeSet<PathBuf>,
    files: Vec<PathBuf>,
}

impl Walk {
    fn files_below(
        root: &Path,
        remedy: &'static str,
        again: bool,
    ) -> Result<Vec<PathBuf>, DatasetError> {
        check_folder(root, remedy)?;
        let mut walk = Self {
            again,
            seen: BTreeSet::new(),
            files: Vec::new(),
        };
        walk.read(root)?;
        Ok(walk.files)
    }

    fn read(&mut self, folder: &Path) -> Result<(), FileError> {
        let place = folder.canonicalize().map_err(unreadable(folder))?;
        if !self.seen.insert(place.clone()) {
            return Ok(());
        }
        for path in entries(folder)? {
            if path.is_dir() {
                if !is_results(&path) {
                    self.read(&path)?;
                }
            } else {
                self.files.push(path);
            }
        }
        if self.again {
            self.seen.remove(&place);
        }
        Ok(())
    }
}

/// What a folder holds, in order of its name, without what starts with a dot and without predictions. A NIfTI file
/// whose path is not text is an error: a case's name would not tell it from others.
pub(super) fn entries(folder: &Path) -> Result<BTreeSet<PathBuf>, FileError> {
    let visible = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default();
        !name.as_encoded_bytes().starts_with(b".") && !is_prediction(path)
    };
    let entries = folder.read_dir().map_err(unreadable(folder))?;
    let paths: io::Result<BTreeSet<PathBuf>> = entries.map(|entry| Ok(entry?.path())).collect();
    let paths = paths.map_err(unreadable(folder))?;
    let found: BTreeSet<PathBuf> = paths.into_iter().filter(visible).collect();
    let unnamed = |path: &&PathBuf| path.to_str().is_none() && nifti_stem(path).is_some();
    match found.iter().find(unnamed) {
        None => Ok(found),
        Some(path) => Err(FileError {
            action: "use",
            path: path.clone(),
            remedy: "Rename it, or the folder that it is in: names of cases are text in UTF-8.",
            source: io::Error::new(io::ErrorKind::InvalidData, "its name is not UTF-8"),
        }),
    }
}

/// Checks that a folder exists; `remedy` names what to set if not.
pub(super) fn check_folder(folder: &Path, remedy: &'static str) -> Result<(), DatasetError> {
    if folder.is_dir() {
        Ok(())
    } else {
        Err(DatasetError::NoFolder {
            folder: folder.to_owned(),
            remedy,
        })
    }
}

/// Checks that a file exists, and is neither a folder nor a broken link.
pub(super) fn check_there(path: &Path) -> Result<(), FileError> {
    match path.metadata() {
        Ok(found) if found.is_dir() => Err(io::ErrorKind::IsADirectory.into()),
        Ok(_) => Ok(()),
        Err(why) => Err(why),
    }
    .map_err(unreadable(path))
}

fn unreadable(path: &Path) -> impl FnOnce(io::Error) -> FileError {
    let path = path.to_owned();
    |source| FileError {
        action: "read",
        path,
        remedy: "Check that you may read it and, if it is a link, that what it leads to has been downloaded.",
        source,
    }
}

/// A NIfTI file's name without its extension, and the extension.
pub(super) fn nifti_stem(path: &Path) -> Option<(String, &'static str)> {
    let name = path.file_name()?.to_string_lossy();
    let extension = [".nii.gz", ".nii"]
        .into_iter()
        .find(|end| name.ends_with(end))?;
    Some((name.strip_suffix(extension)?.to_owned(), extension))
}
