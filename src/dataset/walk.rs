//! The files below a folder.

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use super::DatasetError;
use crate::files::FileError;

/// Every file below `root`, in order of its path. Files and folders whose name starts with a dot are
/// passed over; links are followed, but not in circles.
///
/// # Errors
///
/// When `root` is no folder, or a folder below it cannot be read.
pub(super) fn files_below(root: &Path) -> Result<Vec<PathBuf>, DatasetError> {
    if !root.is_dir() {
        return Err(DatasetError::NoRoot {
            root: root.to_owned(),
        });
    }
    let mut files = Vec::new();
    walk(root, &mut BTreeSet::new(), &mut files)?;
    Ok(files)
}

/// `seen` holds the folders that lead here and those already read.
fn walk(
    folder: &Path,
    seen: &mut BTreeSet<PathBuf>,
    files: &mut Vec<PathBuf>,
) -> Result<(), FileError> {
    if !seen.insert(folder.canonicalize().map_err(unreadable(folder))?) {
        return Ok(());
    }
    let entries = folder.read_dir().map_err(unreadable(folder))?;
    let paths: Result<BTreeSet<PathBuf>, _> = entries.map(|entry| Ok(entry?.path())).collect();
    for path in paths.map_err(unreadable(folder))? {
        let name = path.file_name().unwrap_or_default();
        if name.as_encoded_bytes().starts_with(b".") {
            continue;
        }
        if path.is_dir() {
            walk(&path, seen, files)?;
        } else {
            files.push(path);
        }
    }
    Ok(())
}

/// Checks that a file is there, and not a link that leads nowhere.
pub(super) fn check_there(path: &Path) -> Result<(), FileError> {
    path.metadata().map(drop).map_err(unreadable(path))
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

/// A NIfTI file's name without its ending, and the ending.
pub(super) fn nifti_stem(path: &Path) -> Option<(String, &'static str)> {
    let name = path.file_name()?.to_string_lossy();
    let ending = [".nii.gz", ".nii"]
        .into_iter()
        .find(|end| name.ends_with(end))?;
    Some((name.strip_suffix(ending)?.to_owned(), ending))
}
