//! Reading a part of a file's voxels.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::{Path, PathBuf};

use ndarray::Array3;

use super::decode::decode;
use super::header::{Header, LONGEST};
use super::{malformed, unsupported};
use crate::volume::{Grid, Region, VolumeError};

/// An open `.nii` file, not gzipped. Any box of its voxels can be read, with the same bits as by
/// [`read_scan`](super::read_scan).
#[derive(Debug)]
pub struct Pieces {
    path: PathBuf,
    file: File,
    header: Header,
}

impl Pieces {
    /// Opens the file. Its voxels are not looked at.
    ///
    /// # Errors
    ///
    /// When it is missing, of another kind, gzipped, or its header is damaged.
    pub fn open(path: &Path) -> Result<Self, VolumeError> {
        let failed = |source| VolumeError::Open {
            path: path.to_owned(),
            source,
        };
        let file = File::open(path).map_err(failed)?;
        let mut start = Vec::with_capacity(LONGEST);
        (&file)
            .take(LONGEST as u64)
            .read_to_end(&mut start)
            .map_err(failed)?;
        let header = Header::parse(path, &start)?;
        if !header.alone || header.volumes != 1 {
            let why = "only a .nii file of one volume can be read in pieces";
            return Err(unsupported(path, why));
        }
        let path = path.to_owned();
        Ok(Self { path, file, header })
    }

    /// The file itself.
    pub fn file(&self) -> &File {
        &self.file
    }

    /// Where the file's voxels lie.
    pub fn grid(&self) -> Grid {
        Grid {
            shape: self.header.shape,
            affine: self.header.affine,
        }
    }

    /// The voxels of `region`.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, or ends before them.
    ///
    /// # Panics
    ///
    /// If the region reaches beyond the grid.
    pub fn read(&mut self, region: Region) -> Result<Array3<f32>, VolumeError> {
        let bytes = self.bytes_of(region).map_err(|why| {
            let why = format!("its data cannot be read ({why}). The copy is damaged or incomplete");
            malformed(&self.path, why)
        })?;
        let header = Header {
            shape: region.shape,
            ..self.header
        };
        decode(&header, &bytes)
            .ok_or_else(|| unsupported(&self.path, "there is not enough memory for its voxels"))
    }

    /// The bytes of `region`, as in a file that holds nothing else. Of each plane across z all rows from the first one
    /// to the last one are read at once.
    fn bytes_of(&mut self, region: Region) -> std::io::Result<Vec<u8>> {
        let Region { start, shape } = region;
        let [nx, ny, _] = self.header.shape;
        let voxel = self.header.dtype.size();
        let mut rows = vec![0; shape[1] * nx * voxel];
        let mut bytes = Vec::with_capacity(shape.iter().product::<usize>() * voxel);
        for z in start[2]..region.end()[2] {
            let first = self.header.offset + (z * ny + start[1]) * nx * voxel;
            self.file.seek(SeekFrom::Start(first as u64))?;
            self.file.read_exact(&mut rows)?;
            for row in rows.chunks_exact(nx * voxel) {
                bytes.extend_from_slice(&row[start[0] * voxel..region.end()[0] * voxel]);
            }
        }
        Ok(bytes)
    }
}
