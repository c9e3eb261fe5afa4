//! The networks: the published one against PyTorch and Keras, and what a user relies on in all.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use burn::backend::{Autodiff, Flex};
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::ops::PadMode;
use burn::tensor::{Tensor, TensorData};
use calvaria::loss::{Loss, Target};
use calvaria::model::weights::{WeightsError, load, save};
use calvaria::model::{Channels, Model, Network};
use safetensors::SafeTensors;
use serde::Deserialize;

use crate::common::noise;

type Ad = Autodiff<Flex>;
type Device = burn::tensor::Device<Flex>;

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/models"
    ))
    .join(name)
}

#[derive(Deserialize)]
struct Expected {
    train: BTreeMap<String, Training>,
    running_stats_after_one_step: BTreeMap<String, Statistics>,
    counts: BTreeMap<usize, Counts>,
    basic_unet_conv_weights: usize,
}

#[derive(Deserialize)]
struct Training {
    loss: f64,
    grad_norm_input: f64,
    grad_norm_total: f64,
    grad_norms: BTreeMap<String, f64>,
}

#[derive(Deserialize)]
struct Statistics {
    mean_first3: [f32; 3],
    var_first3: [f32; 3],
}

#[derive(Deserialize)]
struct Counts {
    live: usize,
    statistics: usize,
}

fn expected() -> Expected {
    let text = std::fs::read_to_string(fixture("expected.json")).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn parse(yaml: &str) -> Model {
    let model: Model = serde_yaml::from_str(yaml).unwrap();
    model.validate().unwrap();
    model
}

/// The published network with the reference's weights, and its inputs and outputs.
struct Reference {
    network: Network<Ad>,
    tensors: BTreeMap<String, Tensor<Ad, 5>>,
}

fn reference() -> Reference {
    let device = Device::default();
    let network = parse("{article: {filters: 4, dropout: 0.0}}").init::<Ad>(1, &device);
    let network = load(network, &fixture("article_f4.safetensors"), &device).unwrap();
    let bytes = std::fs::read(fixture("article_f4_outputs.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |name: String| {
        let view = tensors.tensor(&name).unwrap();
        let values: Vec<f32> = view
            .data()
            .chunks_exact(4)
            .map(|b| f32::from_le_bytes(b.try_into().unwrap()))
            .collect();
        let data = TensorData::new(values, view.shape().to_vec());
        (name, Tensor::from_data(data, &device))
    };
    Reference {
        network,
        tensors: tensors
            .names()
            .into_iter()
            .map(|n| tensor(n.to_owned()))
            .collect(),
    }
}

fn largest_difference(a: Tensor<Flex, 5>, b: Tensor<Flex, 5>) -> f32 {
    (a - b).abs().max().into_scalar()
}

/// The norm of every parameter's gradient, by the parameter's name.
struct GradientNorms<'a> {
    gradients: &'a <Ad as AutodiffBackend>::Gradients,
    path: Vec<String>,
    norms: BTreeMap<String, Option<f64>>,
}

impl ModuleVisitor<Ad> for GradientNorms<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        if !container.starts_with("Enum:") {
            self.path.push(name.to_owned());
        }
    }

    fn exit_module(&mut self, _name: &str, container: &str) {
        if !container.starts_with("Enum:") {
            self.path.pop();
        }
    }

    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Ad, D>>) {
        let norm = param
            .val()
            .grad(self.gradients)
            .map(|g| f64::from(g.square().sum().into_scalar()).sqrt());
        self.norms.insert(self.path.join("."), norm);
    }
}

fn gradient_norms(
    network: &Network<Ad>,
    gradients: &<Ad as AutodiffBackend>::Gradients,
) -> BTreeMap<String, Option<f64>> {
    let mut visitor = GradientNorms {
        gradients,
        path: Vec::new(),
        norms: BTreeMap::new(),
    };
    network.visit(&mut visitor);
    visitor.norms
}

#[test]
fn the_published_network_predicts_what_the_reference_predicts() {
    let Reference { network, tensors } = reference();
    let logits = network.valid().forward(tensors["input"].clone().inner());
    let difference = largest_difference(logits, tensors["eval_logits"].clone().inner());
    assert!(difference < 1e-4, "{difference}");
}

