//! A scan in three planes with the outlines of the true and of the predicted mask.

use std::path::Path;

use image::RgbImage;
use ndarray::{ArrayView2, ArrayView3, Axis};

use super::PlotError;
use super::drawing::{BLACK, Colour, Drawing, Picture, Point, WHITE};
use super::outline::outlines;
use super::text::{Align, shortened, text_width};
use crate::volume::orientation::AxisCodes;
use crate::volume::{Affine, Volume};

/// A scan with its true and its predicted mask, all on one grid.
///
/// Shown are the axial, coronal and sagittal slices through the centroid of the true mask, after
/// turning the voxel axes to the nearest of right, anterior and superior. The patient's right is on
/// the right.
#[derive(Clone, Debug)]
pub struct Overlay<'a> {
    /// The scan.
    pub image: &'a Volume<f32>,
    /// The true mask; voxels above 0 are inside.
    pub truth: &'a Volume<u8>,
    /// The predicted mask; voxels above 0 are inside.
    pub prediction: &'a Volume<u8>,
    /// The line above the picture, such as the case and its IoU.
    pub title: String,
}

const WIDTH: f64 = 1200.0;
const GAP: f64 = 8.0;
const HEADER: f64 = 92.0;
const TITLE_SIZE: f64 = 22.0;
const TEXT_SIZE: f64 = 18.0;
/// Bluish green and orange differ for colour-blind readers too, as do the widths.
const TRUTH: Colour = (0, 200, 150);
const PREDICTION: Colour = (255, 120, 0);
/// Where the outlines coincide, the narrow one lies on the wide one and both are seen.
const TRUTH_WIDTH: f64 = 4.6;
const PREDICTION_WIDTH: f64 = 2.0;
/// Resolution of the slice given to TensorBoard.
const SLICE_PIXELS_PER_MM: f64 = 2.0;

impl Overlay<'_> {
    /// Writes `<stem>.png` (1200 pixels wide) and `<stem>.svg` into `folder`, which is created if
    /// missing.
    ///
    /// # Errors
    ///
    /// When the scan and the masks have different shapes or a file cannot be written.
    pub fn save(&self, folder: &Path, stem: &str) -> Result<(), PlotError> {
        self.draw()?.save(folder, stem)
    }

    /// The axial slice with the outlines as RGB bytes, row by row, and its width and height in
    /// pixels of 0.5 mm.
    ///
    /// # Errors
    ///
    /// When the scan and the masks have different shapes.
    pub fn slice_rgb(&self) -> Result<(Vec<u8>, usize, usize), PlotError> {
        let [axial, ..] = self.planes()?;
        let (width, height) = axial.size_mm();
        let pixels = |mm: f64| (mm * SLICE_PIXELS_PER_MM).round().max(1.0);
        let mut on = Drawing::new((pixels(width) as u32, pixels(height) as u32), BLACK);
        axial.draw(&mut on, (0.0, 0.0), SLICE_PIXELS_PER_MM);
        let rgb = on.pixels().map_err(|why| PlotError::Drawing {
            stem: self.title.clone(),
            why,
        })?;
        let (width, height) = (rgb.width() as usize, rgb.height() as usize);
        Ok((rgb.into_raw(), width, height))
    }

    fn draw(&self) -> Result<Drawing, PlotError> {
        let planes = self.planes()?;
        let sizes = planes.each_ref().map(Plane::size_mm);
        let across: f64 = sizes.iter().map(|(width, _)| width).sum();
        let tallest = sizes.iter().map(|(_, height)| *height).fold(0.0, f64::max);
        let scale = (WIDTH - 4.0 * GAP) / across;
        let height = HEADER + tallest * scale + GAP;
        let mut on = Drawing::new((WIDTH as u32, height.ceil() as u32), BLACK);
        let title = shortened(&self.title, TITLE_SIZE, WIDTH - 4.0 * GAP);
        on.text(&title, (2.0 * GAP, 26.0), TITLE_SIZE, Align::Start, WHITE);
        draw_legend(&mut on);
        let mut left = GAP;
        for (plane, (width, height)) in planes.iter().zip(sizes) {
            let top = HEADER + (tallest - height) * scale / 2.0;
            plane.draw(&mut on, (left, top), scale);
            plane.draw_letters(&mut on, (left, top), scale);
            left += width * scale + GAP;
        }
        Ok(on)
    }

    fn planes(&self) -> Result<[Plane<'_>; 3], PlotError> {
        let shapes = [
            self.image.shape(),
            self.truth.shape(),
            self.prediction.shape(),
        ];
        if shapes
            .iter()
            .any(|shape| *shape != shapes[0] || shape.contains(&0))
        {
            let [image, truth, prediction] = shapes;
            let title = self.title.clone();
            return Err(PlotError::Shapes {
                title,
                image,
                truth,
                prediction,
            });
        }
        let affine = &self.image.affine;
        let turn = Turn::to_ras(affine);
        let (image, truth, prediction) = (
            turn.view(self.image.voxels.view()),
            turn.view(self.truth.voxels.view()),
            turn.view(self.prediction.voxels.view()),
        );
        let spacing = turn.spacing(affine);
        let centre = centroid(truth)
            .or_else(|| centroid(prediction))
            .unwrap_or_else(|| turn.order.map(|axis| self.image.shape()[axis] / 2));
        let window = window(&self.image.voxels.view());
        // Each plane's normal, then what runs to the right and up, with the letters at its edges.
        let plane = |normal: usize, letters: [&'static str; 4]| {
            let slice = |axis| (Axis(axis), centre[axis]);
            let (axis, index) = slice(normal);
            let in_plane: Vec<f64> = (0..3)
                .filter(|a| *a != normal)
                .map(|a| spacing[a])
                .collect();
            Plane {
                image: image.index_axis_move(axis, index),
                truth: truth.index_axis_move(axis, index),
                prediction: prediction.index_axis_move(axis, index),
                spacing: [in_plane[0], in_plane[1]],
                window,
                letters,
            }
        };
        Ok([
            plane(2, ["L", "R", "P", "A"]),
            plane(1, ["L", "R", "I", "S"]),
            plane(0, ["P", "A", "I", "S"]),
        ])
    }
}

