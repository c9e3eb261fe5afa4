//! The experiment: what its file may contain, and how YAML files become it.

mod init;
mod load;
mod postprocess;
mod prediction;
mod schema;
mod task;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::augment::{Augmentations, Transform};
use crate::dataset::{Data, Labels, Patch, Regions, Split};
use crate::device::{DeviceChoice, DeviceName};
use crate::kernel::Precision;
use crate::loss::Loss;
use crate::metric::{BatchMetric, Evaluation};
use crate::model::Model;
use crate::optimizer::Optimizer;
use crate::preprocess::Pipeline;
use crate::schedule::Schedule;
use crate::settings::{self, Fault, Faults, nearest, within};

pub use init::Init;
pub use load::{Resolved, load};
pub use postprocess::{Amount, Choice, Postprocess, StructurePostprocess};
pub use prediction::{Mirrors, Prediction, Validation, Which};
pub use schema::schema;
pub use task::UndeclaredLabels;

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
    /// it), such as [cuda:0, cuda:1]. By default, and where `--device` names others, `--device` decides.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub devices: Vec<DeviceName>,
    /// Where the cases come from, and how their masks are read.
    pub data: Data,
    /// The images that the network sees, by the names that the data have for them; by default all of a case's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<Vec<String>>,
    /// What the labels of the cases' maps mean, where a voxel has one structure alone: a name and its label, or the
    /// labels that are one structure, as in {anterior: 1, posterior: 2}. Without `labels` and `regions` a case has
    /// one mask, unless its data tell their labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<Labels>,
    /// Structures that may overlap, each a name and the labels that it consists of, as in {whole: [1, 2, 4],
    /// core: [1, 4]}. Where `labels` names them, names stand for labels.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub regions: Option<Regions>,
    /// The label that each region is written by, in their order, later ones over earlier ones. By default the one
    /// label of a region that no later one has.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(inner(range(min = 1, max = 65535)))]
    pub region_order: Option<Vec<u16>>,
    /// The label of voxels that nobody looked at: they are in no loss and in no score.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 65535))]
    pub ignore: Option<u16>,
    /// What becomes of labels that neither `labels` nor `regions` name.
    #[serde(default, skip_serializing_if = "is_default")]
    pub undeclared: UndeclaredLabels,
    /// Steps from a raw scan to the network's input, in order.
    #[serde(default)]
    pub preprocess: Pipeline,
    /// Transforms drawn for every training sample, in order.
    #[serde(default)]
    pub augment: Augmentations,
    /// Which cases train and which validate.
    #[serde(default)]
    pub split: Split,
    /// The network.
    #[serde(default)]
    pub model: Model,
    /// The weights that training starts from; new ones by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub init: Option<Init>,
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
    /// How the network is validated while it trains.
    #[serde(default)]
    pub validate: Validation,
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

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

fn default_seed() -> u64 {
    42
}

impl Experiment {
    /// Checks every value.
    ///
    /// # Errors
    ///
    /// Everything that is wrong, each with its dotted key, and what is allowed.
    pub fn validate(&self) -> Result<(), Faults> {
        settings::validate(self, Self::rules)
    }

    /// What is wrong with the values that the schema does not show.
    pub fn rules(&self) -> Vec<Fault> {
        let mut faults = Vec::new();
        if !names_a_folder(&self.name) {
            let message = format!(
                "`{}` cannot name a folder: use letters, digits, - and _",
                self.name
            );
            faults.push(Fault::new("name", message));
        }
        if let Err(message) = DeviceChoice::check(&self.devices) {
            faults.push(Fault::new("devices", message));
        }
        let init = self.init.iter().flat_map(Init::rules).collect();
        faults.extend(within("init", init));
        faults.extend(self.mixing_rules());
        faults.extend(self.task_rules());
        let parts = [
            ("data", self.data.rules()),
            ("preprocess", self.preprocess.rules()),
            ("augment", self.augment.rules()),
            ("split", self.split.rules()),
            ("model", self.model.rules()),
            ("loss", self.loss.rules()),
            ("optimizer", self.optimizer.rules()),
            ("schedule", self.schedule.rules()),
            ("train", self.train.rules()),
            ("validate", self.validate.rules(self.patch_size())),
            ("predict", self.predict.window.rules(self.patch_size())),
            ("report", self.report.rules(&self.validate)),
        ];
        let parts = parts.into_iter();
        faults.extend(parts.flat_map(|(key, faults)| within(key, faults)));
        faults
    }

    /// This experiment with what follows its training taken from `other`: how cases are segmented, scored and shown.
    /// The network does not depend on it.
    pub fn scored_as(self, other: &Self) -> Self {
        Self {
            predict: other.predict.clone(),
            evaluate: other.evaluate.clone(),
            report: other.report.clone(),
            ..self
        }
    }