#[test]
fn the_published_network_trains_as_the_reference_trains() {
    for (name, yaml) in [
        ("focal_sm", "{focal: {clip: true}}"),
        ("dice_sm", "{dice: {batch: true}}"),
        ("bce", "bce"),
    ] {
        let Reference { network, tensors } = reference();
        let loss: Loss = serde_yaml::from_str(yaml).unwrap();
        let input = tensors["input"].clone().require_grad();
        let logits = network.forward(input.clone());
        let difference = largest_difference(
            logits.clone().inner(),
            tensors["train_logits"].clone().inner(),
        );
        assert!(difference < 1e-4, "logits differ by {difference}");
        let value = loss.forward(logits, &Target::sigmoid(tensors["target"].clone(), None));
        let gradients = value.backward();
        let expected = &expected().train[name];
        let value = f64::from(value.into_scalar());
        assert!(
            (value / expected.loss - 1.0).abs() < 1e-5,
            "{name}: {value}"
        );
        let at_input = input
            .grad(&gradients)
            .unwrap()
            .square()
            .sum()
            .into_scalar()
            .sqrt();
        assert!((f64::from(at_input) / expected.grad_norm_input - 1.0).abs() < 1e-3);

        let norms: BTreeMap<String, f64> = gradient_norms(&network, &gradients)
            .into_iter()
            .filter(|(path, _)| !path.contains("running_"))
            .map(|(path, norm)| (path, norm.unwrap()))
            .collect();
        assert!(norms.keys().eq(expected.grad_norms.keys()));
        let total = norms.values().map(|n| n * n).sum::<f64>().sqrt();
        assert!(
            (total / expected.grad_norm_total - 1.0).abs() < 1e-3,
            "{name}: {total}"
        );
        for (path, norm) in &norms {
            let theirs = expected.grad_norms[path];
            let relative = if path.starts_with("down1.bn") {
                1e-2
            } else {
                1e-3
            };
            // A convolution's bias before a norm has no gradient but rounding.
            let tolerance = relative * theirs + 1e-6 * expected.grad_norm_total;
            assert!(
                (norm - theirs).abs() < tolerance,
                "{name}: {path} {norm}, not {theirs}"
            );
        }
    }
}

#[test]
fn running_statistics_follow_keras_and_are_saved_with_their_last_update() {
    let Reference { network, tensors } = reference();
    network.forward(tensors["input"].clone());
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    save(&network, &path).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let saved = SafeTensors::deserialize(&bytes).unwrap();
    for (block, statistics) in expected().running_stats_after_one_step {
        for (name, expected) in [
            ("running_mean", statistics.mean_first3),
            ("running_var", statistics.var_first3),
        ] {
            let tensor = saved.tensor(&format!("{block}.bn.{name}")).unwrap();
            for (bytes, expected) in tensor.data().chunks_exact(4).zip(expected) {
                let value = f32::from_le_bytes(bytes.try_into().unwrap());
                assert!(
                    (value - expected).abs() < 1e-5,
                    "{block} {name}: {value}, not {expected}"
                );
            }
        }
    }
}

#[test]
fn networks_have_as_many_weights_as_their_references() {
    let device = Device::default();
    for (filters, counts) in expected().counts.into_iter().filter(|(f, _)| *f <= 16) {
        let network =
            parse(&format!("{{article: {{filters: {filters}}}}}")).init::<Flex>(1, &device);
        assert_eq!(network.parameter_count(), counts.live);
        assert_eq!(network.num_params(), counts.live + counts.statistics);
    }
    // MONAI's BasicUNet keeps twice the channels in its last upsampling (2 f to 2 f instead of f,
    // then 3 f instead of 2 f into the convolution); ours has a bias only where no norm follows.
    let f = 16;
    let convolutions = expected().basic_unet_conv_weights - 2 * f * f * 8 - f * f * 27;
    let upsampling_biases = (1 + 2 + 4 + 8) * f;
    // Two norms per block: 5 blocks down, 4 up.
    let norms = 2 * 2 * (1 + 2 + 4 + 8 + 16 + 8 + 4 + 2 + 1) * f;
    let network = parse("unet").init::<Flex>(1, &device);
    assert_eq!(
        network.parameter_count(),
        convolutions + upsampling_biases + norms + 1
    );
}