/// Which voxel axes run to the right, to the front and up, and which of them must be turned round.
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
        for (axis, _) in self
            .reversed
            .iter()
            .enumerate()
            .filter(|(_, reversed)| **reversed)
        {
            view.invert_axis(Axis(axis));
        }
        view
    }
}

/// The voxel nearest the mean position of those inside.
fn centroid(mask: ArrayView3<'_, u8>) -> Option<[usize; 3]> {
    let mut sums = [0usize; 3];
    let mut count = 0;
    for ((x, y, z), _) in mask.indexed_iter().filter(|(_, label)| **label > 0) {
        count += 1;
        for (sum, index) in sums.iter_mut().zip([x, y, z]) {
            *sum += index;
        }
    }
    (count > 0).then(|| sums.map(|sum| (sum + count / 2) / count))
}

/// The intensities shown black and white: the 1st and the 99th percentile.
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

/// One slice: the first index runs to the right, the second up.
struct Plane<'a> {
    image: ArrayView2<'a, f32>,
    truth: ArrayView2<'a, u8>,
    prediction: ArrayView2<'a, u8>,
    /// Size of a pixel in mm, across and up.
    spacing: [f64; 2],
    window: (f32, f32),
    /// What lies left, right, below and above.
    letters: [&'static str; 4],
}

impl Plane<'_> {
    fn size_mm(&self) -> (f64, f64) {
        let (across, up) = self.image.dim();
        (across as f64 * self.spacing[0], up as f64 * self.spacing[1])
    }

    /// Draws the slice and both outlines, `scale` pixels per mm.
    fn draw(&self, on: &mut Drawing, corner: Point, scale: f64) {
        let (width, height) = self.size_mm();
        let size = (width * scale, height * scale);
        on.pictures.push(Picture {
            pixels: self.grey(),
            corner,
            size,
        });
        let [across, up] = self.spacing.map(|mm| mm * scale);
        let place = |(x, y): Point| (corner.0 + x * across, corner.1 + size.1 - y * up);
        let masks = [
            (&self.truth, TRUTH, TRUTH_WIDTH),
            (&self.prediction, PREDICTION, PREDICTION_WIDTH),
        ];
        for (mask, colour, width) in masks {
            for line in outlines(mask) {
                on.path(line.into_iter().map(place).collect(), colour, width);
            }
        }
    }

    fn draw_letters(&self, on: &mut Drawing, corner: Point, scale: f64) {
        let (width, height) = self.size_mm();
        let (width, height) = (width * scale, height * scale);
        let (x, y) = corner;
        let places = [
            (x + 12.0, y + height / 2.0),
            (x + width - 12.0, y + height / 2.0),
            (x + width / 2.0, y + height - 14.0),
            (x + width / 2.0, y + 14.0),
        ];
        for (letter, at) in self.letters.into_iter().zip(places) {
            // A dark rim keeps the letter legible on bright tissue.
            for shift in [(-1.2, 0.0), (1.2, 0.0), (0.0, -1.2), (0.0, 1.2)] {
                let rim = (at.0 + shift.0, at.1 + shift.1);
                on.text(letter, rim, TEXT_SIZE, Align::Middle, BLACK);
            }
            on.text(letter, at, TEXT_SIZE, Align::Middle, WHITE);
        }
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

fn draw_legend(on: &mut Drawing) {
    const Y: f64 = 64.0;
    let mut left = 2.0 * GAP;
    for (label, widths) in [
        ("true outline", &[(TRUTH, TRUTH_WIDTH)][..]),
        ("predicted outline", &[(PREDICTION, PREDICTION_WIDTH)]),
        (
            "both",
            &[(TRUTH, TRUTH_WIDTH), (PREDICTION, PREDICTION_WIDTH)],
        ),
    ] {
        for (colour, width) in widths {
            on.path(vec![(left, Y), (left + 36.0, Y)], *colour, *width);
        }
        on.text(label, (left + 46.0, Y), TEXT_SIZE, Align::Start, WHITE);
        left += 46.0 + text_width(label, TEXT_SIZE) + 36.0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::Array3;

    /// A head-like scan in any orientation: one voxel is brightest, to the right, front and top.
    fn marked(affine: Affine, shape: [usize; 3], marked: [usize; 3]) -> Volume<f32> {
        let mut voxels = Array3::zeros(shape);
        voxels[marked] = 1.0;
        Volume { voxels, affine }
    }

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
            let image = marked(affine, shape, at);
            let turn = Turn::to_ras(&affine);
            let view = turn.view(image.voxels.view());
            assert_eq!(view.dim(), (5, 6, 7));
            assert_eq!(view[[4, 5, 6]], 1.0);
            assert_eq!(
                turn.order.map(|axis| affine.spacing()[axis]),
                [3.0, 1.0, 2.0]
            );
        }
    }
}
