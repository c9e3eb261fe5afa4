//! A small picture of one slice, for watching a run.

use ndarray::ArrayView3;

use crate::plot::structure_colour;
use crate::volume::Structures;

/// One axial slice as RGB bytes, row by row, with the outlines of the truth and of the prediction.
#[derive(Clone, Debug, PartialEq)]
pub struct Preview {
    /// Pixels across.
    pub width: usize,
    /// Pixels down.
    pub height: usize,
    /// `height * width * 3` bytes.
    pub rgb: Vec<u8>,
}

const TRUTH: [u8; 3] = [0, 200, 90];
const PREDICTION: [u8; 3] = [255, 120, 0];
/// How much of a structure's colour its true voxels have.
const FILLING: f32 = 0.4;

impl Preview {
    /// The middle axial slice of a volume in RAS order, front up.
    pub fn of(
        image: ArrayView3<'_, f32>,
        truth: ArrayView3<'_, bool>,
        prediction: ArrayView3<'_, bool>,
    ) -> Self {
        let inside =
            |mask: &ArrayView3<'_, bool>, at: [usize; 3]| mask.get(at).copied().unwrap_or(false);
        Self::drawn(image, |at, grey| {
            if on_outline(|at| inside(&prediction, at), at) {
                PREDICTION
            } else if on_outline(|at| inside(&truth, at), at) {
                TRUTH
            } else {
                [grey; 3]
            }
        })
    }

    /// The same of several structures, with class maps: the truth as a faint filling and the prediction as a line, in a
    /// colour for each structure; later structures cover earlier ones.
    pub fn of_structures(
        image: ArrayView3<'_, f32>,
        truth: ArrayView3<'_, u8>,
        prediction: ArrayView3<'_, u8>,
        structures: &Structures,
    ) -> Self {
        let class = |map: &ArrayView3<'_, u8>, at: [usize; 3]| map.get(at).copied().unwrap_or(0);
        let colour = |structure| {
            let (red, green, blue) = structure_colour(structure);
            [red, green, blue]
        };
        Self::drawn(image, |at, grey| {
            let mut pixel = [grey; 3];
            for structure in 0..structures.count() {
                if structures.contains(structure, class(&truth, at)) {
                    for (value, of) in pixel.iter_mut().zip(colour(structure)) {
                        let mixed = f32::from(*value) * (1.0 - FILLING) + f32::from(of) * FILLING;
                        *value = mixed.round() as u8;
                    }
                }
            }
            let predicted = class(&prediction, at);
            for structure in (0..structures.count()).rev() {
                let inside = |at| structures.contains(structure, class(&prediction, at));
                if structures.contains(structure, predicted) && on_outline(inside, at) {
                    return colour(structure);
                }
            }
            pixel
        })
    }

    /// The middle axial slice; `pixel` gives a voxel's colour from its place and its grey.
    fn drawn(image: ArrayView3<'_, f32>, pixel: impl Fn([usize; 3], u8) -> [u8; 3]) -> Self {
        let (width, height, depth) = image.dim();
        let z = depth / 2;
        let (low, high) = image
            .iter()
            .fold((f32::INFINITY, f32::NEG_INFINITY), |(low, high), &v| {
                (low.min(v), high.max(v))
            });
        let scale = if high > low {
            255.0 / (high - low)
        } else {
            0.0
        };
        let mut rgb = Vec::with_capacity(width * height * 3);
        for y in (0..height).rev() {
            for x in 0..width {
                // The cast saturates, so a stray value cannot wrap around.
                let grey = ((image[[x, y, z]] - low) * scale).round() as u8;
                rgb.extend(pixel([x, y, z], grey));
            }
        }
        Self { width, height, rgb }
    }
}

/// Whether a voxel is inside, and one of its neighbours in the slice is not.
fn on_outline(inside: impl Fn([usize; 3]) -> bool, [x, y, z]: [usize; 3]) -> bool {
    let inside = |x: usize, y: usize| inside([x, y, z]);
    let neighbours = [
        inside(x.wrapping_sub(1), y),
        inside(x + 1, y),
        inside(x, y.wrapping_sub(1)),
        inside(x, y + 1),
    ];
    inside(x, y) && neighbours.contains(&false)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::Undeclared;
    use ndarray::Array3;

    #[test]
    fn outlines_surround_the_masks_and_the_front_is_up() {
        let image = Array3::from_shape_fn((6, 8, 3), |(_, y, _)| y as f32);
        let truth = Array3::from_shape_fn((6, 8, 3), |(x, y, _)| (1..5).contains(&x) && y < 4);
        let none = Array3::from_elem((6, 8, 3), false);
        let preview = Preview::of(image.view(), truth.view(), none.view());
        let pixel = |x: usize, row: usize| {
            let at = (row * preview.width + x) * 3;
            [preview.rgb[at], preview.rgb[at + 1], preview.rgb[at + 2]]
        };
        assert_eq!((preview.width, preview.height), (6, 8));
        assert_eq!(pixel(0, 0), [255; 3], "the brightest row, y = 7, is on top");
        assert_eq!(pixel(1, 5), TRUTH, "x = 1, y = 2 is on the outline");
        assert_ne!(pixel(2, 5), TRUTH, "x = 2, y = 2 is inside");
        assert_ne!(pixel(0, 5), TRUTH, "x = 0 is outside");
    }

    #[test]
    fn structures_are_filled_where_they_are_and_outlined_where_they_are_predicted() {
        let named = [("a".to_owned(), vec![1]), ("b".to_owned(), vec![2])];
        let structures = Structures::labels(&named, None, Undeclared::Refused).unwrap();
        let image = Array3::zeros((6, 8, 3));
        let truth = Array3::from_shape_fn((6, 8, 3), |(_, y, _)| u8::from(y < 4));
        let prediction = Array3::from_shape_fn((6, 8, 3), |(x, ..)| 2 * u8::from(x > 1));
        let preview =
            Preview::of_structures(image.view(), truth.view(), prediction.view(), &structures);
        let pixel = |x: usize, row: usize| {
            let at = (row * preview.width + x) * 3;
            (preview.rgb[at], preview.rgb[at + 1], preview.rgb[at + 2])
        };
        assert_eq!(pixel(2, 3), structure_colour(1), "the line of b");
        assert_eq!(pixel(0, 0), (0, 0, 0), "neither");
        let (red, ..) = structure_colour(0);
        assert_eq!(
            pixel(0, 7).0,
            (f32::from(red) * FILLING).round() as u8,
            "a is filled"
        );
        assert_eq!(
            pixel(3, 7),
            structure_colour(1),
            "the picture's edge is one of b"
        );
        assert_eq!(pixel(3, 6), pixel(0, 6), "within b only the truth is seen");
    }
}
