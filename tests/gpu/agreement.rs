//! GPUs against the processor: the operations, every model, training and prediction.
//!
//! What is tested is the first GPU of CUDA and the first of Vulkan, as far as the features of the same
//! names are built in. Vulkan has drivers in software as well (Mesa's lavapipe), which run the same kernels.
//! Where there is no GPU each test reports that and does nothing.
//!
//! The processor's results are f32 as well, summed in another order, so what differs is rounding: at most
//! 1e-4 of the largest value of an operation's results and 1e-3 through a whole network. On CUDA twenty
//! times that: Burn's tensor-core convolutions round their factors to tf32, that is to 10 bits. Where a device
//! computes in bf16 networks are compared in that as well.

use std::path::Path;

use burn::backend::{Autodiff, Flex};
use burn::module::AutodiffModule;
use burn::tensor::ops::{ConvOptions, ConvTransposeOptions};
use burn::tensor::{DType, Tensor, TensorData};
use calvaria::device::{DeviceChoice, DeviceName, inventory, resolve};
use calvaria::experiment;
use calvaria::kernel::{
    Entropy, IGNORED_CLASS, Kernels, ScaleShift, TrainingBackend, pad, with_checkpointing,
};
use calvaria::layout::{Epoch, RunFolder};
use calvaria::loss::{Loss, Target};
use calvaria::model::Model;
use calvaria::predict::Predictor;
use calvaria::preprocess::Inputs;
use calvaria::run::{self, Options};

use crate::common::{calvaria, noise, toy_workplace};

type Cpu = Autodiff<Flex>;

/// What is done on a device and, for comparison, on the processor.
trait Work {
    type Result;

    fn on<B: TrainingBackend>(&self, name: DeviceName, device: &B::Device) -> Self::Result;
}

/// The work's result on the processor, and on each GPU by name.
fn everywhere<W: Work>(work: &W) -> (W::Result, Vec<(DeviceName, W::Result)>) {
    let mut results = Vec::new();
    for (kind, found) in inventory() {
        let Ok(device) = found.map(|found| found[0].name) else {
            continue;
        };
        if kind != "cpu" {
            resolve(&DeviceChoice::Named(vec![device]), |_| {}).unwrap();
        }
        match device {
            #[cfg(feature = "cuda")]
            DeviceName::Cuda(index) => {
                let on = burn_cuda::CudaDevice::new(index);
                results.push((device, work.on::<Autodiff<burn_cuda::Cuda>>(device, &on)));
            }
            #[cfg(feature = "vulkan")]
            DeviceName::Vulkan(index) => {
                let on = calvaria::device::vulkan_device(index);
                results.push((device, work.on::<Autodiff<burn_wgpu::Vulkan>>(device, &on)));
            }
            _ => {}
        }
    }
    if results.is_empty() {
        for (kind, found) in inventory() {
            if let Err(why) = found {
                println!("not run on {kind}: {why}");
            }
        }
        assert!(
            std::env::var_os("CALVARIA_GPU").is_none(),
            "there should be a GPU"
        );
    }
    (
        work.on::<Cpu>(DeviceName::Cpu, &Default::default()),
        results,
    )
}

/// A result by what it is.
type Named = Vec<(String, Vec<f32>)>;

fn compare(work: &impl Work<Result = Named>, tolerance: f32) {
    let (expected, results) = everywhere(work);
    for (device, result) in results {
        // In half precision the rest rounds as coarsely as those convolutions do.
        let coarse = matches!(device, DeviceName::Cuda(_)) && tolerance < 0.01;
        let tolerance = tolerance * if coarse { 20.0 } else { 1.0 };
        if result.is_empty() {
            continue;
        }
        let mut apart = Vec::new();
        for ((name, ours), (_, theirs)) in result.iter().zip(&expected) {
            assert_eq!(ours.len(), theirs.len(), "{device}: {name}");
            let largest = theirs.iter().fold(1e-3f32, |most, v| most.max(v.abs()));
            let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
            // A value that is not a number is the worst of all.
            let worst = differences.fold(0.0, |most, d| if d <= most { most } else { d });
            apart.push((name, worst / largest));
        }
        let worst = apart.iter().max_by(|a, b| a.1.total_cmp(&b.1)).unwrap();
        println!(
            "{device}: {} results, at most {:.1e} apart ({})",
            apart.len(),
            worst.1,
            worst.0
        );
        apart.retain(|(_, by)| by.is_nan() || *by > tolerance);
        assert!(apart.is_empty(), "{device}: {apart:?}");
    }
}

/// Each operation that a network is made of.
struct Operations;

