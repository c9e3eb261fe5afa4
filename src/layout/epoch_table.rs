//! `metrics.csv`: a row an epoch.

use std::io::{self, Write};
use std::path::Path;

use super::tables::{Epoch, StructureEpoch};

/// Writes the epochs. Where there are several structures, their columns follow the others.
pub(super) fn write_epochs(out: &mut dyn Write, epochs: &[Epoch]) -> io::Result<()> {
    let names = epochs
        .first()
        .into_iter()
        .flat_map(|epoch| &epoch.structures);
    let names: Vec<&str> = names.map(|of| of.name.as_str()).collect();
    if names.is_empty() {
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
    let header = header.chain(columns.iter().map(String::as_str));
    table.write_record(header).map_err(io::Error::other)?;
    for epoch in epochs {
        let values = epoch.structure_values();
        let plain = Epoch {
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
            let Some((metric, name)) = column.split_once('/') else {
                continue;
            };
            // What is no number is that.
            let value = text.parse().unwrap_or(f64::NAN);
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
