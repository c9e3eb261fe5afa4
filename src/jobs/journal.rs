//! An append-only journal on disk: one line of JSON per event, synced as it is written, never rewritten.

use std::fs::{File, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde::de::DeserializeOwned;
use thiserror::Error;

use crate::files::{FileError, open_to_lock};

/// A journal, open for this process alone.
#[derive(Debug)]
pub struct Journal {
    file: File,
    path: PathBuf,
    /// How many lines it has, and how many bytes they are.
    lines: usize,
    length: u64,
}

/// What opening a journal found.
#[derive(Debug)]
pub struct Opened<E> {
    /// The journal, locked.
    pub journal: Journal,
    /// The events so far, one per line.
    pub events: Vec<E>,
    /// What the user should know.
    pub notices: Vec<String>,
}

/// A journal cannot be used.
#[derive(Debug, Error)]
pub enum JournalError {
    /// It cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// Another process has it open.
    #[error("{} is in use by another process. Wait for it or end it.", path.display())]
    Locked {
        /// The journal.
        path: PathBuf,
    },
    /// A line other than an unfinished last one is damaged.
    #[error("{}:{line}: {why}. Restore the file from a copy.", path.display())]
    Damaged {
        /// The journal.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it.
        why: String,
    },
}

impl Journal {
    /// Opens and locks the journal, or begins one. A last line that was cut off while it was written is
    /// left out, and the next line replaces it.
    ///
    /// # Errors
    ///
    /// When another process has it open, it cannot be read, or a line is damaged.
    pub fn open<E: DeserializeOwned>(path: &Path) -> Result<Opened<E>, JournalError> {
        let file = open_to_lock(path)?;
        let mut notices = Vec::new();
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                return Err(JournalError::Locked {
                    path: path.to_owned(),
                });
            }
            Err(TryLockError::Error(why)) => notices.push(format!(
                "{} cannot be locked here ({why}): make sure that no other process works in its folder",
                path.display()
            )),
        }
        let bytes = std::fs::read(path).map_err(|source| file_error("read", path, source))?;
        let (events, length) = parse(path, &bytes)?;
        if let Some(folder) = path.parent().filter(|_| length == 0) {
            // The name of a new file is safe only once its folder is; where folders cannot be synced,
            // nothing more can be done.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        if length < bytes.len() {
            notices.push(format!(
                "{}:{}: the last line was cut off while it was written and has been dropped",
                path.display(),
                events.len() + 1
            ));
        }
        let journal = Self {
            file,
            path: path.to_owned(),
            lines: events.len(),
            length: length as u64,
        };
        Ok(Opened {
            journal,
            events,
            notices,
        })
    }

    /// Appends an event; when this returns it is on the disk. The number of its line, counted from 1.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the journal is then as before.
    pub fn append(&mut self, event: &impl Serialize) -> Result<usize, FileError> {
        let written = self.write(event);
        if written.is_err() {
            // Should this fail too, the next line still replaces what was written of this one.
            let _ = self.cut();
        }
        self.length += written.map_err(|source| file_error("write", &self.path, source))?;
        self.lines += 1;
        Ok(self.lines)
    }

    /// Where the journal is.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Writes a line behind the last whole one; its length.
    fn write(&mut self, event: &impl Serialize) -> io::Result<u64> {
        let mut line = serde_json::to_vec(event)?;
        line.push(b'\n');
        self.file.set_len(self.length)?;
        self.file.seek(SeekFrom::Start(self.length))?;
        self.file.write_all(&line)?;
        self.file.sync_data()?;
        Ok(line.len() as u64)
    }

    fn cut(&mut self) -> io::Result<()> {
        self.file.set_len(self.length)?;
        self.file.sync_data()
    }
}

/// Reads a journal without locking it, as it is now; a last line that is being written is left out.
///
/// # Errors
///
/// When it cannot be read or a line is damaged.
pub fn read_journal<E: DeserializeOwned>(path: &Path) -> Result<Vec<E>, JournalError> {
    let bytes = std::fs::read(path).map_err(|source| file_error("read", path, source))?;
    Ok(parse(path, &bytes)?.0)
}

/// The events of the whole lines, and how many bytes these are. A line is whole when it ends.
fn parse<E: DeserializeOwned>(path: &Path, bytes: &[u8]) -> Result<(Vec<E>, usize), JournalError> {
    let length = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |last| last + 1);
    let lines = bytes[..length].split_inclusive(|byte| *byte == b'\n');
    let event = |(index, line): (usize, &[u8])| {
        serde_json::from_slice(line).map_err(|why| JournalError::Damaged {
            path: path.to_owned(),
            line: index + 1,
            why: format!("not an event ({why})"),
        })
    };
    let events: Result<Vec<E>, JournalError> = lines.enumerate().map(event).collect();
    Ok((events?, length))
}

fn file_error(action: &'static str, path: &Path, source: io::Error) -> FileError {
    let remedy =
        "Check that its folder exists, that you may write to it, and that the disk is not full.";
    FileError {
        action,
        path: path.to_owned(),
        remedy,
        source,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_failed_write_left_does_not_stand_before_the_next_line() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("study.jsonl");
        let mut journal = Journal::open::<usize>(&path).unwrap().journal;
        assert_eq!(journal.append(&1).unwrap(), 1);
        // A line that was written but not synced, and no way to take it back.
        let long = [&[b'x'; 500][..], b"\n"].concat();
        journal.file.write_all(&long).unwrap();
        let writable = std::mem::replace(&mut journal.file, File::open(&path).unwrap());
        let why = journal.append(&2).unwrap_err().to_string();
        assert!(why.contains("cannot write"), "{why}");
        journal.file = writable;
        assert_eq!(journal.append(&3).unwrap(), 2);
        assert_eq!(read_journal::<usize>(&path).unwrap(), [1, 3]);
    }

    #[test]
    fn damage_is_named_by_its_line_and_a_last_line_that_is_cut_off_is_dropped() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("jobs.jsonl");
        std::fs::write(&path, "1\n2\n3").unwrap();
        let mut opened = Journal::open::<usize>(&path).unwrap();
        assert_eq!(opened.events, [1, 2]);
        assert!(
            opened.notices[0].contains("jobs.jsonl:3"),
            "{:?}",
            opened.notices
        );
        assert_eq!(opened.journal.append(&4).unwrap(), 3);
        assert_eq!(read_journal::<usize>(&path).unwrap(), [1, 2, 4]);
        std::fs::write(&path, "1\nx\n3\n").unwrap();
        let damaged = read_journal::<usize>(&path);
        assert!(matches!(
            damaged,
            Err(JournalError::Damaged { line: 2, .. })
        ));
    }
}
