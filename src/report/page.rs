//! An HTML page that shows finished runs: one file that loads nothing else and is complete without its script.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use maud::{DOCTYPE, Markup, PreEscaped, Render, html};

use super::ReportError;
use crate::files::{FileError, write_atomic};

/// A table. Rows are as long as `columns`; without columns only the note is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// How to read it.
    pub note: Option<String>,
    /// An SVG or PNG file that shows the same. The note is then its caption.
    pub figure: Option<PathBuf>,
    /// The columns' names.
    pub columns: Vec<String>,
    /// The rows.
    pub rows: Vec<Vec<Cell>>,
}

/// A cell of a table.
#[derive(Clone, Debug, PartialEq)]
pub enum Cell {
    /// A text.
    Text(String),
    /// Links: texts and targets relative to the page.
    Links(Vec<(String, String)>),
    /// A text, and a longer one that opens when the first is pressed.
    Details(String, String),
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// The contents of a page. Every text is escaped: HTML in it is shown, not interpreted.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The page's title: the experiment and its variant.
    pub title: String,
    /// Names and values of the headline numbers.
    pub summary: Vec<(String, String)>,
    /// A sentence that interprets them.
    pub verdict: Option<String>,
    /// Captions and SVG or PNG files. The files are embedded in the page.
    pub figures: Vec<(String, PathBuf)>,
    /// Headings and tables. The reader can sort the tables.
    pub tables: Vec<(String, Table)>,
    /// Names and targets, relative to the page, of the files it was made from.
    pub links: Vec<(String, String)>,
    /// The resolved configuration.
    pub config_yaml: String,
    /// Names and values that describe where the run ran.
    pub environment: Vec<(String, String)>,
}

const STYLE: &str = include_str!("page.css");
const SCRIPT: &str = include_str!("page.js");

/// Checks that a page can be written to this file: that it is not there, or is a page too.
///
/// # Errors
///
/// When it is something else.
pub fn check_page(path: &Path) -> Result<(), ReportError> {
    let Ok(found) = std::fs::read(path) else {
        return Ok(());
    };
    match String::from_utf8_lossy(&found).contains(SUMMARY) {
        true => Ok(()),
        false => Err(ReportError::NotAPage(path.to_owned())),
    }
}

/// What every page has.
const SUMMARY: &str = "<dl class=\"summary\">";

impl Page {
    /// Writes the page.
    ///
    /// # Errors
    ///
    /// When a figure cannot be read, the page cannot be written, or something else is in its place.
    pub fn save(&self, path: &Path) -> Result<(), ReportError> {
        check_page(path)?;
        let page = self.html()?.into_string();
        write_atomic(path, |out| out.write_all(page.as_bytes()))?;
        Ok(())
    }

    fn html(&self) -> Result<Markup, FileError> {
        let figures = self
            .figures
            .iter()
            .map(|(caption, path)| figure(caption, path));
        let figures: Vec<Markup> = figures.collect::<Result<_, _>>()?;
        let tables = self
            .tables
            .iter()
            .map(|(heading, table)| Ok((heading, table.html()?)));
        let tables: Vec<(&String, Markup)> = tables.collect::<Result<_, FileError>>()?;
        Ok(html! {
            (DOCTYPE)
            html lang="en" {
                head {
                    meta charset="utf-8";
                    meta name="viewport" content="width=device-width, initial-scale=1";
                    link rel="icon" href="data:,";
                    title { (self.title) }
                    style { (PreEscaped(STYLE)) }
                }
                body {
                    h1 { (self.title) }
                    dl.summary {
                        @for (name, value) in &self.summary {
                            div { dt { (name) } dd { (value) } }
                        }
                    }
                    @if let Some(verdict) = &self.verdict { p { (verdict) } }
                    h2 { "Figures" }
                    @for figure in &figures { (figure) }
                    @for (heading, table) in &tables { h2 { (heading) } (table) }
                    h2 { "Files" }
                    ul.links { @for link in &self.links { li { (anchor(link)) } } }
                    h2 { "Configuration" }
                    pre { (self.config_yaml) }
                    @if !self.environment.is_empty() {
                        h2 { "Environment" }
                        table.environment {
                            @for (name, value) in &self.environment {
                                tr { td { (name) } td { (value) } }
                            }
                        }
                    }
                    script { (PreEscaped(SCRIPT)) }
                }
            }
        })
    }
}