/// Small members of every family and variant.
const SMALL: &[&str] = &[
    "{article: {filters: 2}}",
    "{article: {filters: 2, as_published: false}}",
    "{unet: {filters: 4, levels: 3}}",
    "{unet: {filters: 4, levels: 3, norm: batch, activation: leaky_relu, dropout: 0.1}}",
    "{unet: {filters: 8, levels: 3, norm: group}}",
    "{unet: {filters: 4, levels: 2, norm: none, upsampling: trilinear}}",
    "{resunet: {filters: 4, levels: 3}}",
    "{resunet: {filters: 4, levels: 4, units: 0, norm: none, activation: silu, upsampling: trilinear}}",
    "{resunet: {filters: 8, levels: 3, units: 1, norm: group, activation: elu, dropout: 0.1}}",
    "{attention_unet: {filters: 4, levels: 3}}",
    "{attention_unet: {filters: 8, levels: 3, norm: group, activation: gelu, dropout: 0.1}}",
    "{attention_unet: {filters: 4, levels: 2, norm: none, activation: prelu, upsampling: trilinear}}",
    "{unet_plus_plus: {filters: 2, levels: 4}}",
    "{unet_plus_plus: {filters: 8, levels: 3, norm: eight_groups, deep_supervision: true, dropout: 0.1}}",
    "{unet_plus_plus: {filters: 2, levels: 2, norm: none, upsampling: trilinear}}",
    "{segresnet: {blocks_down: [1, 2, 1], blocks_up: [1, 2], dropout: 0.1}}",
    "{segresnet: {filters: 4, blocks_down: [1, 1], blocks_up: [1], norm: none, upsampling: transposed}}",
    "{segresnet: {filters: 3, blocks_down: [1, 1], blocks_up: [1], norm: batch, activation: prelu}}",
    "{vnet: {filters: 4, convolutions_down: [1, 2, 1], convolutions_up: [2, 1, 1], dropout: 0.1}}",
    "{vnet: {filters: 8, convolutions_down: [1], convolutions_up: [1], norm: group, activation: prelu, dropout: 0.0}}",
    "{vnet: {filters: 2, convolutions_down: [1], convolutions_up: [1], norm: none, upsampling: trilinear, dropout: 0.0}}",
    "{nnunet: {filters: 4, levels: 3}}",
    "{nnunet: {filters: 4, levels: 3, deep_supervision: false, norm: none, upsampling: trilinear, dropout: 0.1}}",
    "{resenc_unet: {filters: 4, blocks: [1, 2]}}",
    "{resenc_unet: {filters: 4, blocks: [1, 1, 1], norm: batch, activation: silu, upsampling: trilinear}}",
    "{mednext: {filters: 4, blocks: [1, 1], expansions: [2, 3]}}",
    "{mednext: {filters: 2, kernel: 5, blocks: [1, 1, 1], expansions: [2, 2, 2], norm: none, activation: prelu, deep_supervision: false}}",
    "{unet_2d: {filters: 4, levels: 3}}",
    "{unet_2d: {plane: coronal, filters: 8, levels: 2, norm: group, activation: elu}}",
];

#[test]
fn every_network_is_tested() {
    let tested: BTreeSet<&str> = SMALL.iter().map(|yaml| parse(yaml).name()).collect();
    assert_eq!(tested, Model::NAMES.iter().copied().collect());
}

fn image<B: burn::tensor::backend::Backend>(device: &B::Device) -> Tensor<B, 5> {
    Tensor::from_data(noise(1, [2, 1, 16, 32, 16]), device)
}

#[test]
fn every_network_keeps_the_images_size_and_trains_every_parameter() {
    let device = Device::default();
    for yaml in SMALL {
        let network = parse(yaml).init::<Ad>(7, &device);
        let images = image::<Ad>(&device);
        let target = Target::sigmoid(images.clone().greater_elem(0.5).float(), None);
        let outputs = network.forward_deep(images);
        assert_eq!(outputs[0].dims(), [2, 1, 16, 32, 16], "{yaml}");
        // Of several resolutions the coarsest is not trained.
        let coarsest = match (yaml.contains("mednext"), outputs.len()) {
            (_, 1) => None,
            (true, count) => Some(format!("heads.{}.", count - 1)),
            (false, _) => Some("decoder.heads.0.".to_owned()),
        };
        let gradients = Loss::default().forward_deep(outputs, &target).backward();
        for (path, norm) in gradient_norms(&network, &gradients) {
            let idle = coarsest.as_ref().is_some_and(|head| path.starts_with(head));
            if path.contains("running_") || idle {
                continue;
            }
            let norm = norm.unwrap_or_else(|| panic!("{yaml}: no gradient at {path}"));
            // Norms undo the biases before them.
            let idle =
                path.ends_with("conv.bias") && yaml.contains("article") && !path.starts_with("up");
            assert!(norm > 0.0 || idle, "{yaml}: gradient 0 at {path}");
        }
    }
}

