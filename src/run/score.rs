//! Scores of the validation cases, and the three that the report shows.

use std::path::Path;
use std::time::{Duration, Instant};

use burn_train::Interrupter;

use super::single::Run;
use super::{PreparedData, RunError, TtaGain};
use crate::dataset::Case;
use crate::device::DeviceName;
use crate::evaluate::{EvaluateError, Segmented, evaluate_case, read_native};
use crate::experiment::Experiment;
use crate::layout::CaseScores;
use crate::metric::Evaluation;
use crate::predict::Predictor;
use crate::preprocess::cache::CachedCase;
use crate::report::{self, Highlight};
use crate::statistics::mean;
use crate::train::Checkpoints;
use crate::volume::PackedMask;

/// The validation cases on their own grids.
pub(super) struct Scored {
    pub scores: Vec<CaseScores>,
    /// What mirrored views bring, where there are some.
    pub tta: Option<TtaGain>,
}

impl Run {
    /// Scores the validation cases by the best network with the settings of `experiment`, and writes the table and the
    /// plots.
    pub(super) fn score(
        &self,
        experiment: &Experiment,
        data: &PreparedData,
        device: DeviceName,
        interrupter: &Interrupter,
    ) -> Result<Scored, RunError> {
        let best = Checkpoints::of(&self.folder).best();
        let predictor = Predictor::new(experiment, &best, device)?;
        let cases = data.cases(&self.fold.validation);
        let scoring = Instant::now();
        let (scores, masks) = score_cases(&predictor, &cases, &experiment.evaluate, interrupter)?;
        let time = scoring.elapsed();
        self.files().write_cases(&scores)?;
        let tta = Self::tta_gain(experiment, &best, device, &cases, (time, interrupter))?;
        let highlights = highlights(&cases, &scores, &masks)?;
        report::draw_run(&self.folder, experiment, &scores, &highlights)?;
        Ok(Scored { scores, tta })
    }

    /// What mirrored views bring, where there are some; `time` is what scoring with them took.
    fn tta_gain(
        experiment: &Experiment,
        weights: &Path,
        device: DeviceName,
        cases: &[(&Case, &CachedCase)],
        (time, interrupter): (Duration, &Interrupter),
    ) -> Result<Option<TtaGain>, RunError> {
        if experiment.predict.tta.is_none() {
            return Ok(None);
        }
        let mut plain = experiment.clone();
        plain.predict.tta = None;
        let predictor = Predictor::new(&plain, weights, device)?;
        let scoring = Instant::now();
        let (scores, _) = score_cases(&predictor, cases, &experiment.evaluate, interrupter)?;
        let times = time.as_secs_f64() / scoring.elapsed().as_secs_f64();
        let ious: Vec<f64> = scores.iter().map(CaseScores::iou).collect();
        Ok(Some(TtaGain {
            native_iou_without: mean(&ious),
            times,
        }))
    }
}

/// The scores of cases, and the masks that a predictor makes of their prepared files.
fn score_cases(
    predictor: &Predictor,
    cases: &[(&Case, &CachedCase)],
    settings: &Evaluation,
    interrupter: &Interrupter,
) -> Result<(Vec<CaseScores>, Vec<PackedMask>), RunError> {
    let (mut scores, mut masks) = (Vec::new(), Vec::new());
    for (case, files) in cases {
        if interrupter.should_stop() {
            return Err(RunError::Interrupted {
                doing: "scoring",
                kept: "the network is trained",
            });
        }
        let prepared = files.load_images().map_err(EvaluateError::from)?;
        let (scored, mask) = evaluate_case(predictor, case, &prepared, settings)?;
        scores.push(scored);
        masks.push(PackedMask::of(&mask));
    }
    Ok((scores, masks))
}

/// The best, the median and the worst case by IoU, the mean over structures.
fn highlights(
    cases: &[(&Case, &CachedCase)],
    scores: &[CaseScores],
    masks: &[PackedMask],
) -> Result<Vec<Highlight>, RunError> {
    let mut ranked: Vec<usize> = (0..scores.len()).collect();
    ranked.sort_by(|a, b| scores[*b].iou().total_cmp(&scores[*a].iou()));
    let last = ranked.len().saturating_sub(1);
    let mut highlights = Vec::new();
    for (rank, label) in [(0, "best"), (last / 2, "median"), (last, "worst")] {
        let Some(&at) = ranked.get(rank) else {
            continue;
        };
        let (image, truth) = read_native(cases[at].0)?;
        highlights.push(Highlight {
            label,
            scores: scores[at].clone(),
            segmented: Segmented {
                image,
                truth,
                prediction: masks[at].unpack(),
            },
        });
    }
    Ok(highlights)
}
