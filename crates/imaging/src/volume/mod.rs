//! Volumes: voxels with the affine that places them in the world, their files, and moving them
//! from one grid to another. Knows nothing of the rest of the program.

mod affine;
mod component;
pub mod distance;
mod gaussian;
mod grid;
mod mask;
pub mod nifti;
pub mod orientation;
mod packed;
mod region;
pub mod resample;
mod structures;

use std::path::PathBuf;

use ndarray::Array3;
use rayon::prelude::*;
use thiserror::Error;

pub use affine::Affine;
pub(crate) use component::pieces_met;
pub use component::{drop_small, fill_holes, keep_largest};
pub(crate) use gaussian::{blur, in_order};
pub use grid::Grid;
pub use mask::{Marked, MaskRule, NotMask};
pub use packed::PackedMask;
pub use region::Region;
pub use structures::{LabelMap, Named, Structures, StructuresError, Undeclared};

/// A 3-D array of voxels and the affine from voxel index to world position (mm, RAS+).
#[derive(Clone, Debug, PartialEq)]
pub struct Volume<T> {
    /// The values, indexed `[x, y, z]` in the file's own axis order.
    pub voxels: Array3<T>,
    /// Voxel index to world position in mm.
    pub affine: Affine,
}

impl<T> Volume<T> {
    /// Number of voxels along the three axes.
    pub fn shape(&self) -> [usize; 3] {
        let (x, y, z) = self.voxels.dim();
        [x, y, z]
    }

    /// The grid the voxels lie on.
    pub fn grid(&self) -> Grid {
        Grid {
            shape: self.shape(),
            affine: self.affine,
        }
    }

    /// Distance between neighbouring voxels along each axis, in mm.
    pub fn spacing(&self) -> [f64; 3] {
        self.affine.spacing()
    }

    /// Volume of one voxel in millilitres.
    pub fn voxel_volume_ml(&self) -> f64 {
        self.grid().voxel_volume_ml()
    }
}

impl Volume<f32> {
    /// Replaces every value by what `to` makes of it.
    pub fn change(&mut self, to: impl Fn(f32) -> f32 + Sync) {
        match self.voxels.as_slice_memory_order_mut() {
            Some(values) => values
                .par_iter_mut()
                .with_min_len(1 << 14)
                .for_each(|value| *value = to(*value)),
            None => self.voxels.mapv_inplace(to),
        }
    }

    /// Ones where the value is `least` or more, zeros elsewhere.
    pub fn at_least(&self, least: f32) -> Array3<u8> {
        self.voxels.mapv(|value| u8::from(value >= least))
    }

    /// Whether no value is infinite or not a number.
    pub fn is_finite(&self) -> bool {
        match self.voxels.as_slice_memory_order() {
            Some(values) => values.par_iter().all(|value| value.is_finite()),
            None => self.voxels.iter().all(|value| value.is_finite()),
        }
    }
}

impl<T: Copy> Volume<T> {
    /// The box of `shape` voxels that starts at voxel `first`, which may lie outside. What is not in
    /// this volume is `fill`; the rest stays where it is in the world.
    pub fn cut(&self, first: [i64; 3], shape: [usize; 3], fill: T) -> Self {
        let voxels = Array3::from_shape_fn(shape, |(x, y, z)| {
            let at = |i: usize, first: i64| usize::try_from(i as i64 + first).ok();
            let index = at(x, first[0]).zip(at(y, first[1])).zip(at(z, first[2]));
            let voxel = index.and_then(|((x, y), z)| self.voxels.get([x, y, z]));
            voxel.copied().unwrap_or(fill)
        });
        let mut affine = self.affine;
        let origin = self.affine.apply(first.map(|n| n as f64));
        for (row, position) in affine.0.iter_mut().zip(origin) {
            row[3] = position;
        }
        Self { voxels, affine }
    }
}

/// A volume could not be read, written or understood. Every message names the file and what to do.
#[derive(Debug, Error)]
pub enum VolumeError {
    /// The file is missing or cannot be opened.
    #[error("cannot open {}: {source}. Check the path and the permissions.", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// The system's reason.
        source: std::io::Error,
    },
    /// The file is not a complete, well-formed NIfTI file.
    #[error("{} is not a readable NIfTI file: {why}.", path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// What is wrong and what to do.
        why: String,
    },
    /// The file is NIfTI, but of a kind this program does not take.
    #[error("{} cannot be used: {why}.", path.display())]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// What it holds and what to do.
        why: String,
    },
    /// A file of another origin is in the way.
    #[error(
        "{} exists, and it is not an unchanged result of this scan by calvaria. Choose another place for the result, \
         or replace the file with --overwrite.", path.display()
    )]
    Exists {
        /// The file.
        path: PathBuf,
    },
    /// The file is a scan that can be read, but not a mask.
    #[error("{} {why}", path.display())]
    NotMask {
        /// The file.
        path: PathBuf,
        /// Why not, and what to do.
        why: NotMask,
    },
    /// The file could not be written.
    #[error(transparent)]
    Write(#[from] crate::files::FileError),
}
