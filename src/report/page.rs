//! A page that shows finished runs: one file, nothing fetched, whole without its script as well.

use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;

use super::ReportError;
use crate::files::{FileError, write_atomic};

/// A table. Rows as long as `columns`; without columns only the note is shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Table {
    /// How it is to be read.
    pub note: Option<String>,
    /// The same as a picture: an SVG or PNG file, under which the note then stands.
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
    /// Texts and the places, relative to the page, to which they lead.
    Links(Vec<(String, String)>),
    /// A text, and a longer one that is shown when it is pressed.
    Details(String, String),
}

impl From<String> for Cell {
    fn from(text: String) -> Self {
        Self::Text(text)
    }
}

/// What the page shows. Every text is taken literally: HTML in it is shown, not obeyed.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Page {
    /// The page's title: the experiment and its variant.
    pub title: String,
    /// Name and value of the headline numbers.
    pub summary: Vec<(String, String)>,
    /// What they mean, in a sentence.
    pub verdict: Option<String>,
    /// Captions and SVG or PNG files, which become part of the page.
    pub figures: Vec<(String, PathBuf)>,
    /// Headings and tables, which the reader can sort.
    pub tables: Vec<(String, Table)>,
    /// Names and places, relative to the page, of the files it was made from.
    pub links: Vec<(String, String)>,
    /// The resolved configuration.
    pub config_yaml: String,
    /// What the run ran on.
    pub environment: Vec<(String, String)>,
}

const STYLE: &str = "\
:root { color-scheme: light dark; }
body { font: 1rem/1.5 system-ui, sans-serif; max-width: 62rem; margin: 0 auto; padding: 1rem; }
h1 { font-size: 1.5rem; overflow-wrap: anywhere; }
h2 { font-size: 1.2rem; margin-top: 2.5rem; }
.summary { display: grid; grid-template-columns: repeat(auto-fill, minmax(13rem, 1fr)); gap: .75rem;
  margin: 0; }
.summary div { border: 1px solid #8886; border-radius: .5rem; padding: .6rem .8rem; }
dt { font-size: .85rem; opacity: .75; }
dd { margin: 0; font-weight: 600; overflow-wrap: anywhere; }
figure { margin: 1.5rem 0; }
figure img { display: block; width: 100%; height: auto; border-radius: .3rem; }
figcaption { font-size: .9rem; opacity: .8; margin-top: .4rem; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; font-variant-numeric: tabular-nums; }
th, td { border-bottom: 1px solid #8884; padding: .3rem .7rem; text-align: right;
  white-space: nowrap; }
th:first-child, td:first-child { text-align: left; }
th button { all: unset; cursor: pointer; font: inherit; font-weight: 600; }
th button:hover { text-decoration: underline; }
th button:focus-visible { outline: 2px solid Highlight; }
th[aria-sort=ascending] button::after { content: ' \u{25b2}'; }
th[aria-sort=descending] button::after { content: ' \u{25bc}'; }
details { text-align: left; white-space: normal; }
summary { cursor: pointer; }
details pre { white-space: pre-wrap; overflow-wrap: anywhere; }
.environment td + td { text-align: left; white-space: normal; overflow-wrap: anywhere; }
.links { columns: 14rem; padding-left: 1.2rem; }
.links a { overflow-wrap: anywhere; }
pre { overflow-x: auto; border: 1px solid #8886; border-radius: .5rem; padding: .8rem;
  font-size: .85rem; }
@media print {
  :root { color-scheme: light; }
  body { max-width: none; padding: 0; }
  figure, .summary div, tr { break-inside: avoid; }
  h2 { break-after: avoid; }
  thead { display: table-header-group; }
  figure img { max-height: 20cm; object-fit: contain; object-position: left; }
  .wide, pre { overflow: visible; }
  .wide table { font-size: 6.5pt; }
  .wide th, .wide td { padding: .1rem .25rem; }
  pre { white-space: pre-wrap; }
}
";

/// Sorts a table by the column whose name is pressed: numbers as numbers, what is no number last.
const SCRIPT: &str = "\
for (const table of document.querySelectorAll('.wide table')) {
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, column) => {
    const button = document.createElement('button');
    button.append(...head.childNodes);
    head.append(button);
    button.onclick = () => {
      const down = head.getAttribute('aria-sort') === 'ascending';
      heads.forEach(other => other.removeAttribute('aria-sort'));
      head.setAttribute('aria-sort', down ? 'descending' : 'ascending');
      const text = row => row.cells[column].textContent;
      const number = row => text(row) === 'inf' ? Infinity : parseFloat(text(row));
      const rows = [...table.tBodies[0].rows];
      const words = column === 0 || rows.every(row => isNaN(number(row)));
      rows.sort((a, b) => {
        const [x, y] = down ? [b, a] : [a, b];
        if (words) return text(x).localeCompare(text(y), undefined, { numeric: true });
        if (isNaN(number(a)) || isNaN(number(b))) return isNaN(number(a)) - isNaN(number(b));
        return number(x) === number(y) ? 0 : number(x) - number(y);
      });
      table.tBodies[0].append(...rows);
    };
  });
}
";