impl Operations {
    /// An operation's output and the gradients of its parameters under a random gradient from above; once
    /// with parameters as they are written, once with their channels last, as convolutions leave them.
    fn values<B: TrainingBackend>(
        name: &str,
        device: &B::Device,
        shapes: &[[usize; 5]],
        operation: impl Fn(&[Tensor<B, 5>]) -> Tensor<B, 5>,
    ) -> Named {
        let floats = |data: TensorData| data.iter::<f32>().collect::<Vec<f32>>();
        let mut all = Vec::new();
        for last in [false, true] {
            let leaf = |(seed, &shape): (usize, &[usize; 5])| {
                let [batch, channels, depth, height, width] = shape;
                let seed = seed as u64 + 1;
                let leaf: Tensor<B, 5> = if last {
                    let shape = [batch, depth, height, width, channels];
                    Tensor::from_data(noise(seed, shape), device).permute([0, 4, 1, 2, 3])
                } else {
                    Tensor::from_data(noise(seed, shape), device)
                };
                leaf.require_grad()
            };
            let parameters: Vec<_> = shapes.iter().enumerate().map(leaf).collect();
            let output = operation(&parameters);
            let above = Tensor::from_data(noise(99, output.dims()), device);
            let gradients = (output.clone() * above).sum().backward();
            let name = format!("{name}{}", if last { ", channels last" } else { "" });
            all.push((name.clone(), floats(output.into_data())));
            for (at, parameter) in parameters.iter().enumerate() {
                let gradient = floats(parameter.grad(&gradients).unwrap().into_data());
                all.push((format!("{name}, gradient {at}"), gradient));
            }
        }
        all
    }

    /// The operations of losses and scores of classes that exclude each other, some voxels ignored.
    fn of_classes<B: TrainingBackend>(device: &B::Device) -> Named {
        let logits = [2, 4, 6, 8, 10];
        let class = |i: usize| [0.0, 1.0, 2.0, 3.0, f32::from(IGNORED_CLASS)][i * 7 % 5];
        let classes: Vec<f32> = (0..960).map(class).collect();
        let classes = TensorData::new(classes, [2, 1, 6, 8, 10]);
        let classes = Tensor::<B, 5>::from_data(classes, device);
        let entropy = Entropy {
            class_weights: Some(vec![0.5, 1.0, 2.0, 3.0]),
            label_smoothing: 0.1,
            gamma: 2.0,
        };
        let mut all = Vec::new();
        for squared in [false, true] {
            all.extend(Self::values::<B>(
                &format!("overlap of classes, squared: {squared}"),
                device,
                &[logits],
                |p| {
                    B::softmax_overlap(p[0].clone(), classes.clone(), squared)
                        .reshape([3, 2, 4, 1, 1])
                },
            ));
        }
        all.extend(Self::values::<B>("cross-entropy", device, &[logits], |p| {
            B::softmax_entropy(p[0].clone(), classes.clone(), &entropy)
        }));
        all.extend(Self::values::<B>("counts", device, &[logits], |p| {
            let counts = B::softmax_counts(p[0].clone(), classes.clone());
            // In the graph all the same, so that there is a gradient to compare.
            let none = (p[0].clone() * 0.0).mean().reshape([1; 5]);
            counts.reshape([2, 3, 5, 1, 1]) + none
        }));
        all
    }
}

fn vector<B: TrainingBackend>(x: &Tensor<B, 5>) -> Tensor<B, 1> {
    let count = x.dims().iter().product::<usize>();
    x.clone().reshape([count])
}

fn scale_shift<B: TrainingBackend>(p: &[Tensor<B, 5>]) -> ScaleShift<B> {
    ScaleShift {
        weight: vector(&p[1]),
        bias: vector(&p[2]),
        epsilon: 1e-5,
        slope: 0.01,
    }
}

impl Work for Operations {
    type Result = Named;

