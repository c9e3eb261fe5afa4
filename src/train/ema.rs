//! A running mean of the weights.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

/// Moves the weights of `average` towards those of `current`, a module of the same architecture, and
/// keeps `decay` of them; running statistics with them. After `step` steps no more than
/// `(1 + step) / (10 + step)` is kept, so that the first weights are soon forgotten.
///
/// Reference: Polyak & Juditsky, 1992; the growing decay is TensorFlow's `ExponentialMovingAverage`.
pub fn average<B: Backend, M: Module<B>>(average: M, current: &M, decay: f64, step: usize) -> M {
    let step = step as f64;
    let mut values = Values(Vec::new());
    current.visit(&mut values);
    average.map(&mut Towards {
        values: values.0.into_iter(),
        kept: decay.min((1.0 + step) / (10.0 + step)),
    })
}

/// All tensors, flat, in the order in which a module shows them.
struct Values<B: Backend>(Vec<Tensor<B, 1>>);

impl<B: Backend> ModuleVisitor<B> for Values<B> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        let value = param.val();
        let length = value.shape().num_elements();
        self.0.push(value.reshape([length]));
    }
}

struct Towards<B: Backend> {
    values: std::vec::IntoIter<Tensor<B, 1>>,
    kept: f64,
}

impl<B: Backend> ModuleMapper<B> for Towards<B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let kept = self.kept;
        match self.values.next() {
            Some(value) => param.map(|average| {
                let value = value.reshape(average.shape());
                average.clone() + (value - average) * (1.0 - kept)
            }),
            None => param,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::backend::Flex;

    #[derive(Module, Debug)]
    struct Two<B: Backend> {
        a: Param<Tensor<B, 1>>,
        b: Param<Tensor<B, 2>>,
    }

    fn two(a: f32, b: f32) -> Two<Flex> {
        let device = Default::default();
        Two {
            a: Param::from_tensor(Tensor::full([3], a, &device)),
            b: Param::from_tensor(Tensor::full([2, 2], b, &device)),
        }
    }

    fn values(two: &Two<Flex>) -> (f32, f32) {
        (
            two.a.val().mean().into_scalar(),
            two.b.val().mean().into_scalar(),
        )
    }

    #[test]
    fn the_average_keeps_its_part_and_takes_the_rest() {
        let moved = average(two(1.0, 10.0), &two(2.0, 20.0), 0.9, 1000);
        let (a, b) = values(&moved);
        assert!((a - 1.1).abs() < 1e-6 && (b - 11.0).abs() < 1e-5, "{a} {b}");
    }

    #[test]
    fn the_first_weights_are_soon_forgotten() {
        let moved = average(two(0.0, 0.0), &two(1.0, 1.0), 0.999, 0);
        assert!((values(&moved).0 - 0.9).abs() < 1e-6);
    }
}
