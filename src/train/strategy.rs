//! The training loop, as a learning strategy of burn-train's.

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress as LoaderProgress};
use burn::module::AutodiffModule;
use burn::optim::{GradientsAccumulator, GradientsParams};
use burn_train::{
    EventProcessorTraining, InferenceStep, Interrupter, Learner, LearnerEvent,
    LearningComponentsMarker, SupervisedLearningStrategy, SupervisedTrainingEventProcessor,
    TrainLoader, TrainOutput, TrainingComponents, TrainingItem, ValidLoader,
};

use super::TrainError;
use super::checkpoint::{Best, Checkpoints, Progress};
use super::epoch_sums::EpochSums;
use super::finite::is_finite;
use super::learning_rate::LearningRate;
use super::replicas::Replicas;
use super::segmenter::{Segmenter, StepRecord};
use super::{ema, gradient};
use crate::console::{Console, duration};
use crate::dataset::{Batch, Failure};
use crate::experiment::{EarlyStopping, Training};
use crate::kernel::TrainingBackend;
use crate::layout::{Epoch, RunFolder, StructureEpoch};
use crate::metric::BatchMetric;
use crate::optimizer::OptimizerState;
use crate::statistics::printable;
use crate::sync::lock;
use crate::track::TensorBoard;
use crate::volume::Structures;

/// The parts that burn-train puts together.
pub type Components<B> = LearningComponentsMarker<B, LearningRate, Segmenter<B>, OptimizerState<B>>;

type Processor<B> = SupervisedTrainingEventProcessor<Components<B>>;

/// Trains on the devices given; checks every loss; ends each epoch with a validation, a row in
/// `metrics.csv` and a checkpoint; stops early where that was asked for.
pub struct Strategy<B: TrainingBackend> {
    /// Shares its state with the learner's optimiser.
    pub optimizer: OptimizerState<B>,
    /// Length and pace.
    pub training: Training,
    /// Where checkpoints go.
    pub checkpoints: Checkpoints,
    /// Where the table of epochs goes.
    pub files: RunFolder,
    /// The epoch that the loaders draw for.
    pub epoch: Arc<AtomicUsize>,
    /// Why a loader stopped, if one did.
    pub loading: Failure,
    /// Optimiser steps per epoch.
    pub steps: usize,
    /// After how many epochs there is a validation.
    pub validate_every: usize,
    /// Metrics of batches that the validation has.
    pub metrics: Vec<BatchMetric>,
    /// What the network finds.
    pub structures: Arc<Structures>,
    /// Progress so far; the outcome when training has ended.
    pub progress: Arc<Mutex<Progress>>,
    /// The devices that share the work.
    pub replicas: Mutex<Replicas<B>>,
    /// The running mean of the weights, where one is kept.
    pub averaged: Mutex<Option<Segmenter<B::InnerBackend>>>,
    /// Why training failed, if it did.
    pub failure: Mutex<Option<TrainError>>,
    /// Progress messages.
    pub console: Console,
    /// Takes the validation pictures.
    pub board: Arc<Mutex<TensorBoard>>,
    /// Whether the user knows that events could not be written.
    pub events_lost: AtomicBool,
}

/// Whether an epoch ran to its end.
enum Outcome {
    Finished(EpochSums),
    Interrupted,
}

impl<B: TrainingBackend> SupervisedLearningStrategy<Components<B>> for Strategy<B> {
    fn fit(
        &self,
        components: TrainingComponents<Components<B>>,
        mut learner: Learner<Components<B>>,
        train: TrainLoader<Components<B>>,
        validation: ValidLoader<Components<B>>,
        starting_epoch: usize,
    ) -> (Segmenter<B>, Processor<B>) {
        let mut processor = components.event_processor;
        // A run that was cut short after it had stopped early has nothing left to train.
        if self.stops_early(&lock(&self.progress)) {
            return (learner.model(), processor);
        }
        for number in starting_epoch..=components.num_epochs {
            self.epoch.store(number, Ordering::Relaxed);
            let progress = LoaderProgress::new(number, components.num_epochs);
            let ended = self.run_epoch(
                &mut learner,
                &*train,
                &*validation,
                &progress,
                &mut processor,
                &components.interrupter,
            );
            match ended {
                Ok(true) => {}
                Ok(false) => break,
                Err(error) => {
                    *lock(&self.failure) = Some(error);
                    break;
                }
            }
        }
        (learner.model(), processor)
    }
}