#[test]
fn images_of_any_size_are_enlarged_and_cut_back() {
    let device = Device::default();
    for yaml in SMALL {
        let network = parse(yaml).init::<Flex>(7, &device);
        for [depth, height, width] in [[15, 17, 16], [3, 20, 9]] {
            let shape = [1, 1, depth, height, width];
            let images = Tensor::from_data(noise(1, shape), &device);
            assert_eq!(network.forward(images).dims(), shape, "{yaml}");
        }
    }
    let network = parse(SMALL[0]).init::<Flex>(7, &device);
    let images = Tensor::from_data(noise(1, [1, 1, 15, 17, 16]), &device);
    let logits = network.forward(images.clone());
    let whole = network.forward(images.pad([(0, 1), (0, 15), (0, 0)], PadMode::Constant(0.0)));
    let same = whole.slice([0..1, 0..1, 0..15, 0..17, 0..16]);
    assert_eq!(largest_difference(logits, same), 0.0);
}

#[test]
fn networks_take_any_number_of_images_and_structures() {
    let device = Device::default();
    let ends = Channels {
        input: 3,
        output: 4,
    };
    for yaml in SMALL {
        let network = parse(yaml).init_for::<Flex>(ends, 7, &device);
        let images = Tensor::from_data(noise(1, [2, 3, 16, 16, 16]), &device);
        assert_eq!(network.forward(images).dims(), [2, 4, 16, 16, 16], "{yaml}");
    }
}

fn values<B: burn::tensor::backend::Backend>(network: &Network<B>) -> Vec<Vec<f32>> {
    struct Values(Vec<Vec<f32>>);
    impl<B: burn::tensor::backend::Backend> ModuleVisitor<B> for Values {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
            self.0.push(param.val().into_data().to_vec().unwrap());
        }
    }
    let mut values = Values(Vec::new());
    network.visit(&mut values);
    values.0
}

#[test]
fn initial_weights_depend_on_the_seed_alone() {
    let device = Device::default();
    for yaml in SMALL {
        let model = parse(yaml);
        let first = values(&model.init::<Ad>(1, &device));
        assert_eq!(first, values(&model.init::<Flex>(1, &device)), "{yaml}");
        assert_ne!(first, values(&model.init::<Ad>(2, &device)), "{yaml}");
        let drawn: Vec<&Vec<f32>> = first
            .iter()
            // Biases, norms' weights and activations' slopes start constant.
            .filter(|values| values.iter().any(|x| *x != values[0]))
            .collect();
        assert!(drawn.len() > 5);
        assert_eq!(
            drawn
                .iter()
                .map(|v| v[0].to_bits())
                .collect::<BTreeSet<_>>()
                .len(),
            drawn.len()
        );
    }
}

#[test]
fn parameters_are_named_alike_in_every_run_and_no_two_alike() {
    struct Ids(Vec<u64>);
    impl ModuleVisitor<Ad> for Ids {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Ad, D>>) {
            if param.val().is_require_grad() {
                self.0.push(param.id.val());
            }
        }
    }
    let ids = |seed| {
        let mut ids = Ids(Vec::new());
        parse(SMALL[3])
            .init::<Ad>(seed, &Device::default())
            .visit(&mut ids);
        ids.0
    };
    assert_eq!(ids(1), ids(2));
    assert_eq!(ids(1).iter().collect::<BTreeSet<_>>().len(), ids(1).len());
}

#[test]
fn saved_weights_give_equal_logits_in_a_new_network() {
    let device = Device::default();
    let folder = tempfile::tempdir().unwrap();
    for yaml in SMALL {
        let model = parse(yaml);
        let trained = model.init::<Ad>(1, &device);
        // Moves the running statistics, where there are any.
        trained.forward(image(&device));
        let path = folder.path().join("weights.safetensors");
        save(&trained, &path).unwrap();
        let loaded = load(model.init::<Flex>(2, &device), &path, &device).unwrap();
        let images = image::<Flex>(&device);
        let difference = largest_difference(
            trained.valid().forward(images.clone()),
            loaded.forward(images),
        );
        assert_eq!(difference, 0.0, "{yaml}");
    }
}

