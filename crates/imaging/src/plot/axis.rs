//! Axes with their ticks, and the frame around the data.
//!
//! Not the axes of `plotters`: their names do not have the digits that the distance between ticks needs (a logarithmic
//! axis shows 9.999999999999999e-6), and the lowest names of both axes overlap.

use super::drawing::{BLACK, Colour, DARK_GREY, Drawing, LIGHT_GREY};
use super::text::{Align, shortened, text_width};

const TITLE_SIZE: f64 = 25.0;
const LABEL_SIZE: f64 = 19.0;
pub(super) const TICK_SIZE: f64 = 17.0;

/// Values from `low` to `high`, drawn from pixel `from` to pixel `to`.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Axis {
    pub(super) low: f64,
    pub(super) high: f64,
    /// Whether the axis is logarithmic. `low` is then above 0.
    pub(super) log: bool,
    pub(super) from: f64,
    pub(super) to: f64,
}

impl Axis {
    /// The pixel at which `value` lies.
    pub(super) fn at(&self, value: f64) -> f64 {
        let part = if self.log {
            (value / self.low).ln() / (self.high / self.low).ln()
        } else {
            (value - self.low) / (self.high - self.low)
        };
        self.from + part * (self.to - self.from)
    }

    pub(super) fn contains(&self, value: f64) -> bool {
        (self.low..=self.high).contains(&value)
    }

    /// About `about` round values, and their names. Whole numbers only if `whole`.
    pub(super) fn ticks(&self, about: usize, whole: bool) -> Vec<(f64, String)> {
        let decades = if self.log {
            (self.high / self.low).log10()
        } else {
            0.0
        };
        if decades > 1.0 {
            return self.log_ticks(about, decades);
        }
        let mut step = round_up((self.high - self.low) / about as f64);
        if whole {
            step = step.max(1.0);
        }
        // Rounding must not lose the tick at an end.
        let first = (self.low / step - 1e-6).ceil() as i64;
        let last = (self.high / step + 1e-6).floor() as i64;
        let values: Vec<f64> = (first..=last).map(|n| n as f64 * step).collect();
        let digits = step.log10().floor() as i32;
        self.named(values, |_| digits)
    }

    fn log_ticks(&self, about: usize, decades: f64) -> Vec<(f64, String)> {
        let factors: &[f64] = if decades < 3.0 {
            &[1.0, 2.0, 5.0]
        } else {
            &[1.0]
        };
        let stride = (decades / about as f64).ceil().max(1.0) as usize;
        let (first, last) = (
            self.low.log10().floor() as i32,
            self.high.log10().ceil() as i32,
        );
        let values = (first..=last)
            .step_by(stride)
            .flat_map(|exponent| factors.iter().map(move |f| f * 10f64.powi(exponent)))
            .filter(|value| (self.low * 0.999..=self.high * 1.001).contains(value))
            .collect();
        self.named(values, |value| (value.log10() + 1e-9).floor() as i32)
    }

    /// Names values whose last significant digit stands for `10^digits(value)`.
    pub(super) fn named(
        &self,
        values: Vec<f64>,
        digits: impl Fn(f64) -> i32,
    ) -> Vec<(f64, String)> {
        let largest = values
            .iter()
            .fold(0.0, |largest: f64, value| largest.max(value.abs()));
        let smallest = values
            .iter()
            .filter(|v| **v != 0.0)
            .fold(largest, |s, v| s.min(v.abs()));
        let plain = largest < 1e5 && (smallest >= 1e-3 || (!self.log && largest >= 1e-3));
        values
            .into_iter()
            .map(|value| {
                let digits = digits(value);
                let name = if plain || value == 0.0 {
                    format!("{value:.*}", digits.min(0).unsigned_abs() as usize)
                } else {
                    scientific(value, digits)
                };
                (value, name.replace('-', "−"))
            })
            .collect()
    }
}

/// The smallest of 1, 2 and 5 times a power of ten that is not below `step`.
fn round_up(step: f64) -> f64 {
    let power = 10f64.powf(step.log10().floor());
    let factor = [1.0, 2.0, 5.0]
        .into_iter()
        .find(|factor| factor * power >= step * (1.0 - 1e-9));
    factor.unwrap_or(10.0) * power
}

/// `2.5×10⁻⁴`; a factor of 1 is left out.
fn scientific(value: f64, digits: i32) -> String {
    let exponent = (value.abs().log10() + 1e-9).floor() as i32;
    let decimals = (exponent - digits).max(0) as usize;
    let factor = format!("{:.decimals$}", value / 10f64.powi(exponent));
    let raised: String = exponent.to_string().chars().map(superscript).collect();
    if factor == "1" {
        format!("10{raised}")
    } else {
        format!("{factor}×10{raised}")
    }
}

fn superscript(c: char) -> char {
    match c {
        '-' => '⁻',
        '1' => '¹',
        '2' => '²',
        '3' => '³',
        digit => digit
            .to_digit(10)
            .and_then(|d| char::from_u32(0x2070 + d))
            .unwrap_or(digit),
    }
}

/// The rectangle in which data are drawn, in pixels.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Frame {
    pub(super) left: f64,
    pub(super) top: f64,
    pub(super) right: f64,
    pub(super) bottom: f64,
}

