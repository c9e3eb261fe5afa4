//! How several structures are drawn on a section: the truth as a faint filling, the prediction as a line, each in its
//! structure's colour.

use ndarray::{Array2, ArrayView2, ArrayView3};

use super::drawing::{BLACK, Colour, Drawing, Point, WHITE};
use super::palette::structure_colour;
use super::section::{Line, Tint};
use super::text::{Align, shortened, text_width};
use crate::volume::Structures;

const FILLING: f64 = 0.4;
/// How much darker voxels are that the truth ignores.
const SHADE: f64 = 0.55;
const LINE_WIDTH: f64 = 2.0;
/// Lines of structures that overlap may run together: later ones are narrower, so that all are seen.
const WIDER: f64 = 1.6;
const MOST_WIDER: usize = 3;

const TEXT_SIZE: f64 = 18.0;
const NAME_WIDTH: f64 = 240.0;
const SAMPLE: f64 = 30.0;
pub(super) const ROW: f64 = 30.0;
/// More names than this are only counted.
const MOST_NAMES: usize = 20;

/// The fillings and lines of one section through a true and a predicted class map.
pub(super) fn fillings_and_lines<'a>(
    truth: ArrayView2<'_, u8>,
    prediction: ArrayView2<'_, u8>,
    structures: &Structures,
) -> (Vec<Tint>, Vec<Line<'a>>) {
    let (mut tints, mut lines) = (Vec::new(), Vec::new());
    for structure in 0..structures.count() {
        let colour = structure_colour(structure);
        if let Some(mask) = mask_of(truth, structures, structure) {
            let opacity = FILLING;
            tints.push(Tint {
                mask,
                colour,
                opacity,
            });
        }
        if let Some(mask) = mask_of(prediction, structures, structure) {
            lines.push(Line {
                mask: mask.into(),
                colour,
                width: line_width(structures, structure),
            });
        }
    }
    if truth.iter().any(|class| *class == Structures::IGNORED) {
        tints.push(Tint {
            mask: truth.mapv(|class| u8::from(class == Structures::IGNORED)),
            colour: BLACK,
            opacity: SHADE,
        });
    }
    (tints, lines)
}

fn mask_of(
    classes: ArrayView2<'_, u8>,
    structures: &Structures,
    structure: usize,
) -> Option<Array2<u8>> {
    let is = |class: &u8| structures.contains(structure, *class);
    let occurs = classes.iter().any(is);
    occurs.then(|| classes.map(|class| u8::from(is(class))))
}

fn line_width(structures: &Structures, structure: usize) -> f64 {
    let later = structures.count() - 1 - structure;
    match structures.is_exclusive() {
        true => LINE_WIDTH,
        false => LINE_WIDTH + WIDER * later.min(MOST_WIDER) as f64,
    }
}

/// Where three sections show most: along each axis the index at which most structures of the truth occur; of several
/// the one nearest to the centroid of all. None where the map has no structure.
pub(super) fn richest(classes: ArrayView3<'_, u8>, structures: &Structures) -> Option<[usize; 3]> {
    let (x, y, z) = classes.dim();
    let mut occurs = [x, y, z].map(|length| vec![[false; 256]; length]);
    let (mut sums, mut count) = ([0usize; 3], 0usize);
    for ((x, y, z), class) in classes.indexed_iter() {
        if matches!(*class, 0 | Structures::IGNORED) {
            continue;
        }
        count += 1;
        for ((axis, index), sum) in occurs.iter_mut().zip([x, y, z]).zip(&mut sums) {
            axis[index][usize::from(*class)] = true;
            *sum += index;
        }
    }
    if count == 0 {
        return None;
    }
    let seen = |classes: &[bool; 256]| {
        let occurs = |structure: &usize| {
            let mut there = (0..=u8::MAX).zip(classes).filter(|(_, is)| **is);
            there.any(|(class, _)| structures.contains(*structure, class))
        };
        (0..structures.count()).filter(occurs).count()
    };
    Some(std::array::from_fn(|axis| {
        let middle = (sums[axis] + count / 2) / count;
        let ranked = occurs[axis].iter().map(seen).enumerate();
        let best = ranked.max_by_key(|(index, seen)| (*seen, usize::MAX - index.abs_diff(middle)));
        best.map_or(middle, |(index, _)| index)
    }))
}

