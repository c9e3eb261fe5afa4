//! Curves over epochs or steps, with mean and standard deviation of several runs.
//!
//! Not the `LineSeries` of `plotters`: it draws points outside the range, and values that are not finite, at the edge
//! of the range, where they look like measured values.

use std::path::Path;

use super::PlotError;
use super::axis::{Axis, Frame, TICK_SIZE, widest};
use super::drawing::{BLACK, Colour, DARK_GREY, Drawing, Point, SERIES_COLOURS, Shape, WHITE};
use super::legend::{BAND, BAND_OPACITY, Entry, MOST_ENTRIES, Sample, draw_legend, legend_width};
use super::parts::{draw_parts, part_entries};
use super::text::Align;
use crate::statistics::mean_and_sd;

/// One curve.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its name in the legend. Curves of one name share their colour and their line in the legend.
    pub label: String,
    /// Its points in order of x. Where y is not finite the curve has a gap.
    pub points: Vec<(f64, f64)>,
    /// How they are drawn.
    pub mark: Mark,
}

/// How the points of a curve are drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mark {
    /// A line through all points, with dots where they are few.
    Line,
    /// A thin line, without dots: a part of what another curve sums up. Such curves have the colours of structures,
    /// in their order. Of more than eight, only the last values' best and worst have a colour and a name.
    Part,
    /// A line that keeps the height of each point up to the next.
    Steps,
    /// One dot per point.
    Dots,
    /// One hollow dot per point.
    Rings,
}

/// A plot of curves over a common x, such as epochs.
#[derive(Clone, Debug, PartialEq)]
pub struct CurvePlot {
    /// What the plot shows.
    pub title: String,
    /// What x is, with its unit.
    pub x_label: String,
    /// What y is, with its unit.
    pub y_label: String,
    /// The curves.
    pub series: Vec<Series>,
    /// Whether to draw the curves' mean and a band of one standard deviation (n - 1) around it,
    /// where all curves have a point.
    pub mean_band: bool,
    /// A value to compare with, drawn as a dashed line, and its name.
    pub reference: Option<(f64, String)>,
    /// Lowest and highest y shown; chosen from the data if absent.
    pub y_range: Option<(f64, f64)>,
    /// Whether y is logarithmic. Points at or below 0 are then left out.
    pub log_y: bool,
}

const SIZE: (u32, u32) = (1200, 750);
/// Curves with more points than this are drawn without dots.
const MOST_DOTS: usize = 60;
/// The width of a curve that has parts.
const WHOLE: f64 = 3.5;

impl CurvePlot {
    /// Writes `<stem>.png` (1200 x 750 pixels) and `<stem>.svg` into `folder`, which is created if
    /// missing.
    ///
    /// # Errors
    ///
    /// When a file cannot be written.
    pub fn save(&self, folder: &Path, stem: &str) -> Result<(), PlotError> {
        self.draw().save(folder, stem)
    }

