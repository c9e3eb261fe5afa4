//! A drawing as a list of shapes, and its rendering to PNG and SVG.

use std::io;
use std::path::Path;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use image::codecs::png::PngEncoder;
use image::imageops::{FilterType, replace, resize, thumbnail};
use image::{ColorType, ImageEncoder, RgbImage};
use plotters::backend::{BitMapBackend, SVGBackend};
use plotters_backend::{BackendColor, BackendStyle, DrawingBackend, DrawingErrorKind};

use super::PlotError;
use super::signature::signed;
use super::text::{Align, TextStyle, font_face};
use crate::files::write_atomic;

/// Backends draw on whole pixels. They draw at this many times the size: the PNG is then averaged down, which
/// smooths it, and the SVG is scaled.
const OVERSAMPLING: u32 = 4;

/// A position in pixels: to the right and down from the upper left corner.
pub(super) type Point = (f64, f64);

/// Red, green, blue.
pub(super) type Colour = (u8, u8, u8);

pub(super) const BLACK: Colour = (0, 0, 0);
pub(super) const WHITE: Colour = (255, 255, 255);
pub(super) const DARK_GREY: Colour = (70, 70, 70);
pub(super) const LIGHT_GREY: Colour = (222, 222, 222);

/// Okabe and Ito's colours, which colour-blind readers can distinguish (without their black, and
/// their yellow, which is too light for lines).
pub(super) const SERIES_COLOURS: [Colour; 6] = [
    (0, 114, 178),
    (213, 94, 0),
    (0, 158, 115),
    (204, 121, 167),
    (230, 159, 0),
    (86, 180, 233),
];

/// Something drawn. Lengths are in pixels.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Shape {
    /// A line through points.
    Path {
        points: Vec<Point>,
        colour: Colour,
        width: f64,
    },
    /// A filled outline; `opacity` from 0 to 1.
    Area {
        points: Vec<Point>,
        colour: Colour,
        opacity: f64,
    },
    /// A filled disc.
    Dot {
        centre: Point,
        radius: f64,
        colour: Colour,
    },
    /// A line of text, vertically centred at `at`.
    Text(Text),
}

/// A line of text.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Text {
    pub(super) text: String,
    pub(super) at: Point,
    pub(super) size: f64,
    pub(super) colour: Colour,
    pub(super) align: Align,
    /// Whether it reads from bottom to top.
    pub(super) upwards: bool,
}

/// A picture under the shapes, stretched to fill a rectangle.
#[derive(Clone, Debug)]
pub(super) struct Picture {
    pub(super) pixels: RgbImage,
    pub(super) corner: Point,
    pub(super) size: (f64, f64),
}

/// Shapes on a background; later ones cover earlier ones.
#[derive(Clone, Debug)]
pub(super) struct Drawing {
    pub(super) size: (u32, u32),
    pub(super) background: Colour,
    pub(super) pictures: Vec<Picture>,
    pub(super) shapes: Vec<Shape>,
}

impl Drawing {
    pub(super) fn new(size: (u32, u32), background: Colour) -> Self {
        Self {
            size,
            background,
            pictures: Vec::new(),
            shapes: Vec::new(),
        }
    }

    pub(super) fn path(&mut self, points: Vec<Point>, colour: Colour, width: f64) {
        self.shapes.push(Shape::Path {
            points,
            colour,
            width,
        });
    }

    /// A straight line in dashes.
    pub(super) fn dashes(&mut self, from: Point, to: Point, colour: Colour, width: f64) {
        const DASH: f64 = 8.0;
        const GAP: f64 = 5.0;
        let length = (to.0 - from.0).hypot(to.1 - from.1);
        let at = |distance: f64| {
            let part = (distance / length).min(1.0);
            (
                from.0 + part * (to.0 - from.0),
                from.1 + part * (to.1 - from.1),
            )
        };
        let mut start = 0.0;
        while start < length {
            self.path(vec![at(start), at(start + DASH)], colour, width);
            start += DASH + GAP;
        }
    }

