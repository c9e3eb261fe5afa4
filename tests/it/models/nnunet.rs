//! The networks that follow nnU-Net's and MedNeXt: with the peers' weights they compute what these compute.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use burn::backend::Flex;
use burn::tensor::{DType, Tensor, TensorData};
use calvaria::model::weights::{load, start};
use calvaria::model::{Channels, Model, Network};
use safetensors::{Dtype, SafeTensors};
use serde::Deserialize;

use crate::common::noise;

type Device = burn::tensor::Device<Flex>;

fn fixture(name: &str) -> PathBuf {
    Path::new(concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/models_nnunet"
    ))
    .join(name)
}

fn parse(yaml: &str) -> Model {
    let model: Model = serde_yaml::from_str(yaml).unwrap();
    model.validate().unwrap();
    model
}

/// An input and the outputs of all resolutions, the images' own first.
fn reference(name: &str) -> (Tensor<Flex, 5>, Vec<Tensor<Flex, 5>>) {
    let bytes = std::fs::read(fixture(&format!("{name}_outputs.safetensors"))).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = |name: &str| {
        let view = tensors.tensor(name).ok()?;
        let dtype = match view.dtype() {
            Dtype::F16 => DType::F16,
            _ => DType::F32,
        };
        let data = TensorData::from_bytes_vec(view.data().to_vec(), view.shape().to_vec(), dtype);
        Some(Tensor::from_data(data.convert::<f32>(), &Device::default()))
    };
    let outputs = (0..).map_while(|level| tensor(&format!("output_{level}")));
    (tensor("input").unwrap(), outputs.collect())
}

fn compare(name: &str, yaml: &str) {
    let device = Device::default();
    let (input, theirs) = reference(name);
    let ends = Channels {
        input: input.dims()[1],
        output: theirs[0].dims()[1],
    };
    let network = parse(yaml).init_for::<Flex>(ends, 1, &device);
    let weights = fixture(&format!("{name}.safetensors"));
    let network = load(network, &weights, &device).unwrap();
    let mut ours = network.forward_deep(input.clone());
    assert_eq!(ours.len(), theirs.len(), "{name}");
    ours.push(network.forward(input));
    for (ours, theirs) in ours.into_iter().zip(theirs.iter().chain(&theirs[..1])) {
        assert_eq!(ours.dims(), theirs.dims(), "{name}");
        let difference: f32 = (ours - theirs.clone()).abs().max().into_scalar();
        println!("{name}: {difference}");
        assert!(difference < 1e-4, "{name}: {difference}");
    }
}

#[test]
fn weights_under_nnu_nets_names_are_those_under_ours() {
    let device = Device::default();
    let ends = Channels {
        input: 2,
        output: 3,
    };
    for (name, yaml) in [
        ("nnunet", "{nnunet: {filters: 4, levels: 3}}"),
        (
            "resenc_unet",
            "{resenc_unet: {filters: 4, blocks: [1, 2, 2]}}",
        ),
    ] {
        let network = |seed| parse(yaml).init_for::<Flex>(ends, seed, &device);
        let ours = load(
            network(1),
            &fixture(&format!("{name}.safetensors")),
            &device,
        )
        .unwrap();
        let file = fixture(&format!("{name}_state.safetensors"));
        let input = reference(name).0;
        let same = |theirs: Network<Flex>| {
            let [ours, theirs] = [&ours, &theirs].map(|of| of.forward(input.clone()).into_data());
            ours == theirs
        };
        assert!(same(load(network(2), &file, &device).unwrap()), "{name}");
        assert!(
            same(start(network(3), &file, &[], &device).unwrap()),
            "{name}"
        );
        // A layer that starts anew is not the peer's.
        let skip = ["decoder.heads".to_owned()];
        assert!(
            !same(start(network(3), &file, &skip, &device).unwrap()),
            "{name}"
        );
    }
}

#[test]
fn nnunet_computes_what_nnu_nets_plain_network_computes() {
    compare("nnunet", "{nnunet: {filters: 4, levels: 3}}");
}

#[test]
fn resenc_unet_computes_what_nnu_nets_residual_network_computes() {
    compare(
        "resenc_unet",
        "{resenc_unet: {filters: 4, blocks: [1, 2, 2]}}",
    );
}

#[test]
fn mednext_computes_what_monais_computes() {
    compare(
        "mednext",
        "{mednext: {filters: 4, blocks: [1, 2, 2], expansions: [2, 3, 4]}}",
    );
    compare(
        "mednext_5",
        "{mednext: {filters: 4, kernel: 5, blocks: [1, 1], expansions: [2, 2]}}",
    );
}

#[test]
fn unet_2d_computes_for_each_slice_what_nnu_nets_plain_network_computes() {
    compare(
        "unet_2d",
        "{unet_2d: {plane: sagittal, filters: 4, levels: 3}}",
    );
}

#[test]
fn networks_have_as_many_weights_as_their_peers() {
    #[derive(Deserialize)]
    struct Count {
        parameters: usize,
        idle_biases: usize,
    }
    let text = std::fs::read_to_string(fixture("counts.json")).unwrap();
    let counts: BTreeMap<String, Count> = serde_json::from_str(&text).unwrap();
    for (yaml, count) in counts {
        let network = parse(&yaml).init::<Flex>(1, &Device::default());
        // Ours have a bias only where no norm undoes it.
        let theirs = count.parameters - count.idle_biases;
        assert_eq!(network.parameter_count(), theirs, "{yaml}");
    }
}

#[test]
fn each_coarser_output_has_half_the_resolution_rounded_up() {
    let device = Device::default();
    let images = || Tensor::from_data(noise(1, [1, 1, 13, 9, 20]), &device);
    for yaml in [
        "{nnunet: {filters: 2, levels: 4}}",
        "{resenc_unet: {filters: 2, blocks: [1, 1, 1, 1]}}",
    ] {
        let network = parse(yaml).init::<Flex>(1, &device);
        let shapes: Vec<_> = network
            .forward_deep(images())
            .iter()
            .map(Tensor::dims)
            .collect();
        let expected = [[1, 1, 13, 9, 20], [1, 1, 7, 5, 10], [1, 1, 4, 3, 5]];
        assert_eq!(shapes, expected, "{yaml}");
    }
    let yaml = "{nnunet: {filters: 2, levels: 4, deep_supervision: false}}";
    let network = parse(yaml).init::<Flex>(1, &device);
    assert_eq!(network.forward_deep(images()).len(), 1);
}

#[test]
fn a_slice_knows_nothing_of_the_others() {
    let device = Device::default();
    for (axis, plane) in ["sagittal", "coronal", "axial"].into_iter().enumerate() {
        let yaml = format!("{{unet_2d: {{plane: {plane}, filters: 4, levels: 3}}}}");
        let network = parse(&yaml).init::<Flex>(1, &device);
        let images: Tensor<Flex, 5> = Tensor::from_data(noise(1, [1, 1, 6, 7, 9]), &device);
        let turned = network.forward(images.clone().flip([axis as isize + 2]));
        let logits = network.forward(images).flip([axis as isize + 2]);
        let difference: f32 = (turned - logits).abs().max().into_scalar();
        assert!(difference < 1e-5, "{plane}: {difference}");
    }
}
