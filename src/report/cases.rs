//! `cases.csv` as pages show it.

use std::collections::BTreeMap;

use super::{ReportError, Table};
use crate::layout::{self, CaseScores, RunFolder};
use crate::metric::{Better, METRICS, Metric};
use crate::statistics::{mean, mean_and_sd};
use crate::volume::Structures;

/// The scores of validation cases as texts; of several structures their means.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Cases {
    columns: Vec<String>,
    rows: Vec<Vec<String>>,
    /// The scores as numbers, with those of each structure where there are several.
    scored: Vec<CaseScores>,
}

impl Cases {
    /// Reads the scores of a run.
    pub(super) fn read(run: &RunFolder) -> Result<Self, ReportError> {
        let mut table = layout::Table::read(&run.cases())?;
        let scored = run.read_cases()?;
        if table.is_by_structure() {
            table
                .rows
                .retain(|row| row.get(1).is_some_and(|of| of == Structures::MEAN));
            table.columns.remove(1);
            for row in &mut table.rows {
                row.remove(1);
            }
        }
        let layout::Table { columns, rows } = table;
        Ok(Self {
            columns,
            rows,
            scored,
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
            joined.scored.extend(table.scored);
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
        let note =
            "Means over the structures of each case. cases.csv has the scores of each structure.";
        Table {
            note: self.is_by_structure().then(|| note.to_owned()),
            columns: self.columns.clone(),
            rows: (self.rows.iter())
                .map(|row| row.iter().map(|text| short(text).into()).collect())
                .collect(),
            ..Table::default()
        }
    }

    fn is_by_structure(&self) -> bool {
        self.scored.iter().any(|case| !case.structures.is_empty())
    }

    /// Headings and tables of the structures' scores: their means, and their worst cases; none of one mask.
    pub(super) fn structure_tables(&self) -> Vec<(String, Table)> {
        let Some(first) = self.scored.iter().find(|case| !case.structures.is_empty()) else {
            return Vec::new();
        };
        let metrics = METRICS.iter();
        let metrics: Vec<&Metric> = metrics
            .filter(|metric| first.score(metric.name).is_some())
            .collect();
        let judging = metrics.iter().copied();
        let judging: Vec<&Metric> = judging
            .filter(|metric| metric.better != Better::Neither)
            .collect();
        let table =
            |note: Option<&str>, metrics: &[&Metric], cell: &dyn Fn(&Metric, &str) -> String| {
                let names = first.structures.iter().map(|of| of.name.as_str());
                let row = |name: &str| {
                    let cells = metrics.iter().map(|metric| cell(metric, name));
                    let row = [name.to_owned()].into_iter().chain(cells);
                    row.map(Into::into).collect()
                };
                let columns = metrics.iter().map(|metric| match metric.unit {
                    "" => metric.name.to_owned(),
                    unit => format!("{} ({unit})", metric.name),
                });
                Table {
                    note: note.map(str::to_owned),
                    columns: ["structure".to_owned()]
                        .into_iter()
                        .chain(columns)
                        .collect(),
                    rows: names.map(row).collect(),
                    ..Table::default()
                }
            };
        vec![
            (
                "Structures".into(),
                table(
                    Some(
                        "Mean and standard deviation over the validation cases, on their own grids. Infinite distances, \
                         to what was not found, are counted and left out of both.",
                    ),
                    &metrics,
                    &|metric, name| self.spread(metric, name),
                ),
            ),
            (
                "Worst cases of each structure".into(),
                table(None, &judging, &|metric, name| self.worst(metric, name)),
            ),
        ]
    }

    /// Each case with its score of a structure.
    fn of<'a>(&'a self, metric: &Metric, structure: &str) -> Vec<(&'a str, f64)> {
        let key = format!("{}/{structure}", metric.name);
        let score = |case: &'a CaseScores| Some((case.case.as_str(), case.score(&key)?));
        self.scored.iter().filter_map(score).collect()
    }

    fn spread(&self, metric: &Metric, structure: &str) -> String {
        let all = self.of(metric, structure);
        let finite = all.iter().map(|(_, value)| *value);
        let finite: Vec<f64> = finite.filter(|value| value.is_finite()).collect();
        let infinite = all.len() - finite.len();
        let (mean, sd) = mean_and_sd(&finite);
        match (finite.len(), infinite) {
            (0, _) => format!("{infinite} infinite"),
            (_, 0) => format!("{} ± {}", rounded(metric, mean), rounded(metric, sd)),
            _ => format!(
                "{} ± {} ({infinite} of {} infinite)",
                rounded(metric, mean),
                rounded(metric, sd),
                all.len()
            ),
        }
    }

    fn worst(&self, metric: &Metric, structure: &str) -> String {
        let all = self.of(metric, structure).into_iter();
        let worst = match metric.better {
            Better::Lower => all.max_by(|a, b| a.1.total_cmp(&b.1)),
            _ => all.min_by(|a, b| a.1.total_cmp(&b.1)),
        };
        worst.map_or_else(String::new, |(case, value)| {
            format!("{} {case}", rounded(metric, value))
        })
    }

    /// The Dice of all cases in each structure, in the structures' order; none of one mask.
    pub(super) fn dice_by_structure(&self) -> Vec<(String, Vec<f64>)> {
        let first = self.scored.iter().find(|case| !case.structures.is_empty());
        let names = first.into_iter().flat_map(|case| &case.structures);
        let row = |name: &String| {
            let key = format!("dice/{name}");
            let values = self.scored.iter().filter_map(|case| case.score(&key));
            (name.clone(), values.collect())
        };
        names.map(|of| row(&of.name)).collect()
    }
}

fn rounded(metric: &Metric, value: f64) -> String {
    match metric.unit {
        "" => format!("{value:.4}"),
        _ => format!("{value:.2}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::StructureScores;

    fn case(name: &str, dice: [f64; 2], hd95: [f64; 2]) -> CaseScores {
        let scores = |dice, hd95| vec![("dice".to_owned(), dice), ("hd95".to_owned(), hd95)];
        CaseScores {
            case: name.into(),
            scores: scores((dice[0] + dice[1]) / 2.0, (hd95[0] + hd95[1]) / 2.0),
            structures: ["anterior", "posterior"]
                .into_iter()
                .enumerate()
                .map(|(at, name)| StructureScores {
                    name: name.into(),
                    scores: scores(dice[at], hd95[at]),
                })
                .collect(),
        }
    }

    #[test]
    fn a_structure_has_its_mean_its_spread_and_its_worst_case() {
        let inf = f64::INFINITY;
        let cases = Cases {
            scored: vec![
                case("a", [0.8, 0.0], [1.0, inf]),
                case("b", [0.6, 0.5], [3.0, 2.5]),
            ],
            ..Cases::default()
        };
        let [(_, means), (_, worst)] = &cases.structure_tables()[..] else {
            panic!("two tables")
        };
        let texts = |table: &Table, row: usize| -> Vec<String> {
            let cell = |cell: &super::super::Cell| match cell {
                super::super::Cell::Text(text) => text.clone(),
                _ => String::new(),
            };
            table.rows[row].iter().map(cell).collect()
        };
        assert_eq!(means.columns, ["structure", "dice", "hd95 (mm)"]);
        assert_eq!(
            texts(means, 0),
            ["anterior", "0.7000 ± 0.1414", "2.00 ± 1.41"]
        );
        assert_eq!(
            texts(means, 1),
            [
                "posterior",
                "0.2500 ± 0.3536",
                "2.50 ± 0.00 (1 of 2 infinite)"
            ]
        );
        assert_eq!(texts(worst, 0), ["anterior", "0.6000 b", "3.00 b"]);
        assert_eq!(texts(worst, 1), ["posterior", "0.0000 a", "inf a"]);
        assert_eq!(cases.dice_by_structure()[1].1, [0.0, 0.5]);
        assert!(cases.table().note.is_some());
        let mask = Cases {
            scored: vec![CaseScores::new("a", [("dice", 0.5)])],
            ..Cases::default()
        };
        assert!(mask.structure_tables().is_empty() && mask.table().note.is_none());
    }
}
