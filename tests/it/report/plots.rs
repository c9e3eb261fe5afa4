//! Plots and pictures are on disk, whole, and show what they should.

use calvaria::plot::{CurvePlot, Mark, Overlay, PlotError, Series, StripPlot};
use calvaria::volume::{Affine, Structures, Volume};
use image::RgbImage;
use ndarray::Array3;

const TRUTH: [u8; 3] = [0, 200, 150];
const PREDICTION: [u8; 3] = [255, 120, 0];

#[test]
fn plots_are_written_as_png_and_svg_with_their_names() {
    let folder = tempfile::tempdir().unwrap();
    let plots = folder.path().join("plots");
    CurvePlot {
        title: "Loss".into(),
        x_label: "epoch".into(),
        y_label: "loss (mean over samples)".into(),
        series: vec![
            Series {
                label: "train".into(),
                points: vec![(1.0, 0.5), (2.0, 0.25)],
                mark: Mark::Line,
            },
            Series {
                label: "validation".into(),
                points: vec![(1.0, 0.6), (2.0, f64::NAN)],
                mark: Mark::Line,
            },
        ],
        mean_band: false,
        reference: Some((0.4, "before".into())),
        y_range: None,
        log_y: false,
    }
    .save(&plots, "loss")
    .unwrap();
    StripPlot {
        title: "Cases".into(),
        label: "IoU".into(),
        values: vec![("sub-01".into(), 0.9), ("sub-02".into(), 0.8)],
    }
    .save(&plots, "cases")
    .unwrap();

    let png = image::open(plots.join("loss.png")).unwrap().into_rgb8();
    assert_eq!(png.dimensions(), (1200, 750));
    let blue = png
        .pixels()
        .filter(|pixel| pixel.0 == [0, 114, 178])
        .count();
    assert!(blue > 500, "the first curve covers {blue} pixels");
    assert_eq!(image::open(plots.join("cases.png")).unwrap().width(), 1200);
    let loss = std::fs::read_to_string(plots.join("loss.svg")).unwrap();
    for text in [
        "Loss",
        "epoch",
        "loss (mean over samples)",
        "train",
        "validation",
        "before",
    ] {
        assert!(loss.contains(&format!("\n{text}\n")), "{text} is missing");
    }
    let cases = std::fs::read_to_string(plots.join("cases.svg")).unwrap();
    assert!(cases.contains("\nsub-02\n"));
    assert_eq!(
        std::fs::read_dir(&plots).unwrap().count(),
        4,
        "no temporary file is left"
    );
}

/// A scan of `shape` voxels in any orientation, bright where `bright` is true for a position in mm.
fn scan(shape: [usize; 3], affine: Affine, bright: impl Fn([f64; 3]) -> bool) -> Volume<f32> {
    let voxels = Array3::from_shape_fn(shape, |(x, y, z)| {
        f32::from(u8::from(bright(
            affine.apply([x as f64, y as f64, z as f64]),
        )))
    });
    Volume { voxels, affine }
}

fn mask(like: &Volume<f32>, inside: impl Fn([f64; 3]) -> bool) -> Volume<u8> {
    let volume = scan(like.shape(), like.affine, inside);
    Volume {
        voxels: volume.voxels.mapv(|value| value as u8),
        affine: volume.affine,
    }
}

fn axial(image: &Volume<f32>, truth: &Volume<u8>, prediction: &Volume<u8>) -> RgbImage {
    let overlay = Overlay {
        image,
        truth,
        prediction,
        structures: &Structures::Mask,
        title: "sub-01".into(),
    };
    let (rgb, width, height) = overlay.slice_rgb().unwrap();
    RgbImage::from_raw(width as u32, height as u32, rgb).unwrap()
}

/// Bounds in pixels (left, top, right, bottom) of what has a colour.
fn bounds(picture: &RgbImage, colour: [u8; 3]) -> Option<[u32; 4]> {
    let found = picture
        .enumerate_pixels()
        .filter(|(.., pixel)| pixel.0 == colour);
    found.fold(None, |bounds, (x, y, _)| match bounds {
        None => Some([x, y, x, y]),
        Some([l, t, r, b]) => Some([x.min(l), y.min(t), x.max(r), y.max(b)]),
    })
}

fn ball(radius: f64) -> impl Fn([f64; 3]) -> bool {
    move |[x, y, z]| x * x + y * y + z * z < radius * radius
}

