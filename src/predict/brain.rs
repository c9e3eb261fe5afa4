//! From a scan's file to the files of its mask and of the brain cut out of it.

use super::{PredictError, Predicted, Predictor};
use crate::layout::PredictionFiles;
use crate::preprocess::LoadedCase;
use crate::volume::Volume;
use crate::volume::nifti::{Dtype, Encoding, write_like};
use crate::volume::resample::{Interpolation, resample};

/// Numbers from 0 to 1 as bytes.
const IN_255_STEPS: Encoding = Encoding {
    dtype: Dtype::Uint8,
    slope: 1.0 / 255.0,
    inter: 0.0,
};

impl Predictor {
    /// Segments a raw scan and writes what is found, on the scan's own grid and placed as the scan's file places it: of
    /// one mask the mask and the brain that it cuts out, of several structures the map of their labels. The brain has
    /// the scan's own type of numbers, or float32 where that cannot hold 0; labels are bytes, or uint16 where one is
    /// above 255. Maps from 0 to 1 are bytes with a scale of 1/255: a step of 0.004.
    ///
    /// # Errors
    ///
    /// When the scan cannot be preprocessed, memory is lacking, the device fails, or a file cannot be written.
    pub fn segment(
        &self,
        scan: LoadedCase,
        files: &PredictionFiles,
    ) -> Result<Predicted, PredictError> {
        let image = (files.brain.is_some()).then(|| scan.case.images.first().cloned());
        let mut predicted = self.predict(scan.case)?;
        let structures = self.structures();
        let dtype = match structures.largest_value() {
            0..=255 => Dtype::Uint8,
            _ => Dtype::Uint16,
        };
        let labels = Volume {
            voxels: predicted
                .mask
                .voxels
                .mapv(|class| structures.value_of(class)),
            affine: predicted.mask.affine,
        };
        write_like(&files.mask, &labels, dtype, &scan.origin)?;
        if let (Some(path), Some(mut image)) = (&files.brain, image.flatten()) {
            cut_out(&mut image, &predicted.mask);
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
            write_like(path, &image, encoding, &scan.origin)?;
        }
        for (structure, path) in files.probabilities.iter().enumerate() {
            let probability = predicted.probabilities.of(structure);
            write_like(path, &probability, IN_255_STEPS, &scan.origin)?;
        }
        if let Some(uncertainty) = &predicted.uncertainty {
            let native = predicted.mask.grid();
            let maps = [
                (&files.entropy, Some(&uncertainty.entropy)),
                (&files.disagreement, uncertainty.disagreement.as_ref()),
            ];
            for (path, map) in maps {
                if let (Some(path), Some(map)) = (path, map) {
                    let map = resample(map, &native, Interpolation::Linear, false);
                    write_like(path, &map, IN_255_STEPS, &scan.origin)?;
                }
            }
        }
        Ok(predicted)
    }
}

/// Sets the voxels of `image` outside `mask` to 0.
pub fn cut_out(image: &mut Volume<f32>, mask: &Volume<u8>) {
    for (voxel, inside) in image.voxels.iter_mut().zip(&mask.voxels) {
        if *inside == 0 {
            *voxel = 0.0;
        }
    }
}
