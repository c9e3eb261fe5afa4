//! One dot per case: shows the spread and the outliers that a mean hides.
//!
//! Not a chart of `plotters`: its space for names has a fixed width, and it has no swarm of dots that do not touch.

use std::path::Path;

use super::PlotError;
use super::axis::{Axis, Frame, TICK_SIZE};
use super::drawing::{DARK_GREY, Drawing, LIGHT_GREY, SERIES_COLOURS, WHITE};
use super::text::{Align, shortened, text_width};
use crate::statistics::median;

/// A plot of one value per case.
#[derive(Clone, Debug, PartialEq)]
pub struct StripPlot {
    /// What the plot shows.
    pub title: String,
    /// What the values are, with their unit.
    pub label: String,
    /// The cases' names and values. Those that are not finite are left out.
    pub values: Vec<(String, f64)>,
}

const WIDTH: u32 = 1200;
/// With more cases than this, dots lie in one swarm, without names.
const MOST_NAMES: usize = 12;
const ROW: f64 = 32.0;
const NAME_WIDTH: f64 = 280.0;
pub(super) const RADIUS: f64 = 5.0;
const SWARM_HEIGHT: f64 = 240.0;

impl StripPlot {
    /// Writes `<stem>.png` (1200 pixels wide) and `<stem>.svg` into `folder`, which is created if
    /// missing.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path, stem: &str) -> Result<(), PlotError> {
        self.draw().save(folder, stem)
    }

    fn draw(&self) -> Drawing {
        let mut cases: Vec<&(String, f64)> = self
            .values
            .iter()
            .filter(|(_, value)| value.is_finite())
            .collect();
        cases.sort_by(|(a, x), (b, y)| y.total_cmp(x).then_with(|| a.cmp(b)));
        let values: Vec<f64> = cases.iter().map(|(_, value)| *value).collect();
        let named = cases.len() <= MOST_NAMES;
        let names: Vec<String> = cases
            .iter()
            .map(|(name, _)| shortened(name, TICK_SIZE, NAME_WIDTH))
            .collect();
        let widest = names
            .iter()
            .map(|name| text_width(name, TICK_SIZE))
            .fold(0.0, f64::max);

        let body = if named {
            ROW * cases.len().max(3) as f64
        } else {
            SWARM_HEIGHT
        };
        let mut on = Drawing::new((WIDTH, (body + 184.0) as u32), WHITE);
        let frame = Frame {
            left: if named { 44.0 + widest } else { 44.0 },
            top: 100.0,
            right: f64::from(WIDTH) - 44.0,
            bottom: 100.0 + body,
        };
        let (low, high) = limits(&values);
        let x = Axis {
            low,
            high,
            log: false,
            from: frame.left,
            to: frame.right,
        };
        let ticks = x.ticks(8, false);
        frame.x_grid(&mut on, &x, &ticks);
        let mut rows = Vec::new();
        for (row, name) in names.iter().enumerate().filter(|_| named) {
            let y = frame.top + ROW * (row as f64 + 0.5);
            on.path(vec![(frame.left, y), (frame.right, y)], LIGHT_GREY, 1.0);
            on.text(
                name,
                (frame.left - 14.0, y),
                TICK_SIZE,
                Align::End,
                DARK_GREY,
            );
            rows.push(y);
        }
        if !named {
            let across: Vec<f64> = values.iter().map(|value| x.at(*value)).collect();
            let middle = (frame.top + frame.bottom) / 2.0;
            rows = swarm(&across, body / 2.0 - RADIUS)
                .iter()
                .map(|y| middle + y)
                .collect();
        }
        self.draw_median(&mut on, &frame, &x, &values);
        for (value, y) in values.iter().zip(rows) {
            on.dot((x.at(*value), y), RADIUS, SERIES_COLOURS[0]);
        }
        frame.edges(&mut on);
        frame.title(&mut on, &self.title);
        frame.x_names(&mut on, &x, &ticks, &self.label);
        on
    }

    fn draw_median(&self, on: &mut Drawing, frame: &Frame, x: &Axis, values: &[f64]) {
        if values.is_empty() {
            return;
        }
        let median = median(values);
        let (at, colour) = (x.at(median), SERIES_COLOURS[1]);
        on.dashes((at, frame.top - 8.0), (at, frame.bottom), colour, 2.0);
        let text = format!("median {median:.3} ({} cases)", values.len());
        let half = text_width(&text, TICK_SIZE) / 2.0;
        let middle = at.clamp(frame.left + half, frame.right - half);
        on.text(
            &text,
            (middle, frame.top - 22.0),
            TICK_SIZE,
            Align::Middle,
            colour,
        );
    }
}

