//! What a loss compares logits with.

use burn::tensor::activation::{sigmoid, softmax};
use burn::tensor::backend::{AutodiffBackend, Backend};
use burn::tensor::{FloatDType, Tensor, s};

use crate::kernel::{IGNORED_CLASS, reference};
use crate::volume::Structures;

// The operations of `kernel` know voxels that are ignored by the same number.
const _: () = assert!(IGNORED_CLASS == Structures::IGNORED);

/// The truth of a batch: what its logits are to become, and where they count.
///
/// Structures of their own, which may overlap, have a channel and a probability by the sigmoid each: the **sigmoid
/// form**. Of structures that exclude each other, and the background before them, one channel is right in each voxel,
/// and probabilities come from a softmax: the **softmax form**.
#[derive(Clone, Debug)]
pub struct Target<B: Backend> {
    truth: Truth<B>,
    counted: Option<Tensor<B, 5>>,
}

/// Both forms.
#[derive(Clone, Debug)]
pub(crate) enum Truth<B: Backend> {
    /// `[batch, structures, depth, height, width]`, 0 to 1; 0 where voxels are ignored.
    Sigmoid(Tensor<B, 5>),
    /// The class map `[batch, 1, depth, height, width]`: the number of the channel that is right.
    Softmax(Tensor<B, 5>),
}

impl<B: Backend> Target<B> {
    /// The truth of a batch of class maps `[batch, 1, depth, height, width]`. A mask is taken as it is; its values may
    /// lie between 0 and 1.
    pub fn new(masks: Tensor<B, 5>, structures: &Structures) -> Self {
        let masks = masks.cast(FloatDType::F32);
        let counted = structures.has_ignored().then(|| counted(&masks));
        if structures.is_exclusive() {
            return Self::softmax(masks, counted.is_some());
        }
        if structures.is_mask() {
            return Self::sigmoid(masks, None);
        }
        let region = |structure| {
            let classes = (1..Structures::IGNORED).take(structures.classes());
            let inside = classes
                .filter(|class| structures.contains(structure, *class))
                .map(|class| single(masks.clone().equal_elem(f32::from(class))));
            inside
                .reduce(|all, class| all + class)
                .unwrap_or_else(|| masks.zeros_like())
        };
        let regions = (0..structures.count()).map(region).collect();
        Self {
            truth: Truth::Sigmoid(Tensor::cat(regions, 1)),
            counted,
        }
    }

    /// The sigmoid form. Voxels for which `counted` (`[batch, 1, …]`) is 0 are ignored; it is 1 elsewhere.
    pub fn sigmoid(truth: Tensor<B, 5>, counted: Option<Tensor<B, 5>>) -> Self {
        let truth = truth.cast(FloatDType::F32);
        let counted = counted.map(|counted| counted.cast(FloatDType::F32));
        let truth = match &counted {
            Some(counted) => truth * counted.clone(),
            None => truth,
        };
        Self {
            truth: Truth::Sigmoid(truth),
            counted,
        }
    }

    /// The softmax form, from a class map `[batch, 1, …]`; `ignored` says whether it may have
    /// [`Structures::IGNORED`].
    pub fn softmax(classes: Tensor<B, 5>, ignored: bool) -> Self {
        let classes = classes.cast(FloatDType::F32);
        Self {
            counted: ignored.then(|| counted(&classes)),
            truth: Truth::Softmax(classes),
        }
    }

    pub(crate) fn of(&self) -> &Truth<B> {
        &self.truth
    }

    /// Whether channels exclude each other, so that probabilities come from a softmax.
    pub fn is_exclusive(&self) -> bool {
        matches!(self.truth, Truth::Softmax(_))
    }

    /// 1 where a voxel counts, 0 where it is ignored, `[batch, 1, depth, height, width]`; none where all count.
    pub fn counted(&self) -> Option<&Tensor<B, 5>> {
        self.counted.as_ref()
    }

    /// The true probability of each channel, `[batch, channels, depth, height, width]`; 0 where voxels are ignored.
    pub fn truth(&self, channels: usize) -> Tensor<B, 5> {
        match &self.truth {
            Truth::Sigmoid(truth) => truth.clone(),
            Truth::Softmax(classes) => reference::one_hot(classes, channels),
        }
    }

    /// The probability of each channel that logits stand for, in ignored voxels too.
    pub fn probabilities(&self, logits: Tensor<B, 5>) -> Tensor<B, 5> {
        match &self.truth {
            Truth::Sigmoid(_) => sigmoid(logits),
            Truth::Softmax(_) => softmax(logits, 1),
        }
    }

    /// The mean of `x`, `[batch, channels, …]`, over its channels and the voxels that count; 0 where none does.
    pub fn mean(&self, x: Tensor<B, 5>) -> Tensor<B, 1> {
        match &self.counted {
            None => x.mean(),
            Some(counted) => {
                let channels = x.dims()[1] as f64;
                let count = at_least_one(counted.clone().sum() * channels);
                (x * counted.clone()).sum() / count
            }
        }
    }

    /// At a lower resolution: as many voxels as `wanted` has, by an integer stride along each axis.
    pub(super) fn subsample(&self, wanted: [usize; 5]) -> Self {
        let sampled = |x: &Tensor<B, 5>| subsample(x.clone(), wanted);
        Self {
            truth: match &self.truth {
                Truth::Sigmoid(truth) => Truth::Sigmoid(sampled(truth)),
                Truth::Softmax(classes) => Truth::Softmax(sampled(classes)),
            },
            counted: self.counted.as_ref().map(sampled),
        }
    }
}

impl<B: AutodiffBackend> Target<B> {
    /// The same without gradients.
    pub fn inner(self) -> Target<B::InnerBackend> {
        Target {
            truth: match self.truth {
                Truth::Sigmoid(truth) => Truth::Sigmoid(truth.inner()),
                Truth::Softmax(classes) => Truth::Softmax(classes.inner()),
            },
            counted: self.counted.map(Tensor::inner),
        }
    }
}

fn single<B: Backend>(mask: Tensor<B, 5, burn::tensor::Bool>) -> Tensor<B, 5> {
    // Burn makes its usual type of a mask, which may be half precision.
    mask.float().cast(FloatDType::F32)
}

fn counted<B: Backend>(classes: &Tensor<B, 5>) -> Tensor<B, 5> {
    let ignored = f32::from(Structures::IGNORED);
    single(classes.clone().not_equal_elem(ignored))
}

/// `x` where it is above 0, and 1 where it is 0: what a sum over nothing is divided by.
pub(super) fn at_least_one<B: Backend>(x: Tensor<B, 1>) -> Tensor<B, 1> {
    let nothing = -x.clone().sign() + 1.0;
    x + nothing
}

/// Subsamples `target` by an integer stride along each axis so that it has as many voxels as `wanted`.
fn subsample<B: Backend>(target: Tensor<B, 5>, wanted: [usize; 5]) -> Tensor<B, 5> {
    let size = target.dims();
    // Resolutions are halved and rounded up, time and again.
    let [depth, height, width] =
        [2, 3, 4].map(|axis| size[axis].div_ceil(wanted[axis]).next_power_of_two() as i32);
    if [depth, height, width] == [1; 3] {
        return target;
    }
    target.slice(s![.., .., ..;depth, ..;height, ..;width])
}
