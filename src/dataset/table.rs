use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files_below::check_there;
use super::{Case, CaseSource, DatasetError, empty_path};
use crate::files::{expand_home, read_text};
use crate::preprocess::{GRID_TOLERANCE, ImageFile};
use crate::settings::Fault;
use crate::volume::MaskRule;

/// A table of cases: a CSV file (or TSV, by its extension) with a header and one row per case.
///
/// The columns `id`, `image` and `mask` are required. `subject` (the id if it is missing) names whose head it
/// is, and `region` names a mask or weights that are known before the prediction. All other columns are kept
/// with the case, to group or stratify by. Relative paths are taken from the table's folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The file.
    #[schemars(extend("format" = "path"))]
    pub path: PathBuf,
}

/// Columns with a meaning of their own.
const OWN: [&str; 5] = ["id", "image", "mask", "subject", "region"];

impl CaseSource for Table {
    fn cases(&self) -> Result<Vec<Case>, DatasetError> {
        let text = &*read_text(&self.path)?;
        let tabs = self.path.extension().is_some_and(|end| end == "tsv");
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(if tabs { b'\t' } else { b',' })
            .trim(csv::Trim::All)
            .from_reader(text.as_bytes());
        let broken = |why: csv::Error| self.wrong(line_at(text, why.position()), message(&why));
        let header = reader.headers().map_err(broken)?.clone();
        self.check_header(&header)?;
        let mut cases: BTreeMap<String, (usize, Case)> = BTreeMap::new();
        for row in reader.records() {
            let row = row.map_err(broken)?;
            let line = line_at(text, row.position());
            let case = self.case(&header, &row, line)?;
            if let Some((first, _)) = cases.get(&case.id) {
                let why = format!(
                    "the id `{}` stands in line {first} already. Give every case its own.",
                    case.id
                );
                return Err(self.wrong(line, why));
            }
            cases.insert(case.id.clone(), (line, case));
        }
        if cases.is_empty() {
            let why = "there is no row below the header. Add a row for every case.";
            return Err(self.wrong(1, why));
        }
        Ok(cases.into_values().map(|(_, case)| case).collect())
    }

    fn rules(&self) -> Vec<Fault> {
        empty_path("path", &self.path, "path must name a CSV or TSV file")
    }
}

impl Table {
    fn check_header(&self, header: &csv::StringRecord) -> Result<(), DatasetError> {
        if header.is_empty() {
            let why = "it is empty. Write a header with the columns id, image and mask.";
            return Err(self.wrong(1, why));
        }
        for needed in &OWN[..3] {
            if !header.iter().any(|name| name == *needed) {
                return Err(self.wrong(1, missing_column(needed, header)));
            }
        }
        let mut names = BTreeSet::new();
        match header.iter().find(|name| !names.insert(*name)) {
            None => Ok(()),
            Some(twice) => {
                let why = format!("there are two columns `{twice}`. Rename one of them.");
                Err(self.wrong(1, why))
            }
        }
    }

    fn case(
        &self,
        header: &csv::StringRecord,
        row: &csv::StringRecord,
        line: usize,
    ) -> Result<Case, DatasetError> {
        let cell = |name: &str| -> Option<&str> {
            let at = header.iter().position(|column| column == name)?;
            row.get(at).filter(|value| !value.is_empty())
        };
        let needed = |name: &str| {
            let why = format!("the cell of `{name}` is empty. Fill it in, or remove the row.");
            cell(name).ok_or_else(|| self.wrong(line, why))
        };
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let file = |name: &str, value: &str| -> Result<PathBuf, DatasetError> {
            let path = folder.join(expand_home(Path::new(value)));
            match check_there(&path) {
                Ok(()) => Ok(path),
                Err(why) => {
                    let hint = "Relative paths start at the table's folder.";
                    Err(self.wrong(line, format!("`{name}`: {why} {hint}")))
                }
            }
        };
        let id = needed("id")?;
        let others = header
            .iter()
            .zip(row)
            .filter(|(name, value)| !OWN.contains(name) && !value.is_empty());
        let image = file("image", needed("image")?)?;
        let mask = file("mask", needed("mask")?)?;
        if image.canonicalize().ok() == mask.canonicalize().ok() {
            let why = "`image` and `mask` name the same file. Name the scan and its mask.";
            return Err(self.wrong(line, why));
        }
        Ok(Case {
            id: id.to_owned(),
            subject: cell("subject").unwrap_or(id).to_owned(),
            images: vec![ImageFile::only(image)],
            onto: None,
            mask,
            mask_rule: MaskRule::STRICT,
            grid_tolerance: GRID_TOLERANCE,
            region: match cell("region") {
                Some(value) => Some(file("region", value)?),
                None => None,
            },
            columns: others
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
    }

    fn wrong(&self, line: usize, why: impl Into<String>) -> DatasetError {
        DatasetError::Table {
            path: self.path.clone(),
            line,
            why: why.into(),
        }
    }
}

/// The line at which a row starts. The reader's own count is behind where lines end in CR LF and where
/// lines are empty.
fn line_at(text: &str, position: Option<&csv::Position>) -> usize {
    let bytes = text.as_bytes();
    let offset = position.map_or(0, |at| usize::try_from(at.byte()).unwrap_or(usize::MAX));
    let (before, after) = bytes.split_at(offset.min(bytes.len()));
    let ends = after.iter().take_while(|byte| b"\r\n".contains(byte));
    1 + before
        .iter()
        .chain(ends)
        .filter(|byte| **byte == b'\n')
        .count()
}

fn message(why: &csv::Error) -> String {
    match why.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!(
            "it has {len} cells, but the header has {expected_len}. Write a cell for every column, and quotes around text that holds the separator."
        ),
        _ => format!("{why}."),
    }
}

fn missing_column(name: &str, header: &csv::StringRecord) -> String {
    let distance = |column: &&str| strsim::damerau_levenshtein(&column.to_lowercase(), name);
    let others = header.iter().filter(|column| !OWN.contains(column));
    let similar = others.min_by_key(distance);
    let hint = similar
        .filter(|column| distance(column) <= name.len() / 2)
        .map_or(String::new(), |column| {
            format!(" (did you mean `{name}` by `{column}`?)")
        });
    let there: Vec<String> = header.iter().map(|column| format!("`{column}`")).collect();
    format!(
        "there is no column `{name}`{hint}, only {}. The columns id, image and mask are needed, separated by commas (by tabs in a .tsv file).",
        there.join(", ")
    )
}
