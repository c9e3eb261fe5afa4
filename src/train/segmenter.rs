//! A network with its loss: what burn-train trains.

use std::convert::Infallible;
use std::sync::Arc;

use burn::module::{DisplaySettings, Module, ModuleDisplay};
use burn::tensor::activation::sigmoid;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use burn_train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use ndarray::ArrayView3;

use super::counts::{Counts, plane_sums, soft_counts};
use super::objective::{Objective, OwnLoss};
use crate::dataset::Batch;
use crate::experiment::Experiment;
use crate::kernel::{Kernels, Precision, TrainingBackend, with_checkpointing};
use crate::loss::Target;
use crate::metric::PlaneSums;
use crate::model::Network;
use crate::track::Preview;
use crate::volume::Structures;
use crate::window::{Window, Windows, slide};

/// The network and the loss that it is trained on.
#[derive(Module, Debug)]
#[module(custom_display)]
pub struct Segmenter<B: Backend> {
    /// The network.
    pub network: Network<B>,
    #[module(skip)]
    structures: Arc<Structures>,
    #[module(skip)]
    loss: Objective,
    #[module(skip)]
    precision: Precision,
    #[module(skip)]
    checkpointing: bool,
    /// Slides over a case in validation.
    #[module(skip)]
    window: Option<Window>,
    /// Whether validation has metrics of batches.
    #[module(skip)]
    sums_planes: bool,
}

// burn-train keeps a model as text for its summary, which is not used here. Burn's own text would go through every
// layer of every network, each with code of its own.
impl<B: Backend> ModuleDisplay for Segmenter<B> {
    fn format(&self, _settings: DisplaySettings) -> String {
        "Segmenter".into()
    }
}

impl<B: Backend> Segmenter<B> {
    /// Joins the network of `experiment` and its loss, or another that is to be trained on instead.
    pub fn new(network: Network<B>, experiment: &Experiment, own_loss: Option<&OwnLoss>) -> Self {
        Self {
            network,
            structures: experiment.structures(),
            loss: match own_loss {
                Some(loss) => Objective::Own(loss.clone()),
                None => Objective::Experiment(experiment.loss.clone()),
            },
            precision: experiment.train.precision,
            checkpointing: experiment.train.checkpointing,
            window: experiment.validate.window(experiment.patch_size()),
            sums_planes: !experiment.validate.metrics.is_empty(),
        }
    }
}

/// The result of one step, on the host.
#[derive(Clone, Debug)]
pub struct StepRecord {
    /// The batch's loss.
    pub loss: f64,
    /// Each sample's case and how prediction and truth overlap in it, structure by structure.
    pub cases: Vec<(String, Vec<Counts>)>,
    /// Each sample's planes, where validation has metrics of batches.
    pub planes: Vec<Vec<PlaneSums>>,
    /// A picture of the first sample, where the batch asked for one.
    pub preview: Option<Preview>,
}

impl StepRecord {
    /// Mean of a quantity over the step's samples and their structures.
    pub fn mean(&self, quantity: impl Fn(&Counts) -> f64) -> f64 {
        let all = || self.cases.iter().flat_map(|(_, counts)| counts);
        let sum: f64 = all().map(quantity).sum();
        sum / all().count() as f64
    }
}

impl StepRecord {
    /// Several batches as one step: their loss is the mean.
    pub fn join(records: Vec<Self>) -> Option<Self> {
        let count = records.len() as f64;
        records
            .into_iter()
            .reduce(|mut all, next| {
                all.loss += next.loss;
                all.cases.extend(next.cases);
                all.planes.extend(next.planes);
                all
            })
            .map(|all| Self {
                loss: all.loss / count,
                ..all
            })
    }
}

impl ItemLazy for StepRecord {
    type ItemSync = Self;

    fn sync(self) -> Self {
        self
    }
}

/// Loss and counts travel to the host as one small tensor: the only transfer of a training step.
fn record<B: Kernels>(
    cases: Vec<String>,
    loss: Tensor<B, 1>,
    logits: Tensor<B, 5>,
    target: &Target<B>,
) -> StepRecord {
    let counts = soft_counts(logits, target);
    let [samples, structures, columns] = counts.dims();
    let counts = counts.reshape([samples * structures * columns]);
    let values: Vec<f64> = Tensor::cat(vec![loss, counts], 0)
        .into_data()
        .iter::<f64>()
        .collect();
    let (loss, counts) = values.split_at(1);
    let of_sample = |rows: &[f64]| rows.chunks(columns).map(Counts::from_row).collect();
    StepRecord {
        loss: loss[0],
        cases: cases
            .into_iter()
            .zip(counts.chunks(structures * columns).map(of_sample))
            .collect(),
        planes: Vec::new(),
        preview: None,
    }
}

impl<B: TrainingBackend> TrainStep for Segmenter<B> {
    type Input = Batch<B>;
    type Output = StepRecord;

    fn step(&self, batch: Batch<B>) -> TrainOutput<StepRecord> {
        B::seed_dropout(&batch.images.device(), batch.seed);
        let images = self.precision.of(batch.images);
        let target = Target::new(batch.masks, &self.structures);
        let (logits, loss) = with_checkpointing(self.checkpointing, || {
            let outputs = self.network.forward_deep(images);
            let logits = outputs[0].clone();
            (logits, self.loss.forward_deep(outputs, &target))
        });
        let grads = loss.backward();
        let record = record(batch.cases, loss.inner(), logits.inner(), &target.inner());
        TrainOutput::new(self, grads, record)
    }
}