    pub(super) fn rectangle(&mut self, corner: Point, size: (f64, f64), colour: Colour) {
        let (left, top) = corner;
        let (right, bottom) = (left + size.0, top + size.1);
        let points = vec![(left, top), (right, top), (right, bottom), (left, bottom)];
        self.area(points, colour, 1.0);
    }

    pub(super) fn area(&mut self, points: Vec<Point>, colour: Colour, opacity: f64) {
        self.shapes.push(Shape::Area {
            points,
            colour,
            opacity,
        });
    }

    pub(super) fn dot(&mut self, centre: Point, radius: f64, colour: Colour) {
        self.shapes.push(Shape::Dot {
            centre,
            radius,
            colour,
        });
    }

    /// A hollow disc.
    pub(super) fn ring(&mut self, centre: Point, radius: f64, colour: Colour) {
        self.dot(centre, radius, colour);
        self.dot(centre, radius - 1.75, WHITE);
    }

    pub(super) fn text(&mut self, text: &str, at: Point, size: f64, align: Align, colour: Colour) {
        let text = text.to_owned();
        self.shapes.push(Shape::Text(Text {
            text,
            at,
            size,
            colour,
            align,
            upwards: false,
        }));
    }

    /// A text that reads from bottom to top, centred at `at`.
    pub(super) fn text_upwards(&mut self, text: &str, at: Point, size: f64) {
        self.shapes.push(Shape::Text(Text {
            text: text.to_owned(),
            at,
            size,
            colour: DARK_GREY,
            align: Align::Middle,
            upwards: true,
        }));
    }

    /// Writes `<stem>.png` and `<stem>.svg` into `folder`, which is created if missing.
    pub(super) fn save(&self, folder: &Path, stem: &str) -> Result<(), PlotError> {
        self.save_png(&folder.join(format!("{stem}.png")))?;
        self.save_svg(&folder.join(format!("{stem}.svg")))
    }

    /// Writes one file: SVG where the name ends in `.svg`, PNG otherwise.
    pub(super) fn save_as(&self, path: &Path) -> Result<(), PlotError> {
        match path
            .extension()
            .is_some_and(|of| of.eq_ignore_ascii_case("svg"))
        {
            true => self.save_svg(path),
            false => self.save_png(path),
        }
    }

    /// Writes the PNG alone.
    pub(super) fn save_png(&self, path: &Path) -> Result<(), PlotError> {
        let pixels = self.pixels().map_err(|why| not_drawn(path, why))?;
        write_atomic(path, |out| out.write_all(&png(&pixels)?))?;
        Ok(())
    }

    fn save_svg(&self, path: &Path) -> Result<(), PlotError> {
        let svg = self.svg().map_err(|why| not_drawn(path, why))?;
        write_atomic(path, |out| out.write_all(svg.as_bytes()))?;
        Ok(())
    }

    /// The drawing in pixels.
    pub(super) fn pixels(&self) -> Result<RgbImage, String> {
        let (width, height) = self.size;
        let (wide, high) = (width * OVERSAMPLING, height * OVERSAMPLING);
        let (red, green, blue) = self.background;
        let mut large = RgbImage::from_pixel(wide, high, image::Rgb([red, green, blue]));
        for picture in &self.pictures {
            let (width, height) = (device(picture.size.0), device(picture.size.1));
            let stretched = resize(
                &picture.pixels,
                width as u32,
                height as u32,
                FilterType::Triangle,
            );
            let corner = (device(picture.corner.0), device(picture.corner.1));
            replace(&mut large, &stretched, corner.0.into(), corner.1.into());
        }
        let mut backend = BitMapBackend::with_buffer(&mut large, (wide, high));
        self.shapes
            .iter()
            .try_for_each(|shape| shape.draw(&mut backend))
            .and_then(|()| backend.present())
            .map_err(|error| error.to_string())?;
        drop(backend);
        Ok(thumbnail(&large, width, height))
    }

