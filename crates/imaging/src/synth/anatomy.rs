//! A map of labels, ready to be moved and painted.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use ndarray::{Array3, Zip};
use thiserror::Error;

use super::Synthesis;
use crate::augment::Sample;
use crate::volume::distance::squared_distance;
use crate::volume::nifti::read_image;
use crate::volume::orientation::{AxisCodes, reoriented};
use crate::volume::{Grid, Structures, Undeclared, Volume, VolumeError, fill_holes};

/// A map of labels cannot be used.
#[derive(Debug, Error)]
pub enum AnatomyError {
    /// Its file cannot be read.
    #[error(transparent)]
    Volume(#[from] VolumeError),
    /// A value is not a label.
    #[error("{}: {value} is not a label. Labels are whole numbers from 0 to 65535.", path.display())]
    Value {
        /// The map.
        path: PathBuf,
        /// The value.
        value: f32,
    },
    /// Its scans would be too large.
    #[error(
        "{}: its voxels are {spacing:?} mm, and so a scan of size_mm has {shape:?} of them, more than {MOST_VOXELS}. Check the map's \
         spacing, or make size_mm smaller.",
        path.display()
    )]
    Size {
        /// The map.
        path: PathBuf,
        /// Its spacing.
        spacing: [f64; 3],
        /// The shape of a scan.
        shape: [usize; 3],
    },
    /// Nothing of the mask is in it.
    #[error(
        "{}: nothing of the mask lies in the middle of it, in a box of size_mm. Name labels that it has under mask.labels, or make \
         size_mm larger.",
        path.display()
    )]
    Empty {
        /// The map.
        path: PathBuf,
    },
    /// It has too many labels.
    #[error("{}: it has more than {} labels that tissues or the mask name. Name fewer.", path.display(), Structures::MOST)]
    Labels {
        /// The map.
        path: PathBuf,
    },
}

/// The most voxels of a scan: 512 along each axis.
const MOST_VOXELS: usize = 1 << 27;

/// A map of labels on the grid of its scans (RAS): class 0 is air, and each label that a tissue or the mask names has one
/// or, where only a part of it is in the mask, two classes.
#[derive(Clone, Debug)]
pub struct Anatomy {
    /// Its name, which keys what is drawn.
    pub id: String,
    classes: Volume<u8>,
    structures: Arc<Structures>,
    /// The tissue of each class, by its place in [`Synthesis::tissues`]; none is air.
    pub(super) tissues: Vec<Option<usize>>,
    in_mask: Vec<bool>,
}

impl Anatomy {
    /// Reads a map.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, holds other values than labels, or has no voxel of the mask.
    pub fn read(
        path: &Path,
        id: impl Into<String>,
        synthesis: &Synthesis,
    ) -> Result<Self, AnatomyError> {
        let image = reoriented(&read_image(path)?, AxisCodes::RAS);
        let is_label = |value: &f32| value.fract() == 0.0 && (0.0..=65535.0).contains(value);
        if let Some(value) = image.voxels.iter().find(|value| !is_label(value)) {
            return Err(AnatomyError::Value {
                path: path.to_owned(),
                value: *value,
            });
        }
        let labels = Volume {
            voxels: image.voxels.mapv(|value| value as u16),
            affine: image.affine,
        };
        Self::new(labels, id, synthesis, path)
    }