impl<B: Kernels> Segmenter<B> {
    /// Logits of whole images, `[batch, outputs, depth, height, width]`, seen window by window where there is a window.
    fn logits(&self, images: Tensor<B, 5>) -> Tensor<B, 5> {
        let see = |images| self.network.forward(self.precision.of(images));
        let Some(window) = &self.window else {
            return see(images);
        };
        let device = images.device();
        let [batch, count, depth, height, width] = images.dims();
        let windows = Windows::over([depth, height, width], window);
        let [x, y, z] = windows.size();
        let voxels: Vec<f32> = images.into_data().iter::<f32>().collect();
        let of_case = |voxels: &[f32]| {
            let images = voxels.chunks(depth * height * width);
            let images = images
                .filter_map(|image| ArrayView3::from_shape((depth, height, width), image).ok());
            let images: Vec<ArrayView3<f32>> = images.collect();
            let mut slabs = Vec::new();
            let network = |voxels| {
                let data = TensorData::new(voxels, [1, count, x, y, z]);
                let logits = see(Tensor::from_data(data, &device)).into_data();
                Ok::<Vec<f32>, Infallible>(logits.iter::<f32>().collect())
            };
            let done = slide(&images, &windows, network, |planes| {
                let (channels, depth, height, width) = planes.dim();
                let (planes, _) = planes.into_raw_vec_and_offset();
                let data = TensorData::new(planes, [1, channels, depth, height, width]);
                slabs.push(Tensor::from_data(data, &device));
            });
            let Ok(()) = done;
            Tensor::cat(slabs, 2)
        };
        let cases = voxels.chunks(voxels.len() / batch).map(of_case);
        Tensor::cat(cases.collect(), 0)
    }
}

impl<B: Kernels> InferenceStep for Segmenter<B> {
    type Input = Batch<B>;
    type Output = StepRecord;

    fn step(&self, batch: Batch<B>) -> StepRecord {
        let logits = self.logits(batch.images.clone());
        let target = Target::new(batch.masks.clone(), &self.structures);
        let loss = self.loss.forward(logits.clone(), &target);
        let preview = batch
            .preview
            .then(|| picture(&batch, logits.clone(), &self.structures))
            .flatten();
        let planes = match self.sums_planes {
            true => plane_sums(logits.clone(), &target),
            false => Vec::new(),
        };
        StepRecord {
            planes,
            preview,
            ..record(batch.cases, loss, logits, &target)
        }
    }
}

/// Once per epoch one whole validation case is copied to the host, for its picture.
fn picture<B: Backend>(
    batch: &Batch<B>,
    logits: Tensor<B, 5>,
    structures: &Structures,
) -> Option<Preview> {
    let [_, channels, x, y, z] = logits.dims();
    let first = |tensor: Tensor<B, 5>| -> TensorData {
        tensor.slice([0..1, 0..1, 0..x, 0..y, 0..z]).into_data()
    };
    let image: Vec<f32> = first(batch.images.clone()).iter::<f32>().collect();
    let image = ArrayView3::from_shape((x, y, z), &image).ok()?;
    let truth = first(batch.masks.clone());
    if structures.is_mask() {
        let bits =
            |data: TensorData| -> Vec<bool> { data.iter::<f32>().map(|v| v > 0.5).collect() };
        let (truth, prediction) = (bits(truth), bits(first(sigmoid(logits))));
        return Some(Preview::of(
            image,
            ArrayView3::from_shape((x, y, z), &truth).ok()?,
            ArrayView3::from_shape((x, y, z), &prediction).ok()?,
        ));
    }
    // A class is a whole number, and stays within the type's range when it is cast.
    let truth: Vec<u8> = truth.iter::<f32>().map(|class| class as u8).collect();
    let logits = logits.slice([0..1, 0..channels, 0..x, 0..y, 0..z]);
    let prediction = most_likely(logits, structures);
    Some(Preview::of_structures(
        image,
        ArrayView3::from_shape((x, y, z), &truth).ok()?,
        ArrayView3::from_shape((x, y, z), &prediction).ok()?,
        structures,
    ))
}

/// The class map of a sample's logits: of labels the class of the largest, of regions every one that is more likely than
/// not, later ones over earlier ones.
fn most_likely<B: Backend>(logits: Tensor<B, 5>, structures: &Structures) -> Vec<u8> {
    if structures.is_exclusive() {
        let classes = logits.argmax(1).into_data();
        return classes.iter::<i64>().map(|class| class as u8).collect();
    }
    let [_, channels, x, y, z] = logits.dims();
    let logits: Vec<f32> = logits.into_data().iter::<f32>().collect();
    let mut classes = vec![0; x * y * z];
    for (structure, logits) in logits.chunks(x * y * z).enumerate().take(channels) {
        let class = structures.written(structure);
        for (of, _) in classes.iter_mut().zip(logits).filter(|(_, z)| **z >= 0.0) {
            *of = class;
        }
    }
    classes
}
