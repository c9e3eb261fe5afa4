use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files_below::check_there;
use super::{ByName, Case, CaseSource, DatasetError, Description, empty_path};
use crate::files::{expand_home, read_text};
use crate::preprocess::ImageFile;
use crate::settings::Fault;

/// A table of cases: a CSV file (or TSV, by its extension) with a header and one row per case.
///
/// The columns `id`, `image` and `mask` are required. `subject` (the id if it is missing) names whose head it
/// is, and `region` names a mask or weights that are known before the prediction. All other columns are kept
/// with the case, to group or stratify by. Relative paths are taken from the table's folder. A case of several images
/// has a column for each instead of `image`: see `images`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The file.
    #[schemars(extend("format" = "path"))]
    pub path: PathBuf,
    /// The images of a case, where there are several: a name for each, and its column, as in {t1: t1_file, flair:
    /// flair_file}.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ByName<String>>,
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

    fn describe(&self) -> Result<Description, DatasetError> {
        let names = self.images().into_iter().map(|(name, _)| name);
        Ok(Description::of_images(names))
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = empty_path("path", &self.path, "path must name a CSV or TSV file");
        if self.images.as_ref().is_some_and(|images| images.is_empty()) {
            let message = "images must name at least one image and its column, as in {t1: t1_file}";
            faults.push(Fault::new("images", message));
        }
        faults
    }
}

impl Table {
    /// Each image's name and its column.
    fn images(&self) -> Vec<(&str, &str)> {
        match &self.images {
            None => vec![(ImageFile::ONLY, "image")],
            Some(images) => images
                .iter()
                .map(|(name, column)| (&**name, &**column))
                .collect(),
        }
    }

    /// The columns that must be there.
    fn needed(&self) -> Vec<&str> {
        let images = self.images().into_iter().map(|(_, column)| column);
        ["id"].into_iter().chain(images).chain(["mask"]).collect()
    }

    fn check_header(&self, header: &csv::StringRecord) -> Result<(), DatasetError> {
        if header.is_empty() {
            let columns = listed(&self.needed());
            let why = format!("it is empty. Write a header with the columns {columns}.");
            return Err(self.wrong(1, why));
        }
        let all = self.needed();
        for needed in &all {
            if !header.iter().any(|name| name == *needed) {
                return Err(self.wrong(1, missing_column(needed, header, &listed(&all))));
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
        let others = header.iter().zip(row).filter(|(name, value)| {
            !OWN.contains(name) && !self.needed().contains(name) && !value.is_empty()
        });
        let mask = file("mask", needed("mask")?)?;
        let mut images = Vec::new();
        for (name, column) in self.images() {
            let image = file(column, needed(column)?)?;
            if image.canonicalize().ok() == mask.canonicalize().ok() {
                let why = format!(
                    "`{column}` and `mask` name the same file. Name the scan and its mask."
                );
                return Err(self.wrong(line, why));
            }
            images.push(ImageFile::new(name, image));
        }
        Ok(Case {
            subject: cell("subject").unwrap_or(id).to_owned(),
            region: match cell("region") {
                Some(value) => Some(file("region", value)?),
                None => None,
            },
            columns: others
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
            ..Case::of_files(id, images, mask)
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

/// `id, image and mask`.
fn listed(columns: &[&str]) -> String {
    match columns.split_last() {
        Some((last, [])) => (*last).to_owned(),
        Some((last, others)) => format!("{} and {last}", others.join(", ")),
        None => String::new(),
    }
}

fn missing_column(name: &str, header: &csv::StringRecord, all: &str) -> String {
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
        "there is no column `{name}`{hint}, only {}. The columns {all} are needed, separated by commas (by tabs in a .tsv file).",
        there.join(", ")
    )
}