    fn on<B: TrainingBackend>(&self, _: DeviceName, device: &B::Device) -> Named {
        let x = [2, 4, 6, 8, 10];
        let per_channel = [4, 1, 1, 1, 1];
        let mut all = Vec::new();
        // Kernel, stride, padding and groups of every convolution of some network.
        for (kernel, stride, padding, groups) in [
            ([3; 3], 1, [1; 3], 1),
            ([3; 3], 2, [1; 3], 1),
            ([3; 3], 1, [1; 3], 4),
            ([3; 3], 2, [1; 3], 4),
            ([1; 3], 1, [0; 3], 1),
            ([1; 3], 2, [0; 3], 1),
            ([2; 3], 2, [0; 3], 1),
            ([5; 3], 1, [2; 3], 1),
            ([1, 3, 3], 1, [0, 1, 1], 1),
            ([1, 1, 2], 1, [0, 0, 1], 1),
        ] {
            let options = ConvOptions::new([stride; 3], padding, [1; 3], groups);
            let [a, b, c] = kernel;
            all.extend(Self::values::<B>(
                &format!("convolution of {kernel:?}, stride {stride}, {groups} groups"),
                device,
                &[x, [8, 4 / groups, a, b, c], [8, 1, 1, 1, 1]],
                |p| {
                    let bias = Some(vector(&p[2]));
                    <B as Kernels>::conv3d(p[0].clone(), p[1].clone(), bias, options.clone())
                },
            ));
        }
        for (kernel, padding, groups) in [(2, 0, 1), (3, 0, 1), (3, 1, 4), (1, 0, 1)] {
            let options = ConvTransposeOptions::new([2; 3], [padding; 3], [0; 3], [1; 3], groups);
            all.extend(Self::values::<B>(
                &format!("transposed convolution of {kernel}, {groups} groups"),
                device,
                &[x, [4, 8 / groups, kernel, kernel, kernel], [8, 1, 1, 1, 1]],
                |p| {
                    let (x, weight) = (p[0].clone(), p[1].clone());
                    let bias = Some(vector(&p[2]));
                    <B as Kernels>::conv_transpose3d(x, weight, bias, options.clone())
                },
            ));
        }
        let one = |name, shape, operation: fn(Tensor<B, 5>) -> Tensor<B, 5>| {
            Self::values::<B>(name, device, &[shape], |p| operation(p[0].clone()))
        };
        all.extend(one("padding", x, |x| pad(x, [(1, 0), (0, 2), (1, 1)])));
        all.extend(one("gelu", x, <B as Kernels>::gelu));
        all.extend(one("maximum pooling", x, B::max_pool3d));
        all.extend(one("mean pooling", x, B::avg_pool3d));
        all.extend(one("trilinear enlargement", x, B::upsample_trilinear));
        all.extend(Self::values::<B>("concat_channels", device, &[x, x], |p| {
            B::concat_channels(p[0].clone(), p[1].clone())
        }));
        for groups in [1, 4] {
            let name = format!("normalisation of {groups} groups");
            all.extend(Self::values::<B>(
                &name,
                device,
                &[x, per_channel, per_channel],
                |p| B::group_norm(p[0].clone(), groups, scale_shift(p)),
            ));
        }
        all.extend(Self::values::<B>(
            "batch normalisation",
            device,
            &[x, per_channel, per_channel],
            |p| B::batch_norm(p[0].clone(), scale_shift(p)).output,
        ));
        // The deepest level may have a single voxel.
        let (two, single) = ([2, 4, 2, 2, 2], [2, 4, 1, 1, 1]);
        all.extend(one("maximum pooling to a voxel", two, B::max_pool3d));
        all.extend(one("mean pooling to a voxel", two, B::avg_pool3d));
        all.extend(one("enlargement of a voxel", single, B::upsample_trilinear));
        all.extend(one(
            "enlargement of a column",
            [2, 4, 3, 1, 1],
            B::upsample_trilinear,
        ));
        all.extend(Self::values::<B>(
            "convolution of a pooled voxel",
            device,
            &[two, [4, 4, 3, 3, 3]],
            |p| {
                let options = ConvOptions::new([1; 3], [1; 3], [1; 3], 1);
                <B as Kernels>::conv3d(B::max_pool3d(p[0].clone()), p[1].clone(), None, options)
            },
        ));
        // Burn may multiply matrices for these, and some of its ways are wrong.
        let point = |x: Tensor<B, 5>, weight: &Tensor<B, 5>| {
            let options = ConvOptions::new([1; 3], [0; 3], [1; 3], 1);
            <B as Kernels>::conv3d(x, weight.clone(), None, options)
        };
        all.extend(Self::values::<B>(
            "convolution of 1 from 8 channels to 16",
            device,
            &[[2, 8, 7, 7, 7], [16, 8, 1, 1, 1]],
            |p| point(p[0].clone(), &p[1]),
        ));
        all.extend(Self::values::<B>(
            "convolution of 1 of an image cut out of a longer one",
            device,
            &[x, [8, 4, 1, 1, 1]],
            |p| point(p[0].clone().narrow(2, 0, 5), &p[1]),
        ));
        all.extend(Self::values::<B>(
            "scale and shift",
            device,
            &[x, per_channel, per_channel],
            |p| B::scale_and_shift(p[0].clone(), vector(&p[1]), vector(&p[2]), 0.01),
        ));
        all.extend(Self::of_classes::<B>(device));
        all
    }
}

