//! How a file is known to be a result of this program that nobody has changed: its description holds a checksum.
//!
//! Other programs keep a description when they change the voxels, so the name of the program alone would not do. A
//! result of a scan also has the checksum of that scan's files: the results of two scans of one name do not replace each
//! other, and neither do those of one scan with another second image.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crc32fast::Hasher;

use super::members::Members;
use super::read::files;

/// Where the description stands in NIfTI-1's header.
const PLACE: std::ops::Range<usize> = 148..228;

/// Puts the mark into a header without description; `content` is the checksum of what follows the header.
pub(super) fn put(header: &mut [u8], content: Hasher, origin: Option<u32>) {
    let mark = mark(header, content, origin);
    header[PLACE][..mark.len()].copy_from_slice(mark.as_bytes());
}

fn mark(header: &[u8], content: Hasher, origin: Option<u32>) -> String {
    let mut whole = Hasher::new();
    whole.update(header);
    whole.combine(&content);
    let version = env!("CARGO_PKG_VERSION");
    let checksum = whole.finalize();
    match origin {
        Some(origin) => format!("calvaria {version} {checksum:08x} of {origin:08x}"),
        None => format!("calvaria {version} {checksum:08x}"),
    }
}

/// The checksum of the files of a scan's images, one after the other; of a pair, of both its files. What cannot be
/// read counts nothing.
pub(super) fn checksum(images: &[&Path]) -> u32 {
    let mut hasher = Hasher::new();
    let files = images.iter().flat_map(|image| files(image));
    for mut file in files.flat_map(File::open) {
        let _ = io::copy(&mut file, &mut Counted(&mut hasher));
    }
    hasher.finalize()
}

/// Whether the file has the mark of its content and origin, as written by this version or another.
pub(super) fn is_on(path: &Path, origin: Option<u32>) -> bool {
    read(path, origin).unwrap_or(false)
}

fn read(path: &Path, origin: Option<u32>) -> io::Result<bool> {
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
    let without_version = |text: &str| -> Vec<String> {
        let words = text.trim_end_matches('\0').split(' ').enumerate();
        words
            .filter(|(at, _)| *at != 1)
            .map(|(_, word)| word.to_owned())
            .collect()
    };
    Ok(without_version(&found) == without_version(&mark(&header, content, origin)))
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
