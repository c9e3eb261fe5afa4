//! The legend of a plot.
//!
//! Not the series labels of `plotters`: they cover data, and long or many names leave the picture.

use super::axis::{Frame, TICK_SIZE};
use super::drawing::{Colour, DARK_GREY, Drawing, Point, Shape};
use super::parts::draw_rimmed;
use super::text::{Align, shortened, text_width};

/// More entries do not fit into the frame's height.
pub(super) const MOST_ENTRIES: usize = 20;
pub(super) const BAND: Colour = (120, 120, 120);
pub(super) const BAND_OPACITY: f64 = 0.25;
const TEXT: f64 = 270.0;
const SAMPLE: f64 = 34.0;
const ROW: f64 = 30.0;

/// One name with its sample.
pub(super) struct Entry {
    label: String,
    colour: Colour,
    sample: Sample,
}

impl Entry {
    pub(super) fn new(label: &str, colour: Colour, sample: Sample) -> Self {
        Self {
            label: shortened(label, TICK_SIZE, TEXT),
            colour,
            sample,
        }
    }
}

pub(super) enum Sample {
    /// A line of this width.
    Line(f64),
    /// A thin coloured line with a dark rim.
    Rimmed,
    Dashes,
    Dot,
    Ring,
    Band,
    None,
}

/// How wide the legend and the space before it are.
pub(super) fn legend_width(legend: &[Entry]) -> f64 {
    let text = legend
        .iter()
        .map(|entry| text_width(&entry.label, TICK_SIZE))
        .fold(0.0, f64::max);
    if legend.is_empty() {
        0.0
    } else {
        SAMPLE + 18.0 + text
    }
}

/// Draws the legend to the right of the frame, where it covers no data.
pub(super) fn draw_legend(on: &mut Drawing, frame: &Frame, legend: &[Entry]) {
    let left = frame.right + 20.0;
    for (row, entry) in legend.iter().enumerate() {
        let y = frame.top + ROW * (row as f64 + 0.5);
        let (from, to): (Point, Point) = ((left, y), (left + SAMPLE - 10.0, y));
        match entry.sample {
            Sample::Line(width) => on.path(vec![from, to], entry.colour, width),
            Sample::Rimmed => draw_rimmed(on, vec![from, to], entry.colour),
            Sample::Dot => on.dot(((from.0 + to.0) / 2.0, from.1), 4.0, entry.colour),
            Sample::Ring => on.ring(((from.0 + to.0) / 2.0, from.1), 5.0, entry.colour),
            Sample::Dashes => on.dashes(from, to, entry.colour, 2.0),
            Sample::Band => {
                let points = [
                    (from.0, y - 8.0),
                    (to.0, y - 8.0),
                    (to.0, y + 8.0),
                    (from.0, y + 8.0),
                ];
                on.shapes.push(Shape::Area {
                    points: points.into(),
                    colour: BAND,
                    opacity: BAND_OPACITY,
                });
            }
            Sample::None => {}
        }
        on.text(
            &entry.label,
            (left + SAMPLE, y),
            TICK_SIZE,
            Align::Start,
            DARK_GREY,
        );
    }
}