pub(super) fn limits(values: &[f64]) -> (f64, f64) {
    let low = values.iter().copied().fold(f64::INFINITY, f64::min);
    let high = values.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    if values.is_empty() {
        return (0.0, 1.0);
    }
    let room = (0.06 * (high - low))
        .max(0.005 * high.abs().max(low.abs()))
        .max(1e-9);
    (low - room, high + room)
}

/// How far dots at `across`, in order, are moved up or down so that no two touch. Each is placed as near the middle
/// as possible. A dot without room within `reach` covers others.
pub(super) fn swarm(across: &[f64], reach: f64) -> Vec<f64> {
    let apart = 2.0 * RADIUS + 1.0;
    let mut placed: Vec<(f64, f64)> = Vec::new();
    for &x in across {
        let offsets = (0..).flat_map(|n| [f64::from(n), -f64::from(n)]);
        let free = |y: &f64| {
            placed
                .iter()
                .all(|(px, py)| (px - x).hypot(py - y) >= apart)
        };
        let y = offsets
            .take_while(|y| y.abs() <= reach)
            .find(free)
            .unwrap_or(0.0);
        placed.push((x, y));
    }
    placed.into_iter().map(|(_, y)| y).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::drawing::Shape;

    fn strip(values: Vec<(String, f64)>) -> Drawing {
        StripPlot {
            title: "Validation cases".into(),
            label: "IoU".into(),
            values,
        }
        .draw()
    }

    fn cases(count: usize) -> Vec<(String, f64)> {
        (0..count)
            .map(|n| {
                (
                    format!("sub-{n:03}"),
                    0.9 + (n as f64 * 12.9898).sin() / 50.0,
                )
            })
            .collect()
    }

    fn dots(drawing: &Drawing) -> Vec<(f64, f64)> {
        let dot = |shape: &Shape| match shape {
            Shape::Dot { centre, .. } => Some(*centre),
            _ => None,
        };
        drawing.shapes.iter().filter_map(dot).collect()
    }

    fn shows(drawing: &Drawing, text: &str) -> bool {
        drawing
            .shapes
            .iter()
            .any(|shape| matches!(shape, Shape::Text(t) if t.text == text))
    }

    #[test]
    fn every_case_has_a_dot_and_few_cases_have_names() {
        for count in [0, 1, 2, 12, 13, 125] {
            let drawing = strip(cases(count));
            assert_eq!(dots(&drawing).len(), count);
            assert_eq!(shows(&drawing, "sub-000"), (1..=12).contains(&count));
            drawing.assert_texts_are_apart();
        }
    }

    #[test]
    fn dots_do_not_cover_each_other() {
        let dots = dots(&strip(cases(125)));
        for (index, a) in dots.iter().enumerate() {
            for b in &dots[..index] {
                assert!((a.0 - b.0).hypot(a.1 - b.1) >= 2.0 * RADIUS);
            }
        }
    }

    #[test]
    fn the_median_is_that_of_the_finite_values() {
        let named = |values: &[f64]| values.iter().map(|v| (v.to_string(), *v)).collect();
        let even = strip(named(&[0.5, 0.9, f64::NAN, 0.7, 0.8]));
        assert!(shows(&even, "median 0.750 (4 cases)"));
        let odd = strip(named(&[0.5, 0.9, 0.8]));
        assert!(shows(&odd, "median 0.800 (3 cases)"));
    }
}
