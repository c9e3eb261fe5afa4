//! Training one network on one fold, on burn-train.

mod checkpoint;
mod ema;
mod finite;
mod gradient;
mod learning_rate;
mod quantity;
mod replicas;
mod segmenter;
mod strategy;
mod timing;

use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use burn_train::metric::LearningRateMetric;
use burn_train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};
use thiserror::Error;

pub use checkpoint::{Best, CheckpointError, Checkpoints, Progress, Resumed};
pub use learning_rate::LearningRate;
pub use segmenter::{Segmenter, StepRecord};
pub use timing::{Pace, pace};

use self::quantity::{Dice, Iou, IouSoft, LossValue, Mean};
use self::replicas::Replicas;
use self::strategy::Strategy;
use crate::console::Console;
use crate::dataset::{BatchLoader, Failure, Order, Sampling, TrainingCase};
use crate::experiment::Experiment;
use crate::files::FileError;
use crate::kernel::TrainingBackend;
use crate::layout::RunFolder;
use crate::preprocess::PreprocessError;
use crate::sync::lock;
use crate::track::{TensorBoard, TensorBoardError, TensorBoardLogger, hyperparameters};

/// Training could not be done, or not to its end.
#[derive(Debug, Error)]
pub enum TrainError {
    /// The loss became infinite or not a number.
    #[error(
        "the loss is {loss} at epoch {epoch}, step {step} (cases {}). Finished epochs are \
         saved. Try a lower optimizer.learning_rate or train.gradient_clip: 1.0, and look at these \
         cases' images.",
        cases.join(", ")
    )]
    NotFinite {
        /// The loss.
        loss: f64,
        /// Counted from 1.
        epoch: usize,
        /// Step within the epoch, counted from 1.
        step: usize,
        /// The cases in the batch.
        cases: Vec<String>,
    },
    /// Training went on with a finite loss over weights that are not.
    #[error(
        "the weights are no longer finite after epoch {epoch}. Epochs before it are saved. Try a \
         lower optimizer.learning_rate or train.gradient_clip: 1.0."
    )]
    Diverged {
        /// Counted from 1.
        epoch: usize,
    },
    /// A case could not be read.
    #[error(transparent)]
    Case(#[from] PreprocessError),
    /// A checkpoint could not be read.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// An epoch could not be saved.
    #[error("epoch {epoch} could not be saved: {source} {}", kept(*epoch))]
    NotSaved {
        /// Counted from 1.
        epoch: usize,
        /// Why.
        source: CheckpointError,
    },
    /// A file could not be written.
    #[error(transparent)]
    File(#[from] FileError),
    /// TensorBoard's events could not be written.
    #[error(transparent)]
    TensorBoard(#[from] TensorBoardError),
    /// The user asked to stop.
    #[error("stopped after epoch {epochs}; what was done is saved. The same command continues it.")]
    Interrupted {
        /// Finished epochs.
        epochs: usize,
    },
}

/// What is left when `epoch` is lost.
fn kept(epoch: usize) -> String {
    match epoch {
        1 => "Nothing was lost but this epoch; the same command starts again.".into(),
        _ => format!(
            "Epochs up to {} are saved; the same command continues after them.",
            epoch - 1
        ),
    }
}

/// One fold's data, where its results go, and who is told.
pub struct Fold<'a> {
    /// The run's folder.
    pub folder: &'a Path,
    /// The folder of the experiment, which the run is a fold and seed of.
    pub group: &'a Path,
    /// Cases to train on.
    pub train: Vec<TrainingCase>,
    /// Cases to validate on.
    pub validation: Vec<TrainingCase>,
    /// Stops training after the current step when told to.
    pub interrupter: Interrupter,
    /// Lines and a bar for people.
    pub console: Console,
}

impl Fold<'_> {
    fn files(&self) -> RunFolder {
        RunFolder::new(self.folder)
    }
}