    fn svg(&self) -> Result<String, String> {
        let (width, height) = self.size;
        let (wide, high) = (width * OVERSAMPLING, height * OVERSAMPLING);
        let mut drawn = String::new();
        let mut backend = SVGBackend::with_string(&mut drawn, (wide, high));
        self.shapes
            .iter()
            .try_for_each(|shape| shape.draw(&mut backend))
            .and_then(|()| backend.present())
            .map_err(|error| error.to_string())?;
        drop(backend);
        let (_, shapes) = drawn.split_once('\n').ok_or("the SVG has no header")?;
        let (red, green, blue) = self.background;
        let mut svg = format!(
            "<svg width=\"{width}\" height=\"{height}\" viewBox=\"0 0 {wide} {high}\" \
             xmlns=\"http://www.w3.org/2000/svg\">\n\
             {}\
             <rect width=\"100%\" height=\"100%\" fill=\"rgb({red},{green},{blue})\"/>\n",
            font_face()
        );
        for picture in &self.pictures {
            let encoded = png(&picture.pixels).map_err(|error| error.to_string())?;
            svg += &format!(
                "<image x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\" preserveAspectRatio=\"none\" \
                 href=\"data:image/png;base64,{}\"/>\n",
                device(picture.corner.0),
                device(picture.corner.1),
                device(picture.size.0),
                device(picture.size.1),
                BASE64.encode(encoded)
            );
        }
        Ok(svg + shapes)
    }
}

impl Shape {
    fn draw<B: DrawingBackend>(&self, on: &mut B) -> Result<(), DrawingErrorKind<B::ErrorType>> {
        match self {
            Self::Path {
                points,
                colour,
                width,
            } => {
                let stroke = Stroke {
                    colour: opaque(*colour),
                    width: device(*width).max(1) as u32,
                };
                on.draw_path(points.iter().map(device_point), &stroke)
            }
            Self::Area {
                points,
                colour,
                opacity,
            } => {
                let fill = BackendColor {
                    alpha: *opacity,
                    rgb: *colour,
                };
                on.fill_polygon(points.iter().map(device_point), &fill)
            }
            Self::Dot {
                centre,
                radius,
                colour,
            } => on.draw_circle(
                device_point(centre),
                device(*radius) as u32,
                &opaque(*colour),
                true,
            ),
            Self::Text(text) => {
                let style = TextStyle {
                    size: text.size * f64::from(OVERSAMPLING),
                    colour: opaque(text.colour),
                    align: text.align,
                    upwards: text.upwards,
                };
                // Backends centre small letters; capitals and digits are 0.18 em higher.
                let down = 0.09 * text.size;
                let (x, y) = text.at;
                let at = if text.upwards {
                    (x + down, y)
                } else {
                    (x, y + down)
                };
                on.draw_text(&text.text, &style, device_point(&at))
            }
        }
    }
}

struct Stroke {
    colour: BackendColor,
    width: u32,
}

impl BackendStyle for Stroke {
    fn color(&self) -> BackendColor {
        self.colour
    }

    fn stroke_width(&self) -> u32 {
        self.width
    }
}

fn opaque(colour: Colour) -> BackendColor {
    BackendColor {
        alpha: 1.0,
        rgb: colour,
    }
}

fn device(length: f64) -> i32 {
    (length * f64::from(OVERSAMPLING)).round() as i32
}

fn device_point(point: &Point) -> (i32, i32) {
    (device(point.0), device(point.1))
}

fn not_drawn(path: &Path, why: String) -> PlotError {
    let stem = path.file_stem().unwrap_or_default();
    PlotError::Drawing {
        stem: stem.to_string_lossy().into_owned(),
        why,
    }
}

fn png(pixels: &RgbImage) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    PngEncoder::new(&mut bytes)
        .write_image(pixels, pixels.width(), pixels.height(), ColorType::Rgb8)
        .map_err(io::Error::other)?;
    Ok(signed(bytes))
}

