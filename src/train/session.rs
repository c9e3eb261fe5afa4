//! One training session: from the data to the last epoch.

use std::sync::atomic::{AtomicBool, AtomicUsize};
use std::sync::{Arc, Mutex};

use burn::tensor::backend::Backend;
use burn_train::metric::LearningRateMetric;
use burn_train::{Learner, SupervisedTraining, TrainingStrategy};

use super::checkpoint::{Checkpoints, Progress, Resumed};
use super::replicas::Replicas;
use super::step_metric::{Dice, Iou, IouSoft, LossValue, Mean};
use super::strategy::Strategy;
use super::{LearningRate, Segmenter, TrainError, TrainInput};
use crate::dataset::{BatchLoader, Failure, Order, Sampling, TrainingCase};
use crate::experiment::Experiment;
use crate::kernel::TrainingBackend;
use crate::model::freeze::freeze;
use crate::model::weights::WeightsError;
use crate::optimizer::OptimizerState;
use crate::settings::to_yaml;
use crate::sync::lock;
use crate::track::{TensorBoard, TensorBoardError, TensorBoardLogger, hyperparameters};

/// What is trained on what.
pub(super) struct Session<'a> {
    experiment: &'a Experiment,
    input: TrainInput<'a>,
    checkpoints: Checkpoints,
    /// Optimiser steps of an epoch.
    steps: usize,
    /// The epoch that the loaders draw for.
    epoch: Arc<AtomicUsize>,
    /// Why a loader stopped, if one did.
    loading: Failure,
}

impl<'a> Session<'a> {
    pub fn new(experiment: &'a Experiment, input: TrainInput<'a>) -> Self {
        let training = &experiment.train;
        let steps = training.steps_per_epoch;
        Self {
            checkpoints: Checkpoints::of(input.folder),
            steps: steps.unwrap_or_else(|| training.steps_for(input.train.len())),
            epoch: Arc::default(),
            loading: Failure::default(),
            experiment,
            input,
        }
    }