impl Frame {
    /// Draws vertical grid lines.
    pub(super) fn x_grid(&self, on: &mut Drawing, axis: &Axis, ticks: &[(f64, String)]) {
        for (value, _) in ticks {
            let x = axis.at(*value);
            on.path(vec![(x, self.top), (x, self.bottom)], LIGHT_GREY, 1.0);
        }
    }

    /// Draws horizontal grid lines.
    pub(super) fn y_grid(&self, on: &mut Drawing, axis: &Axis, ticks: &[(f64, String)]) {
        for (value, _) in ticks {
            let y = axis.at(*value);
            on.path(vec![(self.left, y), (self.right, y)], LIGHT_GREY, 1.0);
        }
    }

    /// Names the ticks and the axis along the lower edge.
    pub(super) fn x_names(
        &self,
        on: &mut Drawing,
        axis: &Axis,
        ticks: &[(f64, String)],
        label: &str,
    ) {
        for (value, name) in ticks {
            let at = (axis.at(*value), self.bottom + 18.0);
            on.text(name, at, TICK_SIZE, Align::Middle, DARK_GREY);
        }
        let at = ((self.left + self.right) / 2.0, self.bottom + 50.0);
        on.text(label, at, LABEL_SIZE, Align::Middle, DARK_GREY);
    }

    /// Names the ticks and the axis along the left edge.
    pub(super) fn y_names(
        &self,
        on: &mut Drawing,
        axis: &Axis,
        ticks: &[(f64, String)],
        label: &str,
    ) {
        for (value, name) in ticks {
            let at = (self.left - 10.0, axis.at(*value));
            on.text(name, at, TICK_SIZE, Align::End, DARK_GREY);
        }
        on.text_upwards(label, (28.0, (self.top + self.bottom) / 2.0), LABEL_SIZE);
    }

    /// Writes the drawing's title over the frame.
    pub(super) fn title(&self, on: &mut Drawing, title: &str) {
        let title = shortened(title, TITLE_SIZE, f64::from(on.size.0) - self.left - 24.0);
        on.text(&title, (self.left, 34.0), TITLE_SIZE, Align::Start, BLACK);
    }

    /// Draws the left and lower edges.
    pub(super) fn edges(&self, on: &mut Drawing) {
        let (left, bottom) = (self.left, self.bottom);
        on.path(
            vec![(left, self.top), (left, bottom), (self.right, bottom)],
            DARK_GREY,
            1.5,
        );
    }

    /// Covers everything outside the frame.
    pub(super) fn clip(&self, on: &mut Drawing, colour: Colour) {
        let (width, height) = (f64::from(on.size.0), f64::from(on.size.1));
        on.rectangle((0.0, 0.0), (width, self.top), colour);
        on.rectangle((0.0, self.bottom), (width, height - self.bottom), colour);
        on.rectangle((0.0, 0.0), (self.left, height), colour);
        on.rectangle((self.right, 0.0), (width - self.right, height), colour);
    }
}

/// Width of the widest tick name.
pub(super) fn widest(ticks: &[(f64, String)]) -> f64 {
    ticks
        .iter()
        .map(|(_, name)| text_width(name, TICK_SIZE))
        .fold(0.0, f64::max)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(low: f64, high: f64, log: bool, whole: bool) -> Vec<String> {
        let axis = Axis {
            low,
            high,
            log,
            from: 0.0,
            to: 100.0,
        };
        axis.ticks(6, whole)
            .into_iter()
            .map(|(_, name)| name)
            .collect()
    }

    #[test]
    fn ticks_are_round_numbers_with_the_digits_they_need() {
        assert_eq!(
            names(0.0, 1.0, false, false),
            ["0.0", "0.2", "0.4", "0.6", "0.8", "1.0"]
        );
        assert_eq!(
            names(0.861, 0.8634, false, false),
            ["0.8610", "0.8615", "0.8620", "0.8625", "0.8630"]
        );
        assert_eq!(
            names(-2.0, 1.0, false, false)[..3],
            ["−2.0", "−1.5", "−1.0"]
        );
        assert_eq!(
            names(0.0, 3e-4, false, false)[1..3],
            ["5×10⁻⁵", "1.0×10⁻⁴"].map(String::from)
        );
    }

    #[test]
    fn epochs_are_whole() {
        assert_eq!(names(1.0, 3.0, false, true), ["1", "2", "3"]);
        assert_eq!(
            names(1.0, 60.0, false, true),
            ["10", "20", "30", "40", "50", "60"]
        );
    }

    #[test]
    fn a_log_axis_names_decades_and_spaces_ratios_equally() {
        assert_eq!(
            names(1e-6, 1e-2, true, false),
            ["10⁻⁶", "10⁻⁵", "10⁻⁴", "10⁻³", "10⁻²"]
        );
        assert_eq!(
            names(2e-4, 5e-3, true, false)[..3],
            ["2×10⁻⁴", "5×10⁻⁴", "10⁻³"]
        );
        let axis = Axis {
            low: 1e-4,
            high: 1.0,
            log: true,
            from: 0.0,
            to: 100.0,
        };
        assert!((axis.at(1e-2) - 50.0).abs() < 1e-9);
    }

    #[test]
    fn values_of_one_magnitude_have_ticks_on_a_log_axis_too() {
        assert!(names(0.9e-3, 1.1e-3, true, false).len() >= 3);
    }
}
