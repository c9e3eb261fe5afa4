//! A case on its way to the network.

use std::sync::Arc;

use super::super::Case;
use super::{Order, Sampling};
use crate::augment::{self, CropParams, Drawn, DrawnOn, Piece, Sample};
use crate::preprocess::PreprocessError;
use crate::preprocess::cache::{CachedCase, OpenCase, PiecewiseCase, VoxelOf};
use crate::random;
use crate::volume::{Marked, Region, Structures};

/// A case ready for the network: its id, its preprocessed files and what they are of.
#[derive(Clone, Debug)]
pub struct TrainingCase {
    /// The case's id.
    pub id: String,
    /// Its preprocessed images and mask.
    pub files: PiecewiseCase,
    /// What its images are called, in order.
    pub images: Arc<[String]>,
    /// What is to be found in it.
    pub structures: Arc<Structures>,
}

impl TrainingCase {
    /// The case that `files` were prepared from.
    pub fn new(case: &Case, files: CachedCase) -> Self {
        let structures = match &case.mask_rule.marked {
            Marked::Structures(structures) => structures.clone(),
            _ => Structures::Mask,
        };
        Self {
            id: case.id.clone(),
            files: PiecewiseCase::new(files),
            images: case.images.iter().map(|image| image.name.clone()).collect(),
            structures: Arc::new(structures),
        }
    }

    /// Opens the preprocessed case, to take samples of it.
    ///
    /// # Errors
    ///
    /// When its files cannot be read.
    pub(super) fn open(&self) -> Result<OpenTrainingCase<'_>, PreprocessError> {
        let files = self.files.open()?;
        Ok(OpenTrainingCase { case: self, files })
    }

    /// The case as the network sees it before samples of a batch are mixed, and what was drawn for it. `epoch`
    /// counts from 1; `draw_index` counts this case's samples in the epoch from 0.
    ///
    /// # Errors
    ///
    /// When the preprocessed files cannot be read.
    pub fn sample(
        &self,
        sampling: &Sampling,
        epoch: u64,
        draw_index: u64,
    ) -> Result<(Sample, Vec<DrawnOn>), PreprocessError> {
        self.open()?.sample(sampling, epoch, draw_index)
    }
}

/// A case whose files are open.
pub(super) struct OpenTrainingCase<'a> {
    case: &'a TrainingCase,
    files: OpenCase,
}

impl OpenTrainingCase<'_> {
    /// As [`TrainingCase::sample`]. Of the case only what the sample is made from is read.
    pub(super) fn sample(
        &mut self,
        sampling: &Sampling,
        epoch: u64,
        draw_index: u64,
    ) -> Result<(Sample, Vec<DrawnOn>), PreprocessError> {
        let drawn = self.draw(sampling, epoch, draw_index)?;
        let piece = self.piece(augment::reach(&drawn, &self.files.grid()))?;
        Ok((augment::apply_to_piece(&drawn, piece), drawn))
    }

    /// Everything that is drawn for one sample: the patch, if only one is taken, then the augmentations, which so turn
    /// about the patch's middle and fill it from what lies around it.
    fn draw(
        &mut self,
        sampling: &Sampling,
        epoch: u64,
        draw_index: u64,
    ) -> Result<Vec<DrawnOn>, PreprocessError> {
        let Order::Shuffled { patch, augment, .. } = &sampling.order else {
            return Ok(Vec::new());
        };
        let (case, seed) = (self.case, sampling.seed);
        let mut drawn = Vec::new();
        if let Some(patch) = patch {
            let mut stream = random::stream(seed, &["patch", &case.id], &[epoch, draw_index]);
            let (shape, counts) = (self.files.grid().shape, self.files.counts());
            let find = |voxel: &VoxelOf| self.files.find(voxel);
            let start = patch.draw(shape, &counts, &case.structures, &mut stream, find)?;
            drawn.push(Drawn::Crop(CropParams::window(start, patch.size)).into());
        }
        drawn.extend(augment.draw(seed, epoch, &case.id, draw_index, &case.images));
        Ok(drawn)
    }

    /// The part of the case that lies in `region`.
    fn piece(&mut self, region: Region) -> Result<Piece, PreprocessError> {
        let grid = self.files.grid();
        // Every case of a dataset has a mask; only scans to predict have none.
        let mask = self.files.mask(region)?;
        let mask = mask.ok_or_else(|| PreprocessError::NoMask {
            image: self.case.files.files().images[0].clone(),
        })?;
        Ok(Piece {
            sample: Sample {
                affine: grid.affine,
                images: self.files.images(region)?,
                mask,
                structures: Arc::clone(&self.case.structures),
            },
            start: region.start,
            grid,
            lowest: self.files.lowest().to_vec(),
        })
    }
}
