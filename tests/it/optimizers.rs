//! Optimisers against PyTorch's, step by step.

use std::collections::{BTreeMap, BTreeSet};

use burn::backend::{Autodiff, Flex};
use burn::module::{Module, Param};
use burn::optim::{GradientsParams, Optimizer as _};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use calvaria::optimizer::{Optimizer, OptimizerState};
use serde::Deserialize;

type Ad = Autodiff<Flex>;
type Pair = [Vec<f32>; 2];

/// Each reference, as an experiment would ask for it.
const OPTIMIZERS: &[(&str, &str)] = &[
    ("adam", "adam: {}"),
    (
        "adam_decay",
        "adam: {beta_1: 0.8, beta_2: 0.95, epsilon: 1.0e-3, weight_decay: 0.3}",
    ),
    ("adamw", "adamw: {weight_decay: 0.3}"),
    (
        "adamw_weights_only",
        "adamw: {weight_decay: 0.3, decay_norms: false}",
    ),
    (
        "sgd",
        "sgd: {momentum: 0.0, nesterov: false, weight_decay: 0.0}",
    ),
    (
        "sgd_momentum",
        "sgd: {momentum: 0.9, nesterov: false, weight_decay: 0.3}",
    ),
    ("sgd_nesterov", "sgd: {momentum: 0.9, weight_decay: 0.3}"),
    (
        "sgd_weights_only",
        "sgd: {momentum: 0.9, nesterov: false, weight_decay: 0.3, decay_norms: false}",
    ),
    ("rmsprop", "rmsprop: {smoothing: 0.9, momentum: 0.0}"),
    (
        "rmsprop_momentum",
        "rmsprop: {smoothing: 0.9, momentum: 0.8, weight_decay: 0.3, epsilon: 1.0e-3}",
    ),
    (
        "rmsprop_centred",
        "rmsprop: {smoothing: 0.9, momentum: 0.0, centred: true}",
    ),
    ("lion", "lion: {}"),
    (
        "lion_decay",
        "lion: {beta_1: 0.8, beta_2: 0.95, weight_decay: 0.3}",
    ),
];

#[derive(Deserialize)]
struct Expected {
    start: Pair,
    gradients: Vec<Pair>,
    after: BTreeMap<String, Vec<Pair>>,
}

fn expected() -> Expected {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/optimizers/expected.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A convolution's weights and a bias.
#[derive(Module, Debug)]
struct Layer<B: Backend> {
    weight: Param<Tensor<B, 5>>,
    bias: Param<Tensor<B, 1>>,
}

fn tensor<B: Backend, const D: usize>(values: &[f32], shape: [usize; D]) -> Tensor<B, D> {
    Tensor::from_data(
        TensorData::new(values.to_vec(), shape),
        &B::Device::default(),
    )
}

const SHAPE: [usize; 5] = [3, 1, 1, 1, 2];

fn layer([weight, bias]: &Pair) -> Layer<Ad> {
    Layer {
        weight: Param::from_tensor(tensor(weight, SHAPE)),
        bias: Param::from_tensor(tensor(bias, [3])),
    }
}

fn step(optimizer: &mut OptimizerState<Ad>, layer: Layer<Ad>, [weight, bias]: &Pair) -> Layer<Ad> {
    let mut grads = GradientsParams::new();
    grads.register::<Flex, 5>(layer.weight.id, tensor(weight, SHAPE));
    grads.register::<Flex, 1>(layer.bias.id, tensor(bias, [3]));
    optimizer.step(0.05, layer, grads)
}

fn values(layer: &Layer<Ad>) -> Vec<f32> {
    let weight = layer.weight.val().into_data();
    let bias = layer.bias.val().into_data();
    weight.iter::<f32>().chain(bias.iter::<f32>()).collect()
}

fn parse(yaml: &str) -> Optimizer {
    let optimizer: Optimizer = serde_yaml::from_str(yaml).unwrap();
    optimizer.validate().unwrap();
    optimizer
}

#[test]
fn every_optimizer_steps_as_its_reference_does() {
    let expected = expected();
    for (name, yaml) in OPTIMIZERS {
        let mut optimizer = parse(yaml).init::<Ad>();
        let mut layer = layer(&expected.start);
        for (number, gradient) in expected.gradients.iter().enumerate() {
            layer = step(&mut optimizer, layer, gradient);
            let theirs = expected.after[*name][number].concat();
            for (ours, theirs) in values(&layer).iter().zip(theirs) {
                assert!(
                    (ours - theirs).abs() < 2e-6,
                    "{name}, step {number}: {ours}, not {theirs}"
                );
            }
        }
    }
}

#[test]
fn every_optimizer_has_a_reference() {
    let compared: BTreeSet<&str> = OPTIMIZERS
        .iter()
        .map(|(_, yaml)| parse(yaml).name())
        .collect();
    assert_eq!(compared, Optimizer::NAMES.iter().copied().collect());
}

#[test]
fn an_optimizer_continues_where_it_was_saved() {
    let expected = expected();
    for (name, yaml) in OPTIMIZERS {
        let mut whole = parse(yaml).init::<Ad>();
        let halfway = expected.gradients[..3]
            .iter()
            .fold(layer(&expected.start), |layer, gradient| {
                step(&mut whole, layer, gradient)
            });
        let mut resumed = parse(yaml).init::<Ad>();
        let saved = whole.to_bytes().unwrap();
        resumed.load_bytes(&saved, &Default::default()).unwrap();
        let end = |optimizer: &mut _| {
            let rest = expected.gradients[3..].iter();
            values(&rest.fold(halfway.clone(), |layer, gradient| {
                step(optimizer, layer, gradient)
            }))
        };
        assert_eq!(end(&mut whole), end(&mut resumed), "{name}");
    }
}

#[test]
fn a_state_of_another_optimizer_is_refused() {
    let expected = expected();
    let mut adam = parse("adam").init::<Ad>();
    step(&mut adam, layer(&expected.start), &expected.gradients[0]);
    let sgd = parse("sgd").init::<Ad>();
    let device = Default::default();
    assert!(sgd.load_bytes(&adam.to_bytes().unwrap(), &device).is_err());
    assert!(adam.load_bytes(b"no state", &device).is_err());
}
