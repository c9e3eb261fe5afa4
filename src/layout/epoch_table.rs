//! `metrics.csv`: a row an epoch.

use std::io::{self, Write};
use std::path::Path;

use super::tables::{Epoch, StructureEpoch};

/// Writes the epochs. Metrics of batches and, where there are several, structures have columns after the others.
pub(super) fn write_epochs(out: &mut dyn Write, epochs: &[Epoch]) -> io::Result<()> {
    let first = epochs.first();
    let names = first.into_iter().flat_map(|epoch| &epoch.structures);
    let names: Vec<&str> = names.map(|of| of.name.as_str()).collect();
    let metrics = first.into_iter().flat_map(|epoch| &epoch.metrics);
    let metrics: Vec<&str> = metrics.map(|(column, _)| column.as_str()).collect();
    if names.is_empty() && metrics.is_empty() {
        let mut table = csv::Writer::from_writer(out);
        for epoch in epochs {
            table.serialize(epoch).map_err(io::Error::other)?;
        }
        return table.flush();
    }
    let mut table = csv::WriterBuilder::new()
        .has_headers(false)
        .from_writer(out);
    let columns = Epoch::structure_columns(names);
    let header = ["epoch"].into_iter().chain(Epoch::METRICS);
    let header = header
        .chain(metrics)
        .chain(columns.iter().map(String::as_str));
    table.write_record(header).map_err(io::Error::other)?;
    for epoch in epochs {
        let metrics = epoch.metrics.iter().map(|(_, value)| *value);
        let values: Vec<f64> = metrics.chain(epoch.structure_values()).collect();
        let plain = Epoch {
            metrics: Vec::new(),
            structures: Vec::new(),
            ..epoch.clone()
        };
        table.serialize((plain, values)).map_err(io::Error::other)?;
    }
    table.flush()
}

/// Reads the epochs.
pub(super) fn read_epochs(path: &Path) -> csv::Result<Vec<Epoch>> {
    let mut table = csv::Reader::from_path(path)?;
    let columns = table.headers()?.clone();
    let mut epochs = Vec::new();
    for record in table.records() {
        let record = record?;
        let mut epoch: Epoch = record.deserialize(Some(&columns))?;
        for (column, text) in columns.iter().zip(&record) {
            // Text that is not a number reads as NaN.
            let value = text.parse().unwrap_or(f64::NAN);
            let Some((metric, name)) = column.split_once('/') else {
                if column.starts_with("validation_") && !Epoch::METRICS.contains(&column) {
                    epoch.metrics.push((column.to_owned(), value));
                }
                continue;
            };
            let at = epoch.structures.iter().position(|of| of.name == name);
            let at = at.unwrap_or_else(|| {
                epoch.structures.push(StructureEpoch {
                    name: name.to_owned(),
                    iou: f64::NAN,
                    dice: f64::NAN,
                });
                epoch.structures.len() - 1
            });
            match metric {
                "validation_iou" => epoch.structures[at].iou = value,
                "validation_dice" => epoch.structures[at].dice = value,
                _ => {}
            }
        }
        epochs.push(epoch);
    }
    Ok(epochs)
}
