//! Thin curves of the parts that another curve sums up, such as structures and their mean.

use super::axis::Axis;
use super::curve::{Mark, Series};
use super::drawing::{Colour, DARK_GREY, Drawing, Point};
use super::legend::{Entry, Sample};
use super::palette::structure_colour;

/// More parts than this have neither colours nor names, but for two.
const MOST_NAMED: usize = 8;
/// Darker than the grid.
const GREY: Colour = (185, 185, 185);
const WIDTH: f64 = 1.8;
/// A dark line under a coloured one makes light colours visible on white.
const RIM: f64 = 1.2;

/// A part with its colour, where it has one, and its name in the legend.
struct Part<'a> {
    series: &'a Series,
    named: Option<(Colour, String)>,
}

fn parts(series: &[Series]) -> Vec<Part<'_>> {
    let all: Vec<&Series> = series.iter().filter(|one| one.mark == Mark::Part).collect();
    let last = |at: &usize| {
        let points = all[*at].points.iter().rev();
        points.map(|(_, y)| *y).find(|y| y.is_finite())
    };
    let mut ranked: Vec<(usize, f64)> = (0..all.len())
        .filter_map(|at| Some((at, last(&at)?)))
        .collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (lowest, highest) = (ranked.first(), ranked.last());
    let name = |at: usize| {
        let label = &all[at].label;
        if all.len() <= MOST_NAMED {
            return Some((structure_colour(at), label.clone()));
        }
        let is = |ranked: Option<&(usize, f64)>| ranked.is_some_and(|(best, _)| *best == at);
        match (is(highest), is(lowest)) {
            (true, _) => Some((structure_colour(0), format!("highest: {label}"))),
            (_, true) => Some((structure_colour(1), format!("lowest: {label}"))),
            _ => None,
        }
    };
    let parts = all.iter().enumerate();
    parts
        .map(|(at, series)| Part {
            series,
            named: name(at),
        })
        .collect()
}

/// Draws the parts among the curves; `shows` says which points can be seen.
pub(super) fn draw_parts(
    on: &mut Drawing,
    (x, y): (&Axis, &Axis),
    series: &[Series],
    shows: impl Fn((f64, f64)) -> bool,
) {
    let parts = parts(series);
    let (named, others): (Vec<&Part>, Vec<&Part>) = parts.iter().partition(|p| p.named.is_some());
    for part in others.into_iter().chain(named) {
        let runs = part.series.points.split(|point| !shows(*point));
        for run in runs.filter(|run| !run.is_empty()) {
            let points: Vec<Point> = run.iter().map(|(a, b)| (x.at(*a), y.at(*b))).collect();
            match (&part.named, points.as_slice()) {
                (Some((colour, _)), [point]) => {
                    on.dot(*point, WIDTH + RIM, DARK_GREY);
                    on.dot(*point, WIDTH, *colour);
                }
                (Some((colour, _)), _) => draw_rimmed(on, points, *colour),
                (None, [point]) => on.dot(*point, WIDTH, GREY),
                (None, _) => on.path(points, GREY, WIDTH),
            }
        }
    }
}

/// A coloured line with a dark rim.
pub(super) fn draw_rimmed(on: &mut Drawing, points: Vec<Point>, colour: Colour) {
    on.path(points.clone(), DARK_GREY, WIDTH + RIM);
    on.path(points, colour, WIDTH);
}

/// The parts' places in the legend.
pub(super) fn part_entries(series: &[Series]) -> Vec<Entry> {
    let parts = parts(series);
    let named = parts.iter().filter_map(|part| part.named.as_ref());
    let mut entries: Vec<Entry> = named
        .map(|(colour, name)| Entry::new(name, *colour, Sample::Rimmed))
        .collect();
    if entries.len() < parts.len() {
        let rest = format!("and {} more", parts.len() - entries.len());
        entries.push(Entry::new(&rest, GREY, Sample::Line(WIDTH)));
    }
    entries
}

#[cfg(test)]
mod tests {
    use super::super::drawing::{BLACK, Shape};
    use super::*;
    use crate::plot::CurvePlot;

    fn drawn(count: usize) -> Drawing {
        let curve = |label: String, mark, height: f64| Series {
            label,
            points: (1..=6).map(|e| (f64::from(e), height)).collect(),
            mark,
        };
        let mut series = vec![curve(
            format!("mean of {count} structures"),
            Mark::Line,
            0.5,
        )];
        series.extend((0..count).map(|at| {
            let height = 0.1 + 0.8 * ((at * 7) % count) as f64 / count as f64;
            curve(format!("structure {at}"), Mark::Part, height)
        }));
        CurvePlot {
            title: "Validation IoU".into(),
            x_label: "epoch".into(),
            y_label: "IoU".into(),
            series,
            mean_band: false,
            reference: None,
            y_range: Some((0.0, 1.0)),
            log_y: false,
        }
        .draw()
    }

    fn texts(drawing: &Drawing) -> Vec<&str> {
        let shapes = drawing.shapes.iter();
        let texts = shapes.filter_map(|shape| match shape {
            Shape::Text(text) => Some(text.text.as_str()),
            _ => None,
        });
        texts.collect()
    }

    #[test]
    fn few_parts_have_names_and_of_many_the_highest_and_the_lowest() {
        let few = drawn(8);
        few.assert_texts_are_apart();
        assert!((0..8).all(|at| texts(&few).contains(&format!("structure {at}").as_str())));
        assert!(texts(&few).contains(&"mean of 8 structures"));
        let many = drawn(20);
        many.assert_texts_are_apart();
        // 7 * 17 is 19 modulo 20.
        for name in [
            "highest: structure 17",
            "lowest: structure 0",
            "and 18 more",
        ] {
            assert!(texts(&many).contains(&name), "{name} in {:?}", texts(&many));
        }
        let is_mean = |shape: &Shape| matches!(shape, Shape::Path { colour, width, .. } if *colour == BLACK && *width > 3.0);
        assert!(many.shapes.iter().any(is_mean), "the mean stands out");
    }
}
