//! Samples of one case side by side, each in up to three planes with its mask's outline, or its structures in their
//! colours.

use std::path::Path;
use std::sync::Arc;

use ndarray::{Array3, Axis};

use super::PlotError;
use super::drawing::{BLACK, Colour, Drawing, Point, WHITE};
use super::section::{Section, Turn, window};
use super::structures::fillings_and_lines;
use super::text::{Align, shortened, wrapped};
use crate::volume::{Affine, Structures};

/// Samples of one case, drawn as tiles in rows.
///
/// Shows the middle slices of the grid, after turning the voxel axes to the nearest of right, anterior and superior:
/// the patient's right is on the right, the front and the top are up. All tiles of an image use its first tile's
/// intensities for black and white.
#[derive(Clone, Debug)]
pub struct ContactSheet {
    /// The line above all tiles.
    pub title: String,
    /// The slices of each tile, from left to right.
    pub planes: Vec<SlicePlane>,
    /// The tiles, row by row.
    pub tiles: Vec<Tile>,
    /// Images of a sample: as many tiles follow each other, in one row.
    pub images: usize,
    /// What the masks' classes stand for.
    pub structures: Arc<Structures>,
}

/// An image of a sample.
#[derive(Clone, Debug)]
pub struct Tile {
    /// The intensities.
    pub image: Array3<f32>,
    /// The class of each voxel; of a mask, voxels above 0 are inside.
    pub mask: Array3<u8>,
    /// Voxel index to world position in mm.
    pub affine: Affine,
    /// The line above it.
    pub heading: String,
    /// Texts below the heading; wrapped into lines as needed.
    pub notes: Vec<String>,
}

/// A plane through a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SlicePlane {
    /// Seen from above.
    Axial,
    /// Seen from behind.
    Coronal,
    /// Seen from the right.
    Sagittal,
}

impl SlicePlane {
    /// The axis (right, anterior or superior) that the plane is perpendicular to.
    fn normal(self) -> usize {
        match self {
            Self::Axial => 2,
            Self::Coronal => 1,
            Self::Sagittal => 0,
        }
    }
}

const WIDTH: f64 = 1600.0;
const GAP: f64 = 12.0;
const HEADER: f64 = 68.0;
const TITLE_SIZE: f64 = 22.0;
const HEADING_SIZE: f64 = 15.0;
const NOTE_SIZE: f64 = 13.0;
const LINE: f64 = 17.0;
/// The narrowest tile, for each slice it has.
const SLICE_WIDTH: f64 = 165.0;
const OUTLINE: Colour = (0, 200, 150);
const OUTLINE_WIDTH: f64 = 1.6;
const GREY: Colour = (190, 190, 190);

