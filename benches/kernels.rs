//! `cargo bench --bench kernels`: the operations of a 3-D U-Net, ours and Burn's, on one level of a
//! network.

use std::hint::black_box;

use burn::backend::{Autodiff, Flex};
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{Distribution, Tensor, module};
use calvaria::kernel::{Kernels, ScaleShift, keep_memory, reference};
use criterion::{Criterion, criterion_group, criterion_main};

type Training = Autodiff<Flex>;

fn random<const D: usize>(shape: [usize; D]) -> Tensor<Training, D> {
    let tensor = Tensor::random(shape, Distribution::Normal(0.0, 1.0), &Default::default());
    tensor.require_grad()
}

/// Times an operation with its gradients, as ours and as Burn's.
fn compare(
    criterion: &mut Criterion,
    name: &str,
    ours: impl Fn() -> Tensor<Training, 5>,
    reference: impl Fn() -> Tensor<Training, 5>,
) {
    let mut group = criterion.benchmark_group(name);
    group.sample_size(10);
    group.bench_function("calvaria", |bench| {
        bench.iter(|| black_box(ours().sum().backward()));
    });
    group.bench_function("burn", |bench| {
        bench.iter(|| black_box(reference().sum().backward()));
    });
}

fn kernels(criterion: &mut Criterion) {
    keep_memory();
    let (channels, size) = (32, [24, 32, 40]);
    let x = random([1, channels, size[0], size[1], size[2]]);
    let weight = random([channels, channels, 3, 3, 3]);
    let options = ConvOptions::new([1; 3], [1; 3], [1; 3], 1);
    compare(
        criterion,
        "convolution 3x3x3",
        || <Training as Kernels>::conv3d(x.clone(), weight.clone(), None, options.clone()),
        || module::conv3d(x.clone(), weight.clone(), None, options.clone()),
    );
    let weight = random([channels, channels / 2, 2, 2, 2]);
    let options = ConvTransposeOptions::new([2; 3], [0; 3], [0; 3], [1; 3], 1);
    compare(
        criterion,
        "transposed convolution 2x2x2",
        || {
            <Training as Kernels>::conv_transpose3d(
                x.clone(),
                weight.clone(),
                None,
                options.clone(),
            )
        },
        || module::conv_transpose3d(x.clone(), weight.clone(), None, options.clone()),
    );
    let scale_shift = || ScaleShift {
        weight: random([channels]),
        bias: random([channels]),
        epsilon: 1e-5,
        slope: 0.0,
    };
    compare(
        criterion,
        "instance normalisation and ReLU",
        || Training::group_norm(x.clone(), channels, scale_shift()),
        || reference::group_norm(x.clone(), channels, scale_shift()),
    );
    compare(
        criterion,
        "batch normalisation and ReLU",
        || Training::batch_norm(x.clone(), scale_shift()).output,
        || reference::batch_norm(x.clone(), scale_shift()).output,
    );
    compare(
        criterion,
        "max pooling",
        || Training::max_pool3d(x.clone()),
        || reference::max_pool3d(x.clone()),
    );
    compare(
        criterion,
        "average pooling",
        || Training::avg_pool3d(x.clone()),
        || reference::avg_pool3d(x.clone()),
    );
    compare(
        criterion,
        "trilinear upsampling",
        || Training::upsample_trilinear(x.clone()),
        || reference::upsample_trilinear(x.clone()),
    );
    compare(
        criterion,
        "joining channels",
        || Training::concat_channels(x.clone(), x.clone()),
        || Tensor::cat(vec![x.clone(), x.clone()], 1),
    );
}

criterion_group!(benches, kernels);
criterion_main!(benches);