    /// Writes the plot as one file: SVG where the name ends in `.svg`, PNG otherwise. Its folder is created if missing.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn save_as(&self, path: &Path) -> Result<(), PlotError> {
        self.draw().save_as(path)
    }

    pub(super) fn draw(&self) -> Drawing {
        let mut on = Drawing::new(SIZE, WHITE);
        let (band, legend) = (self.band(), self.legend());
        let (low, high) = self.y_limits(&band);
        let (width, height) = (f64::from(SIZE.0), f64::from(SIZE.1));
        let mut frame = Frame {
            left: 0.0,
            top: 68.0,
            right: width - 36.0 - legend_width(&legend),
            bottom: height - 76.0,
        };
        let y = Axis {
            low,
            high,
            log: self.log_y,
            from: frame.bottom,
            to: frame.top,
        };
        let y_ticks = y.ticks(7, false);
        frame.left = 66.0 + widest(&y_ticks);
        let (low, high) = self.x_limits();
        let x = Axis {
            low,
            high,
            log: false,
            from: frame.left,
            to: frame.right,
        };
        let x_ticks = x.ticks(10, self.points().all(|(x, _)| x.fract() == 0.0));

        frame.x_grid(&mut on, &x, &x_ticks);
        frame.y_grid(&mut on, &y, &y_ticks);
        self.draw_lines(&mut on, &x, &y, &band);
        frame.clip(&mut on, WHITE);
        self.draw_dots(&mut on, &x, &y);
        frame.edges(&mut on);
        frame.title(&mut on, &self.title);
        frame.x_names(&mut on, &x, &x_ticks, &self.x_label);
        frame.y_names(&mut on, &y, &y_ticks, &self.y_label);
        draw_legend(&mut on, &frame, &legend);
        if self.points().next().is_none() {
            let middle = (
                (frame.left + frame.right) / 2.0,
                (frame.top + frame.bottom) / 2.0,
            );
            on.text("no data", middle, TICK_SIZE, Align::Middle, DARK_GREY);
        }
        on
    }

    /// The curves that are no parts of others, with their colours. A curve with parts stands out from them.
    fn curves(&self) -> impl Iterator<Item = (&Series, Colour)> {
        let has_parts = self.has_parts();
        let whole = self.series.iter().filter(|one| one.mark != Mark::Part);
        let mut labels: Vec<&str> = Vec::new();
        whole.map(move |series| {
            let known = labels.iter().position(|label| *label == series.label);
            let at = known.unwrap_or_else(|| {
                labels.push(&series.label);
                labels.len() - 1
            });
            let colour = match has_parts {
                true => BLACK,
                false => SERIES_COLOURS[at % SERIES_COLOURS.len()],
            };
            (series, colour)
        })
    }

    /// The first curve of each name.
    fn named(&self) -> Vec<(&Series, Colour)> {
        let mut first: Vec<(&Series, Colour)> = Vec::new();
        for (series, colour) in self.curves() {
            if first.iter().all(|(before, _)| before.label != series.label) {
                first.push((series, colour));
            }
        }
        first
    }

    fn has_parts(&self) -> bool {
        self.series.iter().any(|one| one.mark == Mark::Part)
    }

    /// Every point that can be shown.
    fn points(&self) -> impl Iterator<Item = (f64, f64)> {
        let shown = |point: &(f64, f64)| self.shows(*point);
        self.series
            .iter()
            .flat_map(|series| &series.points)
            .copied()
            .filter(shown)
    }

    fn shows(&self, (x, y): (f64, f64)) -> bool {
        x.is_finite() && y.is_finite() && (y > 0.0 || !self.log_y)
    }

    /// Mean and standard deviation at every x where all curves have a point.
    fn band(&self) -> Vec<(f64, f64, f64)> {
        let [first, others @ ..] = &self.series[..] else {
            return Vec::new();
        };
        if !self.mean_band || others.is_empty() {
            return Vec::new();
        }
        let at = |series: &Series, x: f64| {
            series
                .points
                .iter()
                .find(|point| point.0 == x && self.shows(**point))
                .map(|p| p.1)
        };
        let row = |&(x, _): &(f64, f64)| {
            let values: Vec<f64> = self
                .series
                .iter()
                .map(|series| at(series, x))
                .collect::<Option<_>>()?;
            let (mean, sd) = mean_and_sd(&values);
            Some((x, mean, sd))
        };
        first.points.iter().filter_map(row).collect()
    }

    fn x_limits(&self) -> (f64, f64) {
        let (low, high) = limits(self.points().map(|(x, _)| x)).unwrap_or((0.0, 1.0));
        // Room between the frame and the first and last point.
        let room = if low < high {
            0.015 * (high - low)
        } else {
            1.0
        };
        (low - room, high + room)
    }

    fn y_limits(&self, band: &[(f64, f64, f64)]) -> (f64, f64) {
        if let Some(range) = self.y_range {
            return range;
        }
        let reference = self.reference.iter().map(|(value, _)| *value);
        let spread = band
            .iter()
            .flat_map(|&(_, mean, sd)| [mean - sd, mean + sd]);
        let values = self.points().map(|(_, y)| y).chain(reference).chain(spread);
        let (low, high) = limits(values.filter(|y| self.shows((0.0, *y)))).unwrap_or((0.1, 1.0));
        if self.log_y {
            let room = (high / low).powf(0.05).max(1.1);
            return (low / room, high * room);
        }
        let size = high.abs().max(low.abs());
        let room = match high - low {
            // Constant up to rounding.
            range if range <= 1e-9 * size => {
                if size > 0.0 {
                    0.05 * size
                } else {
                    1.0
                }
            }
            range => 0.05 * range,
        };
        // A quantity that is never negative needs no room below zero.
        let floor = if low >= 0.0 { 0.0 } else { f64::NEG_INFINITY };
        ((low - room).max(floor), high + room)
    }

    fn draw_lines(&self, on: &mut Drawing, x: &Axis, y: &Axis, band: &[(f64, f64, f64)]) {
        let lowest = if self.log_y { y.low } else { f64::NEG_INFINITY };
        let upper = band
            .iter()
            .map(|(at, mean, sd)| (x.at(*at), y.at(mean + sd)));
        let lower = band
            .iter()
            .map(|(at, mean, sd)| (x.at(*at), y.at((mean - sd).max(lowest))));
        if !band.is_empty() {
            let points = upper.chain(lower.rev()).collect();
            on.shapes.push(Shape::Area {
                points,
                colour: BAND,
                opacity: BAND_OPACITY,
            });
        }
        if let Some((value, _)) = self.reference
            && self.shows((0.0, value))
        {
            let height = y.at(value);
            on.dashes((x.from, height), (x.to, height), DARK_GREY, 2.0);
        }
        draw_parts(on, (x, y), &self.series, |point| self.shows(point));
        let width = match self.has_parts() {
            true => WHOLE,
            false if band.is_empty() => 2.5,
            false => 1.5,
        };
        for (series, colour) in self.curves() {
            for run in series
                .points
                .split(|point| !self.shows(*point))
                .filter(|run| run.len() > 1)
            {
                let points = run.iter().map(|(at, value)| (x.at(*at), y.at(*value)));
                match series.mark {
                    Mark::Line => on.path(points.collect(), colour, width),
                    Mark::Steps => on.path(steps(points), colour, width),
                    Mark::Dots | Mark::Rings | Mark::Part => {}
                }
            }
        }
        if band.len() > 1 {
            let points = band
                .iter()
                .map(|(at, mean, _)| (x.at(*at), y.at(*mean)))
                .collect();
            on.path(points, BLACK, 3.5);
        }
    }

    /// Draws dots where there are few points, and where a single point makes no line.
    fn draw_dots(&self, on: &mut Drawing, x: &Axis, y: &Axis) {
        let radius = if self.mean_band && self.series.len() > 1 {
            2.5
        } else {
            4.0
        };
        for (series, colour) in self.curves() {
            let few = match series.mark {
                Mark::Line => series.points.len() <= MOST_DOTS,
                Mark::Steps | Mark::Part => false,
                Mark::Dots | Mark::Rings => true,
            };
            for run in series.points.split(|point| !self.shows(*point)) {
                for &(at, value) in run.iter().filter(|_| few || run.len() == 1) {
                    if x.contains(at) && y.contains(value) {
                        let at = (x.at(at), y.at(value));
                        match series.mark {
                            Mark::Rings => on.ring(at, radius + 1.0, colour),
                            _ => on.dot(at, radius, colour),
                        }
                    }
                }
            }
        }
    }

    fn legend(&self) -> Vec<Entry> {
        let mut entries = Vec::new();
        if self.mean_band && self.series.len() > 1 {
            let mean = format!("mean of {}", self.series.len());
            entries.push(Entry::new(&mean, BLACK, Sample::Line(3.5)));
            entries.push(Entry::new("± 1 standard deviation", BAND, Sample::Band));
        }
        if let Some((_, label)) = &self.reference {
            entries.push(Entry::new(label, DARK_GREY, Sample::Dashes));
        }
        // A single curve is named by the axis.
        let parts = part_entries(&self.series);
        if self.series.len() > 1 || !entries.is_empty() {
            let room = MOST_ENTRIES - entries.len() - parts.len();
            let named = self.named();
            let whole = named.len();
            let shown = if whole > room { room - 1 } else { whole };
            for (series, colour) in named.into_iter().take(shown) {
                let sample = match series.mark {
                    Mark::Line | Mark::Steps if !parts.is_empty() => Sample::Line(WHOLE),
                    Mark::Line | Mark::Steps | Mark::Part => Sample::Line(2.5),
                    Mark::Dots => Sample::Dot,
                    Mark::Rings => Sample::Ring,
                };
                entries.push(Entry::new(&series.label, colour, sample));
            }
            if shown < whole {
                let rest = format!("and {} more", whole - shown);
                entries.push(Entry::new(&rest, DARK_GREY, Sample::None));
            }
        }
        entries.extend(parts);
        entries
    }
}

