//! TensorBoard event files.
//!
//! `tensorboard-rs` frames the records and its `tensorboard-proto` describes the events. Its own
//! `SummaryWriter` is not used: it panics where the disk is full or the folder read-only, takes
//! width for height, and two writers of one second share a file.

use std::fs::{self, OpenOptions};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use image::codecs::png::PngEncoder;
use image::{ColorType, ImageEncoder};
use protobuf::{Message, RepeatedField};
use tensorboard_proto::event::{Event, SessionLog, SessionLog_SessionStatus};
use tensorboard_proto::summary::{Summary, Summary_Image, Summary_Value};
use tensorboard_rs::record_writer::RecordWriter;
use thiserror::Error;

use super::earlier::Earlier;
use crate::files::{FileError, create_folder, write_atomic};

/// Events could not be written.
#[derive(Debug, Error)]
pub enum TensorBoardError {
    /// The folder could not be created.
    #[error(transparent)]
    Folder(#[from] FileError),
    /// The file could not be created or written.
    #[error(
        "cannot write TensorBoard events to {}: {source}. Check that the folder is writable and \
         the disk is not full.",
        path.display()
    )]
    Write {
        /// The event file.
        path: PathBuf,
        /// The system's reason.
        source: io::Error,
    },
}

/// The event file that TensorBoard shows of a folder. There is one: a session begins it with what is still true of
/// those before. TensorBoard would show what they recorded after the last checkpoint beside what is recorded again, and
/// of the settings the first ones.
///
/// Training is worth more than its log: the first failed write ends the log, and later events are dropped.
/// [`TensorBoard::failure`] is that error.
pub struct TensorBoard {
    path: PathBuf,
    records: RecordWriter<BufWriter<Box<dyn Write + Send>>>,
    failure: Option<TensorBoardError>,
}

impl TensorBoard {
    /// Starts a new event file in `folder`, which is created if missing. Of the older ones it takes over the curves and
    /// pictures whose tag and step `keep` accepts, and replaces them. A file that cannot be written ends the log at
    /// once, and the older ones stay.
    ///
    /// # Errors
    ///
    /// When the folder cannot be created.
    pub fn open(
        folder: &Path,
        keep: impl Fn(&str, usize) -> bool,
    ) -> Result<Self, TensorBoardError> {
        create_folder(folder)?;
        let earlier = Earlier::read(folder, keep);
        let path = new_name(folder);
        let begun = write_atomic(&path, |out| begin(out, &earlier.events));
        let file = begun
            .map_err(|error| error.source)
            .and_then(|()| OpenOptions::new().append(true).open(&path));
        let (out, failure): (Box<dyn Write + Send>, _) = match file {
            Ok(file) => (Box::new(file), None),
            Err(source) => (Box::new(io::sink()), Some(source)),
        };
        let mut board = Self {
            path,
            records: RecordWriter::new(BufWriter::new(out)),
            failure: None,
        };
        match failure {
            Some(source) => board.fail(source),
            // What cannot be removed is replaced by the next session.
            None => earlier
                .files
                .iter()
                .for_each(|file| drop(fs::remove_file(file))),
        }
        Ok(board)
    }

    /// Records one value of the curve `tag`. A value that is not finite is shown as such.
    pub fn scalar(&mut self, tag: &str, value: f32, step: usize) {
        let mut scalar = Summary_Value::new();
        scalar.set_tag(tag.to_owned());
        scalar.set_simple_value(value);
        self.summary(scalar, step);
    }

    /// Records one picture: `height` rows of `width` pixels, each red, green, blue.
    ///
    /// # Panics
    ///
    /// When `rgb` is not `width * height * 3` bytes long.
    pub fn image(&mut self, tag: &str, rgb: &[u8], width: usize, height: usize, step: usize) {
        assert_eq!(
            rgb.len(),
            width * height * 3,
            "the picture {tag} has another size"
        );
        let mut png = Vec::new();
        let encoded = PngEncoder::new(&mut png).write_image(
            rgb,
            width as u32,
            height as u32,
            ColorType::Rgb8,
        );
        if let Err(error) = encoded {
            return self.fail(io::Error::other(error));
        }
        let mut picture = Summary_Image::new();
        picture.set_width(width as i32);
        picture.set_height(height as i32);
        picture.set_colorspace(3);
        picture.set_encoded_image_string(png);
        let mut value = Summary_Value::new();
        value.set_tag(tag.to_owned());
        value.set_image(picture);
        self.summary(value, step);
    }

