//! Horizontal bars with error bars.
//!
//! Not a chart of `plotters`: its space for names has a fixed width. Here the names decide it.

use std::path::Path;

use super::PlotError;
use super::axis::{Axis, Frame, TICK_SIZE};
use super::drawing::{DARK_GREY, Drawing, SERIES_COLOURS, WHITE};
use super::text::{Align, shortened_key, text_width, wrapped};

/// A plot of one bar per value.
#[derive(Clone, Debug, PartialEq)]
pub struct BarPlot {
    /// What the plot shows.
    pub title: String,
    /// How to read it.
    pub subtitle: String,
    /// What the values are, with their unit.
    pub label: String,
    /// The bars, from the top down.
    pub bars: Vec<Bar>,
}

/// One bar.
#[derive(Clone, Debug, PartialEq)]
pub struct Bar {
    /// Its name.
    pub label: String,
    /// Its length; not below 0.
    pub value: f64,
    /// The standard deviation of the value, if it is known.
    pub sd: Option<f64>,
}

const WIDTH: u32 = 1200;
const ROW: f64 = 38.0;
const LINE: f64 = 24.0;
const NAME_WIDTH: f64 = 320.0;

impl BarPlot {
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
        let names: Vec<String> = (self.bars.iter())
            .map(|bar| shortened_key(&bar.label, TICK_SIZE, NAME_WIDTH))
            .collect();
        let widest = names
            .iter()
            .map(|name| text_width(name, TICK_SIZE))
            .fold(0.0, f64::max);
        let (left, right) = (44.0 + widest, f64::from(WIDTH) - 44.0);
        let notes = wrapped(&self.subtitle, TICK_SIZE, right - left, "");
        let top = 66.0 + LINE * notes.len() as f64;
        let bottom = top + ROW * self.bars.len() as f64;
        let frame = Frame {
            left,
            top,
            right,
            bottom,
        };
        let mut on = Drawing::new((WIDTH, (bottom + 84.0) as u32), WHITE);
        let ends = self
            .bars
            .iter()
            .map(|bar| bar.value + bar.sd.unwrap_or(0.0));
        let x = Axis {
            low: 0.0,
            high: 1.05 * ends.fold(1e-3, f64::max),
            log: false,
            from: left,
            to: right,
        };
        let ticks = x.ticks(8, false);
        frame.x_grid(&mut on, &x, &ticks);
        for (row, (bar, name)) in self.bars.iter().zip(&names).enumerate() {
            let y = top + ROW * (row as f64 + 0.5);
            let (from, half) = (x.at(0.0), 0.3 * ROW);
            let size = (x.at(bar.value) - from, 2.0 * half);
            on.rectangle((from, y - half), size, SERIES_COLOURS[0]);
            if let Some(sd) = bar.sd {
                let ends = [(bar.value - sd).max(0.0), bar.value + sd].map(|end| x.at(end));
                on.path(ends.map(|end| (end, y)).into(), DARK_GREY, 2.0);
                for end in ends {
                    on.path(vec![(end, y - 5.0), (end, y + 5.0)], DARK_GREY, 2.0);
                }
            }
            let at = (left - 14.0, y);
            on.text(name, at, TICK_SIZE, Align::End, DARK_GREY);
        }
        frame.edges(&mut on);
        frame.title(&mut on, &self.title);
        for (line, note) in notes.iter().enumerate() {
            let at = (left, 64.0 + LINE * line as f64);
            on.text(note, at, TICK_SIZE, Align::Start, DARK_GREY);
        }
        frame.x_names(&mut on, &x, &ticks, &self.label);
        on
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plot::drawing::Shape;

    #[test]
    fn bars_are_as_long_as_their_values_and_texts_do_not_touch() {
        let bar = |at: usize| Bar {
            label: format!("optimizer.adam_with_a_long_name.learning_rate_{at}"),
            value: at as f64,
            sd: (at > 0).then_some(1.5),
        };
        for count in [0, 1, 12] {
            let drawing = BarPlot {
                title: "Importance".into(),
                subtitle: "A caveat of many words. ".repeat(8),
                label: "share of the variance in %".into(),
                bars: (0..count).map(bar).collect(),
            }
            .draw();
            drawing.assert_texts_are_apart();
            let length = |shape: &Shape| match shape {
                Shape::Area { points, .. } => Some(points[1].0 - points[0].0),
                _ => None,
            };
            let lengths: Vec<f64> = drawing.shapes.iter().filter_map(length).collect();
            assert_eq!(lengths.len(), count);
            for (at, length) in lengths.iter().enumerate() {
                assert!((length - at as f64 * lengths[1.min(count - 1)]).abs() < 1e-6);
            }
        }
    }
}