/// A legend in rows.
pub(super) struct Legend {
    entries: Vec<(Sample, String)>,
    /// Where each entry is: its left edge, and its row.
    places: Vec<(f64, usize)>,
}

enum Sample {
    /// A filled square.
    Filling(Colour),
    Line(Colour),
    /// A filled square in its outline.
    Both(Colour),
    Shade,
    None,
}

impl Legend {
    /// The legend of sections that show these class maps, true ones first, in `width` pixels.
    pub(super) fn of(
        sections: &[[ArrayView2<'_, u8>; 2]],
        structures: &Structures,
        width: f64,
    ) -> Self {
        let mut there = [false; 256];
        for class in sections.iter().flatten().flatten() {
            there[usize::from(*class)] = true;
        }
        let occurs = |structure: &usize| {
            let mut classes = (0..=u8::MAX).filter(|class| there[usize::from(*class)]);
            classes.any(|class| structures.contains(*structure, class))
        };
        let shown: Vec<usize> = (0..structures.count()).filter(occurs).collect();
        let names = structures.names();
        let mut entries = vec![
            (Sample::Filling(WHITE), "true".to_owned()),
            (Sample::Line(WHITE), "predicted".to_owned()),
        ];
        if there[usize::from(Structures::IGNORED)] {
            entries.push((Sample::Shade, "ignored".to_owned()));
        }
        let named = match shown.len() > MOST_NAMES {
            true => &shown[..MOST_NAMES - 1],
            false => &shown[..],
        };
        for &structure in named {
            let name = shortened(names[structure], TEXT_SIZE, NAME_WIDTH);
            entries.push((Sample::Both(structure_colour(structure)), name));
        }
        if named.len() < shown.len() {
            let rest = shown.len() - named.len();
            entries.push((Sample::None, format!("and {rest} more")));
        }
        let (mut left, mut row, mut places) = (0.0, 0, Vec::new());
        for (_, text) in &entries {
            let length = SAMPLE + 10.0 + text_width(text, TEXT_SIZE);
            if left + length > width && left > 0.0 {
                (left, row) = (0.0, row + 1);
            }
            places.push((left, row));
            left += length + 28.0;
        }
        Self { entries, places }
    }

    pub(super) fn rows(&self) -> usize {
        self.places.last().map_or(1, |(_, row)| row + 1)
    }

    /// Draws it with the middle of its first row at `y`.
    pub(super) fn draw(&self, on: &mut Drawing, (x, y): Point) {
        for ((sample, text), (left, row)) in self.entries.iter().zip(&self.places) {
            let (left, y) = (x + left, y + ROW * *row as f64);
            let text_at = match sample {
                Sample::None => left,
                _ => left + SAMPLE + 10.0,
            };
            sample.draw(on, (left, y));
            on.text(text, (text_at, y), TEXT_SIZE, Align::Start, WHITE);
        }
    }
}

impl Sample {
    fn draw(&self, on: &mut Drawing, (left, y): Point) {
        let (top, bottom, right) = (y - 8.0, y + 8.0, left + SAMPLE);
        let square = [(left, top), (right, top), (right, bottom), (left, bottom)];
        let outline = || square.into_iter().chain([square[0]]).collect();
        match *self {
            Self::Filling(colour) => on.area(square.into(), colour, FILLING),
            Self::Line(colour) => on.path(vec![(left, y), (right, y)], colour, LINE_WIDTH),
            Self::Both(colour) => {
                on.area(square.into(), colour, FILLING);
                on.path(outline(), colour, LINE_WIDTH);
            }
            Self::Shade => {
                on.area(square.into(), WHITE, 1.0 - SHADE);
                on.area(square.into(), BLACK, SHADE);
            }
            Self::None => {}
        }
    }
}
