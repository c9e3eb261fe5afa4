//! The post-processing that is chosen by the validation cases of all runs (`predict: {postprocess: auto}`).

use std::sync::Arc;

use super::single::Run;
use super::{Options, PostprocessGain, PreparedData, RunError, RunSummary};
use crate::device::DeviceName;
use crate::evaluate::{EvaluateError, read_native};
use crate::experiment::{Choice, Experiment, Postprocess};
use crate::predict::{Choosing, Chosen, Predictor, Sketch, Sketching, choose};
use crate::report;
use crate::train::Checkpoints;
use crate::volume::Structures;

/// The user asked to stop while it was chosen.
const STOPPED: RunError = RunError::Interrupted {
    doing: "choosing the post-processing",
    kept: "the networks are trained",
};

/// Chooses the post-processing of finished runs by all their validation cases together, where their experiment says so,
/// and scores the runs with it. What was chosen by these runs, or by these and others, stays.
pub(super) fn complete(
    runs: &[Run],
    data: &[Arc<PreparedData>],
    summaries: &mut [RunSummary],
    device: DeviceName,
    options: &Options,
) -> Result<(), RunError> {
    let console = &options.console;
    let wanted = |run: &Run| run.experiment.predict.postprocess == Some(Choice::Auto);
    if !runs.iter().all(wanted) || is_chosen(runs)? {
        return Ok(());
    }
    let chosen = choose_by(runs, data, device, options)?;
    let lines = chosen.lines();
    lines
        .iter()
        .for_each(|line| console.say(&format!("  {line}")));
    for ((run, data), summary) in runs.iter().zip(data).zip(summaries) {
        let _lock = run.lock()?;
        let experiment = Experiment {
            predict: chosen.predict.clone(),
            ..run.experiment.clone()
        };
        data.check_unchanged(&run.fold.validation)?;
        let scored = run.score(&experiment, data, device, &options.interrupter)?;
        let native_iou_without = match &summary.postprocess {
            Some(gain) => gain.native_iou_without,
            None => summary.native_iou,
        };
        let gain = PostprocessGain {
            native_iou_without,
            steps: chosen.steps.iter().map(|step| step.what.clone()).collect(),
        };
        *summary = summary.clone().scored(&scored, Some(gain));
        // The choice comes last: a run without it is scored again.
        summary.write(&run.files().summary())?;
        chosen.write(&run.files())?;
        report::write_run(&run.folder, &run.experiment, &summary.rows())?;
        // The console has them already.
        console.log_to(&run.files().log())?;
        console.log("Post-processing:");
        lines.iter().for_each(|line| console.log(line));
        console.end_log();
    }
    Ok(())
}

/// Whether all runs have one choice already that they were all asked for.
fn is_chosen(runs: &[Run]) -> Result<bool, RunError> {
    let mut first: Option<Chosen> = None;
    for run in runs {
        let Some(chosen) = Chosen::read(&run.files())? else {
            return Ok(false);
        };
        if !runs.iter().all(|run| chosen.runs.contains(&run.variant)) {
            return Ok(false);
        }
        if *first.get_or_insert_with(|| chosen.clone()) != chosen {
            return Ok(false);
        }
    }
    Ok(true)
}

fn choose_by(
    runs: &[Run],
    data: &[Arc<PreparedData>],
    device: DeviceName,
    options: &Options,
) -> Result<Chosen, RunError> {
    let cases: usize = runs.iter().map(|run| run.fold.validation.len()).sum();
    let by = match runs.len() {
        1 => "the run".to_owned(),
        count => format!("{count} runs"),
    };
    let those = match cases {
        1 => "the one validation case".to_owned(),
        count => format!("the {count} validation cases"),
    };
    options.console.say(&format!(
        "\nChoosing the post-processing by {those} of {by}."
    ));
    let settings = &runs[0].experiment.predict;
    let structures = runs[0].experiment.structures();
    let start = settings.postprocess_of(&structures);
    let mut sketching: Option<Sketching> = None;
    let mut sketches = Vec::new();
    let is_stopped = || options.interrupter.should_stop();
    for (run, data) in runs.iter().zip(data) {
        sketch(
            run,
            data,
            device,
            (&start, &structures),
            &is_stopped,
            &mut sketching,
            &mut sketches,
        )?;
    }
    let Some(sketching) = sketching else {
        return Err(RunError::Setup(
            "there are no validation cases to choose the post-processing by.".into(),
        ));
    };
    let Choosing {
        settings: chosen,
        steps,
        tried,
        dice: [dice_before, dice_after],
    } = choose(&sketches, &start, &sketching, &structures, &is_stopped).ok_or(STOPPED)?;
    Ok(Chosen {
        predict: settings.with_postprocess(&chosen, &structures),
        steps,
        tried,
        dice_before,
        dice_after,
        cases,
        runs: runs.iter().map(|run| run.variant.clone()).collect(),
    })
}

/// Adds the validation cases of a run. What is tried depends on the voxels of the first case.
fn sketch(
    run: &Run,
    data: &PreparedData,
    device: DeviceName,
    (start, structures): (&Postprocess, &Structures),
    is_stopped: &dyn Fn() -> bool,
    sketching: &mut Option<Sketching>,
    sketches: &mut Vec<Sketch>,
) -> Result<(), RunError> {
    let best = Checkpoints::of(&run.folder).best();
    let predictor = Predictor::new(&run.experiment, &best, device)?;
    for (case, files) in data.cases(&run.fold.validation) {
        if is_stopped() {
            return Err(STOPPED);
        }
        let prepared = files.load_images().map_err(EvaluateError::from)?;
        let (image, truth) = read_native(case)?;
        drop(image);
        let predicted = predictor.predict_prepared(&prepared, &truth.grid())?;
        let edge = (1000.0 * truth.voxel_volume_ml()).cbrt();
        let sketching = sketching.get_or_insert_with(|| Sketching::of(start, structures, edge));
        sketches.push(Sketch::of(&predicted.probabilities, &truth, sketching));
    }
    Ok(())
}