impl ContactSheet {
    /// Writes the sheet as a PNG, 1600 pixels wide.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), PlotError> {
        self.draw().save_png(path)
    }

    fn draw(&self) -> Drawing {
        let images = self.images.max(1);
        let firsts = self.tiles.iter().take(images);
        let windows: Vec<(f32, f32)> = firsts.map(|tile| window(&tile.image.view())).collect();
        let tiles = self.tiles.iter().zip(windows.iter().cycle());
        let tiles: Vec<Slices> = tiles
            .map(|(tile, window)| self.slices(tile, *window))
            .collect();
        let columns = (((WIDTH - GAP) / (SLICE_WIDTH * self.planes.len() as f64 + GAP)) as usize)
            .clamp(1, tiles.len().max(1));
        // Whole samples in a row, if need be in smaller tiles.
        let columns = (columns - columns % images).max(images);
        let tile_width = (WIDTH - GAP) / columns as f64 - GAP;
        // One scale for all, so that a sample that was shrunk looks smaller.
        let widest = tiles.iter().map(|tile| tile.width_mm()).fold(1.0, f64::max);
        let between = GAP / 3.0;
        let scale = (tile_width - between * (self.planes.len() as f64 - 1.0)) / widest;
        let notes: Vec<Vec<String>> = self
            .tiles
            .iter()
            .map(|tile| broken(&tile.notes, tile_width))
            .collect();
        let rows: Vec<(f64, f64)> = tiles
            .chunks(columns)
            .zip(notes.chunks(columns))
            .map(|(tiles, notes)| {
                let lines = notes.iter().map(Vec::len).max().unwrap_or(0);
                let tallest = tiles
                    .iter()
                    .map(|tile| tile.height_mm())
                    .fold(0.0, f64::max);
                (LINE * (lines as f64 + 1.0) + 6.0, tallest * scale)
            })
            .collect();
        let height: f64 = rows
            .iter()
            .map(|(text, slices)| text + slices + 1.5 * GAP)
            .sum();
        let mut on = Drawing::new((WIDTH as u32, (HEADER + height).ceil() as u32), BLACK);
        self.draw_header(&mut on);
        let mut top = HEADER;
        for (row, (text, slices)) in rows.into_iter().enumerate() {
            let row = row * columns..tiles.len().min((row + 1) * columns);
            for (column, at) in row.enumerate() {
                let left = GAP + column as f64 * (tile_width + GAP);
                let mut line = top + LINE / 2.0;
                let heading = shortened(&self.tiles[at].heading, HEADING_SIZE, tile_width);
                on.text(&heading, (left, line), HEADING_SIZE, Align::Start, WHITE);
                for note in &notes[at] {
                    line += LINE;
                    on.text(note, (left, line), NOTE_SIZE, Align::Start, GREY);
                }
                tiles[at].draw(&mut on, (left, top + text), slices, scale, between);
            }
            top += text + slices + 1.5 * GAP;
        }
        on
    }

    fn draw_header(&self, on: &mut Drawing) {
        let title = shortened(&self.title, TITLE_SIZE, WIDTH - 2.0 * GAP);
        on.text(&title, (GAP, 22.0), TITLE_SIZE, Align::Start, WHITE);
        on.path(vec![(GAP, 49.0), (GAP + 30.0, 49.0)], OUTLINE, 3.0);
        let legend = match self.structures.is_mask() {
            true => {
                "the mask's outline; the patient's left is on the left, the front or the top is up"
            }
            false => {
                "each structure in its colour; the patient's left is on the left, the front or the top is up"
            }
        };
        on.text(legend, (GAP + 40.0, 49.0), HEADING_SIZE, Align::Start, GREY);
    }

    fn slices<'a>(&self, tile: &'a Tile, window: (f32, f32)) -> Slices<'a> {
        let turn = Turn::to_ras(&tile.affine);
        let (image, mask) = (turn.view(tile.image.view()), turn.view(tile.mask.view()));
        let spacing = turn.spacing(&tile.affine);
        // An empty image or a mask of another shape has no slices.
        if image.dim() != mask.dim() || image.is_empty() {
            return Slices(Vec::new());
        }
        let slice = |plane: &SlicePlane| {
            let at = (plane.normal(), image.shape()[plane.normal()] / 2);
            if self.structures.is_mask() {
                return Section::new(at, image, [(mask, OUTLINE, OUTLINE_WIDTH)], spacing, window);
            }
            let classes = mask.index_axis_move(Axis(at.0), at.1);
            let drawn = fillings_and_lines(classes, classes, &self.structures);
            Section::drawn_on(at, image, drawn, spacing, window)
        };
        Slices(self.planes.iter().map(slice).collect())
    }
}

/// A tile's slices, side by side.
struct Slices<'a>(Vec<Section<'a>>);

impl Slices<'_> {
    fn width_mm(&self) -> f64 {
        self.0.iter().map(|slice| slice.size_mm().0).sum()
    }

    fn height_mm(&self) -> f64 {
        self.0
            .iter()
            .map(|slice| slice.size_mm().1)
            .fold(0.0, f64::max)
    }

    /// Draws the slices into a strip that is `height` pixels high.
    fn draw(&self, on: &mut Drawing, (left, top): Point, height: f64, scale: f64, gap: f64) {
        let mut left = left;
        for slice in &self.0 {
            let (width_mm, height_mm) = slice.size_mm();
            slice.draw(on, (left, top + (height - height_mm * scale) / 2.0), scale);
            left += width_mm * scale + gap;
        }
    }
}

