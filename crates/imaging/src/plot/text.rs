//! Text in plots, in a font that is part of the program: plots look the same on every machine.

use std::convert::Infallible;
use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use ab_glyph::{Font, FontRef, PxScale, ScaleFont};
use plotters_backend::text_anchor::{HPos, Pos, VPos};
use plotters_backend::{BackendColor, BackendCoord, BackendTextStyle, FontFamily, FontTransform};

/// The font that is embedded in SVGs, and fallbacks for letters that it lacks. Verdana is about as wide.
const FAMILY: &str = "DejaVu Sans, Verdana, sans-serif";

const FILE: &[u8] = include_bytes!("fonts/DejaVuSans.ttf");

static FONT: LazyLock<FontRef<'static>> = LazyLock::new(|| {
    // The tests draw with the same file.
    FontRef::try_from_slice(FILE).expect("the font is a part of the program")
});

/// A style element that embeds the font in an SVG: text stays text and looks the same everywhere.
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

/// `key`, its beginning replaced by an ellipsis if it is wider than `width`: the end of a dotted key is the most
/// informative part.
pub(super) fn shortened_key(key: &str, size: f64, width: f64) -> String {
    if text_width(key, size) <= width {
        return key.to_owned();
    }
    let mut rest = key.chars();
    loop {
        let gone = rest.next().is_none();
        let candidate = format!("…{}", rest.as_str());
        if gone || text_width(&candidate, size) <= width {
            return candidate;
        }
    }
}

/// `text`, its middle replaced by an ellipsis if it is wider than `width`.
fn squeezed(text: &str, size: f64, width: f64) -> String {
    let chars: Vec<char> = text.chars().collect();
    let squeezed = |kept: usize| -> String {
        let (head, tail) = (kept.div_ceil(2), kept / 2);
        let (head, tail) = (&chars[..head], &chars[chars.len() - tail..]);
        head.iter().chain(&['…']).chain(tail).collect()
    };
    if text_width(text, size) <= width {
        return text.to_owned();
    }
    (0..chars.len())
        .rev()
        .map(squeezed)
        .find(|short| text_width(short, size) <= width)
        .unwrap_or_default()
}

/// Distinct names of choices, none wider than `width`. Names that are too wide are cut down to where they differ,
/// or in the middle; if two are still equal, all are numbered.
pub(super) fn distinct_labels(names: &[String], size: f64, width: f64) -> Vec<String> {
    let fits = |name: &String| text_width(name, size) <= width;
    let wide: Vec<&str> = (names.iter())
        .filter(|name| !fits(name))
        .map(String::as_str)
        .collect();
    let (before, after) = common_lengths(&wide);
    let difference = |name: &String| {
        let cut = |common: usize| if common > 0 { "…" } else { "" };
        let part = &name[before..name.len() - after];
        format!("{}{part}{}", cut(before), cut(after))
    };
    let ways: [&dyn Fn(&String) -> String; 3] = [
        &|name| shortened(&difference(name), size, width),
        &|name| squeezed(&difference(name), size, width),
        &|name| squeezed(name, size, width),
    ];
    let shorter = |way: &dyn Fn(&String) -> String| -> Vec<String> {
        let short = |name| if fits(name) { name.clone() } else { way(name) };
        names.iter().map(short).collect()
    };
    let distinct =
        |names: &Vec<String>| (1..names.len()).all(|at| !names[..at].contains(&names[at]));
    let numbered = || {
        let number = |(at, name)| shortened(&format!("#{} {name}", at + 1), size, width);
        names.iter().enumerate().map(number).collect()
    };
    (ways.into_iter().map(shorter))
        .find(distinct)
        .unwrap_or_else(numbered)
}