#[test]
fn loaded_weights_can_be_trained() {
    let Reference { network, tensors } = reference();
    let loss = network.forward(tensors["input"].clone()).mean();
    let norms = gradient_norms(&network, &loss.backward());
    assert!(norms["down1.conv.weight"].is_some());
}

#[test]
fn unusable_weights_are_refused_with_the_reason() {
    let device = Device::default();
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    let refuse =
        |yaml: &str| load(parse(yaml).init::<Flex>(1, &device), &path, &device).unwrap_err();
    let check = |error: WeightsError, words: &str| {
        let message = error.to_string();
        assert!(
            message.contains(words) && message.contains("weights.safetensors"),
            "{message}"
        );
    };

    check(refuse("unet"), "cannot read");
    let published = parse("{article: {filters: 4}}").init::<Flex>(1, &device);
    save(&published, &path).unwrap();
    check(refuse("unet"), "is missing");
    check(refuse("{article: {filters: 8}}"), "instead of");
    check(
        refuse("{article: {filters: 4, as_published: false}}"),
        "is missing",
    );
    let intended = parse("{article: {filters: 4, as_published: false}}").init::<Flex>(1, &device);
    save(&intended, &path).unwrap();
    check(refuse("{article: {filters: 4}}"), "another network");

    let bytes = std::fs::read(&path).unwrap();
    for damaged in [
        &bytes[..bytes.len() / 2],
        &bytes[..4],
        b"not weights at all",
        b"",
    ] {
        std::fs::write(&path, damaged).unwrap();
        assert!(matches!(
            refuse("{article: {filters: 4}}"),
            WeightsError::Malformed { .. }
        ));
    }
    let mut poisoned = bytes;
    let end = poisoned.len();
    poisoned[end - 4..].copy_from_slice(&f32::NAN.to_le_bytes());
    std::fs::write(&path, poisoned).unwrap();
    check(
        refuse("{article: {filters: 4, as_published: false}}"),
        "not finite",
    );
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    for (yaml, field) in [
        ("{article: {filters: 0}}", "filters"),
        ("{article: {dropout: 1.0}}", "dropout"),
        ("{unet: {filters: 0}}", "filters"),
        ("{unet: {levels: 1}}", "levels"),
        ("{unet: {levels: 60}}", "levels"),
        ("{unet: {filters: 12, norm: group}}", "filters"),
        ("{unet: {dropout: -0.1}}", "dropout"),
        ("{resunet: {levels: 1}}", "levels"),
        ("{resunet: {units: 9}}", "units"),
        ("{resunet: {dropout: 1.0}}", "dropout"),
        (
            "{attention_unet: {filters: 12, norm: eight_groups}}",
            "filters",
        ),
        ("{attention_unet: {levels: 9}}", "levels"),
        ("{unet_plus_plus: {levels: 1}}", "levels"),
        ("{unet_plus_plus: {filters: 321}}", "filters"),
        ("{segresnet: {filters: 12}}", "filters"),
        ("{segresnet: {filters: 0}}", "filters"),
        (
            "{segresnet: {blocks_down: [1], blocks_up: []}}",
            "blocks_down",
        ),
        (
            "{segresnet: {blocks_down: [0, 1], blocks_up: [1]}}",
            "blocks_down",
        ),
        ("{segresnet: {blocks_up: [1, 1]}}", "blocks_up"),
        ("{segresnet: {blocks_up: [1, 17, 1]}}", "blocks_up"),
        ("{vnet: {filters: 0}}", "filters"),
        ("{vnet: {dropout: 1.5}}", "dropout"),
        (
            "{vnet: {convolutions_down: [], convolutions_up: []}}",
            "convolutions_down",
        ),
        (
            "{vnet: {convolutions_down: [1, 2, 9, 2]}}",
            "convolutions_down",
        ),
        ("{vnet: {convolutions_up: [1]}}", "convolutions_up"),
        ("{vnet: {convolutions_up: [0, 2, 1, 1]}}", "convolutions_up"),
    ] {
        let model: Model = serde_yaml::from_str(yaml).unwrap();
        let faults = model.validate().unwrap_err().0;
        let path = &faults[0].path;
        assert!(path.contains(&format!(".{field}")), "{yaml}: {faults:?}");
    }
}