/// Axes to the left, to the feet and to the front, of three different spacings, about the origin.
fn lia() -> Affine {
    Affine([
        [-1.0, 0.0, 0.0, 30.0],
        [0.0, 0.0, 2.0, -40.0],
        [0.0, -3.0, 0.0, 30.0],
        [0.0, 0.0, 0.0, 1.0],
    ])
}

#[test]
fn an_axial_slice_of_any_orientation_shows_front_up_and_right_on_the_right_in_true_proportion() {
    // Bright to the right and front of (20, 20) mm.
    let image = scan([61, 21, 41], lia(), |[x, y, _]| x > 20.0 && y > 20.0);
    let nothing = mask(&image, |_| false);
    let picture = axial(&image, &mask(&image, ball(10.0)), &nothing);
    // 61 mm across, 41 voxels of 2 mm up, 2 pixels per mm.
    assert_eq!(picture.dimensions(), (122, 164));
    assert_eq!(
        bounds(&picture, [255; 3]).map(|[_, top, right, _]| (top, right)),
        Some((0, 121))
    );
    assert_eq!(picture.get_pixel(10, 10).0, [0; 3], "left front is dark");
    assert_eq!(picture.get_pixel(110, 150).0, [0; 3], "right back is dark");
    let [left, top, right, bottom] = bounds(&picture, TRUTH).unwrap();
    let (across, up) = (right - left, bottom - top);
    assert!(
        across.abs_diff(40) <= 5 && up.abs_diff(40) <= 5,
        "a ball is round: {across} x {up}"
    );
}

#[test]
fn outlines_lie_around_what_they_outline() {
    let front_right = |[x, y, _]: [f64; 3]| x > 5.0 && y > 10.0 && y < 30.0;
    let image = scan([61, 21, 41], lia(), front_right);
    let inside = mask(&image, front_right);
    let picture = axial(&image, &inside, &mask(&image, |_| false));
    let (bright, line) = (
        bounds(&picture, [255; 3]).unwrap(),
        bounds(&picture, TRUTH).unwrap(),
    );
    for (edge, of) in line.into_iter().zip(bright) {
        assert!(
            edge.abs_diff(of) <= 5,
            "outline {line:?}, inside {bright:?}"
        );
    }
}

#[test]
fn both_outlines_are_seen_apart_and_together() {
    let image = scan([61, 21, 41], lia(), |_| false);
    let (small, large) = (mask(&image, ball(10.0)), mask(&image, ball(20.0)));
    let apart = axial(&image, &small, &large);
    assert!(bounds(&apart, TRUTH).unwrap()[0] > bounds(&apart, PREDICTION).unwrap()[0] + 10);
    let together = axial(&image, &large, &large);
    let count = |colour| together.pixels().filter(|pixel| pixel.0 == colour).count();
    assert!(count(TRUTH) > 50 && count(PREDICTION) > 50);
}

#[test]
fn an_empty_mask_or_a_flat_scan_is_drawn_all_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let image = scan([5, 6, 7], Affine::identity(), |_| true);
    let empty = mask(&image, |_| false);
    let overlay = Overlay {
        image: &image,
        truth: &empty,
        prediction: &empty,
        structures: &Structures::Mask,
        title: "empty".into(),
    };
    overlay.save(folder.path(), "overlay").unwrap();
    let picture = image::open(folder.path().join("overlay.png")).unwrap();
    assert_eq!(picture.width(), 1200);
    let svg = std::fs::read_to_string(folder.path().join("overlay.svg")).unwrap();
    assert_eq!(svg.matches("data:image/png;base64,").count(), 3);
}

#[test]
fn masks_of_another_shape_are_refused() {
    let image = scan([5, 6, 7], Affine::identity(), |_| true);
    let truth = mask(&image, |_| true);
    let other = mask(&scan([5, 6, 8], Affine::identity(), |_| true), |_| true);
    let overlay = Overlay {
        image: &image,
        truth: &truth,
        prediction: &other,
        structures: &Structures::Mask,
        title: "sub-01".into(),
    };
    let refused = overlay.slice_rgb().unwrap_err();
    assert!(matches!(refused, PlotError::Shapes { .. }));
    assert!(refused.to_string().contains("sub-01"), "{refused}");
}
