//! `calvaria bench`.

use std::path::PathBuf;

use super::CliError;
use crate::bench::{BenchError, BenchOptions, Timed, time};
use crate::device::DeviceChoice;
use crate::experiment;

/// Time training steps and predictions of an experiment's network, on random voxels.
///
/// So one knows whether it fits into memory, and how long it will take.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The experiment; its network, loss, optimizer and batch size are timed.
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

pub(super) fn main(args: &Args) -> Result<(), CliError> {
    let resolved = experiment::load(&args.experiment, &args.overrides).map_err(CliError::input)?;
    let Ok(size) = <[usize; 3]>::try_from(args.size.as_slice()) else {
        return Err(CliError::input(BenchError::Size));
    };
    let options = BenchOptions {
        size,
        steps: args.steps,
        device: args.device.clone(),
    };
    // The data need not be there: without them the network is the one that the experiment itself describes.
    let experiment = resolved.experiment.described_if_there();
    let experiment = experiment.map_err(CliError::input)?;
    let timed = time(&experiment, &options, super::warn_of_device);
    let timed = timed.map_err(|error| match error {
        BenchError::Device(ref device) if !device.is_input() => CliError::work(error),
        _ => CliError::input(error),
    })?;
    if args.json {
        let text = serde_json::to_string(&timed).map_err(CliError::work)?;
        outln!("{text}");
    } else {
        show(&timed);
    }
    Ok(())
}

fn show(timed: &Timed) {
    let [depth, height, width] = timed.size;
    outln!(
        "{} with {} parameters, batches of {} at {depth}x{height}x{width} in {}, on {}",
        timed.model,
        timed.timing.parameters,
        timed.batch_size,
        timed.precision.name(),
        timed.device
    );
    let rows = [
        ("training step", timed.timing.step, timed.timing.first_step),
        (
            "prediction",
            timed.timing.inference,
            timed.timing.first_inference,
        ),
    ];
    for (what, usual, first) in rows {
        outln!("  {what:<24}{usual:.3} s (the first {first:.1} s)");
    }
    if let Some(peak) = timed.peak_mib {
        outln!("  {:<24}{peak:.0} MiB", "peak of main memory");
    }
}
