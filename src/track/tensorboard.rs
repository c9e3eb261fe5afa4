//! TensorBoard event files.
//!
//! `tensorboard-rs` frames the records and its `tensorboard-proto` describes the events. Its own
//! `SummaryWriter` is not used: it panics where the disk is full or the folder read-only, takes
//! width for height, and two writers of one second share a file.

use std::fs::{File, OpenOptions};
use std::io::{self, BufWriter};
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use image::codecs::png::PngEncoder;
use image::{ColorType, ImageEncoder};
use protobuf::{Message, RepeatedField};
use tensorboard_proto::event::Event;
use tensorboard_proto::summary::{Summary, Summary_Image, Summary_Value};
use tensorboard_rs::record_writer::RecordWriter;
use thiserror::Error;

use crate::files::{FileError, create_folder};

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

/// An event file that TensorBoard shows, in a folder that may hold those of earlier sessions.
///
/// Training is worth more than its log: the first failed write ends the log, and later events are dropped.
/// [`TensorBoard::failure`] is that error.
pub struct TensorBoard {
    path: PathBuf,
    records: RecordWriter<BufWriter<File>>,
    failure: Option<TensorBoardError>,
}

impl TensorBoard {
    /// Starts a new event file in `folder`, which is created if missing. Older event files stay:
    /// TensorBoard shows them as one.
    ///
    /// # Errors
    ///
    /// When the folder or the file cannot be created or written.
    pub fn new(folder: &Path) -> Result<Self, TensorBoardError> {
        create_folder(folder)?;
        let (path, file) = create_event_file(folder)?;
        let mut board = Self {
            path,
            records: RecordWriter::new(BufWriter::new(file)),
            failure: None,
        };
        let mut first = Event::new();
        first.set_file_version("brain.Event:2".into());
        board.write(first);
        board.flush();
        match board.failure.take() {
            Some(failure) => Err(failure),
            None => Ok(board),
        }
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

/// A new file with a name by which TensorBoard recognises event files. It reads a folder's files in
/// the order of their names, so the time comes first.
fn create_event_file(folder: &Path) -> Result<(PathBuf, File), TensorBoardError> {
    let (seconds, process) = (since_1970().as_secs(), std::process::id());
    let mut number = 0;
    loop {
        let name = format!("events.out.tfevents.{seconds:010}.calvaria.{process}.{number}");
        let path = folder.join(name);
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(file) => return Ok((path, file)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
            Err(source) => return Err(TensorBoardError::Write { path, source }),
        }
    }
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
        let records = RecordWriter::new(BufWriter::new(file));
        let mut board = TensorBoard {
            path,
            records,
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
