//! What was found in a scan, in several slices of each plane.

use std::path::Path;

use ndarray::{ArrayView3, Axis};

use super::PlotError;
use super::drawing::{BLACK, Colour, Drawing};
use super::section::{Section, Turn, window};
use super::structures::fillings_and_lines;
use crate::volume::{Structures, Volume};

/// A scan with what was found in it, on one grid.
///
/// Shows axial, coronal and sagittal slices, a row each, through the part of the scan in which something was found, after
/// turning the voxel axes to the nearest of right, anterior and superior. The patient's right is on the right. One mask is
/// outlined; of several structures each has its colour.
#[derive(Clone, Debug)]
pub struct Mosaic<'a> {
    /// The scan.
    pub image: &'a Volume<f32>,
    /// The class map; of one mask, voxels above 0 are inside.
    pub found: &'a Volume<u8>,
    /// What the classes mean.
    pub structures: &'a Structures,
}

/// Slices of each plane.
const SLICES: usize = 5;
const WIDTH: f64 = 1200.0;
const GAP: f64 = 4.0;
/// As on contact sheets.
const OUTLINE: Colour = (0, 200, 150);
const OUTLINE_WIDTH: f64 = 1.6;

impl Mosaic<'_> {
    /// Writes it as a PNG, 1200 pixels wide.
    ///
    /// # Errors
    ///
    /// When the scan and the map have different shapes or the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), PlotError> {
        self.draw()?.save_png(path)
    }

    fn draw(&self) -> Result<Drawing, PlotError> {
        let (image, prediction) = (self.image.shape(), self.found.shape());
        if image != prediction || image.contains(&0) {
            return Err(PlotError::Shapes {
                title: "a mosaic".into(),
                image,
                truth: prediction,
                prediction,
            });
        }
        let turn = Turn::to_ras(&self.image.affine);
        let image = turn.view(self.image.voxels.view());
        let found = turn.view(self.found.voxels.view());
        let spacing = turn.spacing(&self.image.affine);
        let window = window(&self.image.voxels.view());
        let ranges = extent(found);
        let section = |normal: usize, slice: usize| {
            let [first, end] = ranges[normal];
            // In the middle of as many equal parts.
            let at = first + (2 * slice + 1) * (end - first) / (2 * SLICES);
            if self.structures.is_mask() {
                let outline = [(found, OUTLINE, OUTLINE_WIDTH)];
                return Section::new((normal, at), image, outline, spacing, window);
            }
            let classes = found.index_axis_move(Axis(normal), at);
            let drawn = fillings_and_lines(classes, classes, self.structures);
            Section::drawn_on((normal, at), image, drawn, spacing, window)
        };
        let rows = [2, 1, 0].map(|normal| [0, 1, 2, 3, 4].map(|slice| section(normal, slice)));
        let widest = rows
            .iter()
            .map(|row| row[0].size_mm().0)
            .fold(1.0, f64::max);
        let cell = (WIDTH - GAP * (SLICES + 1) as f64) / SLICES as f64;
        let scale = cell / widest;
        let heights = rows.each_ref().map(|row| row[0].size_mm().1 * scale);
        let height = heights.iter().sum::<f64>() + 4.0 * GAP;
        let mut on = Drawing::new((WIDTH as u32, height.ceil() as u32), BLACK);
        let mut top = GAP;
        for (row, height) in rows.iter().zip(heights) {
            for (slice, section) in row.iter().enumerate() {
                let left = GAP + slice as f64 * (cell + GAP);
                let inside = (cell - section.size_mm().0 * scale) / 2.0;
                section.draw(&mut on, (left + inside, top), scale);
            }
            top += height + GAP;
        }
        Ok(on)
    }
}

/// The first voxel with a class along each axis, and the one behind the last; the whole axis where there is none.
fn extent(found: ArrayView3<'_, u8>) -> [[usize; 2]; 3] {
    let mut ranges = [[usize::MAX, 0]; 3];
    for ((x, y, z), _) in found.indexed_iter().filter(|(_, class)| **class > 0) {
        for (range, at) in ranges.iter_mut().zip([x, y, z]) {
            *range = [range[0].min(at), range[1].max(at + 1)];
        }
    }
    let shape = found.shape();
    std::array::from_fn(|axis| match ranges[axis] {
        [first, end] if first < end => [first, end],
        _ => [0, shape[axis]],
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Affine;
    use ndarray::Array3;

    #[test]
    fn slices_go_through_what_was_found() {
        let mut found = Array3::zeros((20, 30, 40));
        found.slice_mut(ndarray::s![4..9, 10..30, 7..8]).fill(1);
        assert_eq!(extent(found.view()), [[4, 9], [10, 30], [7, 8]]);
        assert_eq!(
            extent(Array3::zeros((2, 3, 4)).view()),
            [[0, 2], [0, 3], [0, 4]]
        );
        let affine = Affine::diagonal([-1.0, 1.0, 2.0], [0.0; 3]);
        let volume = Volume {
            voxels: found,
            affine,
        };
        let image = Volume {
            voxels: Array3::from_shape_fn((20, 30, 40), |(x, y, z)| (x + y + z) as f32),
            affine,
        };
        let mosaic = Mosaic {
            image: &image,
            found: &volume,
            structures: &Structures::Mask,
        };
        let drawing = mosaic.draw().unwrap();
        assert_eq!(drawing.pictures.len(), 15);
        // Of a plate of one voxel every axial slice shows it; the outlines are one a slice.
        assert!(drawing.shapes.len() >= 15);
        // The sagittal slices are the widest: 30 mm in 235.2 pixels. One on the other are 30, 80 and 80 mm.
        assert_eq!(
            drawing.size,
            (1200, (190.0 * 235.2 / 30.0 + 16.0_f64).ceil() as u32)
        );
    }
}
