//! Clipping the gradient by the norm of all its parts together (Pascanu et al. 2013). Burn's own
//! clipping looks at one tensor at a time.

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use burn::tensor::backend::AutodiffBackend;

/// Scales `grads` down so that their joint norm is at most `max_norm`. Everything stays on the
/// device.
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
    let mut scale = Scale::<B> { grads, factor };
    module.visit(&mut scale);
    scale.grads
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

struct Scale<B: AutodiffBackend> {
    grads: GradientsParams,
    factor: Tensor<B::InnerBackend, 1>,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Scale<B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if let Some(grad) = self.grads.remove::<B::InnerBackend, D>(param.id) {
            let factor = self.factor.clone().reshape([1; D]);
            self.grads.register(param.id, grad.mul(factor));
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

    fn clipped(max_norm: f64) -> (Vec<f32>, f32) {
        let device = Default::default();
        let two = Two::<B> {
            a: Param::from_tensor(Tensor::from_floats([3.0, 0.0], &device)),
            b: Param::from_tensor(Tensor::from_floats([[4.0]], &device)),
        };
        // Half the squared norm: the gradient is the parameter itself, (3, 0) and 4, norm 5.
        let half = (two.a.val().powi_scalar(2).sum() + two.b.val().powi_scalar(2).sum()) / 2.0;
        let grads = GradientsParams::from_grads(half.backward(), &two);
        let grads = clip_by_norm::<B, _>(grads, &two, max_norm);
        let a = grads.get::<Flex, 1>(two.a.id).unwrap();
        let b = grads.get::<Flex, 2>(two.b.id).unwrap();
        (a.into_data().to_vec().unwrap(), b.into_scalar().elem())
    }

    #[test]
    fn a_large_gradient_is_scaled_as_a_whole() {
        let (a, b) = clipped(1.0);
        assert!((a[0] - 0.6).abs() < 1e-5 && a[1] == 0.0 && (b - 0.8).abs() < 1e-5);
    }

    #[test]
    fn a_small_gradient_is_left_alone() {
        assert_eq!(clipped(10.0), (vec![3.0, 0.0], 4.0));
    }
}
