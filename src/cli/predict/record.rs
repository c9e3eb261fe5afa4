//! What is kept besides each scan's images: the table of all scans, BIDS's descriptions, the page to look at.

use std::path::{Path, PathBuf};

use super::jobs::Planned;
use super::{Args, qc};
use crate::cli::CliError;
use crate::layout::{BidsDataset, PredictionFiles, PredictionRow, PredictionTable};
use crate::volume::Structures;

/// What is kept besides each scan's images.
pub(super) struct Record {
    /// The table of all scans, and its file. A single scan begins no table, but joins one that is there.
    pub(super) table: Option<(PathBuf, PredictionTable)>,
    dataset: Option<BidsDataset>,
}

impl Record {
    pub(super) fn open(args: &Args, scans: usize) -> Result<Self, CliError> {
        let path = args.output.join(PredictionTable::NAME);
        let is_kept = scans > 1 || args.qc.is_some() || path.exists();
        let table = is_kept.then(|| PredictionTable::read(&path));
        let table = table.transpose().map_err(CliError::input)?;
        let dataset = args.bids.then(|| BidsDataset::new(&args.output));
        if let Some(dataset) = &dataset {
            dataset.begin().map_err(CliError::input)?;
        }
        Ok(Self {
            table: table.map(|table| (path, table)),
            dataset,
        })
    }

    /// Whether what belongs into the table about a scan is there.
    pub(super) fn has(&self, files: &PredictionFiles) -> bool {
        let table = self.table.as_ref();
        table.is_none_or(|(_, table)| table.has(&files.mask.display().to_string()))
    }

    pub(super) fn put(&mut self, rows: Vec<PredictionRow>) -> Result<(), CliError> {
        let Some((path, table)) = &mut self.table else {
            return Ok(());
        };
        table.put(rows);
        table.write(path).map_err(CliError::work)
    }

    /// Writes the page that shows all scans, if it is wanted.
    pub(super) fn show(&self, args: &Args, structures: &Structures) -> Result<(), CliError> {
        match (&args.qc, &self.table) {
            (Some(folder), Some((_, table))) => qc::write(folder, table, structures),
            _ => Ok(()),
        }
    }

    pub(super) fn describe(
        &self,
        scan: &Planned,
        runs: &[PathBuf],
        structures: &Structures,
    ) -> Result<(), CliError> {
        let Some(dataset) = &self.dataset else {
            return Ok(());
        };
        let inputs = scan.scan.inputs();
        let images: Vec<&Path> = inputs.files().map(|image| &*image.path).collect();
        let written = dataset.describe(&scan.files, &images, runs, structures);
        written.map_err(CliError::work)
    }
}
