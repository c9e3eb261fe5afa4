//! Text in plots: the program's own font, so that plots look alike on every machine.

use std::convert::Infallible;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};
use plotters_backend::text_anchor::{HPos, Pos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendTextStyle, FontFamily, FontTransform};

/// The font that SVGs bring with them, and what is used for letters that it lacks. Verdana's are about
/// as wide.
const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

const FILE: &[u8] = include_bytes!("fonts/DejaVuSans.ttf");

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    // The tests draw with this very file, which is part of the program.
    FontRef::try_from_slice(FILE).expect("the font is a part of the program")
});

/// The font as a part of an SVG, so that its text is text and looks alike everywhere.
pub(super) fn font_face() -> String {
    format!(
        "<style>@font-face {{ font-family: 'DejaVu Sans'; src: \
         url(data:font/ttf;base64,{}) format('truetype'); }}</style>\n",
        BASE64.encode(FILE)
    )
}

/// Which end of a text lies at its position.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Align {
    /// The text starts there.
    Start,
    /// Its middle is there.
    Middle,
    /// It ends there.
    End,
}

/// How a text is drawn: in pixels of the device, with the position at half the height of an "x".
pub(super) struct TextStyle {
    pub(super) size: f64,
    pub(super) colour: BackendColor,
    pub(super) align: Align,
    pub(super) upwards: bool,
}

/// Width of `text` where letters are `size` high (the em).
pub(super) fn text_width(text: &str, size: f64) -> f64 {
    let font = FONT.as_scaled(scale(size));
    text.chars()
        .map(|c| f64::from(font.h_advance(font.glyph_id(c))))
        .sum()
}

/// `text`, cut and with an ellipsis if it is wider than `width`.
pub(super) fn shortened(text: &str, size: f64, width: f64) -> String {
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    let mut short: Vec<char> = text.chars().collect();
    loop {
        short.pop();
        let candidate: String = short.iter().chain(&['…']).collect();
        if short.is_empty() || text_width(&candidate, size) <= width {
            return candidate;
        }
    }
}

/// `ab_glyph` counts a font's height from its deepest to its highest point.
fn scale(size: f64) -> PxScale {
    let em = FONT.units_per_em().unwrap_or(FONT.height_unscaled());
    PxScale::from(size as f32 * FONT.height_unscaled() / em)
}

impl BackendTextStyle for TextStyle {
    type FontError = Infallible;

    fn color(&self) -> BackendColor {
        self.colour
    }

    fn size(&self) -> f64 {
        // The SVG backend divides by this to come from its font heights to the em.
        self.size * 1.24
    }

    fn transform(&self) -> FontTransform {
        if self.upwards {
            FontTransform::Rotate270
        } else {
            FontTransform::None
        }
    }

    fn anchor(&self) -> Pos {
        let horizontal = match self.align {
            Align::Start => HPos::Left,
            Align::Middle => HPos::Center,
            Align::End => HPos::Right,
        };
        Pos::new(horizontal, VPos::Center)
    }

    fn family(&self) -> FontFamily<'_> {
        FontFamily::Name(FAMILY)
    }

    fn layout_box(&self, text: &str) -> Result<((i32, i32), (i32, i32)), Infallible> {
        // Without a height, the position is where `draw` puts its zero.
        Ok(((0, 0), (text_width(text, self.size).round() as i32, 0)))
    }

    fn draw<E, DrawFunc: FnMut(i32, i32, BackendColor) -> Result<(), E>>(
        &self,
        text: &str,
        (x, y): BackendCoord,
        mut draw: DrawFunc,
    ) -> Result<Result<(), E>, Infallible> {
        let font = FONT.as_scaled(scale(self.size));
        // The SVG backend puts the baseline half an "x" (of DejaVu's 0.547 em) below the position.
        let baseline = y as f32 + 0.2735 * self.size as f32;
        let mut pen = x as f32;
        for c in text.chars() {
            let mut glyph = font.scaled_glyph(c);
            glyph.position = ab_glyph::point(pen, baseline);
            pen += font.h_advance(glyph.id);
            let Some(outline) = font.outline_glyph(glyph) else {
                continue;
            };
            let corner = outline.px_bounds().min;
            let mut result = Ok(());
            outline.draw(|dx, dy, coverage| {
                if result.is_ok() && coverage > 0.0 {
                    let colour = BackendColor {
                        alpha: self.colour.alpha * f64::from(coverage.min(1.0)),
                        ..self.colour
                    };
                    result = draw(
                        corner.x as i32 + dx as i32,
                        corner.y as i32 + dy as i32,
                        colour,
                    );
                }
            });
            if result.is_err() {
                return Ok(result);
            }
        }
        Ok(Ok(()))
    }
}
