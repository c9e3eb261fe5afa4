//! The experiment: what its file may say, and how YAML files become it.

mod load;
mod schema;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::augment::{Augmentations, Transform};
use crate::dataset::{Patch, Source, Split};
use crate::device::{DeviceChoice, DeviceName};
use crate::kernel::Precision;
use crate::loss::Loss;
use crate::metric::Evaluation;
use crate::model::Model;
use crate::optimizer::Optimizer;
use crate::preprocess::Pipeline;
use crate::schedule::Schedule;

pub use load::{Resolved, load};
pub use schema::schema;

/// A whole experiment: from the data to the report. Every key but `data` has a default.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Experiment {
    /// Names the results folder; the file's own name by default.
    pub name: String,
    /// The seed of every random number.
    #[serde(default = "default_seed")]
    pub seed: u64,
    /// The GPUs that share each training step's batches (as many as `train.accumulate`, or a part of
    /// it), such as [cuda:0, cuda:1]. By default, and where `--device` names others, that says where.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceName>,
    /// Where the cases come from.
    pub data: Source,
    /// Steps from a raw scan to the network's input, in order.
    #[serde(default)]
    pub preprocess: Pipeline,
    /// Transforms drawn anew for every training sample, in order.
    #[serde(default)]
    pub augment: Augmentations,
    /// Which cases train and which validate.
    #[serde(default)]
    pub split: Split,
    /// The network.
    #[serde(default)]
    pub model: Model,
    /// What training minimises.
    #[serde(default)]
    pub loss: Loss,
    /// How weights follow gradients.
    #[serde(default)]
    pub optimizer: Optimizer,
    /// How the learning rate moves over the run.
    #[serde(default)]
    pub schedule: Schedule,
    /// Length and pace of training.
    #[serde(default)]
    pub train: Training,
    /// From the network's output to a mask.
    #[serde(default)]
    pub predict: Prediction,
    /// How the masks are scored.
    #[serde(default)]
    pub evaluate: Evaluation,
    /// What the plots show besides the run.
    #[serde(default)]
    pub report: Reporting,
}

fn default_seed() -> u64 {
    42
}

impl Experiment {
    /// Checks every value: the dotted keys of those that are wrong, and what is allowed.
    pub fn validate(&self) -> Vec<(String, String)> {
        let name = if ["/", "\\", ".."]
            .iter()
            .any(|part| self.name.contains(part))
            || self.name.is_empty()
            || self.name.starts_with('.')
        {
            let name = &self.name;
            Err(format!(
                "`{name}` cannot name a folder: use letters, digits, - and _"
            ))
        } else {
            Ok(())
        };
        let mut checks = vec![
            ("name".to_owned(), name),
            ("data".to_owned(), self.data.validate()),
        ];
        let steps = self.preprocess.0.iter().enumerate();
        checks.extend(steps.map(|(at, step)| (format!("preprocess.{at}"), step.validate())));
        let transforms = self.augment.0.iter().enumerate();
        checks.extend(transforms.map(|(at, one)| (format!("augment.{at}"), one.validate())));
        let others = [
            ("devices", DeviceChoice::check(&self.devices)),
            ("augment", self.check_mixup()),
            ("split", self.split.validate()),
            ("model", self.model.validate()),
            ("loss", self.loss.validate()),
            ("optimizer", self.optimizer.validate()),
            ("schedule", self.schedule.validate()),
            ("train", self.train.validate()),
            ("predict", self.predict.validate()),
            ("evaluate", self.evaluate.validate()),
        ];
        checks.extend(others.map(|(key, checked)| (key.to_owned(), checked)));
        let wrong = checks.into_iter();
        wrong
            .filter_map(|(key, checked)| Some((key, checked.err()?)))
            .collect()
    }

    /// Whether cases must be of one shape: whole ones in one batch.
    pub fn needs_one_shape(&self) -> bool {
        let crops = |transform: &Transform| matches!(transform, Transform::Crop(_));
        self.train.patch.is_none() && self.train.batch_size > 1 && !self.augment.0.iter().any(crops)
    }

    fn check_mixup(&self) -> Result<(), String> {
        let mixes = |transform: &Transform| matches!(transform, Transform::Mixup(_));
        match self.augment.0.iter().filter(|item| mixes(item)).count() {
            0 => Ok(()),
            1 if self.train.batch_size > 1 => Ok(()),
            1 => Err(
                "mixup needs a train.batch_size of at least 2: samples are mixed within a batch"
                    .into(),
            ),
            _ => Err("mixup may stand in the list only once".into()),
        }
    }
}

