//! A small picture of one slice, for watching a run.

use ndarray::ArrayView3;

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

impl Preview {
    /// The middle axial slice of a volume in RAS order, front up.
    pub fn of(
        image: ArrayView3<'_, f32>,
        truth: ArrayView3<'_, bool>,
        prediction: ArrayView3<'_, bool>,
    ) -> Self {
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
                let pixel = if on_outline(&prediction, x, y, z) {
                    PREDICTION
                } else if on_outline(&truth, x, y, z) {
                    TRUTH
                } else {
                    // The cast saturates, so a stray value cannot wrap around.
                    [((image[[x, y, z]] - low) * scale).round() as u8; 3]
                };
                rgb.extend(pixel);
            }
        }
        Self { width, height, rgb }
    }
}

fn on_outline(mask: &ArrayView3<'_, bool>, x: usize, y: usize, z: usize) -> bool {
    let inside = |x: usize, y: usize| mask.get([x, y, z]).copied().unwrap_or(false);
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
}
