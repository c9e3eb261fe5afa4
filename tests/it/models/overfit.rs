//! Every network learns one real head by heart, in either precision: its gradients are right, and it has
//! enough freedom. In short, two networks do.

use std::path::{Path, PathBuf};

use burn::backend::{Autodiff, Flex};
use burn::module::AutodiffModule;
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::{Tensor, TensorData};
use calvaria::kernel::Precision;
use calvaria::loss::{Loss, Target};
use calvaria::model::Model;
use calvaria::volume::nifti::{read_image, read_mask};
use calvaria::volume::resample::{Interpolation, resample, resample_mask};
use calvaria::volume::{Grid, Volume};

use crate::common::amount;

type Ad = Autodiff<Flex>;
type Device = burn::tensor::Device<Flex>;

const RATE: f64 = 1e-2;
const SHAPE: [usize; 3] = [16, 24, 24];

/// Small settings of each network, and its steps of training.
const TINY: &[(&str, usize)] = &[
    // Its running statistics follow slowly: Keras' momentum is 0.99.
    ("{article: {filters: 4, dropout: 0.0}}", 400),
    ("{unet: {filters: 4, levels: 3}}", 100),
    ("{resunet: {filters: 8, levels: 3}}", 100),
    ("{attention_unet: {filters: 4, levels: 3}}", 100),
    (
        "{unet_plus_plus: {filters: 4, levels: 3, deep_supervision: true}}",
        100,
    ),
    (
        "{segresnet: {filters: 16, blocks_down: [1, 1], blocks_up: [1]}}",
        200,
    ),
    (
        "{vnet: {filters: 4, convolutions_down: [1, 1], convolutions_up: [1, 1], dropout: 0.0}}",
        100,
    ),
    ("{nnunet: {filters: 4, levels: 3}}", 100),
    ("{resenc_unet: {filters: 4, blocks: [1, 1, 1]}}", 100),
    (
        "{mednext: {filters: 8, blocks: [1, 1, 1], expansions: [2, 2, 2]}}",
        100,
    ),
    ("{unet_2d: {filters: 8, levels: 3}}", 100),
];

fn tiny(name: &str) -> (Model, usize) {
    let parse = |&(yaml, steps): &(&str, usize)| {
        let model: Model = serde_yaml::from_str(yaml).unwrap();
        model.validate().unwrap();
        (model, steps)
    };
    TINY.iter()
        .map(parse)
        .find(|(model, _)| model.name() == name)
        .unwrap_or_else(|| panic!("no tiny settings of {name}"))
}

fn tensor<T: Copy + Into<f64>>(volume: &Volume<T>) -> Tensor<Flex, 5> {
    let values: Vec<f32> = volume.voxels.iter().map(|&v| v.into() as f32).collect();
    let [depth, height, width] = SHAPE;
    let data = TensorData::new(values, [1, 1, depth, height, width]);
    Tensor::from_data(data, &Device::default())
}

/// A whole head on a coarse grid, standardised, and its brain's mask.
fn head() -> (Tensor<Flex, 5>, Tensor<Flex, 5>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/data/heads/sub-01");
    let file = |name: &str| -> PathBuf { folder.join(format!("sub-01_{name}.nii.gz")) };
    let image = read_image(&file("T1w")).unwrap();
    let mask = read_mask(&file("T1w_brainmask")).unwrap();
    let extent = [162.0, 258.0, 258.0];
    let spacing = [0, 1, 2].map(|axis| extent[axis] / SHAPE[axis] as f64);
    let grid = Grid::centred_on(image.grid().centre(), SHAPE, spacing);
    let image = tensor(&resample(&image, &grid, Interpolation::Linear, true));
    let mask = tensor(&resample_mask(&mask, &grid));
    let mean: f32 = image.clone().mean().into_scalar();
    let deviation: f32 = (image.clone() - mean).square().mean().sqrt().into_scalar();
    ((image - mean) / deviation, mask)
}

fn dice(logits: Tensor<Flex, 5>, target: Tensor<Flex, 5>) -> f32 {
    let mask = logits.greater_elem(0.0).float();
    let both: f32 = (mask.clone() * target.clone()).sum().into_scalar();
    2.0 * both / (mask + target).sum().into_scalar()
}

#[test]
fn every_network_overfits_one_head() {
    overfit(Precision::F32);
}

#[test]
fn every_network_overfits_one_head_in_bf16() {
    overfit(Precision::Bf16);
}

fn overfit(precision: Precision) {
    let device = Device::default();
    let (image, mask) = head();
    let share: f32 = mask.clone().mean().into_scalar();
    assert!((0.05..0.5).contains(&share), "the mask's share is {share}");
    let images = Tensor::<Ad, 5>::from_inner(image.clone());
    let target = Target::sigmoid(Tensor::<Ad, 5>::from_inner(mask.clone()), None);
    let loss = Loss::default();
    for name in amount(&["unet", "resenc_unet"][..], Model::NAMES) {
        let (model, steps) = tiny(name);
        let mut network = model.init::<Ad>(1, &device);
        let mut adam = AdamConfig::new().init();
        for _ in 0..steps {
            let outputs = network.forward_deep(precision.of(images.clone()));
            let value = loss.forward_deep(outputs, &target);
            let gradients = GradientsParams::from_grads(value.backward(), &network);
            network = adam.step(RATE, network, gradients);
        }
        let logits = network.valid().forward(precision.of(image.clone()));
        let dice = dice(logits, mask.clone());
        println!("{name}: Dice {dice:.4} after {steps} steps in {precision:?}");
        assert!(dice > 0.95, "{name}: Dice {dice} after {steps} steps");
    }
}
