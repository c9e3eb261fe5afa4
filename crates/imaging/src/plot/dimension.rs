//! The range of an axis in a sweep's plots.

use super::axis::Axis;
use super::text::distinct_labels;

/// A parameter, or the objective: a range of numbers, or named choices numbered from 0.
#[derive(Clone, Debug, PartialEq)]
pub struct Dimension {
    /// Its name.
    pub label: String,
    /// The least number.
    pub low: f64,
    /// The greatest number.
    pub high: f64,
    /// Whether the axis is logarithmic; all numbers are then above 0.
    pub log: bool,
    /// The distance between whole numbers, counted from `low`.
    pub step: Option<f64>,
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

    /// Shortens the names of choices to `width` pixels and keeps them distinct.
    pub(super) fn fit(&self, ticks: &mut [(f64, String)], size: f64, width: f64) {
        let short = distinct_labels(&self.names, size, width);
        for ((_, name), short) in ticks.iter_mut().zip(short) {
            *name = short;
        }
    }

    /// Values to be named, and their names.
    pub(super) fn ticks(&self, axis: &Axis, about: usize) -> Vec<(f64, String)> {
        if !self.names.is_empty() {
            let names = self.names.iter().enumerate();
            return names.map(|(at, name)| (at as f64, name.clone())).collect();
        }
        match self.step {
            Some(step) if (self.high - self.low) / step <= about as f64 => {
                let count = ((self.high - self.low) / step).round() as usize;
                let values = (0..=count).map(|n| self.low + n as f64 * step);
                axis.named(values.collect(), |_| 0)
            }
            step => axis.ticks(about, step.is_some()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ticks(low: f64, high: f64, step: f64, log: bool) -> Vec<String> {
        let dimension = Dimension {
            label: "n".into(),
            low,
            high,
            log,
            step: Some(step),
            names: Vec::new(),
        };
        let ticks = dimension.ticks(&dimension.axis(0.0, 100.0), 6);
        ticks.into_iter().map(|(_, name)| name).collect()
    }

    #[test]
    fn whole_numbers_have_whole_ticks_at_values_that_they_can_be() {
        assert_eq!(ticks(1.0, 3.0, 1.0, false), ["1", "2", "3"]);
        assert_eq!(ticks(16.0, 32.0, 8.0, false), ["16", "24", "32"]);
        assert_eq!(ticks(2.0, 6.0, 1.0, true), ["2", "3", "4", "5", "6"]);
        for ticks in [ticks(1.0, 40.0, 1.0, false), ticks(1.0, 500.0, 1.0, true)] {
            assert!(ticks.len() > 3, "{ticks:?}");
            assert!(
                ticks.iter().all(|name| name.parse::<u32>().is_ok()),
                "{ticks:?}"
            );
        }
    }
}