    /// Passes the recorded events to the system, so that an open TensorBoard shows them.
    pub fn flush(&mut self) {
        if self.failure.is_none()
            && let Err(error) = self.records.flush()
        {
            self.fail(error);
        }
    }

    /// The error that ended the log, if any.
    pub fn failure(&self) -> Option<&TensorBoardError> {
        self.failure.as_ref()
    }

    pub(super) fn summary(&mut self, value: Summary_Value, step: usize) {
        let mut summary = Summary::new();
        summary.set_value(RepeatedField::from_vec(vec![value]));
        let mut event = Event::new();
        event.set_step(step as i64);
        event.set_summary(summary);
        self.write(event);
    }

    fn write(&mut self, mut event: Event) {
        if self.failure.is_some() {
            return;
        }
        event.set_wall_time(since_1970().as_secs_f64());
        let written = event
            .write_to_bytes()
            .map_err(io::Error::other)
            .and_then(|bytes| self.records.write(&bytes));
        if let Err(error) = written {
            self.fail(error);
        }
    }

    pub(super) fn fail(&mut self, source: io::Error) {
        self.failure = Some(TensorBoardError::Write {
            path: self.path.clone(),
            source,
        });
    }
}

/// Writes the beginning of an event file: its version, that what a running TensorBoard has of this folder is no
/// longer true (with `--reload_multifile`; its fast loader sees it from the steps), and the events that are taken over.
fn begin(out: &mut dyn Write, taken_over: &[Event]) -> io::Result<()> {
    let mut version = Event::new();
    version.set_file_version("brain.Event:2".into());
    let mut start = SessionLog::new();
    start.set_status(SessionLog_SessionStatus::START);
    let mut session = Event::new();
    session.set_session_log(start);
    for event in [&mut version, &mut session] {
        event.set_wall_time(since_1970().as_secs_f64());
    }
    let mut records = RecordWriter::new(out);
    for event in [&version, &session].into_iter().chain(taken_over) {
        records.write(&event.write_to_bytes().map_err(io::Error::other)?)?;
    }
    Ok(())
}

/// What TensorBoard recognises event files by.
pub(super) const MARK: &str = "tfevents";

/// A name of which there is no file yet. TensorBoard reads a folder's files in the order of their names, so the time
/// comes first.
fn new_name(folder: &Path) -> PathBuf {
    let (seconds, process) = (since_1970().as_secs(), std::process::id());
    let name = |number| {
        folder.join(format!(
            "events.out.{MARK}.{seconds:010}.calvaria.{process}.{number}"
        ))
    };
    let mut names = (0..).map(name);
    names.find(|name| !name.exists()).unwrap_or_else(|| name(0))
}

pub(super) fn since_1970() -> std::time::Duration {
    // A clock set before 1970 only misplaces the events in time.
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_ends_the_log_and_not_the_program() {
        let path = PathBuf::from("/dev/full");
        let file = OpenOptions::new().write(true).open(&path).unwrap();
        let out: Box<dyn Write + Send> = Box::new(file);
        let mut board = TensorBoard {
            path,
            records: RecordWriter::new(BufWriter::new(out)),
            failure: None,
        };
        board.scalar("loss", 0.5, 1);
        board.flush();
        let why = board.failure().unwrap().to_string();
        assert!(why.contains("/dev/full") && why.contains("disk"), "{why}");
        board.scalar("loss", 0.5, 2);
        board.image("slice", &[0; 3], 1, 1, 2);
        board.flush();
    }
}
