//! Moving images and mask by parts of a voxel.
//!
//! Works on one row of the target (along z) at a time: first the positions of its voxels in the source, then
//! their values. Each value is computed alone, so the result has the same bits at any number of threads.

use std::ops::Range;

use ndarray::{Array3, CowArray, Ix3};
use rayon::prelude::*;

use super::classes;
use super::frame::{Frame, Layout};
use super::map::Map;
use super::sampling_map::{Row, SamplingMap};
use super::trilinear::{Image, read_image_row, read_row};
use crate::augment::Sample;

/// Puts in the place of `sample`'s images and mask what they hold where `map` leads; air outside.
pub(super) fn interpolate(sample: &mut Sample, frame: &Frame, map: &Map) {
    let to = To {
        frame,
        layout: frame.layout(sample.shape()),
        sampling_map: &SamplingMap::new(map, map.grid().shape),
        shape: map.grid().shape,
    };
    let Sample {
        images,
        mask,
        structures,
        ..
    } = sample;
    let Some((first, others)) = images.split_first_mut() else {
        unreachable!("a sample has an image");
    };
    (*first, *mask) = to.image_and_mask(first, mask, structures.is_mask());
    // One image after the other: what is read together lies close together in memory, and what is filled next is the memory
    // that was read last.
    for (place, image) in (1..).zip(others) {
        *image = to.image(place, image);
    }
}

/// Where voxels go to.
struct To<'a> {
    frame: &'a Frame<'a>,
    layout: Layout,
    sampling_map: &'a SamplingMap<'a>,
    shape: [usize; 3],
}

impl To<'_> {
    /// A moved image, and the mask with it. The mask is of 0 and 1 if it `is_binary`, else of classes.
    fn image_and_mask(
        &self,
        image: &Array3<f32>,
        mask: &Array3<u8>,
        is_binary: bool,
    ) -> (Array3<f32>, Array3<u8>) {
        let mut moved = (Array3::zeros(self.shape), Array3::zeros(self.shape));
        // Values are read in the order of the indices, however they lie in memory.
        let (image, mask) = (image.as_standard_layout(), mask.as_standard_layout());
        let (Some(image), Some(mask)) = (self.source(0, &image), mask.as_slice()) else {
            return moved;
        };
        let (values, labels) = (self.planes(&mut moved.0), self.planes(&mut moved.1));
        let planes = values.into_iter().zip(labels).collect();
        self.fill(planes, |at, voxels, (values, labels)| {
            let (values, labels) = (&mut values[voxels.clone()], &mut labels[voxels]);
            if is_binary {
                read_row(&image, mask, at, values, labels);
            } else {
                read_image_row(&image, at, values);
                classes::read_row(mask, &self.layout, at, labels);
            }
        });
        moved
    }

    /// The moved image at `place`.
    fn image(&self, place: usize, image: &Array3<f32>) -> Array3<f32> {
        let mut moved = Array3::zeros(self.shape);
        let image = image.as_standard_layout();
        if let Some(image) = self.source(place, &image) {
            self.fill(self.planes(&mut moved), |at, voxels, plane| {
                read_image_row(&image, at, &mut plane[voxels]);
            });
        }
        moved
    }

    /// The image at `place`; `None` if it does not lie in the order of its indices.
    fn source<'i>(&'i self, place: usize, image: &'i CowArray<'_, f32, Ix3>) -> Option<Image<'i>> {
        let values = image.as_slice()?;
        Some(Image {
            values,
            layout: &self.layout,
            air: self.frame.air(place, values),
        })
    }

    /// The planes across x.
    fn planes<'m, T>(&self, moved: &'m mut Array3<T>) -> Vec<&'m mut [T]> {
        let [_, ny, nz] = self.shape;
        let voxels = moved.as_slice_mut().unwrap_or_default();
        voxels.chunks_exact_mut((ny * nz).max(1)).collect()
    }

    /// Calls `read` for each row of each plane, with the positions that its voxels have in the source.
    fn fill<P: Send>(
        &self,
        planes: Vec<P>,
        read: impl Fn(&[Vec<f32>; 3], Range<usize>, &mut P) + Sync,
    ) {
        let [_, ny, nz] = self.shape;
        planes.into_par_iter().enumerate().for_each_init(
            || Row::new(nz),
            |row, (x, mut plane)| {
                self.sampling_map.start_plane(x, row);
                for y in 0..ny {
                    self.sampling_map.fill_row(x, y, row);
                    read(&row.at, y * nz..(y + 1) * nz, &mut plane);
                }
            },
        );
    }
}
