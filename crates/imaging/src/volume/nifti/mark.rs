//! How a file is known to be a result of this program that nobody has changed: its description holds a checksum.
//!
//! Other programs keep a description when they change the voxels, so the name of the program alone would not do.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crc32fast::Hasher;

use super::members::Members;

/// Where the description stands in NIfTI-1's header.
const PLACE: std::ops::Range<usize> = 148..228;

/// Puts the mark into a header without description; `content` is the checksum of what follows the header.
pub(super) fn put(header: &mut [u8], content: Hasher) {
    let mark = mark(header, content);
    header[PLACE][..mark.len()].copy_from_slice(mark.as_bytes());
}

fn mark(header: &[u8], content: Hasher) -> String {
    let mut whole = Hasher::new();
    whole.update(header);
    whole.combine(&content);
    let version = env!("CARGO_PKG_VERSION");
    format!("calvaria {version} {:08x}", whole.finalize())
}

/// Whether the file has the mark of its content, as written by this version or another.
pub(super) fn is_on(path: &Path) -> bool {
    read(path).unwrap_or(false)
}

fn read(path: &Path) -> io::Result<bool> {
    let file = BufReader::with_capacity(1 << 18, File::open(path)?);
    let packed = path
        .extension()
        .is_some_and(|end| end.eq_ignore_ascii_case("gz"));
    let mut stream: Box<dyn Read> = match packed {
        true => Box::new(Members::new(file)),
        false => Box::new(file),
    };
    let mut header = [0; super::write::FIRST_VOXEL];
    stream.read_exact(&mut header)?;
    let found = String::from_utf8_lossy(&header[PLACE]).into_owned();
    header[PLACE].fill(0);
    let mut content = Hasher::new();
    io::copy(&mut stream, &mut Counted(&mut content))?;
    let words = |text: &str| -> Option<(String, String)> {
        let mut words = text.trim_end_matches('\0').split(' ');
        match (words.next()?, words.next(), words.next()?, words.next()) {
            (program, Some(_), checksum, None) => Some((program.into(), checksum.into())),
            _ => None,
        }
    };
    Ok(words(&found).is_some_and(|found| Some(found) == words(&mark(&header, content))))
}

/// A checksum that can be written to.
struct Counted<'a>(&'a mut Hasher);

impl io::Write for Counted<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.update(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
