//! A cached case in pieces.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use ndarray::Array3;

use super::CachedCase;
use super::digests::{Stamp, stamp_of};
use crate::sync::lock;
use crate::volume::nifti::{Pieces, read_image};
use crate::volume::{Grid, Region, VolumeError};

/// A cached case that is read in pieces. When it is opened for the first time, and whenever its files have changed since,
/// it is read from end to end and checked; what is then known of it takes little memory. Clones share that.
#[derive(Clone, Debug)]
pub struct PiecewiseCase {
    files: CachedCase,
    known: Arc<Mutex<Option<Known>>>,
}

/// What is known of files that have not been written since.
#[derive(Clone, Debug)]
struct Known {
    stamps: Vec<Stamp>,
    contents: Arc<Contents>,
}

/// What must be known of a whole case where only pieces are read.
#[derive(Debug, Default)]
struct Contents {
    /// The lowest value of each image.
    lowest: Vec<f32>,
    /// The classes that each plane across x has, and how many voxels of them.
    planes: Vec<Vec<(u8, u64)>>,
}

/// A case whose files are open.
#[derive(Debug)]
pub struct OpenCase {
    images: Vec<Pieces>,
    mask: Option<Pieces>,
    contents: Arc<Contents>,
}

/// One of the voxels of some classes.
#[derive(Clone, Debug, PartialEq)]
pub struct VoxelOf {
    /// Which classes these are.
    pub classes: [bool; 256],
    /// How many of their voxels come before it, in the order of the indices.
    pub nth: u64,
}

impl PiecewiseCase {
    /// The case that lies in `files`.
    pub fn new(files: CachedCase) -> Self {
        Self {
            files,
            known: Arc::default(),
        }
    }

    /// The case's files.
    pub fn files(&self) -> &CachedCase {
        &self.files
    }

    /// Opens the files.
    ///
    /// # Errors
    ///
    /// When a file is missing or damaged.
    pub fn open(&self) -> Result<OpenCase, VolumeError> {
        let open = |path: &PathBuf| Pieces::open(path);
        let mut case = OpenCase {
            images: self
                .files
                .images
                .iter()
                .map(open)
                .collect::<Result<_, _>>()?,
            mask: self.files.mask.as_ref().map(open).transpose()?,
            contents: Arc::default(),
        };
        let stamps = case.stamps();
        // Who comes second waits for the first, and need not read the case too.
        let mut known = lock(&self.known);
        case.contents = match &*known {
            Some(known) if stamps.as_ref() == Some(&known.stamps) => Arc::clone(&known.contents),
            _ => {
                self.files.checked_record()?;
                Arc::new(case.read_contents(&self.files)?)
            }
        };
        let contents = Arc::clone(&case.contents);
        *known = stamps.map(|stamps| Known { stamps, contents });
        Ok(case)
    }
}

impl OpenCase {
    /// Where the voxels lie.
    pub fn grid(&self) -> Grid {
        self.images[0].grid()
    }

    /// The lowest value of each image.
    pub fn lowest(&self) -> &[f32] {
        &self.contents.lowest
    }

    /// How many voxels each class has.
    pub fn counts(&self) -> [u64; 256] {
        let mut counts = [0; 256];
        for (class, count) in self.contents.planes.iter().flatten() {
            counts[usize::from(*class)] += count;
        }
        counts
    }

    /// The voxels of each image in `region`.
    ///
    /// # Errors
    ///
    /// When a file cannot be read.
    pub fn images(&mut self, region: Region) -> Result<Vec<Array3<f32>>, VolumeError> {
        let images = self.images.iter_mut().map(|image| image.read(region));
        images.collect()
    }

    /// The classes of the voxels in `region`; `None` if the case has no mask.
    ///
    /// # Errors
    ///
    /// When the file cannot be read.
    pub fn mask(&mut self, region: Region) -> Result<Option<Array3<u8>>, VolumeError> {
        let mask = self.mask.as_mut().map(|mask| mask.read(region));
        Ok(mask.transpose()?.map(|mask| mask.mapv(|class| class as u8)))
    }

    /// Where a voxel lies; `None` if there are not so many.
    ///
    /// # Errors
    ///
    /// When the mask's file cannot be read.
    pub fn find(&mut self, voxel: &VoxelOf) -> Result<Option<[usize; 3]>, VolumeError> {
        let is_wanted = |class: u8| voxel.classes[usize::from(class)];
        let contents = Arc::clone(&self.contents);
        let mut before = voxel.nth;
        for (x, plane) in contents.planes.iter().enumerate() {
            let wanted = plane.iter().filter(|(class, _)| is_wanted(*class));
            let count: u64 = wanted.map(|(_, count)| count).sum();
            if before >= count {
                before -= count;
                continue;
            }
            let [_, ny, nz] = self.grid().shape;
            let plane = self.mask(Region {
                start: [x, 0, 0],
                shape: [1, ny, nz],
            })?;
            let plane = plane.unwrap_or_default();
            let mut found = plane.indexed_iter().filter(|(_, class)| is_wanted(**class));
            let found = found.nth(before as usize);
            return Ok(found.map(|((_, y, z), _)| [x, y, z]));
        }
        Ok(None)
    }

    /// When the files were written; `None` if that does not show that they stay as they are.
    fn stamps(&self) -> Option<Vec<Stamp>> {
        let files = self.images.iter().chain(&self.mask).map(Pieces::file);
        let stamp = |file: &File| stamp_of(&file.metadata().ok()?);
        files.map(stamp).collect()
    }

    fn read_contents(&mut self, files: &CachedCase) -> Result<Contents, VolumeError> {
        let mut contents = Contents::default();
        for (image, path) in self.images.iter_mut().zip(&files.images) {
            contents.lowest.push(lowest_of(image, path)?);
        }
        if let Some(mask) = &mut self.mask {
            contents.planes = classes_of_planes(mask)?;
        }
        Ok(contents)
    }
}

/// An image's lowest value.
fn lowest_of(image: &mut Pieces, path: &Path) -> Result<f32, VolumeError> {
    let mut lowest = f32::INFINITY;
    for slab in slabs(image.grid().shape) {
        for value in image.read(slab)? {
            if !value.is_finite() {
                // Says which voxel it is.
                read_image(path)?;
            }
            lowest = lowest.min(value);
        }
    }
    Ok(lowest)
}

/// The classes that each plane across x has, and how many voxels of them.
fn classes_of_planes(mask: &mut Pieces) -> Result<Vec<Vec<(u8, u64)>>, VolumeError> {
    let shape = mask.grid().shape;
    let mut counts = vec![[0; 256]; shape[0]];
    for slab in slabs(shape) {
        let classes = mask.read(slab)?;
        for (counts, plane) in counts.iter_mut().zip(classes.outer_iter()) {
            for class in plane {
                counts[usize::from(*class as u8)] += 1;
            }
        }
    }
    let there = |counts: &[u64; 256]| {
        let counts = (0..=u8::MAX).zip(*counts);
        counts.filter(|(_, count)| *count > 0).collect()
    };
    Ok(counts.iter().map(there).collect())
}

/// A grid of this shape, some planes across z at a time: these lie side by side in a file.
fn slabs([nx, ny, nz]: [usize; 3]) -> impl Iterator<Item = Region> {
    const PLANES: usize = 16;
    (0..nz).step_by(PLANES).map(move |z| Region {
        start: [0, 0, z],
        shape: [nx, ny, PLANES.min(nz - z)],
    })
}
