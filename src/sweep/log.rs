//! The study's record on disk: a line an event, appended and synced, never rewritten.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use super::error::SweepError;
use super::event::{Entry, Event};
use crate::files::{FileError, create_folder};

/// The record, open for this process alone.
#[derive(Debug)]
pub struct Log {
    file: File,
    path: PathBuf,
    length: u64,
}

/// What opening a record found.
pub struct Opened {
    /// The record, locked.
    pub log: Log,
    /// Its lines.
    pub entries: Vec<Entry>,
    /// What the user should know.
    pub notices: Vec<String>,
}

impl Log {
    /// Opens the record, or begins one, and locks it. A last line that was cut off while it was written
    /// is dropped.
    ///
    /// # Errors
    ///
    /// When another process has it, it cannot be read, or a line is damaged.
    pub fn open(path: &Path) -> Result<Opened, SweepError> {
        if let Some(folder) = path.parent() {
            create_folder(folder)?;
        }
        let fail = |source| file_error("open", path, source);
        let mut options = OpenOptions::new();
        let file = options
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(path)
            .map_err(fail)?;
        let mut notices = Vec::new();
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(SweepError::Locked { path: path.to_owned() }),
            Err(TryLockError::Error(why)) => notices.push(format!(
                "{} cannot be locked here ({why}): see to it that no other process works on this study",
                path.display()
            )),
        }
        let bytes = std::fs::read(path).map_err(|source| file_error("read", path, source))?;
        let (entries, length) = parse(path, &bytes)?;
        let log = Self {
            file,
            path: path.to_owned(),
            length: length as u64,
        };
        if let Some(folder) = path.parent().filter(|_| length == 0) {
            // The name of a new file is safe only once its folder is; where folders cannot be synced,
            // nothing more can be done.
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        if length < bytes.len() {
            notices.push(format!(
                "{}:{}: the last line was cut off while it was written and has been dropped",
                path.display(),
                entries.len() + 1
            ));
        }
        Ok(Opened {
            log,
            entries,
            notices,
        })
    }

    /// Appends an event; when this returns it is on the disk.
    ///
    /// # Errors
    ///
    /// When it cannot be written; the record is then as before.
    pub fn append(&mut self, event: Event) -> Result<Entry, SweepError> {
        let entry = Entry { at: now(), event };
        let written = self.write(&entry);
        if written.is_err() {
            // Should this fail too, the next line still replaces what was written of this one.
            let _ = self.cut();
        }
        self.length += written.map_err(|source| file_error("write", &self.path, source))?;
        Ok(entry)
    }

    /// Writes a line behind the last whole one; its length.
    fn write(&mut self, entry: &Entry) -> io::Result<u64> {
        let mut line = serde_json::to_vec(entry)?;
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

/// Reads a record without locking it, as it is now; a last line that is being written is left out.
///
/// # Errors
///
/// When it cannot be read or a line is damaged.
pub fn read(path: &Path) -> Result<Vec<Entry>, SweepError> {
    let bytes = std::fs::read(path).map_err(|source| file_error("read", path, source))?;
    Ok(parse(path, &bytes)?.0)
}

/// The whole lines, and how many bytes they are. A line is whole when it ends.
fn parse(path: &Path, bytes: &[u8]) -> Result<(Vec<Entry>, usize), SweepError> {
    let length = bytes
        .iter()
        .rposition(|byte| *byte == b'\n')
        .map_or(0, |last| last + 1);
    let lines = bytes[..length].split_inclusive(|byte| *byte == b'\n');
    let entry = |(index, line): (usize, &[u8])| {
        serde_json::from_slice(line).map_err(|why| SweepError::Damaged {
            path: path.to_owned(),
            line: index + 1,
            why: format!("not an event of a study ({why})"),
        })
    };
    let entries: Result<Vec<Entry>, SweepError> = lines.enumerate().map(entry).collect();
    Ok((entries?, length))
}

pub(super) fn now() -> f64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since.map_or(0.0, |since| (since.as_secs_f64() * 1000.0).round() / 1000.0)
}

fn file_error(action: &'static str, path: &Path, source: io::Error) -> FileError {
    let remedy =
        "Check that the study's folder is there, yours to write, and on a disk that is not full.";
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
        let mut log = Log::open(&path).unwrap().log;
        let started = |attempt| Event::Started { trial: 0, attempt };
        log.append(started(1)).unwrap();
        // A line that was written but not synced, and no way to take it back.
        let long = [&[b'x'; 500][..], b"\n"].concat();
        log.file.write_all(&long).unwrap();
        let writable = std::mem::replace(&mut log.file, File::open(&path).unwrap());
        assert!(
            log.append(started(2))
                .unwrap_err()
                .to_string()
                .contains("cannot write")
        );
        log.file = writable;
        log.append(started(3)).unwrap();
        let events: Vec<Event> = read(&path)
            .unwrap()
            .into_iter()
            .map(|entry| entry.event)
            .collect();
        assert_eq!(events, [started(1), started(3)]);
    }
}
