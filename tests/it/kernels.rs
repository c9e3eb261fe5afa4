//! The operations of a 3-D U-Net on the CPU against Burn's own, values and gradients.

use burn::backend::{Autodiff, Flex};
use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{ElementConversion, Tensor, module};
use calvaria::kernel::{Kernels, ScaleShift, TrainingBackend, reference, with_checkpointing};
use calvaria::loss::{Loss, Target};
use calvaria::model::{Model, Network};
use proptest::prelude::*;

use crate::common::{amount, noise};

type Ad = Autodiff<Flex>;
type Device = burn::tensor::Device<Flex>;

fn leaf<const D: usize>(seed: u64, shape: [usize; D]) -> Tensor<Ad, D> {
    Tensor::from_data(noise(seed, shape), &Device::default()).require_grad()
}

fn floats<const D: usize>(tensor: Tensor<Flex, D>) -> Vec<f32> {
    tensor.into_data().to_vec().unwrap()
}

/// The largest difference over the largest value.
fn apart(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(1e-3f32, |most, v| most.max(v.abs()));
    let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max) / largest
}

/// What an operation gives, and the gradients of its parameters under a random gradient from above.
fn values<const N: usize>(
    seeds: &[(u64, Vec<usize>); N],
    operation: impl Fn(Vec<Tensor<Ad, 5>>) -> Tensor<Ad, 5>,
) -> Vec<Vec<f32>> {
    let five = |shape: &[usize]| {
        let mut five = [1; 5];
        five[..shape.len()].copy_from_slice(shape);
        five
    };
    let parameters: Vec<Tensor<Ad, 5>> = (seeds.iter())
        .map(|(seed, shape)| leaf(*seed, five(shape)))
        .collect();
    let output = operation(parameters.clone());
    let above = Tensor::<Ad, 5>::from_data(noise(99, output.dims()), &Device::default());
    let gradients = (output.clone() * above).sum().backward();
    let mut all = vec![floats(output.inner())];
    for parameter in parameters {
        all.push(floats(parameter.grad(&gradients).unwrap()));
    }
    all
}

/// Ours and Burn's are the same to 1e-4 of the largest value.
fn assert_same(ours: &[Vec<f32>], theirs: &[Vec<f32>]) {
    for (i, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        let apart = apart(ours, theirs);
        assert!(apart < 1e-4, "output or gradient {i}: {apart}");
    }
}

fn vector(x: Tensor<Ad, 5>) -> Tensor<Ad, 1> {
    let count = x.dims().iter().product::<usize>();
    x.reshape([count])
}

fn size() -> impl Strategy<Value = [usize; 3]> {
    [1..9usize, 1..9usize, 1..12usize]
}

