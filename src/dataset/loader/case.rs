//! A case on its way to the network.

use std::sync::Arc;

use super::super::Case;
use super::{Order, Sampling};
use crate::augment::{self, CropParams, Drawn, DrawnOn, Sample};
use crate::preprocess::PreprocessError;
use crate::preprocess::cache::CachedCase;
use crate::random;
use crate::volume::{Marked, Structures};

/// A case ready for the network: its id, its preprocessed files and what they are of.
#[derive(Clone, Debug)]
pub struct TrainingCase {
    /// The case's id.
    pub id: String,
    /// Its preprocessed images and mask.
    pub files: CachedCase,
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
            files,
            images: case.images.iter().map(|image| image.name.clone()).collect(),
            structures: Arc::new(structures),
        }
    }

    /// The preprocessed case.
    ///
    /// # Errors
    ///
    /// When its files cannot be read.
    pub(super) fn load(&self) -> Result<Sample, PreprocessError> {
        let prepared = self.files.load()?;
        let Some(first) = prepared.images.first() else {
            unreachable!("a case has at least one image");
        };
        let affine = first.affine;
        // Every case of a dataset has a mask; only scans to predict have none.
        let mask = prepared.mask.ok_or_else(|| PreprocessError::NoMask {
            image: self.files.images[0].clone(),
        })?;
        Ok(Sample {
            affine,
            images: prepared
                .images
                .into_iter()
                .map(|image| image.voxels)
                .collect(),
            mask: mask.voxels,
            structures: Arc::clone(&self.structures),
        })
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
        let mut sample = self.load()?;
        let drawn = sampling.draw(self, &sample, epoch, draw_index);
        augment::apply(&drawn, &mut sample);
        Ok((sample, drawn))
    }
}

impl Sampling {
    /// Everything that is drawn for one sample of `case`: the patch, if only one is taken, then the
    /// augmentations, which so turn about the patch's middle and fill it from what lies around it.
    pub(super) fn draw(
        &self,
        case: &TrainingCase,
        whole: &Sample,
        epoch: u64,
        draw_index: u64,
    ) -> Vec<DrawnOn> {
        let Order::Shuffled { patch, augment, .. } = &self.order else {
            return Vec::new();
        };
        let mut stream = random::stream(self.seed, &["patch", &case.id], &[epoch, draw_index]);
        let patch = patch.iter().map(|patch| {
            let start = patch.draw(whole.mask.view(), &case.structures, &mut stream);
            Drawn::Crop(CropParams::window(start, patch.size)).into()
        });
        let patch: Vec<DrawnOn> = patch.collect();
        let augmentations = augment.draw(self.seed, epoch, &case.id, draw_index, &case.images);
        patch.into_iter().chain(augmentations).collect()
    }
}
