//! The file formats of folds.

use serde::Deserialize;

/// The extensions of files with folds.
pub(super) const EXTENSIONS: [&str; 5] = ["json", "yaml", "yml", "csv", "tsv"];

/// A fold as written, not yet compared with the cases.
#[derive(Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct FoldEntry {
    pub(super) index: Option<usize>,
    pub(super) train: Vec<String>,
    #[serde(alias = "val")]
    pub(super) validation: Vec<String>,
}

impl FoldEntry {
    /// Reads folds from the text of a file with the extension `extension`; errors are whole sentences.
    pub(super) fn read(text: &str, extension: &str) -> Result<Vec<Self>, String> {
        match extension {
            "csv" => table(text, b','),
            "tsv" => table(text, b'\t'),
            "json" => listed(serde_json::from_str(text).map_err(|why| why.to_string())),
            _ => listed(serde_yaml::from_str(text).map_err(|why| why.to_string())),
        }
    }
}

/// A fold, or a list of folds.
fn listed(content: Result<serde_yaml::Value, String>) -> Result<Vec<FoldEntry>, String> {
    let folds = match content.map_err(|why| format!("it cannot be parsed: {why}."))? {
        serde_yaml::Value::Sequence(folds) => folds,
        one => vec![one],
    };
    let folds = folds.into_iter().enumerate();
    folds
        .map(|(place, fold)| {
            serde_yaml::from_value(fold).map_err(|why| {
                format!(
                    "fold {place}: {why}. Write a fold, or a list of folds, each with `train` and \
                     `validation` (or `val`), lists of case ids (in quotes where they are digits)."
                )
            })
        })
        .collect()
}

#[derive(Deserialize)]
struct Row {
    id: String,
    fold: Option<usize>,
    side: Option<Side>,
}

#[derive(Clone, Copy, PartialEq, Deserialize)]
#[serde(rename_all = "lowercase")]
enum Side {
    Train,
    #[serde(alias = "val")]
    Validation,
}

/// One row per case, with the fold in which it validates, or its side of the only fold.
fn table(text: &str, delimiter: u8) -> Result<Vec<FoldEntry>, String> {
    let rows: Result<Vec<Row>, csv::Error> = csv::ReaderBuilder::new()
        .delimiter(delimiter)
        .trim(csv::Trim::All)
        .from_reader(text.as_bytes())
        .into_deserialize()
        .collect();
    let rows = rows.map_err(|why| format!("{why}. {COLUMNS}"))?;
    let count = rows.iter().filter_map(|row| row.fold).max();
    // Folds are numbered from 0 without gaps, so there are no more of them than rows.
    let count = count.map_or(1, |last| last.min(rows.len()) + 1);
    let by_side = rows.iter().all(|row| row.fold.is_none());
    let mut folds: Vec<FoldEntry> = (0..count).map(|_| FoldEntry::default()).collect();
    for Row { id, fold, side } in rows {
        match (fold, side) {
            (Some(validates), None) => {
                for (index, fold) in folds.iter_mut().enumerate() {
                    let side = if index == validates {
                        &mut fold.validation
                    } else {
                        &mut fold.train
                    };
                    side.push(id.clone());
                }
            }
            (None, Some(Side::Train)) if by_side => folds[0].train.push(id),
            (None, Some(Side::Validation)) if by_side => folds[0].validation.push(id),
            _ => return Err(format!("the row of case `{id}` does not fit. {COLUMNS}")),
        }
    }
    Ok(folds)
}

const COLUMNS: &str = "Write a header with `id` and either `fold` (the fold in which a case validates, counted from 0) or `side` (`train` or `validation`), and fill in every row.";
