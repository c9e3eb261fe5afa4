//! What is done to gradients between the backward pass and the optimiser.

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

/// Scales `grads` down so that their joint norm is at most `max_norm` (Pascanu et al., 2013; Burn's own
/// clipping looks at one tensor at a time). Everything stays on the device.
pub fn clip_by_norm<B: AutodiffBackend, M: AutodiffModule<B>>(
    grads: GradientsParams,
    module: &M,
    max_norm: f64,
) -> GradientsParams {
    let mut norm = SquaredNorm::<B> {
        grads: &grads,
        sum: None,
    };
    module.visit(&mut norm);
    let Some(squared) = norm.sum else {
        return grads;
    };
    let factor = (squared.sqrt() + 1e-6)
        .recip()
        .mul_scalar(max_norm)
        .clamp_max(1.0);
    change(grads, module, Change::Scale(factor))
}

/// Cuts every value of `grads` to at most `limit` either way.
pub fn clip_by_value<B: AutodiffBackend, M: AutodiffModule<B>>(
    grads: GradientsParams,
    module: &M,
    limit: f64,
) -> GradientsParams {
    change(grads, module, Change::Clamp(limit))
}

/// Divides `grads` by a number of batches.
pub fn divide<B: AutodiffBackend, M: AutodiffModule<B>>(
    grads: GradientsParams,
    module: &M,
    batches: usize,
) -> GradientsParams {
    change(grads, module, Change::Divide(batches as f64))
}

struct SquaredNorm<'a, B: AutodiffBackend> {
    grads: &'a GradientsParams,
    sum: Option<Tensor<B::InnerBackend, 1>>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for SquaredNorm<'_, B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(grad) = self.grads.get::<B::InnerBackend, D>(param.id) {
            let square = grad.clone().mul(grad).sum();
            self.sum = Some(match self.sum.take() {
                Some(sum) => sum + square,
                None => square,
            });
        }
    }
}

/// What is done to every gradient.
enum Change<B: AutodiffBackend> {
    Scale(Tensor<B::InnerBackend, 1>),
    Clamp(f64),
    Divide(f64),
}

struct Changed<B: AutodiffBackend> {
    grads: GradientsParams,
    change: Change<B>,
}

fn change<B: AutodiffBackend, M: AutodiffModule<B>>(
    grads: GradientsParams,
    module: &M,
    change: Change<B>,
) -> GradientsParams {
    let mut changed = Changed { grads, change };
    module.visit(&mut changed);
    changed.grads
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Changed<B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(grad) = self.grads.remove::<B::InnerBackend, D>(param.id) {
            let grad = match &self.change {
                Change::Scale(factor) => grad.mul(factor.clone().reshape([1; D])),
                Change::Clamp(limit) => grad.clamp(-limit, *limit),
                Change::Divide(by) => grad.div_scalar(*by),
            };
            self.grads.register(param.id, grad);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::{Autodiff, Flex};
    use burn::module::Module;
    use burn::tensor::ElementConversion;

    type B = Autodiff<Flex>;

    #[derive(Module, Debug)]
    struct Two<B: burn::tensor::backend::Backend> {
        a: Param<Tensor<B, 1>>,
        b: Param<Tensor<B, 2>>,
    }

    /// What becomes of the gradient (3, 0) and 4.
    fn changed(by: impl Fn(GradientsParams, &Two<B>) -> GradientsParams) -> (Vec<f32>, f32) {
        let device = Default::default();
        let two = Two::<B> {
            a: Param::from_tensor(Tensor::from_floats([3.0, 0.0], &device)),
            b: Param::from_tensor(Tensor::from_floats([[4.0]], &device)),
        };
        // Half the squared norm: the gradient is the parameter itself, (3, 0) and 4, norm 5.
        let half = (two.a.val().powi_scalar(2).sum() + two.b.val().powi_scalar(2).sum()) / 2.0;
        let grads = GradientsParams::from_grads(half.backward(), &two);
        let grads = by(grads, &two);
        let a = grads.get::<Flex, 1>(two.a.id).unwrap();
        let b = grads.get::<Flex, 2>(two.b.id).unwrap();
        (a.into_data().to_vec().unwrap(), b.into_scalar().elem())
    }

    #[test]
    fn a_large_gradient_is_scaled_as_a_whole() {
        let (a, b) = changed(|grads, two| clip_by_norm(grads, two, 1.0));
        assert!((a[0] - 0.6).abs() < 1e-5 && a[1] == 0.0 && (b - 0.8).abs() < 1e-5);
    }

    #[test]
    fn a_small_gradient_is_left_alone() {
        let same = changed(|grads, two| clip_by_norm(grads, two, 10.0));
        assert_eq!(same, (vec![3.0, 0.0], 4.0));
    }

    #[test]
    fn large_values_are_cut_off_one_by_one() {
        let cut = changed(|grads, two| clip_by_value(grads, two, 3.5));
        assert_eq!(cut, (vec![3.0, 0.0], 3.5));
    }

    #[test]
    fn a_sum_over_batches_becomes_a_mean() {
        let mean = changed(|grads, two| divide(grads, two, 2));
        assert_eq!(mean, (vec![1.5, 0.0], 2.0));
    }
}