    /// How `other` segments and scores otherwise than this one, one `key was …, is …` each.
    pub fn scoring_differences(&self, other: &Self) -> Vec<String> {
        let scored = Self {
            report: self.report.clone(),
            ..self.clone().scored_as(other)
        };
        settings::differences(self, &scored)
    }

    /// Whether cases must be of one shape: whole ones in one batch.
    pub fn needs_one_shape(&self) -> bool {
        let fixed = self.augment.transforms().any(Transform::fixes_shape);
        self.train.patch.is_none() && self.train.batch_size > 1 && !fixed
    }

    /// The size of the patches that the network is trained on, if it does not see whole cases.
    pub fn patch_size(&self) -> Option<[usize; 3]> {
        self.train.patch.as_ref().map(|patch| patch.size)
    }

    fn mixing_rules(&self) -> Vec<Fault> {
        let mixing: Vec<&Transform> = self
            .augment
            .transforms()
            .filter(|item| item.mixes_batch())
            .collect();
        let message = match mixing[..] {
            [] => return Vec::new(),
            [_] if self.train.batch_size > 1 => return Vec::new(),
            [one] => format!(
                "{} needs a train.batch_size of at least 2: samples are mixed within a batch",
                one.name()
            ),
            [first, ..] => format!("{} may stand in the list only once", first.name()),
        };
        vec![Fault::new("augment", message)]
    }
}

fn names_a_folder(name: &str) -> bool {
    let forbidden = ["/", "\\", ".."];
    !name.is_empty() && !name.starts_with('.') && !forbidden.iter().any(|part| name.contains(part))
}

/// Length and pace of training.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Training {
    /// Epochs to train.
    #[schemars(range(min = 1))]
    pub epochs: usize,
    /// Optimiser steps per epoch; by default as many as show every training case once.
    #[schemars(range(min = 1))]
    pub steps_per_epoch: Option<usize>,
    /// Samples that go through the network at once.
    #[schemars(range(min = 1))]
    pub batch_size: usize,
    /// Batches per optimiser step, which takes the mean of their gradients: the effect of `batch_size` times
    /// this, in the memory of `batch_size`.
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
    /// Validates and saves a running mean of the weights instead of the weights. The value is the part of the
    /// mean that each step keeps, such as 0.999; it grows to that over the first steps.
    #[schemars(extend("exclusiveMinimum" = 0.0, "exclusiveMaximum" = 1.0))]
    pub ema: Option<f64>,
    /// Trains on pieces of the cases instead of on whole ones.
    pub patch: Option<Patch>,
    /// Whether cheap activations are computed again in the backward pass instead of being kept: less
    /// memory for a little more time, and the same results. On the CPU those of normalisation always are.
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

    fn rules(&self) -> Vec<Fault> {
        let patch = self.patch.as_ref().map(Patch::rules);
        within("patch", patch.unwrap_or_default())
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

/// What the plots show besides the run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Reporting {
    /// A published validation score to compare with, drawn as a line. It is an IoU of volumes, unless
    /// `reference_metric` names another metric.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub reference_iou: Option<f64>,
    /// Which of `validate.metrics` the reference is a value of (that of the published baseline, 0.86, is one of `sm_iou`); by
    /// default of none of them, but of the IoU of volumes.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = null))]
    pub reference_metric: Option<String>,
}

impl Reporting {
    fn rules(&self, validation: &Validation) -> Vec<Fault> {
        let Some(metric) = &self.reference_metric else {
            return Vec::new();
        };
        if self.reference_iou.is_none() {
            let message = "reference_metric needs the value that is compared with: reference_iou";
            return vec![Fault::new("reference_metric", message)];
        }
        let validated: Vec<&str> = validation.metrics.iter().map(BatchMetric::name).collect();
        let message = match nearest(metric, &validated) {
            _ if validated.contains(&metric.as_str()) => return Vec::new(),
            Some(name) => format!(
                "reference_metric is `{metric}`, which validate.metrics does not name. Did you mean `{name}`?"
            ),
            None => format!(
                "reference_metric is `{metric}`, which validate.metrics does not name: add it there, as in `validate: {{metrics: \
                 [sm_iou]}}`, or leave it out for the IoU of volumes"
            ),
        };
        vec![Fault::new("reference_metric", message)]
    }

    /// The published IoU of volumes, if the reference is one.
    pub fn volume_reference(&self) -> Option<f64> {
        match self.reference_metric {
            None => self.reference_iou,
            Some(_) => None,
        }
    }

    /// The published value of that metric of batches, if the reference is one.
    pub fn reference_of(&self, metric: &str) -> Option<f64> {
        match self.reference_metric.as_deref() == Some(metric) {
            true => self.reference_iou,
            false => None,
        }
    }
}