/// Trains `experiment` on one fold, going on from its last checkpoint if there is one, and returns
/// the progress made. The best weights are in `checkpoints/best.safetensors`.
///
/// The network is on `device`; `helpers` are more devices that share each step's batches, each with a
/// copy of the network.
///
/// # Errors
///
/// When a case cannot be read, a file not written, the loss is not finite, or the user interrupts.
pub fn train<B: TrainingBackend>(
    experiment: &Experiment,
    fold: Fold<'_>,
    device: &B::Device,
    helpers: &[B::Device],
) -> Result<Progress, TrainError> {
    let training = &experiment.train;
    let epoch = Arc::new(AtomicUsize::new(0));
    let loading = Failure::default();
    let steps = training
        .steps_per_epoch
        .unwrap_or_else(|| training.steps_for(fold.train.len()));
    let sampling = |order, batch_size| Sampling {
        seed: experiment.seed,
        order,
        batch_size,
        workers: training.workers,
    };
    let validation_count = fold.validation.len();
    let train_loader = BatchLoader::<B>::new(
        fold.train.clone(),
        sampling(
            Order::Shuffled {
                batches: steps * training.accumulate,
                patch: training.patch.clone(),
                augment: experiment.augment.clone(),
            },
            training.batch_size,
        ),
        Arc::clone(&epoch),
        Arc::clone(&loading),
        device.clone(),
    );
    // Validated one by one, so that every case counts the same.
    let validation_loader = BatchLoader::<B::InnerBackend>::new(
        fold.validation.clone(),
        sampling(Order::Sequential, 1),
        Arc::clone(&epoch),
        Arc::clone(&loading),
        device.clone(),
    );

    let checkpoints = Checkpoints::of(fold.folder);
    let optimizer = experiment.optimizer.init::<B, Segmenter<B>>();
    let network = experiment.model.init::<B>(experiment.seed, device);
    let mut model = Segmenter::new(network, experiment.loss.clone(), experiment.train.precision);
    let (mut progress, mut averaged) = (Progress::default(), None);
    if checkpoints.resumable() {
        let resumed = checkpoints.resume(model, &optimizer, device)?;
        (model, averaged, progress) = (resumed.model, resumed.averaged, resumed.progress);
    }
    let done = progress.history.len();
    let progress = Arc::new(Mutex::new(progress));
    let schedule = LearningRate {
        schedule: experiment.schedule.clone(),
        learning_rate: experiment.optimizer.learning_rate(),
        warmup: training.warmup,
        step: done * steps,
        epoch: steps,
        total: training.epochs * steps,
        progress: Arc::clone(&progress),
    };
    let mut board = TensorBoard::new(&fold.files().tensorboard())?;
    describe(experiment, fold.group, &mut board);
    let board = Arc::new(Mutex::new(board));
    let mut console = fold.console.clone();
    console.start("training", training.epochs * steps, done * steps);

    let strategy = Arc::new(Strategy {
        optimizer: optimizer.clone(),
        training: training.clone(),
        checkpoints,
        files: fold.files(),
        epoch,
        loading,
        steps,
        progress,
        replicas: Mutex::new(Replicas::new(device.clone(), helpers)),
        averaged: Mutex::new(averaged),
        failure: Mutex::new(None),
        console: console.clone(),
        board: Arc::clone(&board),
        events_lost: AtomicBool::new(false),
    });
    let logger = TensorBoardLogger::new(board, done * steps, done * validation_count);
    let mut session = SupervisedTraining::new(
        fold.folder,
        Arc::new(train_loader),
        Arc::new(validation_loader),
    )
    .metrics((
        Mean::<LossValue>::default(),
        Mean::<Iou>::default(),
        Mean::<IouSoft>::default(),
        Mean::<Dice>::default(),
    ))
    .metric_train_numeric(LearningRateMetric::new())
    .with_metric_logger(logger)
    .with_application_logger(None)
    .with_interrupter(fold.interrupter.clone())
    .renderer(console.clone())
    .with_training_strategy(TrainingStrategy::Custom(strategy.clone()))
    .num_epochs(training.epochs);
    if done > 0 {
        session = session.checkpoint(done);
    }
    let _result = session.launch(Learner::new(model, optimizer, schedule));
    console.finish();

    if let Some(error) = lock(&strategy.failure).take() {
        return Err(error);
    }
    let progress = lock(&strategy.progress).clone();
    if fold.interrupter.should_stop() {
        return Err(TrainError::Interrupted {
            epochs: progress.history.len(),
        });
    }
    let mut board = lock(&strategy.board);
    board.end_session();
    board.flush();
    Ok(progress)
}

/// Tells TensorBoard what is trained. A session that resumes says it again, which TensorBoard passes
/// over. Trials of different sweeps have the same names, so that a group is known by its folder.
fn describe(experiment: &Experiment, group: &Path, board: &mut TensorBoard) {
    // An experiment was read from YAML and can be written again; if not, the log does without.
    let settings = serde_json::to_value(experiment).unwrap_or_default();
    board.start_session(&group.to_string_lossy(), &hyperparameters(&settings));
    let config = serde_yaml::to_string(experiment).unwrap_or_default();
    board.text("config", &format!("```yaml\n{config}```"));
    board.flush();
}