impl Page {
    /// Writes the page.
    ///
    /// # Errors
    ///
    /// When a figure cannot be read or the page cannot be written.
    pub fn save(&self, path: &Path) -> Result<(), ReportError> {
        let page = self.html()?;
        write_atomic(path, |out| out.write_all(page.as_bytes()))?;
        Ok(())
    }

    fn html(&self) -> Result<String, FileError> {
        let title = escaped(&self.title);
        let summary = self.summary.iter().map(|(name, value)| {
            let (name, value) = (escaped(name), escaped(value));
            format!("<div><dt>{name}</dt><dd>{value}</dd></div>\n")
        });
        let verdict = self.verdict.as_ref();
        let verdict = verdict.map(|verdict| format!("<p>{}</p>\n", escaped(verdict)));
        let figures: Result<String, FileError> = self
            .figures
            .iter()
            .map(|(caption, path)| figure(caption, path))
            .collect();
        let tables: Result<String, FileError> = (self.tables.iter())
            .map(|(heading, table)| Ok(format!("<h2>{}</h2>\n{}", escaped(heading), table.html()?)))
            .collect();
        let links = self.links.iter();
        let links = links.map(|link| format!("<li>{}</li>\n", anchor(link)));
        let environment = self.environment.iter();
        let environment = environment.map(|(name, value)| [escaped(name), escaped(value)]);
        Ok(format!(
            "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
             <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
             <link rel=\"icon\" href=\"data:,\">\n\
             <title>{title}</title>\n<style>\n{STYLE}</style>\n</head>\n<body>\n\
             <h1>{title}</h1>\n<dl class=\"summary\">\n{}</dl>\n{}\
             <h2>Figures</h2>\n{}{}\
             <h2>Files</h2>\n<ul class=\"links\">\n{}</ul>\n\
             <h2>Configuration</h2>\n<pre>{}</pre>\n\
             {}<script>\n{SCRIPT}</script>\n</body>\n</html>\n",
            summary.collect::<String>(),
            verdict.unwrap_or_default(),
            figures?,
            tables?,
            links.collect::<String>(),
            escaped(&self.config_yaml),
            match self.environment.is_empty() {
                true => String::new(),
                false => format!(
                    "<h2>Environment</h2>\n<table class=\"environment\">\n{}</table>\n",
                    rows("td", environment)
                ),
            },
        ))
    }
}

impl Table {
    fn html(&self) -> Result<String, FileError> {
        let note = self.note.as_deref();
        let mut html = match &self.figure {
            Some(path) => figure(note.unwrap_or_default(), path)?,
            None => note.map_or_else(String::new, |note| format!("<p>{}</p>\n", escaped(note))),
        };
        if !self.columns.is_empty() {
            let heads = self.columns.iter().map(|name| escaped(name));
            let cells = self.rows.iter().map(|row| row.iter().map(Cell::html));
            html += &format!(
                "<div class=\"wide\"><table>\n<thead>\n{}</thead>\n<tbody>\n{}</tbody>\n\
                 </table></div>\n",
                rows("th", [heads]),
                rows("td", cells)
            );
        }
        Ok(html)
    }
}

impl Cell {
    fn html(&self) -> String {
        match self {
            Self::Text(text) => escaped(text),
            Self::Links(links) => links.iter().map(anchor).collect::<Vec<_>>().join(" "),
            Self::Details(text, whole) => format!(
                "<details><summary>{}</summary><pre>{}</pre></details>",
                escaped(text),
                escaped(whole)
            ),
        }
    }
}

/// A name that leads to a place.
fn anchor((name, place): &(String, String)) -> String {
    format!("<a href=\"{}\">{}</a>", escaped(place), escaped(name))
}

/// Table rows whose cells are `kind`: `th` or `td`.
fn rows<Row: IntoIterator<Item = String>>(
    kind: &str,
    rows: impl IntoIterator<Item = Row>,
) -> String {
    let cell = |html: String| format!("<{kind}>{html}</{kind}>");
    rows.into_iter()
        .map(|row| {
            format!(
                "<tr>{}</tr>\n",
                row.into_iter().map(cell).collect::<String>()
            )
        })
        .collect()
}

fn figure(caption: &str, path: &Path) -> Result<String, FileError> {
    let bytes = std::fs::read(path).map_err(|source| FileError {
        action: "read",
        path: path.to_owned(),
        remedy: "The report shows this figure; make it again.",
        source,
    })?;
    let kind = if path.extension().is_some_and(|end| end == "svg") {
        "svg+xml"
    } else {
        "png"
    };
    let (data, caption) = (BASE64.encode(bytes), escaped(caption));
    Ok(format!(
        "<figure><img alt=\"{caption}\" src=\"data:image/{kind};base64,{data}\">\
         <figcaption>{caption}</figcaption></figure>\n"
    ))
}

fn escaped(text: &str) -> String {
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => safe += "&amp;",
            '<' => safe += "&lt;",
            '>' => safe += "&gt;",
            '"' => safe += "&quot;",
            '\'' => safe += "&#39;",
            _ => safe.push(c),
        }
    }
    safe
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
        assert!(page.contains("<h2>Cases</h2>\n<p>the &lt;first&gt;</p>\n<div class=\"wide\">"));
        assert!(page.contains("<pre>name: &#39;&lt;b&gt;&#39;\n</pre>"));
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
