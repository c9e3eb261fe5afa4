//! From a scan's file to the files of its mask and of the brain cut out of it.

use std::sync::Arc;

use super::{PredictError, Predicted, Predictor};
use crate::layout::PredictionFiles;
use crate::preprocess::LoadedCase;
use crate::volume::nifti::{Dtype, Encoding, Origin, write_like};
use crate::volume::resample::{Interpolation, resample};
use crate::volume::{Structures, Volume, VolumeError};

/// Numbers from 0 to 1 as bytes.
const IN_255_STEPS: Encoding = Encoding {
    dtype: Dtype::Uint8,
    slope: 1.0 / 255.0,
    inter: 0.0,
};

/// A segmented scan with what its files need.
pub struct Segmented {
    /// What was found.
    pub predicted: Predicted,
    structures: Arc<Structures>,
    /// The brain, where it is wanted, and how its voxels are stored.
    brain: Option<(Volume<f32>, Encoding)>,
    origin: Origin,
    files: PredictionFiles,
}

impl Predictor {
    /// Segments a raw scan, for [`Segmented::write`] to write `files`.
    ///
    /// # Errors
    ///
    /// When the scan cannot be preprocessed, memory is lacking or the device fails.
    pub fn segment(
        &self,
        scan: LoadedCase,
        files: &PredictionFiles,
    ) -> Result<Segmented, PredictError> {
        let image = (files.brain.is_some()).then(|| scan.case.images.first().cloned());
        let mut predicted = self.predict(scan.case)?;
        let brain = image.flatten().map(|mut image| {
            image.clear_outside(&predicted.mask);
            let encoding = match scan.encoding.stored(0.0) {
                0.0 => scan.encoding,
                _ => {
                    predicted.warnings.push(format!(
                        "the scan's {} numbers with their scaling cannot hold 0, so its brain is written as float32",
                        scan.encoding.dtype
                    ));
                    Encoding::from(Dtype::Float32)
                }
            };
            (image, encoding)
        });
        Ok(Segmented {
            predicted,
            structures: Arc::clone(&self.structures),
            brain,
            origin: scan.origin,
            files: files.clone(),
        })
    }
}

impl Segmented {
    /// What the networks find.
    pub fn structures(&self) -> &Structures {
        &self.structures
    }

    /// Writes what was found, on the scan's own grid and placed as the scan's file places it: of one mask the mask and the
    /// brain that it cuts out, of several structures the map of their labels. The brain has the scan's own type of
    /// numbers, or float32 where that cannot hold 0; labels are bytes, or uint16 where one is above 255. Maps from 0 to 1
    /// are bytes with a scale of 1/255: a step of 0.004.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn write(&self) -> Result<(), VolumeError> {
        // Packing takes the most time.
        let (first, others) = rayon::join(|| self.write_mask(), || self.write_others());
        first.and(others)
    }

    fn write_mask(&self) -> Result<(), VolumeError> {
        let (mask, path) = (&self.predicted.mask, &self.files.mask);
        if self.structures.is_mask() {
            return write_like(path, mask, Dtype::Uint8, &self.origin);
        }
        let dtype = match self.structures.largest_value() {
            0..=255 => Dtype::Uint8,
            _ => Dtype::Uint16,
        };
        let labels = Volume {
            voxels: mask.voxels.mapv(|class| self.structures.value_of(class)),
            affine: mask.affine,
        };
        write_like(path, &labels, dtype, &self.origin)
    }

    fn write_others(&self) -> Result<(), VolumeError> {
        let (predicted, files) = (&self.predicted, &self.files);
        if let (Some(path), Some((brain, encoding))) = (&files.brain, &self.brain) {
            write_like(path, brain, *encoding, &self.origin)?;
        }
        for (structure, path) in files.probabilities.iter().enumerate() {
            let probability = predicted.probabilities.of(structure);
            write_like(path, &probability, IN_255_STEPS, &self.origin)?;
        }
        let Some(uncertainty) = &predicted.uncertainty else {
            return Ok(());
        };
        let native = predicted.mask.grid();
        let maps = [
            (&files.entropy, Some(&uncertainty.entropy)),
            (&files.disagreement, uncertainty.disagreement.as_ref()),
        ];
        for (path, map) in maps {
            if let (Some(path), Some(map)) = (path, map) {
                let map = resample(map, &native, Interpolation::Linear, false);
                write_like(path, &map, IN_255_STEPS, &self.origin)?;
            }
        }
        Ok(())
    }
}