fn scale_shift(weight: Tensor<Ad, 5>, bias: Tensor<Ad, 5>, slope: f64) -> ScaleShift<Ad> {
    ScaleShift {
        weight: vector(weight),
        bias: vector(bias),
        epsilon: 1e-5,
        slope,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(amount(8, 40)))]

    #[test]
    fn convolutions_are_burns(
        channels in [1..68usize, 1..68usize],
        [d, h, w] in size(),
        batch in 1..3usize,
        kind in 0..4usize,
        biased: bool,
    ) {
        let (kernel, stride, padding) = [(3, 1, 1), (3, 2, 1), (1, 1, 0), (5, 1, 2)][kind];
        let options = ConvOptions::new([stride; 3], [padding; 3], [1; 3], 1);
        let parameters = [
            (1, vec![batch, channels[0], d, h, w]),
            (2, vec![channels[1], channels[0], kernel, kernel, kernel]),
            (3, vec![channels[1]]),
        ];
        let bias = |p: &[Tensor<Ad, 5>]| match biased {
            true => vector(p[2].clone()),
            // In the graph all the same, so that there is a gradient to compare.
            false => vector(p[2].clone()) * 0.0,
        };
        let ours = values(&parameters, |p| {
            <Ad as Kernels>::conv3d(p[0].clone(), p[1].clone(), Some(bias(&p)), options.clone())
        });
        let theirs = values(&parameters, |p| {
            module::conv3d(p[0].clone(), p[1].clone(), Some(bias(&p)), options.clone())
        });
        assert_same(&ours, &theirs);
    }

    #[test]
    fn transposed_convolutions_are_burns(
        channels in [1..68usize, 1..68usize],
        [d, h, w] in size(),
        batch in 1..3usize,
        kind in 0..3usize,
    ) {
        let (kernel, padding, out) = [(2, 0, 0), (3, 0, 0), (3, 1, 1)][kind];
        let options = ConvTransposeOptions::new([2; 3], [padding; 3], [out; 3], [1; 3], 1);
        let parameters = [
            (1, vec![batch, channels[0], d, h, w]),
            (2, vec![channels[0], channels[1], kernel, kernel, kernel]),
            (3, vec![channels[1]]),
        ];
        let ours = values(&parameters, |p| {
            let bias = Some(vector(p[2].clone()));
            <Ad as Kernels>::conv_transpose3d(p[0].clone(), p[1].clone(), bias, options.clone())
        });
        let theirs = values(&parameters, |p| {
            let bias = Some(vector(p[2].clone()));
            module::conv_transpose3d(p[0].clone(), p[1].clone(), bias, options.clone())
        });
        assert_same(&ours, &theirs);
    }

    #[test]
    fn kernels_shorter_than_the_stride_may_be_lengthened(
        kernel in [1..4usize, 1..4usize, 1..4usize],
        stride in [1..4usize, 1..4usize, 1..4usize],
        [d, h, w] in [3..8usize, 3..8usize, 3..8usize],
    ) {
        let [a, b, c] = kernel;
        let parameters = [(1, vec![2, 3, d, h, w]), (2, vec![3, 3, a, b, c]), (3, vec![3])];
        let options = ConvOptions::new(stride, [0; 3], [1; 3], 1);
        let both = [reference::conv3d, module::conv3d];
        let [ours, theirs] = both.map(|conv3d| values(&parameters, |p| {
            conv3d(p[0].clone(), p[1].clone(), Some(vector(p[2].clone())), options.clone())
        }));
        assert_same(&ours, &theirs);
        let options = ConvTransposeOptions::new(stride, [0; 3], [0; 3], [1; 3], 1);
        let both = [reference::conv_transpose3d, module::conv_transpose3d];
        let [ours, theirs] = both.map(|transposed| values(&parameters, |p| {
            transposed(p[0].clone(), p[1].clone(), Some(vector(p[2].clone())), options.clone())
        }));
        assert_same(&ours, &theirs);
    }

    #[test]
    fn pooling_upsampling_and_gelu_are_burns(
        channels in 1..5usize,
        [d, h, w] in [2..9usize, 2..9usize, 2..9usize],
        batch in 1..3usize,
    ) {
        let parameters = [(1, vec![batch, channels, d, h, w])];
        type Operation = fn(Tensor<Ad, 5>) -> Tensor<Ad, 5>;
        let pairs: [(Operation, Operation); 4] = [
            (Ad::max_pool3d, reference::max_pool3d),
            (Ad::avg_pool3d, reference::avg_pool3d),
            (<Ad as Kernels>::gelu, reference::gelu),
            (Ad::upsample_trilinear, reference::upsample_trilinear),
        ];
        for (ours, theirs) in pairs {
            let ours = values(&parameters, |p| ours(p[0].clone()));
            let theirs = values(&parameters, |p| theirs(p[0].clone()));
            assert_same(&ours, &theirs);
        }
    }

    #[test]
    fn the_activated_beginning_of_each_axis_is_burns(
        channels in 1..5usize,
        [d, h, w] in size(),
        cut in [0..3usize, 0..3usize, 0..3usize],
        batch in 1..3usize,
        slope in prop::sample::select(vec![0.0, 0.01, 1.0]),
    ) {
        let size = [d, h, w];
        let cut = std::array::from_fn(|i| (size[i] - cut[i].min(size[i] - 1)).max(1));
        let parameters = [(1, vec![batch, channels, d, h, w])];
        let ours = values(&parameters, |p| Ad::crop_and_activate(p[0].clone(), cut, slope));
        let theirs = values(&parameters, |p| {
            reference::crop_and_activate(p[0].clone(), cut, slope)
        });
        assert_same(&ours, &theirs);
    }

    #[test]
    fn joining_is_burns(
        channels in [1..9usize, 1..9usize],
        [d, h, w] in size(),
        batch in 1..4usize,
    ) {
        let parameters = [
            (1, vec![batch, channels[0], d, h, w]),
            (2, vec![batch, channels[1], d, h, w]),
        ];
        let ours = values(&parameters, |p| Ad::concat_channels(p[0].clone(), p[1].clone()));
        let theirs = values(&parameters, |p| Tensor::cat(p, 1));
        assert_same(&ours, &theirs);
    }

    #[test]
    fn a_convolution_of_two_tensors_is_burns_of_both_joined(
        channels in [1..9usize, 1..9usize],
        outputs in 1..9usize,
        [d, h, w] in size(),
        batch in 1..4usize,
        groups in 1..3usize,
    ) {
        // Groups are left to Burn.
        let channels = channels.map(|channels| groups * channels);
        let outputs = groups * outputs;
        let parameters = [
            (1, vec![batch, channels[0], d, h, w]),
            (2, vec![batch, channels[1], d, h, w]),
            (3, vec![outputs, (channels[0] + channels[1]) / groups, 3, 3, 3]),
            (4, vec![outputs]),
        ];
        let options = ConvOptions::new([1; 3], [1; 3], [1; 3], groups);
        let bias = |p: &[Tensor<Ad, 5>]| Some(vector(p[3].clone()));
        let ours = values(&parameters, |p| {
            Ad::conv3d_joined([p[0].clone(), p[1].clone()], p[2].clone(), bias(&p), options.clone())
        });
        let theirs = values(&parameters, |p| {
            let joined = Tensor::cat(vec![p[0].clone(), p[1].clone()], 1);
            module::conv3d(joined, p[2].clone(), bias(&p), options.clone())
        });
        assert_same(&ours, &theirs);
    }

    #[test]
    fn normalisation_with_activation_is_what_burns_operations_give(
        groups in 1..4usize,
        size in 1..4usize,
        [d, h, w] in [1..7usize, 2..7usize, 3..9usize],
        batch in 1..4usize,
        slope in prop::sample::select(vec![0.0, 0.01, 1.0]),
    ) {
        let channels = groups * size;
        let parameters = [
            (1, vec![batch, channels, d, h, w]),
            (2, vec![channels]),
            (3, vec![channels]),
        ];
        let arguments = |p: Vec<Tensor<Ad, 5>>| {
            (p[0].clone() * 3.0 + 5.0, scale_shift(p[1].clone(), p[2].clone(), slope))
        };
        // At its kink an activation's gradient is a matter of rounding.
        let away_from_kink = |values: &[Vec<f32>]| values[0].iter().all(|v| v.abs() > 1e-5);
        let before_activation = |p: Vec<Tensor<Ad, 5>>| {
            let (x, scale_shift) = arguments(p);
            let scale_shift = ScaleShift { slope: 1.0, ..scale_shift };
            let by_batch = reference::batch_norm(x.clone(), scale_shift.clone()).output;
            Tensor::cat(vec![reference::group_norm(x, groups, scale_shift), by_batch], 1)
        };
        prop_assume!(away_from_kink(&values(&parameters, before_activation)));
        let ours = values(&parameters, |p| {
            let (x, scale_shift) = arguments(p);
            Ad::group_norm(x, groups, scale_shift)
        });
        let theirs = values(&parameters, |p| {
            let (x, scale_shift) = arguments(p);
            reference::group_norm(x, groups, scale_shift)
        });
        assert_same(&ours, &theirs);
        let ours = values(&parameters, |p| {
            let (x, scale_shift) = arguments(p);
            Ad::batch_norm(x, scale_shift).output
        });
        let theirs = values(&parameters, |p| {
            let (x, scale_shift) = arguments(p);
            reference::batch_norm(x, scale_shift).output
        });
        assert_same(&ours, &theirs);
    }
}

