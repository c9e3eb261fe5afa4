//! `cases.csv`: a row a case, or a row a case and structure.

use std::io::{self, Write};

use super::tables::{CaseScores, StructureScores, Table};
use crate::volume::Structures;

/// Writes the scores of cases.
///
/// # Errors
///
/// When the writer fails.
pub fn write_scores(out: &mut dyn Write, cases: &[CaseScores]) -> io::Result<()> {
    let mut table = csv::Writer::from_writer(out);
    let by_structure = cases.iter().any(|case| !case.structures.is_empty());
    let structure = |name: &str| by_structure.then(|| name.to_owned());
    if let Some(first) = cases.first() {
        let names = first.scores.iter().map(|(name, _)| name.clone());
        let header = ["case".to_owned()]
            .into_iter()
            .chain(structure(Table::STRUCTURE));
        let header = header.chain(names);
        table.write_record(header).map_err(io::Error::other)?;
    }
    for case in cases {
        let structures = case
            .structures
            .iter()
            .map(|of| (of.name.as_str(), &of.scores));
        for (name, scores) in structures.chain([(Structures::MEAN, &case.scores)]) {
            let values = scores.iter().map(|(_, value)| value.to_string());
            let row = [case.case.clone()].into_iter().chain(structure(name));
            table
                .write_record(row.chain(values))
                .map_err(io::Error::other)?;
        }
    }
    table.flush()
}

/// The scores of cases in a table, or what is wrong with it.
pub(super) fn read_scores(table: &Table) -> Result<Vec<CaseScores>, String> {
    let by_structure = table.is_by_structure();
    let number = |(name, text): (&String, &String)| match text.parse() {
        Ok(value) => Ok((name.clone(), value)),
        Err(_) => Err(format!("`{text}` in column {name} is not a number")),
    };
    let before = 1 + usize::from(by_structure);
    let (mut cases, mut open): (Vec<CaseScores>, Vec<StructureScores>) = (Vec::new(), Vec::new());
    let mut whose = String::new();
    let no_mean = |case: &str| {
        let mean = Structures::MEAN;
        format!("case {case} has no row of the structure `{mean}`, the last of each case")
    };
    for row in &table.rows {
        let case = row.first().cloned().unwrap_or_default();
        let scores = table.columns.iter().zip(row).skip(before).map(number);
        let scores = scores.collect::<Result<_, _>>()?;
        if !open.is_empty() && case != whose {
            return Err(no_mean(&whose));
        }
        match row.get(1).filter(|_| by_structure) {
            Some(name) if name != Structures::MEAN => {
                whose = case;
                open.push(StructureScores {
                    name: name.clone(),
                    scores,
                });
            }
            _ => cases.push(CaseScores {
                case,
                scores,
                structures: std::mem::take(&mut open),
            }),
        }
    }
    match open.is_empty() {
        true => Ok(cases),
        false => Err(no_mean(&whose)),
    }
}
