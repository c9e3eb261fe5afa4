//! The networks that follow MONAI's: with its weights they compute what it computes.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use calvaria::model::weights::load;
use calvaria::model::{Channels, Model};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

type Ad = Autodiff<Flex>;
type Device = burn::tensor::Device<Flex>;

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/models_monai"
    ))
    .join(name)
}

fn parse(yaml: &str) -> Model {
    let model: Model = serde_yaml::from_str(yaml).unwrap();
    model.validate().unwrap();
    model
}

/// Inputs and outputs of MONAI's network, by name.
fn tensors(name: &str) -> BTreeMap<String, Tensor<Flex, 5>> {
    let bytes = std::fs::read(fixture(&format!("{name}_outputs.safetensors"))).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |(name, view): (String, safetensors::tensor::TensorView)| {
        let dtype = match view.dtype() {
            Dtype::F16 => burn::tensor::DType::F16,
            Dtype::F32 => burn::tensor::DType::F32,
            other => panic!("{other:?}"),
        };
        let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype);
        let data = data.convert::<f32>();
        (name, Tensor::from_data(data, &Device::default()))
    };
    tensors.tensors().into_iter().map(tensor).collect()
}

fn assert_close(name: &str, ours: Tensor<Flex, 5>, theirs: &Tensor<Flex, 5>) {
    assert_eq!(ours.dims(), theirs.dims(), "{name}");
    let difference: f32 = (ours - theirs.clone()).abs().max().into_scalar();
    println!("{name}: {difference}");
    assert!(difference < 1e-4, "{name}: {difference}");
}

/// Compares the logits in prediction, and, where MONAI's differ, in training.
fn compare(name: &str, yaml: &str) {
    let device = Device::default();
    let tensors = tensors(name);
    let ends = Channels {
        input: tensors["input"].dims()[1],
        output: tensors["eval"].dims()[1],
    };
    let weights = fixture(&format!("{name}.safetensors"));
    let network = parse(yaml).init_for::<Flex>(ends, 1, &device);
    let network = load(network, &weights, &device).unwrap();
    let logits = network.forward(tensors["input"].clone());
    assert_close(name, logits, &tensors["eval"]);
    if let Some(theirs) = tensors.get("train") {
        let network = parse(yaml).init_for::<Ad>(ends, 1, &device);
        let network = load(network, &weights, &device).unwrap();
        let input = Tensor::from_inner(tensors["input"].clone());
        assert_close(name, network.forward(input).inner(), theirs);
    }
}

#[test]
fn resunet_computes_what_monais_unet_computes() {
    compare("resunet", "{resunet: {filters: 4, levels: 3}}");
    compare(
        "resunet_units_0",
        "{resunet: {filters: 4, levels: 3, units: 0, norm: batch}}",
    );
}

#[test]
fn attention_unet_computes_what_monais_computes() {
    compare(
        "attention_unet",
        "{attention_unet: {filters: 4, levels: 3}}",
    );
}

#[test]
fn unet_plus_plus_gives_the_mean_of_monais_outputs() {
    let name = "unet_plus_plus";
    let device = Device::default();
    let model = parse("{unet_plus_plus: {filters: 2, deep_supervision: true}}");
    let weights = fixture("unet_plus_plus.safetensors");
    let network = load(model.init::<Flex>(1, &device), &weights, &device).unwrap();
    let tensors = tensors(name);
    let logits = network.forward(tensors["input"].clone());
    assert_close(name, logits, &tensors["eval_mean"]);
    assert_eq!(network.forward_deep(tensors["input"].clone()).len(), 1);
}

#[test]
fn unet_plus_plus_without_deep_supervision_gives_monais_last_output() {
    let bytes = std::fs::read(fixture("unet_plus_plus.safetensors")).unwrap();
    let all = SafeTensors::deserialize(&bytes).unwrap();
    let kept = all
        .iter()
        .filter(|(name, _)| !name.starts_with("other_heads"));
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weights.safetensors");
    safetensors::serialize_to_file(kept, None, &path).unwrap();

    let device = Device::default();
    let model = parse("{unet_plus_plus: {filters: 2}}");
    let network = load(model.init::<Flex>(1, &device), &path, &device).unwrap();
    let tensors = tensors("unet_plus_plus");
    let logits = network.forward(tensors["input"].clone());
    assert_close("last", logits, &tensors["eval"]);
}

#[test]
fn segresnet_computes_what_monais_computes() {
    compare(
        "segresnet",
        "{segresnet: {blocks_down: [1, 2], blocks_up: [1]}}",
    );
}

#[test]
fn vnet_computes_what_monais_computes() {
    compare(
        "vnet",
        "{vnet: {filters: 2, convolutions_down: [1, 2], convolutions_up: [2, 1], dropout: 0.0}}",
    );
}

/// The widths of five levels; the first is `filters`.
fn pyramid(filters: usize) -> [usize; 5] {
    [0, 1, 2, 3, 4].map(|level| filters << level)
}

/// Numbers of trainable weights, as MONAI's except where noted.
#[test]
fn networks_have_as_many_weights_as_monais() {
    #[derive(Deserialize)]
    struct Expected {
        counts: BTreeMap<String, usize>,
    }
    let text = std::fs::read_to_string(fixture("counts.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    let all: usize = pyramid(16).iter().sum();
    let but_the_deepest = all - 256;
    // What ours has more, and less.
    let cases = [
        // UNet(channels=(16, 32, 64, 128, 256), strides=(2, 2, 2, 2), num_res_units=2). Its instance
        // normalisation has no weights, ours has two per channel, and no bias before it: two layers a level
        // of the encoder, two of the decoder; its last normalisation is of one channel.
        ("resunet", "resunet", 2 * all + 2 * (64 + 32 + 16) + 1, 0),
        (
            "resunet_units_0",
            "{resunet: {units: 0}}",
            all + (64 + 32 + 16),
            0,
        ),
        // AttentionUnet(channels=(16, 32, 64, 128, 256), strides=(2, 2, 2, 2)). Two layers a level of the
        // encoder, one upsampling and a gate of three layers (of half the channels, twice, and of one)
        // a level of the decoder have a bias that ours lack. The merging layer has a bias and a PReLU's
        // slope; ours has batch normalisation.
        (
            "attention_unet",
            "attention_unet",
            2 * but_the_deepest,
            2 * all + but_the_deepest + (but_the_deepest + 4) + (but_the_deepest + 4),
        ),
        // BasicUNetPlusPlus(deep_supervision=True): two biases before normalisations in each of the
        // five nodes of the first row, the four of the second, …
        (
            "unet_plus_plus",
            "{unet_plus_plus: {deep_supervision: true}}",
            0,
            2 * (5 * 32 + 4 * 32 + 3 * 64 + 2 * 128 + 256),
        ),
        // SegResNet(out_channels=1).
        ("segresnet", "segresnet", 0, 0),
        // VNet(): its upsampling has a bias before its normalisation.
        ("vnet", "vnet", 0, but_the_deepest),
    ];
    assert_eq!(cases.len(), expected.counts.len());
    for (name, yaml, more, less) in cases {
        let ours = parse(yaml)
            .init::<Flex>(1, &Device::default())
            .parameter_count();
        assert_eq!(ours + less, expected.counts[name] + more, "{name}");
    }
}
