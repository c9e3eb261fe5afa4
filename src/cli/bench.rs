//! `calvaria bench`.

use std::path::PathBuf;

use burn::backend::autodiff::checkpoint::strategy::{BalancedCheckpointing, NoCheckpointing};
use serde::Serialize;

use super::Failed;
use super::device::{on_device, resolve_one};
use crate::device::{DeviceChoice, peak_memory_mib};
use crate::experiment::{self, Experiment};
use crate::kernel::{Precision, TrainingBackend};
use crate::train::{Pace, pace};

/// Time training steps and predictions of an experiment's network, on random voxels: whether it fits
/// into memory, and how long it will take.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The experiment, of which the network, the loss, the optimizer and the batch size count.
    experiment: PathBuf,
    /// Override a value, such as train.batch_size=4 (the value is YAML).
    #[arg(long = "set", value_name = "KEY=VALUE")]
    overrides: Vec<String>,
    /// Where to compute: auto, cpu, cuda[:INDEX] or vulkan[:INDEX].
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
    /// Size of the images in voxels.
    #[arg(
        long,
        value_name = "D,H,W",
        value_delimiter = ',',
        default_value = "96,128,160"
    )]
    size: Vec<usize>,
    /// Steps that are timed, after a first one.
    #[arg(long, default_value_t = 10)]
    steps: usize,
    /// Print JSON, for scripts.
    #[arg(long)]
    json: bool,
}

/// What was timed, where, and what came of it.
#[derive(Serialize)]
struct Timed {
    device: String,
    model: &'static str,
    batch_size: usize,
    size: [usize; 3],
    precision: Precision,
    threads: usize,
    #[serde(flatten)]
    pace: Pace,
    /// Of the program's own memory; a GPU's is not in it.
    peak_mib: Option<f64>,
}

pub(super) fn main(args: &Args) -> Result<(), Failed> {
    let resolved = experiment::load(&args.experiment, &args.overrides).map_err(Failed::input)?;
    let experiment = &resolved.experiment;
    let size = match args.size[..] {
        [depth, height, width] if depth * height * width > 0 => [depth, height, width],
        _ => {
            return Err(Failed::input(
                "--size takes three sizes above 0, such as 96,128,160.",
            ));
        }
    };
    let device = resolve_one(&args.device)?;
    let work = (experiment, size, args.steps);
    let timed = if experiment.train.checkpointing {
        on_device!(&device, BalancedCheckpointing, time(work))
    } else {
        on_device!(&device, NoCheckpointing, time(work))
    }?;
    if args.json {
        let text = serde_json::to_string(&timed).map_err(Failed::work)?;
        outln!("{text}");
    } else {
        show(&timed);
    }
    Ok(())
}

fn time<B: TrainingBackend>(
    (experiment, size, steps): (&Experiment, [usize; 3], usize),
    devices: &[B::Device],
    names: &str,
) -> Result<Timed, Failed> {
    let device = &devices[0];
    let precision = experiment.train.precision;
    precision.check::<B>(device).map_err(Failed::input)?;
    let pace = pace::<B>(experiment, size, steps, device);
    Ok(Timed {
        device: names.to_owned(),
        model: experiment.model.name(),
        batch_size: experiment.train.batch_size,
        size,
        precision,
        threads: rayon::current_num_threads(),
        pace,
        peak_mib: peak_memory_mib(),
    })
}

fn show(timed: &Timed) {
    let [depth, height, width] = timed.size;
    outln!(
        "{} with {} parameters, batches of {} at {depth}x{height}x{width} in {}, on {}",
        timed.model,
        timed.pace.parameters,
        timed.batch_size,
        timed.precision.name(),
        timed.device
    );
    let rows = [
        ("training step", timed.pace.step, timed.pace.first_step),
        (
            "prediction",
            timed.pace.inference,
            timed.pace.first_inference,
        ),
    ];
    for (what, usual, first) in rows {
        outln!("  {what:<24}{usual:.3} s (the first {first:.1} s)");
    }
    if let Some(peak) = timed.peak_mib {
        outln!("  {:<24}{peak:.0} MiB", "peak of main memory");
    }
}
