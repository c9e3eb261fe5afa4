use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::walk::check_there;
use super::{Case, DatasetError};
use crate::files::read_text;

/// A table of cases: a CSV file (or TSV, by its ending) with a header and a row a case.
///
/// The columns `id`, `image` and `mask` must be there. `subject` (the id if it is missing) says whose
/// head it is, and `region` names a mask or weights that are known before the prediction. All other
/// columns are kept with the case, to group or stratify by. Relative paths are taken from the table's
/// folder.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    /// The file.
    pub path: PathBuf,
}

/// Columns with a meaning of their own.
const OWN: [&str; 5] = ["id", "image", "mask", "subject", "region"];

impl Table {
    pub(super) fn validate(&self) -> Result<(), String> {
        if self.path.as_os_str().is_empty() {
            Err("path must name a CSV or TSV file".into())
        } else {
            Ok(())
        }
    }

    /// Every case, in order of its id.
    ///
    /// # Errors
    ///
    /// When the file cannot be read, a column, a cell or a file it names is missing, or an id stands
    /// there twice. The message names the line.
    pub fn cases(&self) -> Result<Vec<Case>, DatasetError> {
        let text = read_text(&self.path)?;
        let tabs = self.path.extension().is_some_and(|end| end == "tsv");
        let mut reader = csv::ReaderBuilder::new()
            .delimiter(if tabs { b'\t' } else { b',' })
            .trim(csv::Trim::All)
            .from_reader(text.trim_start_matches('\u{feff}').as_bytes());
        let header = reader.headers();
        let header = header.map_err(|why| self.wrong(1, told(&why)))?.clone();
        for needed in &OWN[..3] {
            if !header.iter().any(|name| name == *needed) {
                return Err(self.wrong(1, missing_column(needed, &header)));
            }
        }
        let mut cases: BTreeMap<String, (u64, Case)> = BTreeMap::new();
        for row in reader.records() {
            let row = row.map_err(|why| self.wrong(line_of(&why), told(&why)))?;
            let line = row.position().map_or(0, csv::Position::line);
            let case = self.case(&header, &row, line)?;
            if let Some((first, _)) = cases.get(&case.id) {
                let why = format!("the id `{}` stands in line {first} already", case.id);
                return Err(self.wrong(line, why));
            }
            cases.insert(case.id.clone(), (line, case));
        }
        if cases.is_empty() {
            return Err(self.wrong(1, "there is no row below the header"));
        }
        Ok(cases.into_values().map(|(_, case)| case).collect())
    }

    fn case(
        &self,
        header: &csv::StringRecord,
        row: &csv::StringRecord,
        line: u64,
    ) -> Result<Case, DatasetError> {
        let cell = |name: &str| -> Option<&str> {
            let at = header.iter().position(|column| column == name)?;
            row.get(at).filter(|value| !value.is_empty())
        };
        let needed = |name: &str| {
            cell(name).ok_or_else(|| self.wrong(line, format!("the cell of `{name}` is empty")))
        };
        let folder = self.path.parent().unwrap_or(Path::new(""));
        let file = |name: &str, value: &str| -> Result<PathBuf, DatasetError> {
            let path = folder.join(value);
            match check_there(&path) {
                Ok(()) => Ok(path),
                Err(why) => Err(self.wrong(line, format!("`{name}`: {why}"))),
            }
        };
        let id = needed("id")?;
        let others = header
            .iter()
            .zip(row)
            .filter(|(name, value)| !OWN.contains(name) && !value.is_empty());
        Ok(Case {
            id: id.to_owned(),
            subject: cell("subject").unwrap_or(id).to_owned(),
            image: file("image", needed("image")?)?,
            mask: file("mask", needed("mask")?)?,
            region: match cell("region") {
                Some(value) => Some(file("region", value)?),
                None => None,
            },
            columns: others
                .map(|(name, value)| (name.to_owned(), value.to_owned()))
                .collect(),
        })
    }

    fn wrong(&self, line: u64, why: impl ToString) -> DatasetError {
        DatasetError::Table {
            path: self.path.clone(),
            line,
            why: why.to_string(),
        }
    }
}

fn line_of(why: &csv::Error) -> u64 {
    why.position().map_or(0, csv::Position::line)
}

fn told(why: &csv::Error) -> String {
    match why.kind() {
        csv::ErrorKind::UnequalLengths {
            expected_len, len, ..
        } => format!("it has {len} cells, but the header has {expected_len}"),
        _ => why.to_string(),
    }
}

fn missing_column(name: &str, header: &csv::StringRecord) -> String {
    let similar = header
        .iter()
        .find(|column| strsim::damerau_levenshtein(&column.to_lowercase(), name) <= 2);
    let hint = similar.map_or(String::new(), |column| {
        format!(" (did you mean `{name}` by `{column}`?)")
    });
    format!("there is no column `{name}`{hint}; needed are id, image and mask")
}
