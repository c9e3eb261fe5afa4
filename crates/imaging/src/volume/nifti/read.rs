//! Reading: every promise of the header is checked before it is relied on.

use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::{Path, PathBuf};

use super::decode::{decode, rounded};
use super::header::{Header, LONGEST};
use super::members::Members;
use super::{Encoding, Scan, malformed, unsupported};
use crate::volume::{Volume, VolumeError};

/// Bytes that a byte of a gzipped file can hold at most (RFC 1951).
const LARGEST_PACKING: usize = 1032;

/// Reads the voxels as they are, numbers or not.
pub(super) fn read(path: &Path) -> Result<Scan, VolumeError> {
    let header_path = match pair_stem(path, ".img") {
        Some(stem) => partner(path, &stem, ".hdr")?,
        None => path.to_owned(),
    };
    let mut stream = open(&header_path)?;
    let mut start = Vec::with_capacity(LONGEST);
    take(&header_path, &mut stream, LONGEST, &mut start)?;
    let header = Header::parse(&header_path, &start)?;

    let data_path = match pair_stem(&header_path, ".hdr") {
        _ if header.alone => header_path,
        Some(stem) => partner(&header_path, &stem, ".img")?,
        None => {
            return Err(unsupported(
                &header_path,
                "its header says that the voxels are in another file. Name the pair .hdr and .img",
            ));
        }
    };
    let mut data = Vec::new();
    if header.alone {
        // What was read of a short header's file beyond the header may belong to the voxels.
        data.extend_from_slice(start.get(header.offset..).unwrap_or_default());
        skip(
            &data_path,
            &mut stream,
            header.offset.saturating_sub(start.len()),
        )?;
    } else {
        stream = open(&data_path)?;
        skip(&data_path, &mut stream, header.offset)?;
    }
    let count: usize = header.shape.iter().product();
    let expected = count * header.dtype.size();
    // Room at once for what the header promises, but for no more than the file can hold. Without the room,
    // reading fails with an error.
    let most = size(&data_path).saturating_mul(LARGEST_PACKING);
    let _ = data.try_reserve_exact(expected.min(most));
    if data.len() < expected {
        take(&data_path, &mut stream, expected - data.len(), &mut data)?;
    }
    if data.len() < expected {
        return Err(malformed(
            &data_path,
            format!(
                "its header promises {count} voxels ({expected} bytes), but the data ends after \
                 {} bytes. The copy is incomplete: copy or download it again",
                data.len()
            ),
        ));
    }
    // A gzip checksum is only compared at the end of the stream.
    skip(&data_path, &mut stream, 1 << 20)?;
    let voxels = decode(&header, &data[..expected]).ok_or_else(|| {
        let why = format!("there is not enough memory for its {count} voxels");
        unsupported(&data_path, why)
    })?;
    let rounded = rounded(&header, &data[..expected], &voxels);
    Ok(Scan {
        volume: Volume {
            voxels,
            affine: header.affine,
        },
        encoding: Encoding {
            dtype: header.dtype,
            slope: header.slope,
            inter: header.inter,
        },
        forms: header.forms,
        rounded,
    })
}

/// The files that a scan is stored in: one, or the header and the voxels of a pair.
pub(super) fn files(path: &Path) -> Vec<PathBuf> {
    let stem = pair_stem(path, ".hdr").or_else(|| pair_stem(path, ".img"));
    match stem {
        None => vec![path.to_owned()],
        Some(stem) => [".hdr", ".img"]
            .iter()
            .filter_map(|extension| partner(path, &stem, extension).ok())
            .collect(),
    }
}

/// A file name without `.hdr` or `.img` (`extension`) and a `.gz` that may follow.
fn pair_stem(path: &Path, extension: &str) -> Option<String> {
    let name = path.file_name()?.to_str()?;
    let name = name.strip_suffix(".gz").unwrap_or(name);
    name.strip_suffix(extension).map(str::to_owned)
}

/// The other file of a pair, beside `path`.
fn partner(path: &Path, stem: &str, extension: &str) -> Result<PathBuf, VolumeError> {
    let candidates = ["", ".gz"].map(|gz| path.with_file_name(format!("{stem}{extension}{gz}")));
    candidates
        .iter()
        .find(|path| path.is_file())
        .cloned()
        .ok_or_else(|| {
            let expected = candidates[0].display();
            unsupported(
                path,
                format!("it is half of a pair, and {expected} is missing. Put the two together"),
            )
        })
}

/// The file's bytes, unpacked if they are gzipped, whatever the name.
fn open(path: &Path) -> Result<Box<dyn Read>, VolumeError> {
    let failed = |source| VolumeError::Open {
        path: path.to_owned(),
        source,
    };
    let file = File::open(path).map_err(failed)?;
    let mut reader = BufReader::with_capacity(1 << 18, file);
    let start = io::BufRead::fill_buf(&mut reader).map_err(failed)?;
    if start.is_empty() {
        return Err(malformed(
            path,
            "the file is empty. Copy or download it again",
        ));
    }
    if start.starts_with(&[0x1f, 0x8b]) {
        Ok(Box::new(Members::new(reader)))
    } else {
        Ok(Box::new(reader))
    }
}

/// The bytes of a file on disk; 0 where they are not known.
fn size(path: &Path) -> usize {
    let bytes = path.metadata().map_or(0, |about| about.len());
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

/// Appends up to `count` bytes to `buffer`: fewer only at the end of the stream. Memory grows with
/// the bytes that come, not with what a header promises.
fn take(
    path: &Path,
    stream: &mut dyn Read,
    count: usize,
    buffer: &mut Vec<u8>,
) -> Result<(), VolumeError> {
    stream
        .take(count as u64)
        .read_to_end(buffer)
        .map_err(|why| damaged(path, &why))?;
    Ok(())
}

/// Passes over up to `count` bytes.
fn skip(path: &Path, stream: &mut dyn Read, count: usize) -> Result<(), VolumeError> {
    io::copy(&mut stream.take(count as u64), &mut io::sink()).map_err(|why| damaged(path, &why))?;
    Ok(())
}

fn damaged(path: &Path, why: &io::Error) -> VolumeError {
    malformed(
        path,
        format!(
            "its data cannot be unpacked ({why}). The copy is damaged or incomplete: copy or \
             download it again"
        ),
    )
}
