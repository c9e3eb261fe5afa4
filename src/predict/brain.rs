//! From a scan's file to the files of its mask and of the brain cut out of it.

use std::sync::Arc;

use super::{PredictError, Predicted, Predictor};
use crate::layout::PredictionFiles;
use crate::preprocess::LoadedCase;
use crate::volume::nifti::{Dtype, Encoded, Encoding, Origin, write_like};
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
    /// The file's mask, or map of labels.
    map: Encoded,
    /// The brain, where it is wanted.
    brain: Option<Encoded>,
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
        let (stored, origin) = (scan.encoding, scan.origin);
        let holds_0 = stored.stored(0.0) == 0.0;
        // Of the raw image no more is kept than the brain's file needs.
        let image = scan.case.images.first();
        let brain = image.filter(|_| files.brain.is_some()).map(|image| {
            let encoding = if holds_0 {
                stored
            } else {
                Dtype::Float32.into()
            };
            Encoded::of(image, encoding)
        });
        let mut predicted = self.predict(scan.case)?;
        let map = encoded(&predicted.mask, &self.structures);
        let brain = brain.map(|mut brain| {
            if !holds_0 {
                predicted.warnings.push(format!(
                    "the scan's {} numbers with their scaling cannot hold 0, so its brain is written as float32",
                    stored.dtype
                ));
            }
            brain.clear_outside(&map);
            brain
        });
        Ok(Segmented {
            predicted,
            structures: Arc::clone(&self.structures),
            map,
            brain,
            origin,
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
        let map = || self.map.write_like(&self.files.mask, &self.origin);
        let (first, others) = rayon::join(map, || self.write_others());
        first.and(others)
    }

    fn write_others(&self) -> Result<(), VolumeError> {
        let (predicted, files) = (&self.predicted, &self.files);
        if let (Some(path), Some(brain)) = (&files.brain, &self.brain) {
            brain.write_like(path, &self.origin)?;
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

/// A class map as its file holds it: of one mask as it is, of several structures as their labels.
fn encoded(map: &Volume<u8>, structures: &Structures) -> Encoded {
    if structures.is_mask() {
        return Encoded::of(map, Dtype::Uint8);
    }
    let dtype = match structures.largest_value() {
        0..=255 => Dtype::Uint8,
        _ => Dtype::Uint16,
    };
    let labels = Volume {
        voxels: map.voxels.mapv(|class| structures.value_of(class)),
        affine: map.affine,
    };
    Encoded::of(&labels, dtype)
}
