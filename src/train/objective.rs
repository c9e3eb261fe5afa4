//! What a network is trained on: the loss of its experiment, or one from outside this crate.

use std::any::Any;
use std::fmt::Debug;
use std::sync::Arc;

use burn::backend::{Autodiff, Flex};
use burn::tensor::{FloatDType, Tensor};

use crate::kernel::Kernels;
use crate::loss::{Loss, LossTerm, Target, supervise};

/// A loss from outside this crate, for whichever backend training takes.
#[derive(Clone, Debug)]
pub struct OwnLoss(Arc<dyn OnAnyBackend>);

impl OwnLoss {
    /// Trains on `loss`.
    pub fn new(loss: impl LossTerm + Debug + Send + Sync + 'static) -> Self {
        Self(Arc::new(loss))
    }
}

/// The loss of a [`Segmenter`](super::Segmenter).
#[derive(Clone, Debug)]
pub(super) enum Objective {
    Experiment(Loss),
    Own(OwnLoss),
}

impl Objective {
    /// See [`Loss::forward`].
    pub fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        match self {
            Self::Experiment(loss) => loss.forward(logits, target),
            Self::Own(OwnLoss(loss)) => own(&**loss, logits, target),
        }
    }

    /// See [`Loss::forward_deep`].
    pub fn forward_deep<B: Kernels>(
        &self,
        outputs: Vec<Tensor<B, 5>>,
        target: &Target<B>,
    ) -> Tensor<B, 1> {
        match self {
            Self::Experiment(loss) => loss.forward_deep(outputs, target),
            Self::Own(OwnLoss(loss)) => supervise(outputs, target, |logits, target| {
                own(&**loss, logits, target)
            }),
        }
    }
}

fn own<B: Kernels>(
    loss: &dyn OnAnyBackend,
    logits: Tensor<B, 5>,
    target: &Target<B>,
) -> Tensor<B, 1> {
    let batch: Pair<B> = (logits.cast(FloatDType::F32), target.clone());
    match loss.forward(Box::new(batch)).downcast() {
        Ok(loss) => *loss,
        Err(_) => unreachable!("a loss is on the backend of its logits"),
    }
}

/// Logits and target.
type Pair<B> = (Tensor<B, 5>, Target<B>);

/// A [`LossTerm`] behind a pointer: takes a [`Pair`] and gives the loss on the same backend.
trait OnAnyBackend: Debug + Send + Sync {
    fn forward(&self, batch: Box<dyn Any>) -> Box<dyn Any>;
}

impl<L: LossTerm + Debug + Send + Sync> OnAnyBackend for L {
    fn forward(&self, batch: Box<dyn Any>) -> Box<dyn Any> {
        let batch = Err(batch);
        let batch = batch.or_else(|batch| on::<Flex>(self, batch));
        let batch = batch.or_else(|batch| on::<Autodiff<Flex>>(self, batch));
        #[cfg(feature = "cuda")]
        let batch = batch.or_else(|batch| on::<burn_cuda::Cuda>(self, batch));
        #[cfg(feature = "cuda")]
        let batch = batch.or_else(|batch| on::<Autodiff<burn_cuda::Cuda>>(self, batch));
        #[cfg(feature = "vulkan")]
        let batch = batch.or_else(|batch| on::<burn_wgpu::Vulkan>(self, batch));
        #[cfg(feature = "vulkan")]
        let batch = batch.or_else(|batch| on::<Autodiff<burn_wgpu::Vulkan>>(self, batch));
        match batch {
            Ok(loss) => loss,
            Err(_) => unreachable!("`device::run_on` knows no other backend"),
        }
    }
}

/// The loss of a batch if that is on this backend; otherwise the batch.
fn on<B: Kernels>(loss: &impl LossTerm, batch: Box<dyn Any>) -> Result<Box<dyn Any>, Box<dyn Any>> {
    let (logits, target) = *batch.downcast::<Pair<B>>()?;
    Ok(Box::new(loss.forward(logits, &target)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::ElementConversion;

    #[derive(Debug)]
    struct MeanSquare;

    impl LossTerm for MeanSquare {
        fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
            (logits - target.truth(1)).square().mean()
        }
    }

    /// The loss of one resolution, and of deep supervision by the same.
    fn losses<B: Kernels>() -> [f32; 2] {
        let tensor = |value: f64| Tensor::full([1, 1, 2, 2, 2], value, &Default::default());
        let objective = Objective::Own(OwnLoss::new(MeanSquare));
        let target = Target::sigmoid(tensor(1.0), None);
        [
            objective.forward::<B>(tensor(3.0), &target),
            objective.forward_deep(vec![tensor(3.0)], &target),
        ]
        .map(|loss| loss.into_scalar().elem())
    }

    #[test]
    fn a_loss_from_outside_is_computed_on_the_backend_of_its_logits() {
        assert_eq!(losses::<Flex>(), [4.0; 2]);
        assert_eq!(losses::<Autodiff<Flex>>(), [4.0; 2]);
    }
}
