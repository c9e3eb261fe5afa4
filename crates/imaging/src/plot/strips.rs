//! One dot per case on a common line for each structure, and each line's median.

use std::path::Path;

use super::PlotError;
use super::axis::{Axis, Frame, TICK_SIZE};
use super::drawing::{DARK_GREY, Drawing, LIGHT_GREY, SERIES_COLOURS, WHITE};
use super::strip::{RADIUS, limits, swarm};
use super::text::{Align, shortened, text_width};
use crate::statistics::median;

/// A plot of several values for each of several names, such as the scores of all cases in each structure.
#[derive(Clone, Debug, PartialEq)]
pub struct StripRows {
    /// What the plot shows.
    pub title: String,
    /// What the values are, with their unit.
    pub label: String,
    /// The rows' names and values, in order. Values that are not finite are left out. Of more than forty rows, those
    /// with the lowest medians are shown, and the title says so.
    pub rows: Vec<(String, Vec<f64>)>,
}

const WIDTH: u32 = 1200;
const MOST_ROWS: usize = 40;
const ROW: f64 = 44.0;
const NAME_WIDTH: f64 = 280.0;

impl StripRows {
    /// Writes `<stem>.png` (1200 pixels wide) and `<stem>.svg` into `folder`, which is created if missing.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path, stem: &str) -> Result<(), PlotError> {
        self.draw().save(folder, stem)
    }

    /// The rows that are shown, and the title over them.
    fn shown(&self) -> (Vec<(&str, Vec<f64>)>, String) {
        let finite = |row: &(String, Vec<f64>)| {
            let finite = row.1.iter().copied().filter(|value| value.is_finite());
            let mut finite: Vec<f64> = finite.collect();
            finite.sort_by(|a, b| b.total_cmp(a));
            finite
        };
        let rows = self.rows.iter().map(|row| (row.0.as_str(), finite(row)));
        let mut rows: Vec<(&str, Vec<f64>)> = rows.collect();
        if rows.len() <= MOST_ROWS {
            return (rows, self.title.clone());
        }
        let all = rows.len();
        rows.retain(|(_, values)| !values.is_empty());
        rows.sort_by(|a, b| median(&a.1).total_cmp(&median(&b.1)));
        rows.truncate(MOST_ROWS);
        let title = format!("{}: the {} lowest of {all}", self.title, rows.len());
        (rows, title)
    }

    fn draw(&self) -> Drawing {
        let (rows, title) = self.shown();
        let named = rows.iter();
        let names: Vec<String> = named
            .map(|(name, _)| shortened(name, TICK_SIZE, NAME_WIDTH))
            .collect();
        let widths = names.iter().map(|name| text_width(name, TICK_SIZE));
        let body = ROW * rows.len().max(2) as f64;
        let mut on = Drawing::new((WIDTH, (body + 148.0) as u32), WHITE);
        let frame = Frame {
            left: 44.0 + widths.fold(0.0, f64::max),
            top: 64.0,
            right: f64::from(WIDTH) - 44.0,
            bottom: 64.0 + body,
        };
        let all: Vec<f64> = rows
            .iter()
            .flat_map(|(_, values)| values)
            .copied()
            .collect();
        let (low, high) = limits(&all);
        let x = Axis {
            low,
            high,
            log: false,
            from: frame.left,
            to: frame.right,
        };
        let ticks = x.ticks(8, false);
        frame.x_grid(&mut on, &x, &ticks);
        for (at, (name, (_, values))) in names.iter().zip(&rows).enumerate() {
            let y = frame.top + ROW * (at as f64 + 0.5);
            on.path(vec![(frame.left, y), (frame.right, y)], LIGHT_GREY, 1.0);
            let place = (frame.left - 14.0, y);
            on.text(name, place, TICK_SIZE, Align::End, DARK_GREY);
            let across: Vec<f64> = values.iter().map(|value| x.at(*value)).collect();
            for (x, up) in across.iter().zip(swarm(&across, ROW / 2.0 - RADIUS)) {
                on.dot((*x, y + up), RADIUS, SERIES_COLOURS[0]);
            }
            if !values.is_empty() {
                let middle = x.at(median(values));
                let ends = [(middle, y - ROW / 2.0 + 3.0), (middle, y + ROW / 2.0 - 3.0)];
                on.path(ends.into(), SERIES_COLOURS[1], 3.0);
            }
        }
        frame.edges(&mut on);
        frame.title(&mut on, &title);
        frame.x_names(&mut on, &x, &ticks, &self.label);
        on
    }
}

#[cfg(test)]
mod tests {
    use super::super::drawing::Shape;
    use super::*;

    fn strips(rows: usize) -> Drawing {
        let row = |row: usize| {
            let value = |n: usize| match n {
                3 => f64::INFINITY,
                n => 0.5 + 0.01 * (row + n) as f64,
            };
            (format!("structure {row}"), (0..10).map(value).collect())
        };
        StripRows {
            title: "Validation cases by structure".into(),
            label: "Dice".into(),
            rows: (0..rows).map(row).collect(),
        }
        .draw()
    }

    #[test]
    fn every_structure_has_a_row_and_of_very_many_the_lowest_are_shown() {
        for (count, shown) in [(1, 1), (2, 2), (20, 20), (40, 40), (148, 40)] {
            let drawing = strips(count);
            drawing.assert_texts_are_apart();
            let is_dot = |shape: &&Shape| matches!(shape, Shape::Dot { .. });
            // One of ten values is infinite.
            assert_eq!(drawing.shapes.iter().filter(is_dot).count(), 9 * shown);
            let says = |text: &str| {
                let is = |shape: &Shape| matches!(shape, Shape::Text(t) if t.text == text);
                drawing.shapes.iter().any(is)
            };
            let title = "Validation cases by structure: the 40 lowest of 148";
            assert_eq!(says(title), count > 40);
            assert!(says("structure 0"));
        }
    }
}