    /// Trains on `devices`; the first one holds the network.
    pub fn run<B: TrainingBackend>(self, devices: &[B::Device]) -> Result<Progress, TrainError> {
        let Some((device, extra_devices)) = devices.split_first() else {
            unreachable!("a job is run on at least one device");
        };
        let training = &self.experiment.train;
        let optimizer = self.experiment.optimizer.init::<B>();
        let start = self.start(&optimizer, device)?;
        let history = &start.progress.history;
        let done = history.len();
        let validated = history.iter().filter(|row| row.is_validated()).count();
        let progress = Arc::new(Mutex::new(start.progress));
        let train_steps = done * self.steps;
        let validation_steps = validated * self.input.validation.len();
        let keep = |tag: &str, step| {
            TensorBoardLogger::is_within((tag, step), done, train_steps, validation_steps)
        };
        let board = Arc::new(Mutex::new(self.board(keep)?));
        let mut console = self.input.console.clone();
        console.start("training", training.epochs * self.steps, done * self.steps);

        let strategy = Arc::new(Strategy {
            optimizer: optimizer.clone(),
            training: training.clone(),
            checkpoints: self.checkpoints.clone(),
            files: self.input.files(),
            epoch: Arc::clone(&self.epoch),
            loading: Arc::clone(&self.loading),
            steps: self.steps,
            validate_every: self.experiment.validate.every,
            metrics: self.experiment.validate.metrics.clone(),
            structures: self.experiment.structures(),
            progress: Arc::clone(&progress),
            replicas: Mutex::new(Replicas::new(device.clone(), extra_devices)),
            averaged: Mutex::new(start.averaged),
            failure: Mutex::new(None),
            console: console.clone(),
            board: Arc::clone(&board),
            events_lost: AtomicBool::new(false),
        });
        let logger = TensorBoardLogger::new(Arc::clone(&board), train_steps, validation_steps);
        let mut session = SupervisedTraining::new(
            self.input.folder,
            Arc::new(self.training_batches::<B>(device)),
            Arc::new(self.validation_batches::<B>(device)),
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
        .with_interrupter(self.input.interrupter.clone())
        .renderer(console.clone())
        .with_training_strategy(TrainingStrategy::Custom(strategy.clone()))
        .num_epochs(training.epochs);
        if done > 0 {
            session = session.checkpoint(done);
        }
        let schedule = self.schedule(done, Arc::clone(&progress));
        let _result = session.launch(Learner::new(start.model, optimizer, schedule));
        console.finish();
        let failure = lock(&strategy.failure).take();
        self.outcome(failure, &progress, &board)
    }

    fn sampling(&self, order: Order, batch_size: usize) -> Sampling {
        Sampling {
            seed: self.experiment.seed,
            order,
            batch_size,
            workers: self.experiment.train.workers,
        }
    }

    fn training_batches<B: TrainingBackend>(&self, device: &B::Device) -> BatchLoader<B> {
        let training = &self.experiment.train;
        let order = Order::Shuffled {
            batches: self.steps * training.accumulate,
            patch: training.patch.clone(),
            augment: self.experiment.augment.clone(),
        };
        let sampling = self.sampling(order, training.batch_size);
        self.batches(&self.input.train, sampling, device.clone())
    }

    /// Cases are validated one by one, so that every case counts the same.
    fn validation_batches<B: TrainingBackend>(
        &self,
        device: &B::Device,
    ) -> BatchLoader<B::InnerBackend> {
        let sampling = self.sampling(Order::Sequential, 1);
        self.batches(&self.input.validation, sampling, device.clone())
    }

    fn batches<B: Backend>(
        &self,
        cases: &[TrainingCase],
        sampling: Sampling,
        device: B::Device,
    ) -> BatchLoader<B> {
        let (epoch, loading) = (Arc::clone(&self.epoch), Arc::clone(&self.loading));
        BatchLoader::new(cases.to_vec(), sampling, epoch, loading, device)
    }

    /// A new network, or the one of the last checkpoint.
    fn start<B: TrainingBackend>(
        &self,
        optimizer: &OptimizerState<B>,
        device: &B::Device,
    ) -> Result<Resumed<B>, TrainError> {
        let is_resumed = self.checkpoints.resumable();
        let network = match is_resumed {
            true => self.experiment.network::<B>(device),
            false => self.experiment.starting_network::<B>(device)?,
        };
        let frozen = self
            .experiment
            .init
            .as_ref()
            .map(|init| init.freeze.as_slice());
        let network =
            freeze(network, frozen.unwrap_or_default()).map_err(|why| WeightsError::NoLayer {
                why: format!("init.freeze: {why}"),
            })?;
        let model = Segmenter::new(network, self.experiment, self.input.own_loss.as_ref());
        if is_resumed {
            return Ok(self.checkpoints.resume(model, optimizer, device)?);
        }
        Ok(Resumed {
            model,
            averaged: None,
            progress: Progress::default(),
        })
    }

    /// The learning rates of the steps after the first `done` epochs.
    fn schedule(&self, done: usize, progress: Arc<Mutex<Progress>>) -> LearningRate {
        LearningRate {
            schedule: self.experiment.schedule.clone(),
            learning_rate: self.experiment.optimizer.learning_rate(),
            warmup: self.experiment.train.warmup,
            step: done * self.steps,
            epoch: self.steps,
            total: self.experiment.train.epochs * self.steps,
            validate_every: self.experiment.validate.every,
            progress,
        }
    }

    /// TensorBoard's events, with what is trained, and with those of finished epochs. Trials of different sweeps have
    /// the same names, so a group is named by its folder.
    fn board(&self, keep: impl Fn(&str, usize) -> bool) -> Result<TensorBoard, TensorBoardError> {
        let mut board = TensorBoard::open(&self.input.files().tensorboard(), keep)?;
        // An experiment was read from YAML and can be written again; if not, the log does without.
        let settings = serde_yaml::to_value(self.experiment).unwrap_or_default();
        let settings = serde_json::to_value(settings).unwrap_or_default();
        let group = self.input.group.to_string_lossy();
        board.start_session(&group, &hyperparameters(&settings));
        let config = to_yaml(self.experiment).unwrap_or_default();
        board.text("config", &format!("```yaml\n{config}```"));
        board.flush();
        Ok(board)
    }

    /// The progress made, unless training failed or was interrupted.
    fn outcome(
        &self,
        failure: Option<TrainError>,
        progress: &Mutex<Progress>,
        board: &Mutex<TensorBoard>,
    ) -> Result<Progress, TrainError> {
        if let Some(error) = failure {
            return Err(error);
        }
        let progress = lock(progress).clone();
        if self.input.interrupter.should_stop() {
            return Err(TrainError::Interrupted {
                epochs: progress.history.len(),
            });
        }
        let mut board = lock(board);
        board.end_session();
        board.flush();
        Ok(progress)
    }
}
