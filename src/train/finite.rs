//! Whether a network still holds numbers.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::backend::Backend;
use burn::tensor::{ElementConversion, Tensor};

/// Whether every weight is finite. Reads one number back from the device.
pub fn is_finite<B: Backend, M: Module<B>>(module: &M) -> bool {
    let mut total = Total::<B>(None);
    module.visit(&mut total);
    let sum: f32 = total.0.map_or(0.0, |sum| sum.into_scalar().elem());
    sum.is_finite()
}

/// Sums zero times every weight: 0 where all are finite, otherwise not a number.
struct Total<B: Backend>(Option<Tensor<B, 1>>);

impl<B: Backend> ModuleVisitor<B> for Total<B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let zero = param.val().mul_scalar(0.0).sum();
        self.0 = Some(match self.0.take() {
            Some(sum) => sum + zero,
            None => zero,
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;
    use burn::nn::LinearConfig;

    #[test]
    fn one_weight_that_is_not_finite_is_found() {
        let device = Default::default();
        let mut linear = LinearConfig::new(2, 3).init::<Flex>(&device);
        assert!(is_finite(&linear));
        for wrong in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
            let bias = Tensor::from_floats([0.0, wrong, 1.0], &device);
            linear.bias = Some(Param::from_tensor(bias));
            assert!(!is_finite(&linear), "{wrong}");
        }
    }
}