/// The corners of a line that keeps each height up to the next x.
fn steps(points: impl Iterator<Item = Point>) -> Vec<Point> {
    let mut line: Vec<Point> = Vec::new();
    for (x, y) in points {
        line.extend(line.last().map(|(_, before)| (x, *before)));
        line.push((x, y));
    }
    line
}

fn limits(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.fold(None, |limits, value| match limits {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn series(count: usize, epochs: usize) -> Vec<Series> {
        let curve = |k: usize| Series {
            label: format!("trial-0017/seed-42/fold-{k}"),
            mark: Mark::Line,
            points: (1..=epochs)
                .map(|e| (e as f64, 0.9 - 0.5 / (e + k) as f64))
                .collect(),
        };
        (0..count).map(curve).collect()
    }

    fn plot(series: Vec<Series>) -> CurvePlot {
        CurvePlot {
            title: "Validation IoU".into(),
            x_label: "epoch".into(),
            y_label: "IoU (mean over validation cases)".into(),
            series,
            mean_band: false,
            reference: None,
            y_range: None,
            log_y: false,
        }
    }

    fn paths(drawing: &Drawing, of: Colour) -> Vec<&Vec<Point>> {
        let path = |shape| match shape {
            &Shape::Path {
                ref points, colour, ..
            } if colour == of => Some(points),
            _ => None,
        };
        drawing.shapes.iter().filter_map(path).collect()
    }

    #[test]
    fn no_text_covers_another_or_leaves_the_picture() {
        let reference = Some((
            0.86,
            "published baseline 0.86, with a name that is too long".into(),
        ));
        for (count, epochs) in [(0, 0), (1, 1), (1, 30), (5, 60), (40, 1000)] {
            for (log_y, y_range) in [(false, None), (false, Some((0.0, 1.0))), (true, None)] {
                let reference = reference.clone();
                let plot = CurvePlot {
                    mean_band: true,
                    reference,
                    log_y,
                    y_range,
                    ..plot(series(count, epochs))
                };
                plot.draw().assert_texts_are_apart();
            }
        }
        for size in [1e-9, 1e-4, 1.0, 1e4, 1e9] {
            let points = (0..20)
                .map(|e| (f64::from(e), size * (1.0 + f64::from(e) / 1e3)))
                .collect();
            plot(vec![Series {
                label: "a".into(),
                points,
                mark: Mark::Line,
            }])
            .draw()
            .assert_texts_are_apart();
        }
    }

    #[test]
    fn the_band_is_mean_and_sample_deviation_where_all_curves_have_points() {
        let curve = |points: &[(f64, f64)]| Series {
            label: "fold".into(),
            points: points.into(),
            mark: Mark::Line,
        };
        let plot = CurvePlot {
            mean_band: true,
            ..plot(vec![
                curve(&[(1.0, 0.1), (2.0, f64::NAN), (3.0, 0.6), (4.0, 0.7)]),
                curve(&[(1.0, 0.3), (2.0, 0.5), (3.0, 0.6)]),
            ])
        };
        let [(x, mean, sd), (_, same, none)] = plot.band()[..] else {
            panic!("not two points")
        };
        assert_eq!((x, mean), (1.0, 0.2));
        assert!((sd - 0.02f64.sqrt()).abs() < 1e-15);
        assert_eq!((same, none), (0.6, 0.0));
    }

    #[test]
    fn curves_of_one_name_share_their_colour_and_their_line_in_the_legend() {
        let mut curves = series(4, 9);
        for (curve, label) in curves.iter_mut().zip(["a", "a", "b", "a"]) {
            curve.label = label.into();
        }
        let plot = plot(curves);
        assert_eq!(plot.legend().len(), 2);
        // A curve of each, and its sample in the legend.
        let drawing = plot.draw();
        let [a, b] = [0, 1].map(|at| paths(&drawing, SERIES_COLOURS[at]).len());
        assert_eq!([a, b], [3 + 1, 1 + 1]);
    }

    #[test]
    fn a_value_that_is_not_finite_leaves_a_gap() {
        let mut curves = series(1, 9);
        curves[0].points[4].1 = f64::NAN;
        curves[0].points[7].1 = f64::INFINITY;
        let drawing = plot(curves).draw();
        let lengths: Vec<usize> = paths(&drawing, SERIES_COLOURS[0])
            .iter()
            .map(|path| path.len())
            .collect();
        assert_eq!(lengths, [4, 2]);
        let dots = drawing
            .shapes
            .iter()
            .filter(|shape| matches!(shape, Shape::Dot { .. }));
        assert_eq!(dots.count(), 7);
    }

    #[test]
    fn steps_keep_their_height_as_far_as_the_next_point() {
        let points = [(1.0, 5.0), (2.0, 4.0), (4.0, 4.0)];
        assert_eq!(
            steps(points.into_iter()),
            [(1.0, 5.0), (2.0, 5.0), (2.0, 4.0), (4.0, 4.0), (4.0, 4.0)]
        );
    }

    #[test]
    fn points_at_or_below_zero_are_left_out_of_a_log_plot() {
        let points = vec![(1.0, 1e-3), (2.0, 1e-4), (3.0, 0.0)];
        let log = CurvePlot {
            log_y: true,
            ..plot(vec![Series {
                label: "a".into(),
                points,
                mark: Mark::Line,
            }])
        };
        let drawing = log.draw();
        let [line] = paths(&drawing, SERIES_COLOURS[0])[..] else {
            panic!("not one line")
        };
        assert_eq!(line.len(), 2);
    }

    #[test]
    fn a_range_that_is_given_is_kept_and_one_that_is_not_fits_the_data() {
        let fixed = CurvePlot {
            y_range: Some((0.0, 1.0)),
            ..plot(series(1, 9))
        };
        assert_eq!(fixed.y_limits(&[]), (0.0, 1.0));
        let points = vec![(1.0, 0.861), (2.0, 0.863)];
        let reference = Some((0.86, "baseline".into()));
        let fitted = CurvePlot {
            reference,
            ..plot(vec![Series {
                label: "a".into(),
                points,
                mark: Mark::Line,
            }])
        };
        let (low, high) = fitted.y_limits(&[]);
        assert!(low < 0.86 && low > 0.859 && high > 0.863 && high < 0.864);
    }
}
