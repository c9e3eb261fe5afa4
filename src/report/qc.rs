//! A page to go through many predictions quickly: a picture each, marks by keys.

use std::path::Path;

use maud::{DOCTYPE, Markup, PreEscaped, html};
use serde_json::json;

use super::ReportError;
use crate::files::write_atomic;

/// A prediction to look at.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// The scan.
    pub scan: String,
    /// The file of the result, by which marks are kept.
    pub result: String,
    /// The picture, relative to the page.
    pub picture: String,
    /// Volumes and doubts in words.
    pub facts: String,
    /// How doubtful it is, from 0 to 1.
    pub doubt: f64,
    /// What was remarked on.
    pub remarks: String,
}

const STYLE: &str = include_str!("qc.css");
const SCRIPT: &str = include_str!("qc.js");

/// Writes the page `index.html` into `folder`, in this order. It loads nothing but the picture that is shown and the next,
/// needs no network, and keeps marks in the browser until they are saved as a table.
///
/// # Errors
///
/// When it cannot be written.
pub fn write_looks(folder: &Path, looks: &[Look]) -> Result<(), ReportError> {
    let page = page(looks).into_string();
    write_atomic(&folder.join("index.html"), |out| {
        out.write_all(page.as_bytes())
    })?;
    Ok(())
}

fn page(looks: &[Look]) -> Markup {
    let one = |look: &Look| {
        json!({
            "scan": look.scan,
            "result": look.result,
            "picture": look.picture,
            "facts": look.facts,
            "doubt": look.doubt,
            "remarks": look.remarks,
        })
    };
    let cases = serde_json::Value::from_iter(looks.iter().map(one));
    // What would end the element stands escaped.
    let cases = cases.to_string().replace('<', "\\u003c");
    let button = |key: &str, text: &str| {
        html! { button type="button" data-key=(key) { (text) } }
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta name="viewport" content="width=device-width, initial-scale=1";
                link rel="icon" href="data:,";
                title { "Predictions to look at" }
                style { (PreEscaped(STYLE)) }
            }
            body {
                header {
                    h1 { "Predictions, the most doubtful first: " span #progress { (looks.len()) } }
                    (button("k", "← previous (k)"))
                    (button("j", "next (j) →"))
                    (button("g", "good (g)"))
                    (button("b", "bad (b)"))
                    (button("u", "unmark (u)"))
                    (button("n", "next unmarked (n)"))
                    (button("s", "save the marks (s)"))
                }
                main {
                    img #picture alt="";
                    p #scan {}
                    p { span #mark {} }
                    p #facts {}
                    p #remarks {}
                    noscript { p { "The pictures are in the folder pictures; keys and marks need JavaScript." } }
                }
                nav #list {
                    ol {
                        @for look in looks {
                            li { button type="button" { (short(&look.scan)) " " (format!("{:.2}", look.doubt)) } }
                        }
                    }
                }
                script #cases type="application/json" { (PreEscaped(cases)) }
                script { (PreEscaped(SCRIPT)) }
            }
        }
    }
}

/// A scan's name without its folders.
fn short(scan: &str) -> &str {
    scan.rsplit('/').next().unwrap_or(scan)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_shown_and_not_interpreted() {
        let look = Look {
            scan: "raw/</script><b>.nii".into(),
            result: "out/a".into(),
            picture: "pictures/1.png".into(),
            facts: "brain of 1 mL".into(),
            doubt: 0.25,
            remarks: String::new(),
        };
        let page = page(&[look]).into_string();
        assert!(!page.contains("</script><b>"), "{page}");
        assert!(
            page.contains("\\u003c/script>") && page.contains("0.25"),
            "{page}"
        );
    }
}
