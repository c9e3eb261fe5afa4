//! A scan in three planes with what is true and what is predicted.

use std::path::Path;

use ndarray::{ArrayView3, Axis};

use super::PlotError;
use super::drawing::{BLACK, Colour, Drawing, Point, WHITE};
use super::section::{Section, Turn, window};
use super::structures::{Legend, ROW, fillings_and_lines, richest};
use super::text::{Align, shortened, text_width};
use crate::volume::{Structures, Volume};

/// A scan with its true and its predicted class map, all on one grid.
///
/// Shows the axial, coronal and sagittal slices, after turning the voxel axes to the nearest of right, anterior and
/// superior. The patient's right is on the right. Of one mask, they lie at the centroid of the true one, and both are
/// outlined. Of several structures, they lie where most of the true ones occur; the truth is a faint filling and the
/// prediction a line, in a colour for each structure ([`structure_colour`](super::structure_colour)).
#[derive(Clone, Debug)]
pub struct Overlay<'a> {
    /// The scan.
    pub image: &'a Volume<f32>,
    /// The true class map; of one mask, voxels above 0 are inside.
    pub truth: &'a Volume<u8>,
    /// The predicted class map; of one mask, voxels above 0 are inside.
    pub prediction: &'a Volume<u8>,
    /// What the maps mean.
    pub structures: &'a Structures,
    /// The line above the picture, such as the case and its IoU.
    pub title: String,
}

const WIDTH: f64 = 1200.0;
const GAP: f64 = 8.0;
const HEADER: f64 = 92.0;
/// The middle of the legend's first row.
const LEGEND: f64 = 64.0;
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
        let [axial, ..] = self.planes()?.0;
        let (width, height) = axial.section.size_mm();
        let pixels = |mm: f64| (mm * SLICE_PIXELS_PER_MM).round().max(1.0);
        let mut on = Drawing::new((pixels(width) as u32, pixels(height) as u32), BLACK);
        axial.section.draw(&mut on, (0.0, 0.0), SLICE_PIXELS_PER_MM);
        let rgb = on.pixels().map_err(|why| PlotError::Drawing {
            stem: self.title.clone(),
            why,
        })?;
        let (width, height) = (rgb.width() as usize, rgb.height() as usize);
        Ok((rgb.into_raw(), width, height))
    }

    fn draw(&self) -> Result<Drawing, PlotError> {
        let (planes, legend) = self.planes()?;
        let sizes = planes.each_ref().map(|plane| plane.section.size_mm());
        let across: f64 = sizes.iter().map(|(width, _)| width).sum();
        let tallest = sizes.iter().map(|(_, height)| *height).fold(0.0, f64::max);
        let scale = (WIDTH - 4.0 * GAP) / across;
        let rows = legend.as_ref().map_or(1, Legend::rows);
        let header = HEADER + ROW * (rows - 1) as f64;
        let height = header + tallest * scale + GAP;
        let mut on = Drawing::new((WIDTH as u32, height.ceil() as u32), BLACK);
        let title = shortened(&self.title, TITLE_SIZE, WIDTH - 4.0 * GAP);
        on.text(&title, (2.0 * GAP, 26.0), TITLE_SIZE, Align::Start, WHITE);
        match &legend {
            Some(legend) => legend.draw(&mut on, (2.0 * GAP, LEGEND)),
            None => draw_legend(&mut on),
        }
        let mut left = GAP;
        for (plane, (width, height)) in planes.iter().zip(sizes) {
            let top = header + (tallest - height) * scale / 2.0;
            plane.draw(&mut on, (left, top), scale);
            left += width * scale + GAP;
        }
        Ok(on)
    }

    /// The three planes, and the legend where there are several structures.
    fn planes(&self) -> Result<([Plane<'_>; 3], Option<Legend>), PlotError> {
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
        let middle = || [0, 1, 2].map(|axis| image.shape()[axis] / 2);
        let window = window(&self.image.voxels.view());
        const LETTERS: [[&str; 4]; 3] = [
            ["P", "A", "I", "S"],
            ["L", "R", "I", "S"],
            ["L", "R", "P", "A"],
        ];
        if !self.structures.is_mask() {
            let at = richest(truth, self.structures)
                .or_else(|| richest(prediction, self.structures))
                .unwrap_or_else(middle);
            let classes = [2, 1, 0].map(|normal| {
                [truth, prediction].map(|map| map.index_axis_move(Axis(normal), at[normal]))
            });
            let legend = Legend::of(&classes, self.structures, WIDTH - 4.0 * GAP);
            let plane = |place: usize| {
                let (normal, [truth, prediction]) = (2 - place, classes[place]);
                let drawn = fillings_and_lines(truth, prediction, self.structures);
                Plane {
                    section: Section::drawn_on((normal, at[normal]), image, drawn, spacing, window),
                    letters: LETTERS[normal],
                }
            };
            return Ok(([0, 1, 2].map(plane), Some(legend)));
        }
        let centre = centroid(truth)
            .or_else(|| centroid(prediction))
            .unwrap_or_else(middle);
        let masks = [
            (truth, TRUTH, TRUTH_WIDTH),
            (prediction, PREDICTION, PREDICTION_WIDTH),
        ];
        let plane = |normal: usize| Plane {
            section: Section::new((normal, centre[normal]), image, masks, spacing, window),
            letters: LETTERS[normal],
        };
        Ok(([2, 1, 0].map(plane), None))
    }
}

/// The voxel nearest to the centroid of the mask.
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

/// A section with the letters of the directions left, right, down and up.
struct Plane<'a> {
    section: Section<'a>,
    letters: [&'static str; 4],
}

impl Plane<'_> {
    /// Draws the section with both outlines and the letters, `scale` pixels per mm.
    fn draw(&self, on: &mut Drawing, (x, y): Point, scale: f64) {
        self.section.draw(on, (x, y), scale);
        let (width, height) = self.section.size_mm();
        let (width, height) = (width * scale, height * scale);
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
}

fn draw_legend(on: &mut Drawing) {
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
            on.path(vec![(left, LEGEND), (left + 36.0, LEGEND)], *colour, *width);
        }
        on.text(label, (left + 46.0, LEGEND), TEXT_SIZE, Align::Start, WHITE);
        left += 46.0 + text_width(label, TEXT_SIZE) + 36.0;
    }
}
