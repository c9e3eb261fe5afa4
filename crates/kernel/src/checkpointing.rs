//! Gradient checkpointing: whether cheap activations are kept until the backward pass, or dropped and
//! computed again in it. The values are the same, to the bit.

use std::cell::Cell;

use burn::backend::Autodiff;
use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorPrimitive};

thread_local! {
    static ON: Cell<bool> = const { Cell::new(false) };
}

/// Runs `forward`; where `on`, the operations of [`super::Kernels`] in it do not keep what is cheap to
/// compute again. Holds for this thread and for `forward` alone.
pub fn with_checkpointing<T>(on: bool, forward: impl FnOnce() -> T) -> T {
    struct Restore(bool);
    impl Drop for Restore {
        fn drop(&mut self) {
            ON.set(self.0);
        }
    }
    let _restore = Restore(ON.replace(on));
    forward()
}

/// Whether operations are to be computed again in the backward pass.
pub(super) fn is_on() -> bool {
    ON.get()
}

/// The tape on which Burn's own operations are computed again where that is cheap.
pub(super) type Recomputing<B> = Autodiff<B, BalancedCheckpointing>;

/// The same tensor on the same tape; what follows is computed again in the backward pass.
pub(super) fn recomputing<B: Backend, const D: usize>(
    tensor: Tensor<Autodiff<B>, D>,
) -> Tensor<Recomputing<B>, D> {
    Tensor::from_primitive(TensorPrimitive::Float(tensor.into_primitive().tensor()))
}

/// The same tensor on the same tape; what follows is kept.
pub(super) fn keeping<B: Backend, const D: usize>(
    tensor: Tensor<Recomputing<B>, D>,
) -> Tensor<Autodiff<B>, D> {
    Tensor::from_primitive(TensorPrimitive::Float(tensor.into_primitive().tensor()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ScaleShift, reference};
    use burn::backend::Flex;
    use burn::tensor::Distribution;

    #[test]
    fn burns_operations_computed_again_give_the_same_gradients() {
        let device = Default::default();
        let shape = [1, 4, 3, 4, 5];
        let values = Tensor::<Flex, 5>::random(shape, Distribution::Normal(0.0, 1.0), &device);
        let gradient = |again: bool| {
            let x = Tensor::<Autodiff<Flex>, 5>::from_inner(values.clone()).require_grad();
            let weight = Tensor::from_floats([1.0, 2.0, -3.0, 0.5], &device).require_grad();
            let bias = Tensor::zeros([4], &device).require_grad();
            let scaled = x.clone() * 2.0;
            let normed = if again {
                let scale_shift = ScaleShift {
                    weight: recomputing(weight.clone()),
                    bias: recomputing(bias),
                    epsilon: 1e-5,
                    slope: 0.1,
                };
                let normed = reference::group_norm(recomputing(scaled), 2, scale_shift);
                keeping(reference::max_pool3d(normed))
            } else {
                let scale_shift = ScaleShift {
                    weight: weight.clone(),
                    bias,
                    epsilon: 1e-5,
                    slope: 0.1,
                };
                reference::max_pool3d(reference::group_norm(scaled, 2, scale_shift))
            };
            let gradients = (normed.clone() * normed).sum().backward();
            let of_x = x.grad(&gradients).map(Tensor::into_data);
            (of_x, weight.grad(&gradients).map(Tensor::into_data))
        };
        assert_eq!(gradient(true), gradient(false));
        assert!(gradient(true).0.is_some());
    }

    #[test]
    fn the_switch_holds_for_its_work_and_thread_alone() {
        assert!(!is_on());
        with_checkpointing(true, || {
            assert!(is_on());
            with_checkpointing(false, || assert!(!is_on()));
            assert!(is_on());
            std::thread::scope(|scope| {
                scope.spawn(|| assert!(!is_on()));
            });
        });
        assert!(!is_on());
        let panicked = std::panic::catch_unwind(|| with_checkpointing(true, || panic!("expected")));
        assert!(panicked.is_err() && !is_on());
    }
}
