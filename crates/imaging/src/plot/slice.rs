//! The objective over one parameter, one dot per trial.
//!
//! Not a chart of `plotters`: names of choices are shortened here to the space between ticks, and stay distinct.

use std::path::Path;

use super::PlotError;
use super::axis::{Frame, TICK_SIZE, widest};
use super::dimension::Dimension;
use super::drawing::{Drawing, SERIES_COLOURS, WHITE};

/// A plot of trials over one of their parameters.
#[derive(Clone, Debug, PartialEq)]
pub struct SlicePlot {
    /// What the plot shows.
    pub title: String,
    /// The parameter.
    pub parameter: Dimension,
    /// The objective.
    pub objective: Dimension,
    /// Parameter and objective of each trial that has both.
    pub trials: Vec<(f64, f64)>,
}

const SIZE: (u32, u32) = (1200, 560);
const RADIUS: f64 = 5.0;

impl SlicePlot {
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
        let (top, bottom) = (80.0, f64::from(SIZE.1) - 84.0);
        let y = self.objective.axis(bottom, top);
        let y_ticks = self.objective.ticks(&y, 6);
        let frame = Frame {
            left: 84.0 + widest(&y_ticks),
            top,
            right: f64::from(SIZE.0) - 44.0,
            bottom,
        };
        let x = self.parameter.axis(frame.left, frame.right);
        let mut x_ticks = self.parameter.ticks(&x, 8);
        let room = (frame.right - frame.left) / x_ticks.len().max(1) as f64 - 12.0;
        self.parameter.fit(&mut x_ticks, TICK_SIZE, room);
        frame.x_grid(&mut on, &x, &x_ticks);
        frame.y_grid(&mut on, &y, &y_ticks);
        for (parameter, objective) in &self.trials {
            if y.contains(*objective) && x.contains(*parameter) {
                on.dot(
                    (x.at(*parameter), y.at(*objective)),
                    RADIUS,
                    SERIES_COLOURS[0],
                );
            }
        }
        frame.edges(&mut on);
        frame.title(&mut on, &self.title);
        frame.x_names(&mut on, &x, &x_ticks, &self.parameter.label);
        frame.y_names(&mut on, &y, &y_ticks, &self.objective.label);
        on
    }
}
