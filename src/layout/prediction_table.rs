//! `calvaria-predictions.csv`: a row a scan, or a row a scan and structure, the most doubtful scan first.

use std::collections::BTreeMap;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::files::{FileError, write_atomic};

/// What was found in a scan.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct PredictionRow {
    /// The scan's file, of several images the first.
    pub scan: String,
    /// The structure; empty for a mask.
    pub structure: String,
    /// Its volume in mL.
    pub volume_ml: f64,
    /// How doubtful it is, from 0 to 1.
    pub doubt: f64,
    /// What was remarked on, in sentences.
    pub remarks: String,
    /// The mask or the map of labels.
    pub result: String,
}

impl PredictionRow {
    const COLUMNS: [&str; 6] = [
        "scan",
        "structure",
        "volume_ml",
        "doubt",
        "remarks",
        "result",
    ];
}

/// How doubtful a scan is: as its most doubtful structure.
pub fn doubt(rows: &[PredictionRow]) -> f64 {
    rows.iter().map(|row| row.doubt).fold(0.0, f64::max)
}

/// What was found in many scans.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct PredictionTable {
    /// The rows of each scan, by its result's file.
    scans: BTreeMap<String, Vec<PredictionRow>>,
}

impl PredictionTable {
    /// Its name in the folder of the results.
    pub const NAME: &str = "calvaria-predictions.csv";

    /// Reads a table that an earlier call has written; an empty one if there is none.
    ///
    /// # Errors
    ///
    /// When the file is not such a table.
    pub fn read(path: &Path) -> Result<Self, String> {
        let mut table = Self::default();
        if !path.exists() {
            return Ok(table);
        }
        let told = |why: csv::Error| {
            format!(
                "{}: {why}. It is not a table of predictions: move it, or choose another folder (--output).",
                path.display()
            )
        };
        let mut rows = csv::Reader::from_path(path).map_err(told)?;
        let columns = rows.headers().map_err(told)?;
        // It is written as a whole: what somebody has added would be lost.
        if !columns.is_empty() && columns != PredictionRow::COLUMNS.as_slice() {
            return Err(format!(
                "{} has the columns {}, not {}, and would be replaced: move it, or choose another folder (--output).",
                path.display(),
                columns.iter().collect::<Vec<_>>().join(", "),
                PredictionRow::COLUMNS.join(", ")
            ));
        }
        for row in rows.deserialize() {
            let row: PredictionRow = row.map_err(told)?;
            table.scans.entry(row.result.clone()).or_default().push(row);
        }
        Ok(table)
    }

    /// Whether it has rows of the scan with this result.
    pub fn has(&self, result: &str) -> bool {
        self.scans.contains_key(result)
    }

    /// Puts in what was found in a scan, in the place of what was there of it.
    pub fn put(&mut self, rows: Vec<PredictionRow>) {
        if let Some(first) = rows.first() {
            self.scans.insert(first.result.clone(), rows);
        }
    }

    /// The rows of each scan, the most doubtful scan first.
    pub fn worst_first(&self) -> Vec<&[PredictionRow]> {
        let mut scans: Vec<&[PredictionRow]> = self.scans.values().map(Vec::as_slice).collect();
        scans.sort_by(|a, b| doubt(b).total_cmp(&doubt(a)));
        scans
    }

    /// Writes it as a whole, the most doubtful scan first.
    ///
    /// # Errors
    ///
    /// When the file cannot be written; the older one then stays.
    pub fn write(&self, path: &Path) -> Result<(), FileError> {
        write_atomic(path, |out| {
            let mut table = csv::Writer::from_writer(out);
            for row in self.worst_first().into_iter().flatten() {
                table.serialize(row).map_err(std::io::Error::other)?;
            }
            table.flush()
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rows(scan: &str, doubts: &[f64]) -> Vec<PredictionRow> {
        let row = |(at, doubt): (usize, &f64)| PredictionRow {
            scan: format!("{scan}.nii"),
            structure: format!("structure {at}"),
            volume_ml: 1.0 / 3.0,
            doubt: *doubt,
            remarks: "one, two".into(),
            result: format!("out/{scan}"),
        };
        doubts.iter().enumerate().map(row).collect()
    }

    #[test]
    fn a_table_with_other_columns_is_not_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(PredictionTable::NAME);
        let mut table = PredictionTable::default();
        table.put(rows("a", &[0.1]));
        table.write(&path).unwrap();
        assert_eq!(PredictionTable::read(&path).unwrap(), table);
        let text = std::fs::read_to_string(&path).unwrap();
        let rated = text.replace("remarks", "rating,remarks");
        for other in [&rated, "foo,bar\n", "something,else\n1,2\n"] {
            std::fs::write(&path, other).unwrap();
            let why = PredictionTable::read(&path).unwrap_err();
            assert!(why.contains("would be replaced"), "{why}");
        }
    }

    #[test]
    fn the_most_doubtful_scan_is_the_first_and_a_scan_has_its_last_result() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(PredictionTable::NAME);
        let mut table = PredictionTable::read(&path).unwrap();
        table.put(rows("a", &[0.1, 0.2]));
        table.put(rows("b", &[0.9, 0.0]));
        table.write(&path).unwrap();
        let mut table = PredictionTable::read(&path).unwrap();
        table.put(rows("c", &[0.3, 0.3]));
        table.put(rows("b", &[0.0, 0.1]));
        table.write(&path).unwrap();
        let again = PredictionTable::read(&path).unwrap();
        assert_eq!(again, table);
        let mut read = csv::Reader::from_path(&path).unwrap();
        let order: Vec<PredictionRow> = read.deserialize().map(Result::unwrap).collect();
        let scans: Vec<&str> = order.iter().map(|row| row.scan.as_str()).collect();
        assert_eq!(
            scans,
            ["c.nii", "c.nii", "a.nii", "a.nii", "b.nii", "b.nii"]
        );
    }
}
