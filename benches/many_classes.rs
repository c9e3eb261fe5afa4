//! Memory and time of a training step with many structures that exclude each other, as a plain 3-D U-Net with Dice and
//! cross-entropy needs them, and with next to no loss at all:
//!
//!     cargo bench --bench many_classes -- D H W FILTERS STRUCTURES mean|losses
//!
//! Prints JSON: seconds of the second step without the optimiser (forward with the loss, and backward), and the peak of
//! resident memory.

use std::time::Instant;

use burn::backend::{Autodiff, Flex};
use burn::tensor::{Distribution, ElementConversion, Tensor};
use calvaria::loss::{Loss, Target};
use calvaria::model::{Channels, Model};

type B = Autodiff<Flex>;

fn main() {
    let arguments: Vec<String> = std::env::args().collect();
    let numbers: Vec<usize> = arguments
        .iter()
        .filter_map(|text| text.parse().ok())
        .collect();
    let [d, h, w, filters, structures] = numbers[..] else {
        panic!("usage: D H W FILTERS STRUCTURES mean|losses");
    };
    let losses = arguments.iter().any(|text| text == "losses");
    calvaria::kernel::keep_memory();
    let yaml = format!("{{unet: {{filters: {filters}, levels: 5, norm: batch}}}}");
    let model: Model = serde_yaml::from_str(&yaml).expect("a valid model");
    let loss: Loss = serde_yaml::from_str("{sum: [dice, cross_entropy]}").expect("a valid loss");
    let device = Default::default();
    let channels = Channels {
        input: 1,
        output: structures + 1,
    };
    let network = model.init_for::<B>(channels, 0, &device);
    let shape = [1, 1, d, h, w];
    let images = Tensor::<B, 5>::random(shape, Distribution::Normal(0.0, 1.0), &device);
    let classes = Distribution::Uniform(0.0, (structures + 1) as f64 - 1e-3);
    let classes = Tensor::<B, 5>::random(shape, classes, &device).floor();
    let target = Target::softmax(classes, false);
    let (mut seconds, mut value) = (Vec::new(), 0.0);
    for _ in 0..2 {
        let started = Instant::now();
        let logits = network.forward(images.clone());
        let loss = match losses {
            true => loss.forward(logits, &target),
            false => logits.mean(),
        };
        value = loss.clone().into_scalar().elem::<f32>();
        let gradients = loss.backward();
        seconds.push(started.elapsed().as_secs_f64());
        drop(gradients);
    }
    println!(
        "{{\"loss\": \"{}\", \"structures\": {structures}, \"threads\": {}, \"value\": {value}, \"step_s\": {:.2}, \
         \"peak_mib\": {:.0}}}",
        if losses {
            "dice and cross_entropy"
        } else {
            "mean of the logits"
        },
        rayon::current_num_threads(),
        seconds[1],
        peak_mib(),
    );
}

/// Peak of resident memory so far, if the system reports it.
fn peak_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB"));
    kib.and_then(|kib| kib.trim().parse::<f64>().ok())
        .map_or(f64::NAN, |kib| kib / 1024.0)
}
