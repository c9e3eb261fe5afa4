//! Reading: every promise of the header is checked before it is relied on.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{self, BufReader, Cursor, Read};
use std::path::{Path, PathBuf};

use super::decode::{decode, rounded};
use super::header::{Header, LONGEST};
use super::members::Members;
use super::{Encoding, Scan, malformed, unsupported};
use crate::volume::{Volume, VolumeError};

/// Bytes that a byte of a gzipped file can hold at most (RFC 1951).
const LARGEST_PACKING: usize = 1032;

/// Reads the voxels of a file's one volume as they are, numbers or not.
pub(super) fn read(path: &Path) -> Result<Scan, VolumeError> {
    let mut file = Voxels::open(path)?;
    let volumes = file.header.volumes;
    if volumes > 1 {
        return Err(unsupported(
            path,
            format!(
                "it holds {volumes} volumes. Save the one to use as a 3-D file of its own (`calvaria predict` takes it by \
                 its place, as FILE@0), or, if they are the images of one scan, take them by the source `decathlon`"
            ),
        ));
    }
    let scan = file.next()?;
    file.finish()?;
    Ok(scan)
}

/// How many volumes a file holds.
pub(super) fn count_volumes(path: &Path) -> Result<usize, VolumeError> {
    Ok(Voxels::open(path)?.header.volumes)
}

/// Reads some of a file's volumes, each by its index from 0 on, in one pass over the file.
pub(super) fn read_some(
    path: &Path,
    wanted: &BTreeSet<usize>,
) -> Result<BTreeMap<usize, Scan>, VolumeError> {
    let mut file = Voxels::open(path)?;
    let volumes = file.header.volumes;
    if let Some(missing) = wanted.iter().find(|index| **index >= volumes) {
        let holds = match volumes {
            1 => "one volume, a 3-D image".to_owned(),
            _ => format!("{volumes} volumes"),
        };
        return Err(unsupported(
            path,
            format!(
                "it holds {holds}, but volume {missing} is asked for (they are counted from 0). Check that it is the right \
                 file, and that no more images are asked for than it has"
            ),
        ));
    }
    let mut scans = BTreeMap::new();
    for &index in wanted {
        file.pass_over(index - file.at)?;
        scans.insert(index, file.next()?);
    }
    file.finish()?;
    Ok(scans)
}

/// A file's volumes, one after the other.
struct Voxels {
    header: Header,
    /// The file that holds them.
    path: PathBuf,
    /// The rest of its bytes, from the volume number `at` on.
    stream: Box<dyn Read>,
    at: usize,
}

impl Voxels {
    fn open(path: &Path) -> Result<Self, VolumeError> {
        let header_path = match pair_stem(path, ".img") {
            Some(stem) => partner(path, &stem, ".hdr")?,
            None => path.to_owned(),
        };
        let mut stream = open(&header_path)?;
        let mut start = Vec::with_capacity(LONGEST);
        take(&header_path, &mut stream, LONGEST, &mut start)?;
        let header = Header::parse(&header_path, &start)?;

        let path = match pair_stem(&header_path, ".hdr") {
            _ if header.alone => header_path,
            Some(stem) => partner(&header_path, &stem, ".img")?,
            None => {
                return Err(unsupported(
                    &header_path,
                    "its header says that the voxels are in another file. Name the pair .hdr and .img",
                ));
            }
        };
        if header.alone {
            // What was read of a short header's file beyond the header may belong to the voxels.
            let left = start.len().saturating_sub(header.offset);
            skip(
                &path,
                &mut stream,
                header.offset.saturating_sub(start.len()) as u64,
            )?;
            let read = Cursor::new(start.split_off(start.len() - left));
            stream = Box::new(read.chain(stream));
        } else {
            stream = open(&path)?;
            skip(&path, &mut stream, header.offset as u64)?;
        }
        Ok(Self {
            header,
            path,
            stream,
            at: 0,
        })
    }

    /// Voxels of a volume.
    fn count(&self) -> usize {
        self.header.shape.iter().product()
    }

    /// Bytes of a volume.
    fn len(&self) -> usize {
        self.count() * self.header.dtype.size()
    }

    /// Goes `volumes` on.
    fn pass_over(&mut self, volumes: usize) -> Result<(), VolumeError> {
        let bytes = (volumes as u64).saturating_mul(self.len() as u64);
        self.at += volumes;
        skip(&self.path, &mut self.stream, bytes)
    }

    /// The volume at which the file stands.
    fn next(&mut self) -> Result<Scan, VolumeError> {
        let (header, expected) = (&self.header, self.len());
        let mut data = Vec::new();
        // Room at once for what the header promises, but for no more than the file can hold. Without the room,
        // reading fails with an error.
        let most = size(&self.path).saturating_mul(LARGEST_PACKING);
        let _ = data.try_reserve_exact(expected.min(most));
        take(&self.path, &mut self.stream, expected, &mut data)?;
        if data.len() < expected {
            return Err(self.too_short(data.len()));
        }
        let voxels = decode(header, &data).ok_or_else(|| {
            let why = format!("there is not enough memory for its {} voxels", self.count());
            unsupported(&self.path, why)
        })?;
        let rounded = rounded(header, &data, &voxels);
        let scan = Scan {
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
        };
        self.at += 1;
        Ok(scan)
    }

    /// Goes to the end of the stream, where alone a gzip checksum is compared.
    fn finish(mut self) -> Result<(), VolumeError> {
        self.pass_over(self.header.volumes - self.at)?;
        skip(&self.path, &mut self.stream, 1 << 20)
    }

    /// The file ends though the volume that it stands at has had `found` bytes only.
    fn too_short(&self, found: usize) -> VolumeError {
        let volume = match self.header.volumes {
            1 => "",
            _ => " for each volume",
        };
        let which = match self.header.volumes {
            1 => String::new(),
            _ => format!(" of volume {} (they are counted from 0)", self.at),
        };
        malformed(
            &self.path,
            format!(
                "its header promises {} voxels ({} bytes){volume}, but the data ends after {found} bytes{which}. The \
                 copy is incomplete: copy or download it again",
                self.count(),
                self.len(),
            ),
        )
    }
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
fn skip(path: &Path, stream: &mut dyn Read, count: u64) -> Result<(), VolumeError> {
    io::copy(&mut stream.take(count), &mut io::sink()).map_err(|why| damaged(path, &why))?;
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
