//! Networks that compute in bf16: the same but for its rounding, with weights and results in f32.

use crate::common::{calvaria, noise, toy_workplace};
use burn::backend::{Autodiff, Flex};
use burn::module::{AutodiffModule, Module, ModuleVisitor, Param};
use burn::tensor::backend::AutodiffBackend;
use burn::tensor::{DType, Tensor};
use calvaria::kernel::Precision;
use calvaria::layout::RunFolder;
use calvaria::loss::{Loss, Target};
use calvaria::model::Model;

type Ad = Autodiff<Flex>;

const MODELS: &str = "
- article: {filters: 4, dropout: 0.0}
- unet: {filters: 4, levels: 3, norm: group, activation: gelu}
- resunet: {filters: 4, levels: 3, activation: prelu}
- attention_unet: {filters: 4, levels: 3, activation: silu}
- unet_plus_plus: {filters: 4, levels: 3, activation: elu}
- segresnet: {filters: 8, blocks_down: [1, 1], blocks_up: [1], upsampling: trilinear}
- vnet: {filters: 4, convolutions_down: [1, 2], convolutions_up: [1, 1], dropout: 0.0}
- nnunet: {filters: 4, levels: 3}
- resenc_unet: {filters: 4, blocks: [1, 1, 1]}
- mednext: {filters: 4, blocks: [1, 1, 1], expansions: [2, 2, 2]}
- unet_2d: {filters: 4, levels: 3}
";

/// The gradients of a network's weights, layer by layer.
struct Gradients<'a> {
    of: &'a <Ad as AutodiffBackend>::Gradients,
    layers: Vec<Vec<f32>>,
}

impl ModuleVisitor<Ad> for Gradients<'_> {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<Ad, D>>) {
        if let Some(gradient) = param.val().grad(self.of) {
            assert_eq!(gradient.dtype(), DType::F32);
            self.layers.push(gradient.into_data().to_vec().unwrap());
        }
    }
}

fn norm(values: impl IntoIterator<Item = f32>) -> f64 {
    let squares = values.into_iter().map(|value| f64::from(value).powi(2));
    squares.sum::<f64>().sqrt()
}

/// How far `ours` is from `theirs`, as a part of `theirs`.
fn apart(ours: &[f32], theirs: &[f32]) -> f64 {
    norm(ours.iter().zip(theirs).map(|(a, b)| a - b)) / norm(theirs.iter().copied())
}

#[test]
fn logits_are_those_of_single_precision_but_for_rounding_and_gradients_are_finite() {
    let device = Default::default();
    let models: Vec<Model> = serde_yaml::from_str(MODELS).unwrap();
    let names: Vec<_> = models.iter().map(Model::name).collect();
    assert_eq!(names, Model::NAMES);
    // Of a size that networks enlarge.
    let shape = [2, 1, 15, 16, 14];
    let images = Tensor::<Ad, 5>::from_data(noise(1, shape), &device);
    let target = Target::sigmoid(images.clone().greater_elem(0.3).float(), None);
    for model in models {
        let results = [Precision::F32, Precision::Bf16].map(|precision| {
            // A new one each time: a forward pass moves the running means of batch normalisation.
            let network = model.init::<Ad>(3, &device);
            let outputs = network.forward_deep(precision.of(images.clone()));
            let logits = outputs[0].clone().into_data().to_vec::<f32>().unwrap();
            let loss = Loss::default().forward_deep(outputs, &target);
            let mut gradients = Gradients {
                of: &loss.backward(),
                layers: Vec::new(),
            };
            network.visit(&mut gradients);
            let validated = network
                .valid()
                .forward(precision.of(images.clone().inner()));
            let validated = validated.into_data().to_vec::<f32>().unwrap();
            (logits, validated, gradients.layers)
        });
        let [
            (logits, validated, layers),
            (rounded, rounded_validated, rounded_layers),
        ] = results;
        let name = model.name();
        let gradients = apart(&rounded_layers.concat(), &layers.concat());
        let by = [
            apart(&rounded, &logits),
            apart(&rounded_validated, &validated),
        ];
        println!("{name}: logits {by:?}, gradients {gradients} apart");
        // A rounding is of up to 2^-9 of the value, which is 2e-3; there are dozens one after the other.
        for by in by {
            assert!(by > 1e-4 && by < 0.1, "{name}: {by:?}");
        }
        assert!(gradients.is_finite(), "{name}: gradients {gradients}");
    }
}

#[test]
fn a_run_in_bf16_learns_as_one_in_single_precision_does() {
    let folder = toy_workplace(4);
    let history = |precision: &str| {
        let setting = format!("train.precision={precision}");
        calvaria()
            .current_dir(folder.path())
            .args([
                "run",
                "toy.yaml",
                "--device",
                "cpu",
                "-q",
                "--results",
                precision,
            ])
            .args(["--set", &setting])
            .assert()
            .success();
        RunFolder::new(folder.path().join(precision).join("toy/seed-7"))
            .read_metrics()
            .unwrap()
    };
    let (single, half) = (history("f32"), history("bf16"));
    assert_eq!(single.len(), half.len());
    for (single, half) in single.iter().zip(&half) {
        println!("{single:?}\n{half:?}");
        assert!(single.train_loss != half.train_loss);
        assert!((single.train_loss - half.train_loss).abs() < 0.05 * single.train_loss);
    }
}