impl Table {
    fn html(&self) -> Result<Markup, FileError> {
        let note = self.note.as_deref();
        let figure = match &self.figure {
            Some(path) => Some(figure(note.unwrap_or_default(), path)?),
            None => None,
        };
        Ok(html! {
            @if let Some(figure) = figure { (figure) }
            @else if let Some(note) = note { p { (note) } }
            @if !self.columns.is_empty() {
                div.wide {
                    table {
                        thead { tr { @for name in &self.columns { th { (name) } } } }
                        tbody {
                            @for row in &self.rows { tr { @for cell in row { td { (cell) } } } }
                        }
                    }
                }
            }
        })
    }
}

impl Render for Cell {
    fn render(&self) -> Markup {
        html! {
            @match self {
                Self::Text(text) => { (text) }
                Self::Links(links) => {
                    @for (at, link) in links.iter().enumerate() {
                        @if at > 0 { " " }
                        (anchor(link))
                    }
                }
                Self::Details(text, whole) => {
                    details { summary { (text) } pre { (whole) } }
                }
            }
        }
    }
}

/// A link: its name and its target.
fn anchor((name, target): &(String, String)) -> Markup {
    html! { a href=(target) { (name) } }
}

fn figure(caption: &str, path: &Path) -> Result<Markup, FileError> {
    let bytes = std::fs::read(path).map_err(|source| FileError {
        action: "read",
        path: path.to_owned(),
        remedy: "The report shows this figure; make it again.",
        source,
    })?;
    let svg = path.extension().is_some_and(|extension| extension == "svg");
    let kind = if svg { "svg+xml" } else { "png" };
    let data = BASE64.encode(bytes);
    Ok(html! {
        figure {
            img alt=(caption) src={ "data:image/" (kind) ";base64," (data) };
            figcaption { (caption) }
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn page(figure: PathBuf) -> Page {
        Page {
            title: "nfbs <script>alert(1)</script>".into(),
            summary: vec![("validation IoU".into(), "0.8912".into())],
            verdict: Some("<i>better</i>".into()),
            figures: vec![("a \"caption\"".into(), figure)],
            tables: vec![(
                "Cases".into(),
                Table {
                    note: Some("the <first>".into()),
                    columns: vec!["case".into(), "iou".into(), "error".into()],
                    rows: vec![vec![
                        Cell::Links(vec![("sub-01 & co".into(), "a \"b\"/report.html".into())]),
                        Cell::Text("0.9012".into()),
                        Cell::Details("a < b".into(), "a < b\nc > d".into()),
                    ]],
                    ..Table::default()
                },
            )],
            links: vec![("config.yaml".into(), "config.yaml".into())],
            config_yaml: "name: '<b>'\n".into(),
            environment: vec![("command".into(), "calvaria run a.yaml".into())],
        }
    }

    #[test]
    fn the_page_holds_everything_and_takes_no_text_for_html() {
        let folder = tempfile::tempdir().unwrap();
        let figure = folder.path().join("loss.svg");
        std::fs::write(&figure, "<svg/>").unwrap();
        let file = folder.path().join("report.html");
        page(figure).save(&file).unwrap();
        let page = std::fs::read_to_string(file).unwrap();
        assert!(page.contains(
            "<img alt=\"a &quot;caption&quot;\" src=\"data:image/svg+xml;base64,PHN2Zy8+\">"
        ));
        assert!(page.contains(
            "<td><a href=\"a &quot;b&quot;/report.html\">sub-01 &amp; co</a></td><td>0.9012</td>"
        ));
        assert!(page.contains(
            "<details><summary>a &lt; b</summary><pre>a &lt; b\nc &gt; d</pre></details>"
        ));
        assert!(page.contains("<h2>Cases</h2><p>the &lt;first&gt;</p><div class=\"wide\">"));
        assert!(page.contains("<pre>name: '&lt;b&gt;'\n</pre>"));
        assert!(page.contains("<dt>validation IoU</dt><dd>0.8912</dd>"));
        assert!(page.contains("<p>&lt;i&gt;better&lt;/i&gt;</p>"));
        assert_eq!(page.matches("<script").count(), 1, "our own");
        assert!(!page.contains("http"));
    }

    #[test]
    fn a_missing_figure_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let missing = page(folder.path().join("loss.svg")).save(&folder.path().join("report.html"));
        assert!(missing.unwrap_err().to_string().contains("loss.svg"));
    }
}
