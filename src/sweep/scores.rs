//! The objectives of a run, from its files.

use super::objective::{MEMORY, Objective, TIME};
use crate::layout::{CaseScores, Epoch, RunFolder};
use crate::search::objective::Curve;
use crate::statistics::mean;

/// A metric over the epochs so far. An epoch that is not validated counts as the next one that is.
pub(super) fn curve(epochs: &[Epoch], metric: &str) -> Curve {
    let value = |(at, epoch): (usize, &Epoch)| {
        let validated = epochs[at..].iter().find(|epoch| epoch.is_validated())?;
        Some((epoch.epoch, validated.metric(metric).unwrap_or(f64::NAN)))
    };
    Curve(epochs.iter().enumerate().map_while(value).collect())
}

/// Each objective of a finished run; an infinite one is a distance to a structure that was not found. Or why it has none.
pub(super) fn of_run(folder: &RunFolder, objectives: &[Objective]) -> Result<Vec<f64>, String> {
    let value = |objective: &Objective| {
        let value = value(folder, objective)?;
        match value.is_nan() {
            true => Err(format!("{} is not a number", objective.metric)),
            false => Ok(value),
        }
    };
    objectives.iter().map(value).collect()
}

fn value(folder: &RunFolder, objective: &Objective) -> Result<f64, String> {
    let metric = objective.metric.as_str();
    let none = || format!("{} has no {metric}", folder.path().display());
    let epochs = || folder.read_metrics().map_err(|why| why.to_string());
    if objective.is_of_epochs() {
        let curve = curve(&epochs()?, metric);
        let value = curve.value(curve.reached(), objective.goal, objective.epoch);
        return value.ok_or_else(none);
    }
    match metric {
        TIME => Ok(epochs()?.iter().map(|epoch| epoch.seconds).sum()),
        MEMORY => folder
            .usage()
            .and_then(|of| of.peak_memory_mib)
            .ok_or_else(none),
        _ => {
            let cases = folder.read_cases().map_err(|why| why.to_string())?;
            let score = |case: &CaseScores| case.score(metric);
            let scores: Option<Vec<f64>> = cases.iter().map(score).collect();
            Ok(mean(
                &scores.filter(|all| !all.is_empty()).ok_or_else(none)?,
            ))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layout::StructureScores;

    fn objective(yaml: &str) -> Objective {
        serde_yaml::from_str(yaml).unwrap()
    }

    fn epoch(epoch: usize, validated: bool, iou: f64) -> Epoch {
        Epoch {
            epoch,
            learning_rate: 0.1,
            train_loss: 1.0,
            train_iou: 0.1,
            train_iou_soft: 0.2,
            validation_loss: if validated { 1.0 } else { f64::NAN },
            validation_iou: if validated { iou } else { f64::NAN },
            validation_iou_soft: 0.7,
            validation_dice: 0.8,
            seconds: 12.5,
            metrics: Vec::new(),
            structures: Vec::new(),
        }
    }

    #[test]
    fn an_epoch_that_is_not_validated_counts_as_the_next_that_is() {
        let epochs = [
            epoch(1, false, 0.0),
            epoch(2, true, 0.5),
            epoch(3, false, 0.0),
        ];
        let Curve(values) = curve(&epochs, "validation_iou");
        assert_eq!(Vec::from_iter(values), [(1, 0.5), (2, 0.5)]);
    }

    #[test]
    fn a_finished_run_has_scores_on_the_scans_grids_a_time_and_a_memory() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunFolder::new(folder.path());
        let structure = |dice: f64, hd95: f64| StructureScores {
            name: "anterior".into(),
            scores: vec![("dice".into(), dice), ("hd95".into(), hd95)],
        };
        let case = |name: &str, dice: f64, hd95: f64| CaseScores {
            structures: vec![structure(dice, hd95)],
            ..CaseScores::new(name, [("dice", dice / 2.0), ("hd95", hd95)])
        };
        run.write_cases(&[case("a", 0.5, 3.0), case("b", 1.0, f64::INFINITY)])
            .unwrap();
        run.write_metrics(&[epoch(1, true, 0.5), epoch(2, true, 0.25)])
            .unwrap();
        let sessions =
            r#"{"sessions": [{"peak_memory_mib": 900.0}, {"peak_memory_mib": 700.0}, {}]}"#;
        std::fs::write(run.environment(), sessions).unwrap();
        let names = [
            "dice",
            "dice/anterior",
            "hd95",
            "time",
            "memory",
            "validation_iou",
        ];
        let objectives = names.map(objective);
        let values = of_run(&run, &objectives).unwrap();
        assert_eq!(values, [0.375, 0.75, f64::INFINITY, 25.0, 900.0, 0.5]);
        let last = objective("{metric: validation_iou, epoch: last}");
        assert_eq!(of_run(&run, &[last]).unwrap(), [0.25]);
        let why = of_run(&run, &[objective("nsd/anterior")]).unwrap_err();
        assert!(why.contains("has no nsd/anterior"), "{why}");
    }
}
