#!/usr/bin/env bash
# plotters 0.3.7 draws a point that is not a number, and points outside the axes, as if they were on the frame.
#
# Guess: a line series breaks at NaN, as in matplotlib, R and gnuplot, and the part outside the axes is cut off at
# the frame. Seen: a loss that became NaN is drawn as falling to the bottom of the axis, which reads as the best
# value of all; a value of 1.6 on an axis from 0 to 1 is drawn as exactly 1. Nothing is reported either way.
#
# Seen 2026-11-29 with plotters 0.3.7 (rustc 1.95): the SVG's only polyline runs through the pixels
# 0,100 (value 0), 33,0 (1.6, the top of the frame), 66,100 (NaN, the bottom), 99,50 (0.5).
# Exits with 1 if that changes.
set -euo pipefail
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
mkdir src
cat >Cargo.toml <<'TOML'
[package]
name = "outside"
version = "0.0.0"
edition = "2021"
[dependencies]
plotters = { version = "=0.3.7", default-features = false, features = ["svg_backend", "line_series"] }
TOML
cat >src/main.rs <<'RUST'
use plotters::prelude::*;

fn main() {
    let mut svg = String::new();
    {
        let area = SVGBackend::with_string(&mut svg, (100, 101)).into_drawing_area();
        let mut chart = ChartBuilder::on(&area)
            .build_cartesian_2d(0.0..3.0, 0.0..1.0)
            .unwrap();
        let values = [0.0, 1.6, f64::NAN, 0.5];
        let points = values.iter().enumerate().map(|(at, value)| (at as f64, *value));
        chart.draw_series(LineSeries::new(points, &BLACK)).unwrap();
        area.present().unwrap();
    }
    for line in svg.lines().filter(|line| line.contains("polyline")) {
        let points = line.split("points=\"").nth(1).unwrap();
        println!("{}", points.split('"').next().unwrap().trim());
    }
}
RUST
unset CARGO_TARGET_DIR
seen=$(cargo run --quiet)
echo "$seen"
[ "$seen" = "0,100 33,0 66,100 99,50" ]