    fn new(
        labels: Volume<u16>,
        id: impl Into<String>,
        synthesis: &Synthesis,
        path: &Path,
    ) -> Result<Self, AnatomyError> {
        let spacing = labels.spacing();
        let shape =
            std::array::from_fn(|axis| (synthesis.size_mm[axis] / spacing[axis]).round() as usize);
        let voxels = shape
            .iter()
            .fold(1, |product: usize, n| product.saturating_mul(*n));
        if voxels > MOST_VOXELS {
            return Err(AnatomyError::Size {
                path: path.to_owned(),
                spacing,
                shape,
            });
        }
        let grid = labels.grid();
        let first = std::array::from_fn(|axis| {
            let missing = grid.shape[axis] as i64 - shape[axis] as i64;
            missing.div_euclid(2)
        });
        let labels = labels.cut(first, shape, 0);
        let mask = mask(&labels, synthesis);
        if !mask.iter().any(|voxel| *voxel != 0) {
            return Err(AnatomyError::Empty {
                path: path.to_owned(),
            });
        }
        let tissue_of = |label: u16| {
            let mut tissues = synthesis.tissues.values();
            tissues.position(|tissue| tissue.labels.contains(&label))
        };
        // Of a label: its class outside the mask, and inside.
        let mut table = vec![[0u8; 2]; 1 << 16];
        let (mut tissues, mut in_mask, mut named) = (vec![None], vec![false], Vec::new());
        let mut are_too_many = false;
        let mut classes = Array3::zeros(labels.voxels.raw_dim());
        Zip::from(&mut classes)
            .and(&labels.voxels)
            .and(&mask)
            .for_each(|class, label, inside| {
                let tissue = tissue_of(*label);
                if tissue.is_none() && *inside == 0 {
                    return;
                }
                let known = &mut table[usize::from(*label)][usize::from(*inside)];
                if *known == 0 {
                    *known = match tissues.len() {
                        count if count <= Structures::MOST => count as u8,
                        _ => {
                            are_too_many = true;
                            return;
                        }
                    };
                    tissues.push(tissue);
                    in_mask.push(*inside != 0);
                    named.push((format!("class {known}"), vec![u16::from(*known)]));
                }
                *class = *known;
            });
        let structures = Structures::labels(&named, None, Undeclared::Refused);
        let (Ok(structures), false) = (structures, are_too_many) else {
            return Err(AnatomyError::Labels {
                path: path.to_owned(),
            });
        };
        Ok(Self {
            id: id.into(),
            classes: Volume {
                voxels: classes,
                affine: labels.affine,
            },
            structures: Arc::new(structures),
            tissues,
            in_mask,
        })
    }

    /// The grid of its scans.
    pub fn grid(&self) -> Grid {
        self.classes.grid()
    }

    /// The map as a sample, whose image is empty.
    pub(super) fn sample(&self) -> Sample {
        Sample {
            images: vec![Array3::zeros(self.classes.voxels.raw_dim())],
            mask: self.classes.voxels.clone(),
            structures: Arc::clone(&self.structures),
            affine: self.classes.affine,
        }
    }

    /// The mask of a map of classes.
    pub(super) fn mask_of(&self, classes: &Array3<u8>) -> Array3<u8> {
        classes.mapv(|class| u8::from(self.in_mask[usize::from(class)]))
    }
}

/// The mask of a map of labels.
fn mask(labels: &Volume<u16>, synthesis: &Synthesis) -> Array3<u8> {
    let (of, spacing) = (&synthesis.mask, labels.spacing());
    let mut mask = labels
        .voxels
        .mapv(|label| u8::from(of.labels.contains(&label)));
    if !of.enclosed.is_empty() {
        let closed = closed(&mask, spacing, of.closing_mm);
        Zip::from(&mut mask)
            .and(&labels.voxels)
            .and(&closed)
            .for_each(|voxel, label, closed| {
                *voxel |= u8::from(*closed && of.enclosed.contains(label));
            });
    }
    fill_holes(&mut mask);
    mask
}

/// A mask closed by a ball of that radius: grown by it, and shrunk by it.
fn closed(mask: &Array3<u8>, spacing: [f64; 3], radius: f64) -> Array3<bool> {
    let most = radius * radius;
    let is = mask.mapv(|voxel| voxel != 0);
    let outside = squared_distance(is.view(), spacing).mapv(|squared| squared > most);
    squared_distance(outside.view(), spacing).mapv(|squared| squared > most)
}
