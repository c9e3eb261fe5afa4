//! What an axis of a sweep's plots stands for.

use super::axis::Axis;

/// A parameter, or the objective: a range of numbers, or named choices numbered from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// Its name.
    pub label: String,
    /// The least number.
    pub low: f64,
    /// The greatest number.
    pub high: f64,
    /// Whether equal ratios lie equally far apart; all numbers are then above 0.
    pub log: bool,
    /// The choices' names; none for numbers.
    pub names: Vec<String>,
}

impl Dimension {
    /// An axis from pixel `from` to pixel `to` with some room at its ends.
    pub(super) fn axis(&self, from: f64, to: f64) -> Axis {
        let (low, high) = match (self.names.len(), self.log) {
            (0, true) => {
                let room = (self.high / self.low).powf(0.05).max(1.01);
                (self.low / room, self.high * room)
            }
            (0, false) => {
                let room = (0.05 * (self.high - self.low)).max(1e-3 * self.high.abs().max(1e-9));
                (self.low - room, self.high + room)
            }
            (count, _) => (-0.5, count as f64 - 0.5),
        };
        Axis {
            low,
            high,
            log: self.log,
            from,
            to,
        }
    }

    /// Values to be named, and their names.
    pub(super) fn ticks(&self, axis: &Axis, about: usize) -> Vec<(f64, String)> {
        if self.names.is_empty() {
            return axis.ticks(about, false);
        }
        let names = self.names.iter().enumerate();
        names.map(|(at, name)| (at as f64, name.clone())).collect()
    }
}
