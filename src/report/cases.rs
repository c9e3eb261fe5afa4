//! `cases.csv` as pages show it.

use std::collections::BTreeMap;
use std::path::Path;

use super::{ReportError, Table};
use crate::statistics::mean;

/// The scores of validation cases as texts.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cases {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
}

impl Cases {
    /// Reads a table of scores.
    pub(super) fn read(path: &Path) -> Result<Self, ReportError> {
        let read = || -> Result<Self, csv::Error> {
            let mut table = csv::Reader::from_path(path)?;
            let texts = |record: &csv::StringRecord| record.iter().map(str::to_owned).collect();
            let columns = texts(table.headers()?);
            let rows: Result<_, _> = (table.records())
                .map(|record| record.map(|record| texts(&record)))
                .collect();
            Ok(Self {
                columns,
                rows: rows?,
            })
        };
        read().map_err(|source| ReportError::Cases {
            path: path.to_owned(),
            source,
        })
    }

    /// The tables of several runs as one. A second column names the run.
    pub(super) fn join(tables: Vec<(String, Self)>) -> Self {
        let mut joined = Self::default();
        for (run, table) in tables {
            if joined.columns.is_empty() {
                joined.columns = table.columns;
                joined.columns.insert(1, "run".into());
            }
            for mut row in table.rows {
                row.insert(1, run.clone());
                joined.rows.push(row);
            }
        }
        joined
    }

    /// Case and IoU of each row.
    pub(super) fn scores(&self) -> Vec<(String, f64)> {
        let column = self.columns.iter().position(|name| name == "iou");
        let score = |row: &Vec<String>| {
            let iou = row.get(column?)?.parse().ok()?;
            Some((row.first()?.clone(), iou))
        };
        self.rows.iter().filter_map(score).collect()
    }

    /// The IoU of each case; its mean over the runs where there are several.
    pub(super) fn ious(&self) -> Vec<f64> {
        let mut cases: BTreeMap<String, Vec<f64>> = BTreeMap::new();
        for (case, iou) in self.scores() {
            cases.entry(case).or_default().push(iou);
        }
        cases.values().map(|ious| mean(ious)).collect()
    }

    /// The best, the median and the worst case by IoU.
    pub(super) fn highlights(&self) -> impl Iterator<Item = (&'static str, String)> {
        let mut ranked = self.scores();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        let last = ranked.len().saturating_sub(1);
        let ranks = [(0, "best"), (last / 2, "median"), (last, "worst")];
        ranks
            .into_iter()
            .filter_map(move |(rank, label)| Some((label, ranked.get(rank)?.0.clone())))
    }

    /// The table with numbers rounded to four digits.
    pub(super) fn table(&self) -> Table {
        let short = |text: &String| match text.parse::<f64>() {
            Ok(number) if text.contains('.') => format!("{number:.4}"),
            _ => text.clone(),
        };
        Table {
            columns: self.columns.clone(),
            rows: (self.rows.iter())
                .map(|row| row.iter().map(|text| short(text).into()).collect())
                .collect(),
            ..Table::default()
        }
    }
}
