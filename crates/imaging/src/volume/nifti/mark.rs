//! How a file is known to be a result of this program that nobody has changed: its description holds a checksum.
//!
//! Other programs keep a description when they change the voxels, so the name of the program alone would not do. A
//! result of a scan also has the checksum of that scan's files: the results of two scans of one name do not replace each
//! other, and neither do those of one scan with another second image. A result may also say what made it, such as a run:
//! so work that is done is known from work that has to be done again.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crc32fast::Hasher;

use super::members::Members;
use super::read::files;

/// Where the description stands in NIfTI-1's header.
const PLACE: std::ops::Range<usize> = 148..228;

/// What a result was made from, and what made it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The checksum of the scan's files.
    pub scan: u32,
    /// A number of what made it.
    pub maker: Option<u32>,
}

/// Puts the mark into a header without description; `content` is the checksum of what follows the header.
pub(super) fn put(header: &mut [u8], content: Hasher, source: Option<Source>) {
    let mark = mark(header, content, source);
    header[PLACE][..mark.len()].copy_from_slice(mark.as_bytes());
}

fn mark(header: &[u8], content: Hasher, source: Option<Source>) -> String {
    let mut whole = Hasher::new();
    whole.update(header);
    whole.combine(&content);
    let version = env!("CARGO_PKG_VERSION");
    let mut mark = format!("calvaria {version} {:08x}", whole.finalize());
    if let Some(Source { scan, maker }) = source {
        mark += &format!(" of {scan:08x}");
        if let Some(maker) = maker {
            mark += &format!(" by {maker:08x}");
        }
    }
    mark
}

/// The maker that a mark names.
fn maker_in(mark: &str) -> Option<u32> {
    let (_, maker) = mark.split_once(" by ")?;
    u32::from_str_radix(maker, 16).ok()
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

/// The source that the mark of a file names, if it is the mark of its content and of `scan`, as written by this version
/// or another.
pub(super) fn of(path: &Path, scan: u32) -> Option<Source> {
    read(path, scan).ok().flatten()
}

fn read(path: &Path, scan: u32) -> io::Result<Option<Source>> {
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
    let found = found.trim_end_matches('\0');
    header[PLACE].fill(0);
    let mut content = Hasher::new();
    io::copy(&mut stream, &mut Counted(&mut content))?;
    let without_version = |text: &str| -> Vec<String> {
        let words = text.split(' ').enumerate();
        words
            .filter(|(at, _)| *at != 1)
            .map(|(_, word)| word.to_owned())
            .collect()
    };
    let source = Source {
        scan,
        maker: maker_in(found),
    };
    let expected = mark(&header, content, Some(source));
    Ok((without_version(found) == without_version(&expected)).then_some(source))
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