/// The loss of a network on one image.
fn loss<B: TrainingBackend<Device = Device>>(network: &Network<B>) -> Tensor<B, 1> {
    let device = Device::default();
    let x = Tensor::from_data(noise(5, [2, 1, 8, 12, 16]), &device);
    let target: Tensor<B, 5> = Tensor::from_data(noise(6, [2, 1, 8, 12, 16]), &device);
    let loss: Loss = serde_yaml::from_str("{sum: [dice, bce]}").unwrap();
    let target = Target::sigmoid(target.greater_elem(0.3).float(), None);
    loss.forward(network.forward(x), &target)
}

/// Moves every weight along its gradient, and sums the gradients' squares.
struct Along<'a, B: AutodiffBackend> {
    gradients: &'a B::Gradients,
    step: f64,
    squares: f64,
}

impl<B: AutodiffBackend> ModuleMapper<B> for Along<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let Some(gradient) = param.grad(self.gradients) else {
            return param;
        };
        let square = gradient.clone().square().sum().into_scalar();
        self.squares += square.elem::<f64>();
        let step = self.step;
        param.map(|weight| {
            let moved = weight.inner() + gradient * step;
            Tensor::from_inner(moved).require_grad()
        })
    }
}

#[test]
fn along_its_gradient_a_networks_loss_changes_by_the_gradients_square() {
    for yaml in [
        "{unet: {filters: 4, levels: 3, norm: batch}}",
        "{unet: {filters: 8, levels: 2, norm: group, activation: leaky_relu}}",
        "{unet: {filters: 3, levels: 3, norm: instance, upsampling: trilinear}}",
        "{unet: {filters: 5, levels: 2, norm: none}}",
    ] {
        let model: Model = serde_yaml::from_str(yaml).unwrap();
        let network = model.init::<Ad>(3, &Device::default());
        let gradients = loss(&network).backward();
        let moved = |step: f64| {
            let mut along = Along {
                gradients: &gradients,
                step,
                squares: 0.0,
            };
            let network = network.clone().map(&mut along);
            (f64::from(loss(&network).into_scalar()), along.squares)
        };
        let (_, squares) = moved(0.0);
        // So that the loss changes by about 0.002.
        let step = 0.001 / squares;
        let slope = (moved(step).0 - moved(-step).0) / (2.0 * step);
        let ratio = slope / squares;
        assert!((ratio - 1.0).abs() < 0.02, "{yaml}: {ratio}");
    }
}