#[test]
fn operations() {
    compare(&Operations, 1e-4);
}

/// A network's logits, its loss, and the gradient of its input, computed in a type.
struct Networks {
    model: Model,
    dtype: DType,
    checkpointing: bool,
}

impl Work for Networks {
    type Result = Named;

    fn on<B: TrainingBackend>(&self, _: DeviceName, device: &B::Device) -> Named {
        let shape = [2, 1, 16, 16, 16];
        let truth = noise(7, shape)
            .iter::<f32>()
            .map(|v| f32::from(v > 0.2))
            .collect::<Vec<_>>();
        let Self { model, dtype, .. } = self;
        if !B::supports_dtype(device, *dtype) {
            println!("{device:?} does not compute in {dtype:?}");
            return Vec::new();
        }
        let network = model.init::<B>(3, device);
        let images = Tensor::<B, 5>::from_data(noise(5, shape), device).require_grad();
        let outputs = with_checkpointing(self.checkpointing, || {
            network.forward_deep(images.clone().cast(*dtype))
        });
        let logits = outputs[0].clone().into_data();
        let masks = Tensor::from_data(TensorData::new(truth, shape), device);
        let loss = Loss::default().forward_deep(outputs, &Target::sigmoid(masks, None));
        let gradients = loss.backward();
        let gradient = images.grad(&gradients).unwrap().into_data();
        let validated = network.valid().forward(images.inner().cast(*dtype));
        let results = [
            ("logits", logits),
            ("loss", loss.into_data()),
            ("gradient", gradient),
            ("validation", validated.into_data()),
        ];
        let named = |(what, data): (&str, TensorData)| {
            let name = format!("{}: {what} in {dtype:?}", model.name());
            (name, data.iter::<f32>().collect())
        };
        results.map(named).into()
    }
}

/// One test per member or two, so that they share the threads. Small, and without dropout, which each
/// backend draws for itself.
macro_rules! networks {
    ($($test:ident: $yaml:literal,)+) => {$(
        #[test]
        fn $test() {
            let model: Model = serde_yaml::from_str($yaml).unwrap();
            for (dtype, tolerance) in [(DType::F32, 1e-3), (DType::BF16, 5e-2)] {
                let (model, checkpointing) = (model.clone(), false);
                compare(&Networks { model, dtype, checkpointing }, tolerance);
            }
        }
    )+};
}

networks! {
    article: "{article: {filters: 2, dropout: 0.0}}",
    unet: "{unet: {filters: 2, levels: 3}}",
    resunet: "{resunet: {filters: 2, levels: 3}}",
    attention_unet: "{attention_unet: {filters: 2, levels: 3}}",
    unet_plus_plus: "{unet_plus_plus: {filters: 2, levels: 3}}",
    segresnet: "{segresnet: {filters: 8, blocks_down: [1, 1], blocks_up: [1]}}",
    vnet: "{vnet: {filters: 2, convolutions_down: [1, 2], convolutions_up: [1, 1], dropout: 0.0}}",
    nnunet: "{nnunet: {filters: 2, levels: 3}}",
    resenc_unet: "{resenc_unet: {filters: 2, blocks: [1, 1, 1]}}",
    mednext: "{mednext: {filters: 2, blocks: [1, 1, 1], expansions: [2, 2, 2]}}",
    unet_2d: "{unet_2d: {filters: 2, levels: 3}}",
}

#[test]
fn activations_that_are_computed_again() {
    for yaml in [
        "{unet: {filters: 2, levels: 3, norm: batch}}",
        "{unet: {filters: 4, levels: 3, norm: group, upsampling: trilinear}}",
        "{mednext: {filters: 2, blocks: [1, 1, 1], expansions: [2, 2, 2]}}",
    ] {
        let work = Networks {
            model: serde_yaml::from_str(yaml).unwrap(),
            dtype: DType::F32,
            checkpointing: true,
        };
        compare(&work, 1e-3);
    }
}

#[test]
fn no_network_is_forgotten() {
    // Each has a test of its name above.
    let tested = [
        "article",
        "unet",
        "resunet",
        "attention_unet",
        "unet_plus_plus",
        "segresnet",
        "vnet",
        "nnunet",
        "resenc_unet",
        "mednext",
        "unet_2d",
    ];
    assert_eq!(Model::NAMES, tested);
}

/// Ten steps of training, the data, the checkpoints and the scores included.
struct Training<'a> {
    folder: &'a Path,
}

