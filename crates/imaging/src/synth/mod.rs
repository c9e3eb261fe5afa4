//! Synthetic scans: images of any contrast made from maps of labels, each with its true mask.
//!
//! A map of a whole head, every voxel labelled, becomes as many images as are asked for. In each the anatomy is moved, every
//! label is painted with a brightness drawn anew, and what scanners do to images is done to it. A network that sees such
//! images learns what does not change from scanner to scanner: the shape.
//!
//! What is drawn depends on the seed and on the image's index alone.
//!
//! Reference: Billot et al., SynthSeg: Segmentation of brain MRI scans of any contrast and resolution without retraining,
//! Medical Image Analysis, 2023; Hoopes et al., SynthStrip: skull-stripping for any brain image, NeuroImage, 2022.

mod anatomy;
mod field_of_view;
mod paint;
mod settings;

pub use anatomy::{Anatomy, AnatomyError};
pub use settings::{Brightness, FieldOfView, MaskOf, Shares, Synthesis, Texture, Tissue};

use crate::augment::{Augmentations, DrawnOn, Sample, apply};
use crate::preprocess::ImageFile;
use crate::random;

/// A synthetic scan, and how it came about.
#[derive(Clone, Debug)]
pub struct Synthetic {
    /// The image with its mask, on the map's grid, which the settings make larger or smaller.
    pub sample: Sample,
    /// The kind of contrast that was drawn, such as `t1`.
    pub contrast: &'static str,
    /// What moved the anatomy, and what was then done to the image.
    pub drawn: Vec<DrawnOn>,
}

impl Synthesis {
    /// The scan `index` of a head under `seed`.
    pub fn scan(&self, anatomy: &Anatomy, seed: u64, index: u64) -> Synthetic {
        let name = anatomy.id.as_str();
        let stream = |purpose: &str| random::stream(seed, &["synth", purpose, name], &[index]);
        let draw = |list: &Augmentations, purpose: &str| {
            let key = format!("synth {purpose} {name}");
            list.draw(seed, index, &key, 0, &[ImageFile::ONLY.to_owned()])
        };
        let geometry = draw(&self.geometry, "geometry");
        let mut moved = anatomy.sample();
        apply(&geometry, &mut moved);
        let view = self
            .field_of_view
            .draw(&moved, anatomy, &mut stream("field of view"));
        let (contrast, image) = paint::paint(self, &moved.mask, anatomy, &mut stream("contrast"));
        let mut sample = Sample::of_mask(image, anatomy.mask_of(&moved.mask), moved.affine);
        view.deface(&mut sample);
        let artefacts = draw(&self.artefacts, "artefacts");
        apply(&artefacts, &mut sample);
        view.cut(&mut sample);
        Synthetic {
            sample,
            contrast,
            drawn: [geometry, artefacts].concat(),
        }
    }
}