impl<B: TrainingBackend> Strategy<B> {
    /// One epoch; whether to continue with the next.
    fn run_epoch(
        &self,
        learner: &mut Learner<Components<B>>,
        train: &dyn DataLoader<B, Batch<B>>,
        validation: &dyn DataLoader<B::InnerBackend, Batch<B::InnerBackend>>,
        progress: &LoaderProgress,
        processor: &mut Processor<B>,
        interrupter: &Interrupter,
    ) -> Result<bool, TrainError> {
        let started = Instant::now();
        let number = progress.items_processed;
        let outcome = self.train_epoch(learner, train, progress, processor, interrupter)?;
        let Outcome::Finished(training) = outcome else {
            return Ok(false);
        };
        let validates =
            number.is_multiple_of(self.validate_every) || number == progress.items_total;
        let outcome = match validates {
            true => self.validate(learner, validation, progress, processor, interrupter)?,
            false => Outcome::Finished(self.validation_sums()),
        };
        let Outcome::Finished(mut validated) = outcome else {
            return Ok(false);
        };
        let structures = validated.structures(&self.structures);
        let metrics = validated.metrics();
        if validates {
            self.log_structures(&structures, number);
            self.log_metrics(&metrics, number);
        }
        let row = Epoch {
            epoch: number,
            learning_rate: learner.lr_current(),
            train_loss: training.mean(training.loss),
            train_iou: training.mean(training.iou),
            train_iou_soft: training.mean(training.iou_soft),
            validation_loss: validated.mean(validated.loss),
            validation_iou: validated.mean(validated.iou),
            validation_iou_soft: validated.mean(validated.iou_soft),
            validation_dice: validated.mean(validated.dice),
            seconds: started.elapsed().as_secs_f64(),
            metrics,
            structures,
        };
        self.finish_epoch(learner, row, progress.items_total)
    }

    /// Records the validation of each structure for TensorBoard.
    fn log_structures(&self, structures: &[StructureEpoch], epoch: usize) {
        let mut board = lock(&self.board);
        for of in structures {
            for (score, value) in [("iou", of.iou), ("dice", of.dice)] {
                let tag = format!("validation/epoch/{score}/{}", of.name);
                board.scalar(&tag, value as f32, epoch);
            }
        }
        if !structures.is_empty() {
            board.flush();
        }
    }

    /// Records the validation's metrics of batches for TensorBoard.
    fn log_metrics(&self, metrics: &[(String, f64)], epoch: usize) {
        let mut board = lock(&self.board);
        for (column, value) in metrics {
            let tag = column.replacen("validation_", "validation/epoch/", 1);
            board.scalar(&tag, *value as f32, epoch);
        }
        if !metrics.is_empty() {
            board.flush();
        }
    }

    /// Nothing, before the first validation case.
    fn validation_sums(&self) -> EpochSums {
        EpochSums::with_metrics(&self.metrics, self.training.batch_size)
    }

    fn train_epoch(
        &self,
        learner: &mut Learner<Components<B>>,
        loader: &dyn DataLoader<B, Batch<B>>,
        progress: &LoaderProgress,
        processor: &mut Processor<B>,
        interrupter: &Interrupter,
    ) -> Result<Outcome, TrainError> {
        let mut sums = EpochSums::default();
        let mut batches = loader.iter();
        let mut step = 0;
        loop {
            let place = (progress.items_processed, step + 1);
            let Some((record, grads)) = self.gradient(learner, &mut *batches, place)? else {
                break;
            };
            step += 1;
            learner.lr_step();
            learner.optimizer_step(grads);
            self.average(learner, step);
            sums.add(&record);
            self.console.detail(|| {
                let cases: Vec<&str> = record.cases.iter().map(|(case, _)| case.as_str()).collect();
                format!(
                    "  step {step}/{}  loss {:.4}  learning rate {:.2e}  {}",
                    self.steps,
                    printable(record.loss, 4),
                    learner.lr_current(),
                    cases.join(", ")
                )
            });
            processor.process_train(LearnerEvent::ProcessedItem(TrainingItem::new(
                record,
                batches.progress(),
                progress.clone(),
                Some(step),
                Some(learner.lr_current()),
            )));
            if interrupter.should_stop() {
                return Ok(Outcome::Interrupted);
            }
        }
        self.check_loading()?;
        processor.process_train(LearnerEvent::EndEpoch(progress.items_processed));
        Ok(Outcome::Finished(sums))
    }

