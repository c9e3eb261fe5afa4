//! From tensors to slices and back, and the operations that are put on Burn's tape.

use burn::backend::flex::FlexTensor;

use super::{counts as of_counts, entropy as of_entropy, overlap as of_overlap};
use crate::Entropy;
use crate::flex::{dims, extent, tensor, values};
use crate::tape::{Operation, Recomputed, each_wanted};

/// [`crate::Kernels::softmax_overlap`].
pub fn overlap(logits: &FlexTensor, classes: &FlexTensor, squared: bool) -> FlexTensor {
    let extent = extent(logits);
    let sums = of_overlap::forward(values(logits), values(classes), extent, squared);
    tensor(sums, [3, extent.batch, extent.channels])
}

/// [`crate::Kernels::softmax_entropy`].
pub fn entropy(logits: &FlexTensor, classes: &FlexTensor, entropy: &Entropy) -> FlexTensor {
    let extent = extent(logits);
    let target = of_entropy::Target::of(entropy, extent.channels);
    let losses = of_entropy::forward(values(logits), values(classes), extent, &target);
    tensor(losses, dims::<5>(classes))
}

/// [`crate::Kernels::softmax_counts`].
pub fn counts(logits: &FlexTensor, classes: &FlexTensor) -> FlexTensor {
    let extent = extent(logits);
    let counts = of_counts::counts(values(logits), values(classes), extent);
    tensor(counts, [extent.batch, extent.channels - 1, 5])
}

/// [`overlap`] of logits.
#[derive(Clone, Debug)]
pub struct Overlap {
    pub(crate) classes: FlexTensor,
    pub(crate) squared: bool,
}

impl Operation for Overlap {
    const RECOMPUTED: Recomputed = Recomputed::Never;
    const NEEDS_INPUTS: bool = true;

    fn forward(&self, parents: &[FlexTensor]) -> FlexTensor {
        overlap(&parents[0], &self.classes, self.squared)
    }

    fn gradients(
        &self,
        parents: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        each_wanted(wanted, |_| {
            let logits = &parents[0];
            let (z, classes, above) = (values(logits), values(&self.classes), values(gradient));
            let of_logits = of_overlap::gradient(z, classes, extent(logits), self.squared, above);
            tensor(of_logits, dims::<5>(logits))
        })
    }
}

/// [`entropy`] of logits.
#[derive(Clone, Debug)]
pub struct CrossEntropy {
    pub(crate) classes: FlexTensor,
    pub(crate) entropy: Entropy,
}

impl Operation for CrossEntropy {
    const RECOMPUTED: Recomputed = Recomputed::Never;
    const NEEDS_INPUTS: bool = true;

    fn forward(&self, parents: &[FlexTensor]) -> FlexTensor {
        entropy(&parents[0], &self.classes, &self.entropy)
    }

    fn gradients(
        &self,
        parents: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        each_wanted(wanted, |_| {
            let logits = &parents[0];
            let extent = extent(logits);
            let target = of_entropy::Target::of(&self.entropy, extent.channels);
            let (z, classes, above) = (values(logits), values(&self.classes), values(gradient));
            let of_logits = of_entropy::gradient(z, classes, extent, &target, above);
            tensor(of_logits, dims::<5>(logits))
        })
    }
}
