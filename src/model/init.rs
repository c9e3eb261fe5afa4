//! Deterministic initial weights, the same on every backend.

use burn::module::{Module, ModuleMapper, Param, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rand::{Rng, RngExt};

use super::names::Place;
use crate::random::{derived_seed, stream};

/// The distribution of a convolution's initial weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Scheme {
    /// Normal with variance `2 / fan in`: keeps the variance through a ReLU (He et al., 2015).
    HeNormal,
    /// Uniform with variance `2 / (fan in + fan out)`, Keras' default (Glorot & Bengio, 2010).
    GlorotUniform,
    /// All 0, which takes no time: for weights that are replaced.
    Zero,
}

/// Draws every convolution's weights, each from its own stream keyed by `seed` and the
/// parameter's path, and names every parameter after its path, so that optimiser records and
/// checkpoints of equal runs are equal. Biases and norms keep what they have (0 and 1).
pub fn initialize<B: Backend, M: Module<B>>(module: M, seed: u64, scheme: Scheme) -> M {
    module.map(&mut Initialization {
        seed,
        scheme,
        place: Place::default(),
    })
}

struct Initialization {
    seed: u64,
    scheme: Scheme,
    place: Place,
}

impl<B: Backend> ModuleMapper<B> for Initialization {
    fn enter_module(&mut self, name: &str, container_type: &str) {
        self.place.enter(name, container_type);
    }

    fn exit_module(&mut self, _name: &str, _container_type: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, mut param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let path = self.place.name();
        let id = ParamId::from(derived_seed(0, &["parameter", &path], &[]));
        let transposed = match self.place.last() {
            Some((name, container)) if name == "weight" => match container.as_str() {
                "Struct:Conv3d" => Some(false),
                "Struct:ConvTranspose3d" => Some(true),
                _ => None,
            },
            _ => None,
        };
        let Some(transposed) = transposed else {
            param.id = id;
            return param;
        };
        let shape = param.lazy_shape();
        let values = self.scheme.draw(
            self.scheme.variance(shape.as_slice(), transposed),
            shape.num_elements(),
            &mut stream(self.seed, &["init", &path], &[]),
        );
        let weights = Tensor::from_data(TensorData::new(values, shape), &param.lazy_device());
        Param::initialized(id, weights.require_grad())
    }
}

impl Scheme {
    /// Variance of weights of `[out, in, ...kernel]`, or `[in, out, ...kernel]` where transposed.
    fn variance(self, shape: &[usize], transposed: bool) -> f64 {
        let taps = shape[2..].iter().product::<usize>() as f64;
        let (first, second) = (shape[0] as f64, shape[1] as f64);
        // Every network here upsamples with stride 2 along the axes where the kernel is larger than 1: there an
        // output voxel sees half of the kernel's taps.
        let upsampled = shape[2..].iter().filter(|&&size| size > 1).count() as i32;
        match self {
            Self::Zero => 0.0,
            Self::HeNormal if transposed => 2.0 / (first * taps / 2_f64.powi(upsampled)),
            Self::HeNormal => 2.0 / (second * taps),
            Self::GlorotUniform => 2.0 / ((first + second) * taps),
        }
    }

    /// Drawn in double precision on the host, so that every backend gets the same numbers.
    fn draw(self, variance: f64, count: usize, random: &mut impl Rng) -> Vec<f32> {
        let mut one: Box<dyn FnMut() -> f64> = match self {
            Self::Zero => return vec![0.0; count],
            Self::HeNormal => Box::new(|| variance.sqrt() * standard_normal(random)),
            Self::GlorotUniform => {
                let limit = (3.0 * variance).sqrt();
                Box::new(move || random.random_range(-limit..limit))
            }
        };
        (0..count).map(|_| one() as f32).collect()
    }
}

/// The Box-Muller transform. `rand_distr` draws other numbers from the same stream, and every stored result
/// rests on these.
fn standard_normal(random: &mut impl Rng) -> f64 {
    let radius = (-2.0 * (1.0 - random.random::<f64>()).ln()).sqrt();
    radius * (std::f64::consts::TAU * random.random::<f64>()).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variance_drawn(scheme: Scheme, shape: [usize; 5], transposed: bool) -> f64 {
        let variance = scheme.variance(&shape, transposed);
        let values = scheme.draw(variance, 100_000, &mut stream(1, &["test"], &[]));
        values.iter().map(|v| f64::from(*v).powi(2)).sum::<f64>() / 1e5
    }

    #[test]
    fn weights_have_the_variance_of_their_scheme() {
        let cases = [
            (Scheme::HeNormal, [32, 16, 3, 3, 3], false, 16.0 * 27.0),
            (Scheme::HeNormal, [32, 16, 2, 2, 2], true, 32.0),
            (Scheme::GlorotUniform, [32, 16, 3, 3, 3], false, 48.0 * 27.0),
            (Scheme::GlorotUniform, [32, 16, 3, 3, 3], true, 48.0 * 27.0),
        ];
        for (scheme, shape, transposed, fans) in cases {
            let scaled = variance_drawn(scheme, shape, transposed) * fans;
            assert!(
                (scaled - 2.0).abs() < 0.04,
                "{scheme:?} {shape:?}: {scaled}"
            );
        }
    }
}