    /// The mean gradient of the next batches that make a step, clipped, and their results.
    fn gradient(
        &self,
        learner: &Learner<Components<B>>,
        batches: &mut dyn DataLoaderIterator<Batch<B>>,
        (epoch, step): (usize, usize),
    ) -> Result<Option<(StepRecord, GradientsParams)>, TrainError> {
        let model = learner.model();
        let mut replicas = lock(&self.replicas);
        replicas.load(&model);
        let mut accumulator = GradientsAccumulator::new();
        let mut records = Vec::new();
        let mut batches = batches.take(self.training.accumulate);
        loop {
            let together: Vec<_> = batches.by_ref().take(replicas.count()).collect();
            if together.is_empty() {
                break;
            }
            for TrainOutput { item, grads } in replicas.differentiate(&model, together) {
                if !item.loss.is_finite() {
                    return Err(TrainError::NotFinite {
                        loss: item.loss,
                        epoch,
                        step,
                        cases: item.cases.into_iter().map(|(case, _)| case).collect(),
                    });
                }
                accumulator.accumulate(&model, grads);
                records.push(item);
            }
        }
        let count = records.len();
        let mut grads = accumulator.grads();
        if count > 1 {
            grads = gradient::divide(grads, &model, count);
        }
        if let Some(limit) = self.training.gradient_clip_value {
            grads = gradient::clip_by_value(grads, &model, limit);
        }
        if let Some(max_norm) = self.training.gradient_clip {
            grads = gradient::clip_by_norm(grads, &model, max_norm);
        }
        Ok(StepRecord::join(records).map(|record| (record, grads)))
    }

    /// Takes the weights after `step` steps of this epoch into their running mean, if one is kept.
    fn average(&self, learner: &Learner<Components<B>>, step: usize) {
        let Some(decay) = self.training.ema else {
            return;
        };
        let epochs = lock(&self.progress).history.len();
        let current = learner.model().valid();
        let mut averaged = lock(&self.averaged);
        *averaged = Some(match averaged.take() {
            Some(average) => ema::average(average, &current, decay, epochs * self.steps + step),
            None => current,
        });
    }

    /// What is validated and kept: the weights' running mean, or the weights.
    fn result(&self, learner: &Learner<Components<B>>) -> Segmenter<B::InnerBackend> {
        lock(&self.averaged)
            .clone()
            .unwrap_or_else(|| learner.model().valid())
    }

    fn validate(
        &self,
        learner: &Learner<Components<B>>,
        loader: &dyn DataLoader<B::InnerBackend, Batch<B::InnerBackend>>,
        progress: &LoaderProgress,
        processor: &mut Processor<B>,
        interrupter: &Interrupter,
    ) -> Result<Outcome, TrainError> {
        let model = self.result(learner);
        let mut sums = self.validation_sums();
        let mut batches = loader.iter();
        let mut step = 0;
        while let Some(batch) = batches.next() {
            step += 1;
            let mut record = InferenceStep::step(&model, batch);
            if !record.loss.is_finite() {
                return Err(TrainError::ValidationNotFinite {
                    loss: record.loss,
                    epoch: progress.items_processed,
                    case: record.cases.into_iter().map(|(case, _)| case).collect(),
                });
            }
            sums.add(&record);
            if let Some(picture) = record.preview.take() {
                let case = record.cases.first().map_or("", |(case, _)| case.as_str());
                lock(&self.board).image(
                    &format!("validation/{case}"),
                    &picture.rgb,
                    picture.width,
                    picture.height,
                    progress.items_processed,
                );
            }
            processor.process_valid(LearnerEvent::ProcessedItem(TrainingItem::new(
                record,
                batches.progress(),
                progress.clone(),
                Some(step),
                None,
            )));
            if interrupter.should_stop() {
                return Ok(Outcome::Interrupted);
            }
        }
        self.check_loading()?;
        processor.process_valid(LearnerEvent::EndEpoch(progress.items_processed));
        Ok(Outcome::Finished(sums))
    }