/// The loss and the sum of all squared gradients, to the bit.
fn step<B: TrainingBackend<Device = Device>>(yaml: &str) -> [u64; 2] {
    let model: Model = serde_yaml::from_str(yaml).unwrap();
    let network = model.init::<B>(3, &Device::default());
    let loss = loss(&network);
    let gradients = loss.backward();
    let mut along = Along::<B> {
        gradients: &gradients,
        step: 0.0,
        squares: 0.0,
    };
    let _ = network.map(&mut along);
    [loss.into_scalar().elem::<f64>(), along.squares].map(f64::to_bits)
}

#[test]
fn the_number_of_threads_does_not_change_a_bit() {
    let results = [1, 2, 5].map(|threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        let work = || step::<Ad>("{unet: {filters: 6, levels: 3}}");
        pool.unwrap().install(work)
    });
    assert_eq!(results[0], results[1]);
    assert_eq!(results[0], results[2]);
}

#[test]
fn checkpointing_does_not_change_a_bit() {
    for yaml in [
        "{unet: {filters: 6, levels: 3, norm: batch}}",
        "{unet: {filters: 4, levels: 3, norm: none, upsampling: trilinear}}",
        "{unet: {filters: 8, levels: 2, norm: group, activation: leaky_relu}}",
    ] {
        let checkpointed = with_checkpointing(true, || step::<Ad>(yaml));
        assert_eq!(checkpointed, step::<Ad>(yaml), "{yaml}");
    }
}