impl Work for Training<'_> {
    type Result = Vec<Epoch>;

    fn on<B: TrainingBackend>(&self, name: DeviceName, _: &B::Device) -> Vec<Epoch> {
        let heads = format!("data.nfbs.root={}", self.folder.join("heads").display());
        let options = [
            heads,
            "train.epochs=2".into(),
            "train.steps_per_epoch=5".into(),
        ];
        let resolved = experiment::load(&self.folder.join("toy.yaml"), &options).unwrap();
        let results = tempfile::tempdir_in(self.folder).unwrap();
        let options = Options {
            results: results.path().into(),
            device: DeviceChoice::Named(vec![name]),
            ..Options::default()
        };
        run::run(&resolved.experiment, &options).unwrap();
        RunFolder::new(results.path().join("toy/seed-7"))
            .read_metrics()
            .unwrap()
    }
}

#[test]
fn ten_steps_of_training() {
    let folder = toy_workplace(4);
    let work = Training {
        folder: folder.path(),
    };
    let (expected, results) = everywhere(&work);
    for (device, epochs) in results {
        assert_eq!(epochs.len(), expected.len());
        for (ours, theirs) in epochs.iter().zip(&expected) {
            // Adam divides by the gradient's size, so that where it is next to nothing its rounding
            // decides a weight's step: what differs grows from step to step.
            let pairs = [
                (ours.train_loss, theirs.train_loss),
                (ours.validation_loss, theirs.validation_loss),
                (ours.validation_iou_soft, theirs.validation_iou_soft),
            ];
            for (ours, theirs) in pairs {
                let apart = (ours - theirs).abs() / theirs.abs();
                println!("{device}: {ours} is {apart:.1e} of itself from {theirs}");
                assert!(apart < 0.01, "{device}: {ours} and {theirs}");
            }
        }
    }
}

/// The mask of a scan, by a run that was trained on the processor.
struct Prediction<'a> {
    run: &'a Path,
    scan: &'a Path,
}

impl Work for Prediction<'_> {
    type Result = Vec<u8>;

    fn on<B: TrainingBackend>(&self, name: DeviceName, _: &B::Device) -> Vec<u8> {
        let device = DeviceChoice::Named(vec![name]);
        let predictor = Predictor::open(self.run, &device, |_| {}).unwrap();
        let scan = Inputs::scan(self.scan, None).read().unwrap().case;
        let mask = predictor.predict(scan).unwrap().mask;
        mask.voxels.into_iter().collect()
    }
}

#[test]
fn prediction() {
    let folder = toy_workplace(4);
    calvaria()
        .current_dir(folder.path())
        .args(["run", "toy.yaml", "--device", "cpu", "-q"])
        .assert()
        .success();
    let (expected, results) = everywhere(&Prediction {
        run: &folder.path().join("results/toy/seed-7"),
        scan: &folder.path().join("heads/sub-01/sub-01_T1w.nii.gz"),
    });
    assert!(
        expected.iter().any(|&voxel| voxel != expected[0]),
        "both brain and not"
    );
    for (device, mask) in results {
        let other = mask.iter().zip(&expected).filter(|(a, b)| a != b).count();
        println!("{device}: {other} of {} voxels are others", mask.len());
        // Only where the probability is within rounding of the threshold.
        assert!(
            other * 1000 <= mask.len(),
            "{device}: {other} of {}",
            mask.len()
        );
    }
}

#[test]
fn a_driver_in_software_is_warned_of() {
    for (_, found) in inventory() {
        for device in found.unwrap_or_default() {
            let assert = calvaria()
                .args(["predict", "--run", "no-run", "no-scan.nii.gz", "--device"])
                .arg(device.name.to_string())
                .assert()
                .failure();
            let message = String::from_utf8_lossy(&assert.get_output().stderr).into_owned();
            println!("{message}");
            let in_software = device.details.starts_with("in software");
            assert_eq!(message.contains("is for tests"), in_software, "{message}");
        }
    }
}

#[test]
fn too_little_memory_is_told_with_what_to_do() {
    for (kind, found) in inventory() {
        let Ok(device) = found.map(|found| found[0].name) else {
            continue;
        };
        if kind == "cpu" {
            continue;
        }
        // Half a terabyte.
        let stderr = calvaria()
            .args(["bench", "experiments/quickstart.yaml", "--steps", "1"])
            .args(["--size", "4096,4096,4096", "--device", &device.to_string()])
            .env_remove("RUST_BACKTRACE")
            .assert()
            .code(1)
            .get_output()
            .stderr
            .clone();
        let message = String::from_utf8(stderr).unwrap();
        println!("{message}");
        assert!(message.contains("train.batch_size") && !message.contains("panicked"));
    }
}