    fn check_loading(&self) -> Result<(), TrainError> {
        match lock(&self.loading).take() {
            Some(error) => Err(error.into()),
            None => Ok(()),
        }
    }

    fn finish_epoch(
        &self,
        learner: &Learner<Components<B>>,
        row: Epoch,
        epochs: usize,
    ) -> Result<bool, TrainError> {
        let model = learner.model();
        if !is_finite(&model) {
            return Err(TrainError::Diverged { epoch: row.epoch });
        }
        let mut progress = lock(&self.progress);
        let (epoch, iou) = (row.epoch, row.validation_iou);
        let is_better = row.is_validated() && progress.best.is_none_or(|best| iou > best.iou);
        if is_better {
            progress.best = Some(Best { epoch, iou });
        }
        progress.history.push(row);
        let averaged = lock(&self.averaged);
        let saved = (self.checkpoints).save(&model, averaged.as_ref(), &self.optimizer, &progress);
        saved.map_err(|source| TrainError::NotSaved { epoch, source })?;
        self.files.write_metrics(&progress.history)?;
        self.console.say(&line(&progress, epochs));
        self.warn_of_lost_events();
        Ok(!self.stops_early(&progress))
    }

    /// A full disk costs TensorBoard's events, not the run; the user is warned once.
    fn warn_of_lost_events(&self) {
        if let Some(error) = lock(&self.board).failure()
            && !self.events_lost.swap(true, Ordering::Relaxed)
        {
            self.console.say(&format!("warning: {error}"));
        }
    }

    fn stops_early(&self, progress: &Progress) -> bool {
        let (Some(EarlyStopping { patience }), Some(best)) =
            (&self.training.early_stopping, progress.best)
        else {
            return false;
        };
        let is_validated = progress.history.last().is_some_and(Epoch::is_validated);
        let stops = is_validated && progress.history.len() - best.epoch >= *patience;
        if stops {
            self.console.say(&format!(
                "Stopping early: no better validation IoU for {patience} epochs."
            ));
        }
        stops
    }
}

/// The validation's metrics of batches.
fn shown_metrics(row: &Epoch) -> String {
    let shown = row.metrics.iter().map(|(column, value)| {
        let name = column.trim_start_matches("validation_");
        format!("  {name} {:.4}", printable(*value, 4))
    });
    shown.collect()
}

fn line(progress: &Progress, epochs: usize) -> String {
    let Some(row) = progress.history.last() else {
        return String::new();
    };
    let is_best = progress.best.is_some_and(|best| best.epoch == row.epoch);
    let mark = if is_best { " *" } else { "" };
    let recent = &progress.history[progress.history.len().saturating_sub(5)..];
    let mean = recent.iter().map(|row| row.seconds).sum::<f64>() / recent.len() as f64;
    let left = match epochs.saturating_sub(row.epoch) {
        0 => String::new(),
        more => {
            let time = Duration::from_secs_f64(mean * more as f64);
            format!("  {} left", duration(time))
        }
    };
    let validation = match (row.is_validated(), progress.best) {
        (true, Some(best)) => {
            format!(
                "  validation loss {:.4} IoU {:.4}  best {:.4}",
                printable(row.validation_loss, 4),
                row.validation_iou,
                best.iou
            ) + &shown_metrics(row)
        }
        _ => String::new(),
    };
    format!(
        "epoch {:>3}/{epochs}  train loss {:.4} IoU {:.3}{validation}  {:.1} s{left}{mark}",
        row.epoch,
        printable(row.train_loss, 4),
        row.train_iou,
        row.seconds,
    )
}