/// All notes in lines no wider than `width`.
fn broken(notes: &[String], width: f64) -> Vec<String> {
    let lines = notes
        .iter()
        .flat_map(|note| wrapped(note, NOTE_SIZE, width, "  "));
    lines
        .map(|line| shortened(&line, NOTE_SIZE, width))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::super::drawing::Shape;
    use super::super::structure_colour;
    use super::*;
    use crate::volume::{Named, Undeclared};
    use ndarray::s;

    /// A head of one bright voxel.
    fn tile(notes: &[&str], affine: Affine, shape: [usize; 3], marked: [usize; 3]) -> Tile {
        let mut image = Array3::zeros(shape);
        image[marked] = 1.0;
        Tile {
            mask: Array3::zeros(shape),
            image,
            affine,
            heading: "epoch 1".into(),
            notes: notes.iter().map(|note| (*note).to_owned()).collect(),
        }
    }

    fn sheet(planes: &[SlicePlane], tiles: Vec<Tile>) -> ContactSheet {
        ContactSheet {
            title: "sub-01".into(),
            planes: planes.to_vec(),
            tiles,
            images: 1,
            structures: Arc::default(),
        }
    }

    const ALL: [SlicePlane; 3] = [SlicePlane::Axial, SlicePlane::Coronal, SlicePlane::Sagittal];

    #[test]
    fn texts_stay_apart_however_many_there_are() {
        let affine = Affine::diagonal([2.0; 3], [0.0; 3]);
        let long = "a transform with a very long name and more numbers than would fit on a line of a tile: 1, 2, 3, 4, 5, 6, 7";
        for planes in [&ALL[..], &ALL[..1]] {
            for count in [1, 2, 7, 13] {
                let notes = [
                    long,
                    "flip",
                    "anunbreakablewordthatgoesonandonandonandonandonandonandonandonandon",
                ];
                let tiles =
                    (0..count).map(|n| tile(&notes[..n % 4], affine, [8, 9, 10], [0, 0, 0]));
                sheet(planes, tiles.collect())
                    .draw()
                    .assert_texts_are_apart();
            }
        }
    }

    fn heading(shape: &Shape) -> Option<Point> {
        match shape {
            Shape::Text(text) if text.text == "epoch 1" => Some(text.at),
            _ => None,
        }
    }

    #[test]
    fn the_images_of_a_sample_stand_in_one_row_each_in_its_own_grey() {
        let affine = Affine::diagonal([2.0; 3], [0.0; 3]);
        for images in [2, 3, 5] {
            // Each image as bright as its place, everywhere but in one voxel.
            let tiles = (0..2 * images).map(|n| {
                let mut tile = tile(&[], affine, [8, 8, 8], [0, 0, 0]);
                tile.image = tile.image.mapv(|value| value * 10.0_f32.powi(n % images));
                tile
            });
            let several = ContactSheet {
                images: images as usize,
                ..sheet(&ALL[..1], tiles.collect())
            };
            let alike = ContactSheet {
                tiles: vec![several.tiles[0].clone(); 2 * images as usize],
                ..several.clone()
            };
            several.draw().assert_texts_are_apart();
            let headings: Vec<Point> = several.draw().shapes.iter().filter_map(heading).collect();
            assert_eq!(headings.len(), 2 * images as usize);
            for sample in headings.chunks(images as usize) {
                assert!(sample.iter().all(|(_, top)| *top == sample[0].1));
            }
            let [several, alike] = [several, alike].map(|sheet| sheet.draw().pixels().unwrap());
            assert!(several == alike, "{images} images");
        }
    }

    #[test]
    fn structures_have_their_colours() {
        let affine = Affine::diagonal([2.0; 3], [0.0; 3]);
        let mut head = tile(&[], affine, [12, 12, 12], [0, 0, 0]);
        head.mask.slice_mut(s![2..6, 2..10, ..]).fill(1);
        head.mask.slice_mut(s![6..10, 2..10, ..]).fill(2);
        let named: Vec<Named> = vec![("left".into(), vec![1]), ("right".into(), vec![2])];
        let labels = Structures::labels(&named, None, Undeclared::Refused).unwrap();
        let coloured = ContactSheet {
            structures: Arc::new(labels),
            ..sheet(&ALL[..1], vec![head])
        };
        let pixels = coloured.draw().pixels().unwrap();
        for structure in 0..2 {
            let (red, green, blue) = structure_colour(structure);
            let outline = pixels
                .pixels()
                .filter(|pixel| pixel.0 == [red, green, blue]);
            assert!(outline.count() > 50, "structure {structure}");
        }
    }

    #[test]
    fn the_front_and_the_top_are_up_and_the_right_is_right() {
        // Stored from right to left: the first voxel along x and the last along y are right and front.
        let las = Affine::diagonal([-1.0, 1.0, 1.0], [0.0; 3]);
        let mut marked = tile(&[], las, [9, 9, 9], [0, 0, 0]);
        marked.image = Array3::from_shape_fn((9, 9, 9), |(x, y, _)| y as f32 - x as f32);
        let on = sheet(&ALL[..1], vec![marked]).draw();
        let grey = &on.pictures[0].pixels;
        let brightest = grey.enumerate_pixels().max_by_key(|(.., pixel)| pixel.0[0]);
        assert_eq!(brightest.map(|(x, y, _)| (x, y)), Some((8, 0)));
    }

    #[test]
    fn one_row_holds_as_many_tiles_as_are_legible_and_all_are_drawn() {
        let affine = Affine::diagonal([1.0; 3], [0.0; 3]);
        let tiles = vec![tile(&[], affine, [8, 9, 10], [0, 0, 0]); 5];
        let on = sheet(&ALL, tiles).draw();
        assert_eq!(on.pictures.len(), 15);
        let tops: std::collections::BTreeSet<u64> = on
            .pictures
            .iter()
            .step_by(3)
            .map(|picture| picture.corner.1 as u64)
            .collect();
        assert_eq!(tops.len(), 2, "three tiles, then two");
    }
}
