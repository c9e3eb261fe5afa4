//! `calvaria predict`.

use std::path::{Path, PathBuf};

use super::Failed;
use super::device::{on_device, resolve_one};
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;

use crate::device::DeviceChoice;
use crate::kernel::TrainingBackend;
use crate::predict::{PredictError, Predictor};
use crate::preprocess::Inputs;
use crate::volume::nifti::{write_image, write_mask};

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

pub(super) fn main(args: &Args, quiet: bool) -> Result<(), Failed> {
    let device = resolve_one(&args.device)?;
    on_device!(&device, NoCheckpointing, predict(args, quiet))
}

fn predict<B: TrainingBackend>(
    args: &Args,
    quiet: bool,
    devices: &[B::Device],
    _names: &str,
) -> Result<(), Failed> {
    let predictor =
        Predictor::<B::InnerBackend>::from_run(&args.run, &devices[0]).map_err(Failed::input)?;
    if args.region.is_some() && args.scans.len() > 1 {
        return Err(Failed::input(
            "--region belongs to one scan: segment the scans one by one",
        ));
    }
    for path in &args.scans {
        let inputs = Inputs::scan(path, args.region.as_deref());
        let raw = inputs.read().map_err(Failed::input)?;
        super::warn(path, &raw.warnings, quiet);
        let mut brain = raw.case.image.clone();
        let predicted = predictor.predict(raw.case).map_err(|error| match error {
            PredictError::Preprocess(_) => Failed::input(format!("{}: {error}", path.display())),
            other => Failed::work(other),
        })?;
        for (voxel, inside) in brain.voxels.iter_mut().zip(&predicted.mask.voxels) {
            if *inside == 0 {
                *voxel = 0.0;
            }
        }
        let name = stem(path);
        let mask_file = args.output.join(format!("{name}_brainmask.nii.gz"));
        let brain_file = args.output.join(format!("{name}_brain.nii.gz"));
        write_mask(&mask_file, &predicted.mask).map_err(Failed::work)?;
        write_image(&brain_file, &brain, raw.encoding).map_err(Failed::work)?;
        if !quiet {
            outln!(
                "{}: brain of {:.0} mL\n  {}\n  {}",
                path.display(),
                crate::evaluate::volume_ml(&predicted.mask),
                mask_file.display(),
                brain_file.display()
            );
        }
    }
    Ok(())
}

fn stem(path: &Path) -> String {
    let name = path
        .file_name()
        .map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let name = name.strip_suffix(".gz").unwrap_or(&name);
    let endings = [".nii", ".hdr", ".img"];
    let stem = endings.iter().find_map(|end| name.strip_suffix(end));
    stem.unwrap_or(name).to_owned()
}
