//! `calvaria predict`.

use std::path::PathBuf;

use super::CliError;
use crate::device::DeviceChoice;
use crate::evaluate::volume_ml;
use crate::predict::{OutputFiles, PredictError, Predictor};
use crate::preprocess::Inputs;

/// Segment a raw scan with a trained run.
///
/// Writes NAME_brainmask.nii.gz and NAME_brain.nii.gz on the scan's own grid, the brain with the
/// scan's own type of numbers.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The run's folder, such as results/quickstart/seed-42.
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Raw scans (NIfTI).
    #[arg(required = true, value_name = "SCAN")]
    scans: Vec<PathBuf>,
    /// Folder for the results.
    #[arg(short, long, value_name = "DIR", default_value = ".")]
    output: PathBuf,
    /// A mask or weights on the scan's grid, for runs whose preprocessing looks at a region.
    #[arg(long, value_name = "FILE")]
    region: Option<PathBuf>,
    /// Where to compute: auto, cpu, cuda[:INDEX] or vulkan[:INDEX].
    #[arg(long, default_value = "auto")]
    device: DeviceChoice,
}

pub(super) fn main(args: &Args, quiet: bool) -> Result<(), CliError> {
    if args.region.is_some() && args.scans.len() > 1 {
        return Err(CliError::input(
            "--region belongs to one scan: segment the scans one by one",
        ));
    }
    let predictor = Predictor::open(&args.run, &args.device, super::warn_of_device);
    let predictor = predictor.map_err(|error| match error {
        PredictError::Device(ref device) if !device.is_input() => CliError::work(error),
        _ => CliError::input(error),
    })?;
    for path in &args.scans {
        let scan = Inputs::scan(path, args.region.as_deref()).read();
        let scan = scan.map_err(CliError::input)?;
        super::warn(path, &scan.warnings, quiet);
        let files = OutputFiles::of(path, &args.output);
        let predicted = predictor
            .segment(scan, &files)
            .map_err(|error| match error {
                PredictError::Preprocess(_) => {
                    CliError::input(format!("{}: {error}", path.display()))
                }
                other => CliError::work(other),
            })?;
        if !quiet {
            outln!(
                "{}: brain of {:.0} mL\n  {}\n  {}",
                path.display(),
                volume_ml(&predicted.mask),
                files.mask.display(),
                files.brain.display()
            );
        }
    }
    Ok(())
}
