//! Parallel coordinates: an upright axis for each parameter and the objective, a line for each trial.
//!
//! Reference: Inselberg, The Plane with Parallel Coordinates, The Visual Computer, 1985.

use std::path::Path;

use super::PlotError;
use super::axis::{Axis, TICK_SIZE};
use super::dimension::Dimension;
use super::drawing::{Colour, DARK_GREY, Drawing, WHITE};
use super::text::{Align, shortened_key};

/// A plot of trials over all of their parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct ParallelPlot {
    /// What the plot shows.
    pub title: String,
    /// The parameters, and the objective last.
    pub dimensions: Vec<Dimension>,
    /// The values of each trial, the worst trial first; none where a trial does not have the parameter.
    pub trials: Vec<Vec<Option<f64>>>,
}

const SIZE: (u32, u32) = (1200, 640);
/// Where a trial's line crosses the axis of a parameter that it does not have: below all values.
const NONE: f64 = SIZE.1 as f64 - 36.0;
/// Colours of the worst and the best trial.
const COLOURS: [Colour; 2] = [(214, 222, 230), (0, 90, 160)];

impl ParallelPlot {
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
        let mut on = Drawing::new(SIZE, WHITE);
        let (top, bottom) = (110.0, NONE - 40.0);
        let (left, right) = (60.0, f64::from(SIZE.0) - 150.0);
        let gaps = self.dimensions.len().saturating_sub(1).max(1) as f64;
        let room = (right - left) / gaps;
        let across = |at: usize| left + room * at as f64;
        let axes: Vec<_> = (self.dimensions.iter())
            .map(|dimension| dimension.axis(bottom, top))
            .collect();
        let last = self.trials.len().saturating_sub(1).max(1) as f64;
        for (rank, trial) in self.trials.iter().enumerate() {
            let good = rank as f64 / last;
            let mix = |from: u8, to: u8| {
                (f64::from(from) + good * (f64::from(to) - f64::from(from))).round() as u8
            };
            let [(r, g, b), (red, green, blue)] = COLOURS;
            let colour = (mix(r, red), mix(g, green), mix(b, blue));
            let height = |(value, axis): (&Option<f64>, &Axis)| {
                let known = value.filter(|value| axis.contains(*value));
                known.map_or(NONE, |value| axis.at(value))
            };
            let heights = trial.iter().zip(&axes).map(height).enumerate();
            let points = heights.map(|(at, y)| (across(at), y)).collect();
            on.path(points, colour, 1.0 + 1.5 * good);
        }
        for (at, (dimension, axis)) in self.dimensions.iter().zip(&axes).enumerate() {
            let x = across(at);
            on.path(vec![(x, top), (x, bottom)], DARK_GREY, 1.5);
            // Names of neighbours stand at two heights, so that long ones fit.
            let width = match at {
                0 => room + 10.0,
                _ => (2.0 * room - 20.0).min(2.0 * (f64::from(SIZE.0) - x)),
            };
            let name = shortened_key(&dimension.label, TICK_SIZE, width);
            let height = if at % 2 == 0 { 62.0 } else { 88.0 };
            let align = if at == 0 { Align::Start } else { Align::Middle };
            let start = if at == 0 { left - 20.0 } else { x };
            on.text(&name, (start, height), TICK_SIZE, align, DARK_GREY);
            let mut ticks = dimension.ticks(axis, 6);
            dimension.fit(&mut ticks, TICK_SIZE * 0.85, room.min(140.0) - 14.0);
            let mut marks: Vec<(f64, String)> = (ticks.into_iter())
                .map(|(value, name)| (axis.at(value), name))
                .collect();
            if self
                .trials
                .iter()
                .any(|trial| trial.get(at).is_some_and(Option::is_none))
            {
                on.dashes((x, bottom), (x, NONE), DARK_GREY, 1.5);
                marks.push((NONE, "none".into()));
            }
            for (y, name) in marks {
                on.path(vec![(x, y), (x + 5.0, y)], DARK_GREY, 1.0);
                let at = (x + 9.0, y);
                on.text(&name, at, TICK_SIZE * 0.85, Align::Start, DARK_GREY);
            }
        }
        on.text(
            &self.title,
            (left - 20.0, 28.0),
            24.0,
            Align::Start,
            (0, 0, 0),
        );
        on
    }
}
