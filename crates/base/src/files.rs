//! Files: written so that a reader never sees half of one, and locked.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};

use thiserror::Error;

/// A file or folder could not be read or written.
#[derive(Debug, Error)]
#[error("cannot {action} {}: {source}. {remedy}", path.display())]
pub struct FileError {
    /// What was tried: "read", "write", "create the folder".
    pub action: &'static str,
    /// The file or folder.
    pub path: PathBuf,
    /// What the user can do.
    pub remedy: &'static str,
    /// The system's reason.
    pub source: io::Error,
}

/// How the names of files begin that are being written.
const TEMPORARY: &str = ".tmp-";

/// Whether a file is one that [`write_atomic`] had begun when the program was killed.
pub fn is_unfinished(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.is_some_and(|name| name.starts_with(TEMPORARY))
}

/// Writes `path` through a temporary file beside it, synced to disk and then renamed, so that the file is never
/// incomplete. Missing parent folders are created.
///
/// # Errors
///
/// When the folder cannot be created or the file cannot be written; an older file is then untouched.
pub fn write_atomic(
    path: &Path,
    write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
) -> Result<(), FileError> {
    let folder = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    create_folder(folder)?;
    let attempt = || -> io::Result<()> {
        let mut file = tempfile::Builder::new()
            .prefix(TEMPORARY)
            .permissions(default_permissions())
            .tempfile_in(folder)?;
        {
            let mut buffered = BufWriter::new(file.as_file_mut());
            write(&mut buffered)?;
            buffered.flush()?;
        }
        file.as_file().sync_all()?;
        file.persist(path)?;
        Ok(())
    };
    attempt().map_err(|source| FileError {
        action: "write",
        path: path.to_owned(),
        remedy: "Check that the folder is writable and the disk is not full.",
        source,
    })
}

/// Writes `value` as readable JSON: see [`write_atomic`].
///
/// # Errors
///
/// When the folder or the file cannot be written.
pub fn write_json(path: &Path, value: &impl serde::Serialize) -> Result<(), FileError> {
    write_atomic(path, |out| {
        serde_json::to_writer_pretty(&mut *out, value)?;
        writeln!(out)
    })
}

/// Creates `path` and its parents where they are missing.
///
/// # Errors
///
/// When the system refuses.
pub fn create_folder(path: &Path) -> Result<(), FileError> {
    std::fs::create_dir_all(path).map_err(|source| FileError {
        action: "create the folder",
        path: path.to_owned(),
        remedy: "Choose a folder that you may write to.",
        source,
    })
}

/// Opens and locks `path`, created if missing, for as long as the file stays open: the process that holds it
/// works in the file's folder, and the system frees the lock however the process ends. None if another
/// process holds it. On a disk without locks the user must make sure that there is only one process.
///
/// # Errors
///
/// When the file cannot be opened.
pub fn lock(path: &Path) -> Result<Option<File>, FileError> {
    let file = open_to_lock(path)?;
    match file.try_lock() {
        Err(TryLockError::WouldBlock) => Ok(None),
        _ => Ok(Some(file)),
    }
}

/// Opens a file in order to lock it, created if missing; its content stays.
///
/// # Errors
///
/// When the folder cannot be created or the file cannot be opened.
pub fn open_to_lock(path: &Path) -> Result<File, FileError> {
    if let Some(folder) = path.parent() {
        create_folder(folder)?;
    }
    let mut options = OpenOptions::new();
    options.read(true).write(true).create(true).truncate(false);
    options.open(path).map_err(|source| FileError {
        action: "open",
        path: path.to_owned(),
        remedy: "Check that its folder exists and that you may write to it.",
        source,
    })
}

/// Bytes, such as a digest's, in hexadecimal.
pub fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Reads a text file. Some editors begin a file with a byte-order mark: it is left out.
///
/// # Errors
///
/// When the file is missing, unreadable or not UTF-8.
pub fn read_text(path: &Path) -> Result<String, FileError> {
    let mut text = std::fs::read_to_string(path).map_err(|source| FileError {
        action: "read",
        path: path.to_owned(),
        remedy: "Check the path and that it is a text file in UTF-8 that you may read.",
        source,
    })?;
    if text.starts_with(BYTE_ORDER_MARK) {
        text.drain(..BYTE_ORDER_MARK.len_utf8());
    }
    Ok(text)
}

/// Reads a file.
///
/// # Errors
///
/// When the file is missing or unreadable.
pub fn read_bytes(path: &Path) -> Result<Vec<u8>, FileError> {
    std::fs::read(path).map_err(|source| FileError {
        action: "read",
        path: path.to_owned(),
        remedy: "Check the path, and that you may read the file.",
        source,
    })
}

const BYTE_ORDER_MARK: char = '\u{feff}';

/// `path` with the user's own folder in place of a `~` at its start, which shells replace, but only where a word
/// starts with it. Without a `HOME` it stays as it is.
pub fn expand_home(path: &Path) -> PathBuf {
    let home = std::env::var_os("HOME").filter(|home| !home.is_empty());
    match (path.strip_prefix("~"), home) {
        (Ok(inside), Some(home)) => Path::new(&home).join(inside),
        _ => path.to_owned(),
    }
}

// Temporary files are private by default; results are for everyone the umask lets in.
#[cfg(unix)]
fn default_permissions() -> std::fs::Permissions {
    use std::os::unix::fs::PermissionsExt;
    std::fs::Permissions::from_mode(0o666)
}

#[cfg(not(unix))]
fn default_permissions() -> std::fs::Permissions {
    std::fs::Permissions::from(
        std::fs::metadata(".")
            .map(|m| m.permissions())
            .unwrap_or_else(|_| unreachable!("the current folder always has permissions")),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_byte_order_mark_is_no_part_of_a_text() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.yaml");
        std::fs::write(&path, "\u{feff}seed: 1\n").unwrap();
        assert_eq!(read_text(&path).unwrap(), "seed: 1\n");
    }

    #[test]
    fn a_tilde_at_the_start_is_the_users_own_folder() {
        let home = PathBuf::from(std::env::var_os("HOME").unwrap());
        assert_eq!(expand_home(Path::new("~/a/b")), home.join("a/b"));
        for other in ["a/~/b", "~other/a", "a~"] {
            assert_eq!(expand_home(Path::new(other)), Path::new(other));
        }
    }

    #[test]
    fn a_failed_write_leaves_the_old_file_and_no_litter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a/metrics.csv");
        write_atomic(&path, |w| w.write_all(b"old")).unwrap();
        let failed = write_atomic(&path, |w| {
            w.write_all(b"half of the new")?;
            Err(io::Error::other("disk full"))
        });
        assert!(failed.unwrap_err().to_string().contains("metrics.csv"));
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        assert_eq!(
            std::fs::read_dir(path.parent().unwrap()).unwrap().count(),
            1
        );
    }
}