/// Length and pace of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// Epochs to train; each ends with a validation.
    #[schemars(range(min = 1))]
    pub epochs: usize,
    /// Optimiser steps an epoch; by default as many as show every training case once.
    #[schemars(range(min = 1))]
    pub steps_per_epoch: Option<usize>,
    /// Samples that go through the network at once.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// Batches whose gradients' mean is one optimiser step: what `batch_size` times this does, in the
    /// memory of `batch_size`.
    #[schemars(range(min = 1))]
    pub accumulate: usize,
    /// Part of the run over which the learning rate rises in a straight line before the schedule
    /// begins.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub warmup: f64,
    /// Background threads that read and augment samples ahead of the device; with 0 the device waits.
    pub workers: usize,
    /// Largest norm of the whole gradient; larger ones are scaled down to it.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub gradient_clip: Option<f64>,
    /// Largest size of each value of the gradient; larger ones are cut off, before `gradient_clip`.
    #[schemars(extend("exclusiveMinimum" = 0.0))]
    pub gradient_clip_value: Option<f64>,
    /// Validates and keeps a running mean of the weights instead of the weights: how much of it each
    /// step keeps, such as 0.999. It grows to that over the first steps.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub ema: Option<f64>,
    /// Trains on pieces of the cases instead of on whole ones.
    pub patch: Option<Patch>,
    /// Whether cheap activations are computed again in the backward pass instead of being kept: less
    /// memory for a little more time, and the same results.
    pub checkpointing: bool,
    /// The type in which the network computes. Weights, loss and optimiser are in single precision anyway.
    pub precision: Precision,
    /// When to stop before the last epoch.
    pub early_stopping: Option<EarlyStopping>,
}

impl Default for Training {
    fn default() -> Self {
        Self {
            epochs: 60,
            steps_per_epoch: None,
            batch_size: 2,
            accumulate: 1,
            warmup: 0.0,
            workers: 1,
            gradient_clip: None,
            gradient_clip_value: None,
            ema: None,
            patch: None,
            checkpointing: false,
            precision: Precision::F32,
            early_stopping: None,
        }
    }
}

impl Training {
    /// Optimiser steps that show `cases` cases once, each with as many patches as are taken from it.
    pub fn steps_for(&self, cases: usize) -> usize {
        let samples = self.patch.as_ref().map_or(1, |patch| patch.samples);
        (cases * samples).div_ceil(self.batch_size * self.accumulate)
    }

    fn validate(&self) -> Result<(), String> {
        let positive = [
            ("epochs", self.epochs),
            ("batch_size", self.batch_size),
            ("steps_per_epoch", self.steps_per_epoch.unwrap_or(1)),
            ("accumulate", self.accumulate),
            (
                "early_stopping.patience",
                self.early_stopping.as_ref().map_or(1, |stop| stop.patience),
            ),
        ];
        if let Some((key, _)) = positive.iter().find(|(_, value)| *value == 0) {
            return Err(format!("{key} must be at least 1"));
        }
        if !(0.0..1.0).contains(&self.warmup) {
            return Err("warmup must be from 0 to below 1".into());
        }
        let clips = [
            ("gradient_clip", self.gradient_clip),
            ("gradient_clip_value", self.gradient_clip_value),
        ];
        for (key, limit) in clips {
            if limit.is_some_and(|limit| !(limit.is_finite() && limit > 0.0)) {
                return Err(format!("{key} must be a number above 0, or left out"));
            }
        }
        if self.ema.is_some_and(|decay| !(decay > 0.0 && decay < 1.0)) {
            return Err("ema must lie between 0 and 1, or be left out".into());
        }
        self.patch.as_ref().map_or(Ok(()), Patch::validate)
    }
}

/// Stops a run whose validation IoU no longer rises.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct EarlyStopping {
    /// Epochs without a new best validation IoU before training stops.
    #[schemars(range(min = 1))]
    pub patience: usize,
}

/// From the network's output to a mask on the scan's own grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Prediction {
    /// Probability from which a voxel is brain.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub threshold: f64,
    /// Keep only the largest connected piece.
    pub largest_component: bool,
}

impl Default for Prediction {
    fn default() -> Self {
        Self {
            threshold: 0.5,
            largest_component: true,
        }
    }
}

impl Prediction {
    fn validate(&self) -> Result<(), String> {
        if self.threshold > 0.0 && self.threshold < 1.0 {
            Ok(())
        } else {
            Err(format!(
                "threshold is {} and must lie between 0 and 1",
                self.threshold
            ))
        }
    }
}

/// What the plots show besides the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reporting {
    /// A validation IoU to compare with, drawn as a line (0.86 is the published baseline).
    pub reference_iou: Option<f64>,
}