#[cfg(test)]
impl Drawing {
    /// Left, top, right and bottom of every text.
    fn text_bounds(&self) -> impl Iterator<Item = (&str, [f64; 4])> {
        self.shapes.iter().filter_map(|shape| {
            let Shape::Text(text) = shape else {
                return None;
            };
            let length = super::text::text_width(&text.text, text.size);
            let before = match text.align {
                Align::Start => 0.0,
                Align::Middle => length / 2.0,
                Align::End => length,
            };
            let ((x, y), half) = (text.at, 0.5 * text.size);
            let bounds = if text.upwards {
                [x - half, y + before - length, x + half, y + before]
            } else {
                [x - before, y - half, x - before + length, y + half]
            };
            Some((text.text.as_str(), bounds))
        })
    }

    /// Panics if a text covers another or does not lie within the picture.
    pub(super) fn assert_texts_are_apart(&self) {
        let texts: Vec<_> = self.text_bounds().collect();
        let (width, height) = (f64::from(self.size.0), f64::from(self.size.1));
        for (index, (text, [left, top, right, bottom])) in texts.iter().enumerate() {
            let within = *left >= 0.0 && *top >= 0.0 && *right <= width && *bottom <= height;
            assert!(within, "{text:?} leaves the picture");
            for (other, [l, t, r, b]) in &texts[..index] {
                let apart = right < l || r < left || bottom < t || b < top;
                assert!(apart, "{text:?} covers {other:?}");
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A text, a line and an area on red, with a picture under them.
    fn drawing() -> Drawing {
        let mut on = Drawing::new((120, 60), (255, 0, 0));
        let pixels = RgbImage::from_pixel(2, 2, image::Rgb([0, 0, 255]));
        on.pictures.push(Picture {
            pixels,
            corner: (60.0, 0.0),
            size: (60.0, 60.0),
        });
        on.rectangle((70.0, 10.0), (20.0, 20.0), WHITE);
        on.path(vec![(10.0, 30.0), (50.0, 30.0)], BLACK, 4.0);
        on.text("<5 & \"6\"", (8.0, 10.0), 12.0, Align::Start, BLACK);
        on
    }

    #[test]
    fn shapes_and_pictures_are_where_they_were_put() {
        let pixels = drawing().pixels().unwrap();
        assert_eq!(pixels.dimensions(), (120, 60));
        let at = |x, y| pixels.get_pixel(x, y).0;
        assert_eq!(at(5, 50), [255, 0, 0], "background");
        assert_eq!(at(110, 50), [0, 0, 255], "picture");
        assert_eq!(at(80, 20), [255, 255, 255], "area over the picture");
        assert_eq!(at(30, 29), [0, 0, 0], "line");
        assert_eq!(at(30, 34), [255, 0, 0], "beside the line");
    }

    #[test]
    fn letters_stand_in_their_bounds() {
        let mut on = Drawing::new((200, 60), WHITE);
        on.text("HMHM", (100.0, 30.0), 20.0, Align::Middle, BLACK);
        let pixels = on.pixels().unwrap();
        let dark: Vec<(u32, u32)> = pixels
            .enumerate_pixels()
            .filter(|(.., p)| p.0[0] < 128)
            .map(|(x, y, _)| (x, y))
            .collect();
        let (_, [left, _, right, _]) = on.text_bounds().next().unwrap();
        let (first, last) = (
            dark.iter().map(|p| p.0).min(),
            dark.iter().map(|p| p.0).max(),
        );
        let (first, last) = (f64::from(first.unwrap()), f64::from(last.unwrap()));
        assert!(first >= left && first < left + 4.0 && last <= right && last > right - 4.0);
        // Capitals are 0.73 em high; their middle is where the text was put.
        let (top, bottom) = (
            dark.iter().map(|p| p.1).min(),
            dark.iter().map(|p| p.1).max(),
        );
        assert!((top.unwrap() + bottom.unwrap()).abs_diff(60) <= 2);
    }

    #[test]
    fn the_svg_is_as_large_and_escapes_its_texts() {
        let svg = drawing().svg().unwrap();
        assert!(svg.starts_with("<svg width=\"120\" height=\"60\" viewBox=\"0 0 480 240\""));
        assert!(svg.contains("&lt;5 &amp;") && !svg.contains("<5"));
        assert!(svg.trim_end().ends_with("</svg>"));
    }
}