/// Lengths in bytes of the common beginning and the common end of these YAML values. Both stop where a list, a map
/// or an item begins or ends.
fn common_lengths(names: &[&str]) -> (usize, usize) {
    let [first, others @ ..] = names else {
        return (0, 0);
    };
    if others.is_empty() {
        return (0, 0);
    }
    let starts = (first.char_indices())
        .filter(|(_, c)| matches!(c, ' ' | '[' | '{'))
        .map(|(at, c)| at + c.len_utf8());
    let shared = |at: &usize| others.iter().all(|name| name.starts_with(&first[..*at]));
    let before = starts.take_while(shared).last().unwrap_or(0);
    let ends = (first[before..].char_indices().rev())
        .filter(|(_, c)| matches!(c, ',' | ']' | '}'))
        .map(|(at, _)| before + at);
    let shared = |at: &usize| {
        others
            .iter()
            .all(|name| name[before..].ends_with(&first[*at..]))
    };
    let after = ends.take_while(shared).last();
    (before, after.map_or(0, |at| first.len() - at))
}

/// `text` in lines no wider than `width`, unless a word alone is. Lines after the first start with `indent`.
pub(super) fn wrapped(text: &str, size: f64, width: f64, indent: &str) -> Vec<String> {
    let mut lines: Vec<String> = Vec::new();
    for word in text.split_whitespace() {
        match lines.last_mut() {
            Some(line) if text_width(&format!("{line} {word}"), size) <= width => {
                line.push(' ');
                line.push_str(word);
            }
            Some(_) => lines.push(format!("{indent}{word}")),
            None => lines.push(word.to_owned()),
        }
    }
    lines
}

/// `ab_glyph` measures a font's height from its lowest to its highest point.
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
        // The SVG backend divides its font height by 1.24 to get the em.
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
        // With a height of 0, `draw` gets the position unchanged.
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

#[cfg(test)]
mod tests {
    use super::*;

    fn apart(names: &[&str], width: f64) -> Vec<String> {
        let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
        let short = distinct_labels(&names, 15.0, width);
        for (at, name) in short.iter().enumerate() {
            assert!(text_width(name, 15.0) <= width, "{name} is too wide");
            assert!(!short[..at].contains(name), "{name} is there twice");
        }
        short
    }

    #[test]
    fn names_that_fit_stay_and_others_show_where_they_differ() {
        let losses = [
            "dice",
            "{sum: [dice, bce]}",
            "{sum: [dice, focal]}",
            "tversky",
        ];
        assert_eq!(
            apart(&losses, 126.0),
            ["dice", "…bce…", "…focal…", "tversky"]
        );
        assert_eq!(apart(&losses, 400.0), losses);
        let augment = [
            "[flip]",
            "[flip, {affine: {rotate: 10, p: 0.5}}, {noise: {p: 0.3}}]",
            "[flip, {affine: {rotate: 20, p: 0.8}}, {noise: {p: 0.5}}]",
        ];
        let short = apart(&augment, 126.0);
        assert_eq!(short[0], "[flip]");
        assert!(
            short[1].starts_with("…10") && short[2].starts_with("…20"),
            "{short:?}"
        );
    }

    #[test]
    fn names_that_differ_late_or_not_at_all_are_distinct_labels_too() {
        let stem = "[aaaaaaaaaaaaaaaaaaaaaaaaaa, bbbbbbbbbbbbbbbbbbbbbbbb";
        let names = [
            format!("{stem}, 1]"),
            format!("{stem}, 2]"),
            "[c, dddddddddddddddddddd]".into(),
        ];
        let short = apart(&names.each_ref().map(String::as_str), 126.0);
        assert!(
            short[0].ends_with("1…") && short[1].ends_with("2…"),
            "{short:?}"
        );
        assert_eq!(apart(&["1", "1"], 126.0), ["#1 1", "#2 1"]);
        apart(
            &["ööööööööööööööööööööööööö ä", "ööööööööööööööööööööööööö ü"],
            126.0,
        );
        apart(&[], 126.0);
    }

    #[test]
    fn a_key_keeps_its_end_and_lines_keep_their_width() {
        let key = shortened_key("optimizer.adam.learning_rate", 17.0, 160.0);
        assert!(
            key.starts_with('…') && key.ends_with("learning_rate"),
            "{key}"
        );
        let lines = wrapped("one two three four five six", 17.0, 100.0, "");
        assert!(lines.len() > 1 && lines.iter().all(|line| text_width(line, 17.0) <= 100.0));
        assert_eq!(lines.join(" "), "one two three four five six");
    }
}
