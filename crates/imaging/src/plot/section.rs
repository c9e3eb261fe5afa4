//! Plane sections through a head: which voxel axes point where, grey values, and outlines of masks.

use image::RgbImage;
use ndarray::{Array2, ArrayView2, ArrayView3, Axis, CowArray, Ix2};

use super::drawing::{Colour, Drawing, Picture, Point};
use super::outline::outlines;
use crate::volume::Affine;
use crate::volume::orientation::AxisCodes;

/// Which voxel axes point to the right, to the front and up, and which of them are reversed for that.
pub(super) struct Turn {
    order: [usize; 3],
    reversed: [bool; 3],
}

impl Turn {
    pub(super) fn to_ras(affine: &Affine) -> Self {
        let codes = AxisCodes::of(affine).letters();
        let mut turn = Self {
            order: [0, 1, 2],
            reversed: [false; 3],
        };
        for (axis, code) in codes.into_iter().enumerate() {
            let (world, reversed) = match code {
                'R' => (0, false),
                'L' => (0, true),
                'A' => (1, false),
                'P' => (1, true),
                'S' => (2, false),
                _ => (2, true),
            };
            turn.order[world] = axis;
            turn.reversed[world] = reversed;
        }
        turn
    }

    /// Distance between neighbouring voxels along the turned axes, in mm.
    pub(super) fn spacing(&self, affine: &Affine) -> [f64; 3] {
        self.order.map(|axis| affine.spacing()[axis])
    }

    pub(super) fn view<'v, T>(&self, voxels: ArrayView3<'v, T>) -> ArrayView3<'v, T> {
        let mut view = voxels.permuted_axes(self.order);
        for (axis, reversed) in self.reversed.into_iter().enumerate() {
            if reversed {
                view.invert_axis(Axis(axis));
            }
        }
        view
    }
}

/// The intensities shown as black and as white: the 1st and the 99th percentile.
pub(super) fn window(image: &ArrayView3<'_, f32>) -> (f32, f32) {
    let mut values: Vec<f32> = image
        .iter()
        .copied()
        .filter(|value| value.is_finite())
        .collect();
    if values.is_empty() {
        return (0.0, 1.0);
    }
    let last = values.len() - 1;
    let mut percentile = |part: usize| {
        let (_, value, _) = values.select_nth_unstable_by(last * part / 100, f32::total_cmp);
        *value
    };
    (percentile(1), percentile(99))
}

/// A mask that is outlined, and the line's width in pixels; later lines cover earlier ones.
pub(super) struct Line<'a> {
    pub(super) mask: CowArray<'a, u8, Ix2>,
    pub(super) colour: Colour,
    pub(super) width: f64,
}

/// A mask whose voxels get a part of a colour.
pub(super) struct Tint {
    pub(super) mask: Array2<u8>,
    pub(super) colour: Colour,
    pub(super) opacity: f64,
}

/// One section: the first index runs to the right, the second up.
pub(super) struct Section<'a> {
    image: ArrayView2<'a, f32>,
    tints: Vec<Tint>,
    lines: Vec<Line<'a>>,
    /// Size of a pixel in mm, across and up.
    spacing: [f64; 2],
    window: (f32, f32),
}

impl<'a> Section<'a> {
    /// The section at `index` along the axis `normal` through turned volumes of one shape.
    pub(super) fn new(
        (normal, index): (usize, usize),
        image: ArrayView3<'a, f32>,
        masks: impl IntoIterator<Item = (ArrayView3<'a, u8>, Colour, f64)>,
        spacing: [f64; 3],
        window: (f32, f32),
    ) -> Self {
        let lines = masks.into_iter().map(|(mask, colour, width)| Line {
            mask: mask.index_axis_move(Axis(normal), index).into(),
            colour,
            width,
        });
        Self::drawn_on(
            (normal, index),
            image,
            (Vec::new(), lines.collect()),
            spacing,
            window,
        )
    }

    /// The section at `index` along the axis `normal` through a turned scan, with what is drawn on it.
    pub(super) fn drawn_on(
        (normal, index): (usize, usize),
        image: ArrayView3<'a, f32>,
        (tints, lines): (Vec<Tint>, Vec<Line<'a>>),
        spacing: [f64; 3],
        window: (f32, f32),
    ) -> Self {
        let (across, up) = match normal {
            0 => (1, 2),
            1 => (0, 2),
            _ => (0, 1),
        };
        Self {
            image: image.index_axis_move(Axis(normal), index),
            tints,
            lines,
            spacing: [spacing[across], spacing[up]],
            window,
        }
    }

    /// Width and height.
    pub(super) fn size_mm(&self) -> (f64, f64) {
        let (across, up) = self.image.dim();
        (across as f64 * self.spacing[0], up as f64 * self.spacing[1])
    }

    /// Draws the section and its outlines, `scale` pixels per mm.
    pub(super) fn draw(&self, on: &mut Drawing, corner: Point, scale: f64) {
        let (width, height) = self.size_mm();
        let size = (width * scale, height * scale);
        on.pictures.push(Picture {
            pixels: self.tinted(),
            corner,
            size,
        });
        let [across, up] = self.spacing.map(|mm| mm * scale);
        let place = |(x, y): Point| (corner.0 + x * across, corner.1 + size.1 - y * up);
        for line in &self.lines {
            for outline in outlines(&line.mask.view()) {
                let points = outline.into_iter().map(place).collect();
                on.path(points, line.colour, line.width);
            }
        }
    }

    fn tinted(&self) -> RgbImage {
        let mut pixels = self.grey();
        let rows = self.image.ncols();
        for tint in &self.tints {
            let (red, green, blue) = tint.colour;
            for ((x, y), _) in tint.mask.indexed_iter().filter(|(_, is)| **is != 0) {
                let pixel = pixels.get_pixel_mut(x as u32, (rows - 1 - y) as u32);
                for (value, colour) in pixel.0.iter_mut().zip([red, green, blue]) {
                    let mixed =
                        f64::from(*value) * (1.0 - tint.opacity) + f64::from(colour) * tint.opacity;
                    *value = mixed.round() as u8;
                }
            }
        }
        pixels
    }

    fn grey(&self) -> RgbImage {
        let (across, up) = self.image.dim();
        let (low, high) = self.window;
        let scale = if high > low {
            255.0 / (high - low)
        } else {
            0.0
        };
        RgbImage::from_fn(across as u32, up as u32, |x, row| {
            let value = self.image[[x as usize, up - 1 - row as usize]];
            // The cast keeps within 0 and 255.
            image::Rgb([((value - low) * scale) as u8; 3])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    #[test]
    fn every_orientation_is_turned_to_right_front_and_top() {
        let psr = Affine([
            [0.0, 0.0, 3.0, 0.0],
            [-1.0, 0.0, 0.0, 0.0],
            [0.0, 2.0, 0.0, 0.0],
            [0.0, 0.0, 0.0, 1.0],
        ]);
        let las = Affine::diagonal([-3.0, 1.0, 2.0], [0.0; 3]);
        for (affine, shape, at) in [(psr, [6, 7, 5], [0, 6, 4]), (las, [5, 6, 7], [0, 5, 6])] {
            // The brightest voxel lies at the right, the front and the top.
            let mut voxels = Array3::<f32>::zeros(shape);
            voxels[at] = 1.0;
            let turn = Turn::to_ras(&affine);
            let view = turn.view(voxels.view());
            assert_eq!(view.dim(), (5, 6, 7));
            assert_eq!(view[[4, 5, 6]], 1.0);
            assert_eq!(turn.spacing(&affine), [3.0, 1.0, 2.0]);
        }
    }
}
