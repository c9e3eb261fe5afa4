//! One training step of a plain 3-D U-Net (double convolutions, batch normalisation, five levels), and
//! inference, as `peers/torch_step.py` does with PyTorch:
//!
//!     cargo bench --bench training_step -- N D H W FILTERS [STEPS] [checkpointing]
//!
//! Prints JSON: median seconds of forward (with loss), backward with Adam, the whole step, inference,
//! and the peak of resident memory in training.

use std::time::Instant;

use burn::backend::{Autodiff, Flex};
use burn::module::AutodiffModule;
use burn::optim::{AdamConfig, GradientsParams, Optimizer};
use burn::tensor::{Distribution, ElementConversion, Tensor};
use calvaria::kernel::with_checkpointing;
use calvaria::loss::{Loss, Target};
use calvaria::model::Model;

type B = Autodiff<Flex>;

fn main() {
    let checkpointing = std::env::args().any(|argument| argument == "checkpointing");
    let numbers: Vec<usize> = std::env::args()
        .filter_map(|argument| argument.parse().ok())
        .collect();
    let (shape, steps) = match numbers[..] {
        [] => ([1, 48, 64, 80, 16], 5),
        [n, d, h, w, filters] => ([n, d, h, w, filters], 10),
        [n, d, h, w, filters, steps] => ([n, d, h, w, filters], steps),
        _ => panic!("usage: N D H W FILTERS [STEPS]"),
    };
    calvaria::kernel::keep_memory();
    let [n, d, h, w, filters] = shape;
    let yaml = format!("{{unet: {{filters: {filters}, levels: 5, norm: batch}}}}");
    let model: Model = serde_yaml::from_str(&yaml).expect("a valid model");
    let loss: Loss = serde_yaml::from_str("{sum: [dice, bce]}").expect("a valid loss");
    let device = Default::default();
    let mut network = model.init::<B>(0, &device);
    let mut adam = AdamConfig::new().init();
    let x = Tensor::<B, 5>::random([n, 1, d, h, w], Distribution::Normal(0.0, 1.0), &device);
    let target = Target::sigmoid(x.clone().greater_elem(0.5).float(), None);
    let (mut forward, mut backward, mut whole, mut losses) = (vec![], vec![], vec![], vec![]);
    // The first is to warm up.
    for step in 0..=steps {
        let started = Instant::now();
        let value = with_checkpointing(checkpointing, || {
            loss.forward(network.forward(x.clone()), &target)
        });
        losses.push(value.clone().into_scalar().elem::<f32>());
        let between = Instant::now();
        let gradients = GradientsParams::from_grads(value.backward(), &network);
        network = adam.step(1e-3, network, gradients);
        let ended = Instant::now();
        if step > 0 {
            forward.push((between - started).as_secs_f64());
            backward.push((ended - between).as_secs_f64());
            whole.push((ended - started).as_secs_f64());
        }
    }
    let peak = peak_mib();
    let (network, x) = (network.valid(), x.inner());
    let mut inference = Vec::new();
    for step in 0..=steps {
        let started = Instant::now();
        let sum = network.forward(x.clone()).sum().into_scalar().elem::<f32>();
        assert!(sum.is_finite());
        if step > 0 {
            inference.push(started.elapsed().as_secs_f64());
        }
    }
    println!(
        "{{\"shape\": {shape:?}, \"threads\": {}, \"parameters\": {}, \"forward_s\": {:.4}, \
         \"backward_and_step_s\": {:.4}, \"step_s\": {:.4}, \"inference_s\": {:.4}, \
         \"peak_mib\": {peak:.0}, \"losses\": {losses:?}}}",
        rayon::current_num_threads(),
        network.parameter_count(),
        median(forward),
        median(backward),
        median(whole),
        median(inference),
    );
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

/// Peak of resident memory so far, if the system reports it.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<f64>().ok())
        .map_or(f64::NAN, |kib| kib / 1024.0)
}
