//! `calvaria evaluate`.

use std::path::PathBuf;

use super::CliError;
use crate::evaluate::evaluate_files;
use crate::metric::{Evaluation, METRICS};
use crate::preprocess::GRID_TOLERANCE;
use crate::volume::{Marked, MaskRule};

/// Score a predicted mask against a true one.
///
/// A mask consists of 0 and one positive value, or is empty; any other file is refused, unless `--label` or
/// `--threshold` tells what is marked in it.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The predicted mask.
    prediction: PathBuf,
    /// The true mask, on the same grid.
    truth: PathBuf,
    /// Distance in mm up to which two surfaces agree, for `nsd`.
    #[arg(long, value_name = "MM", default_value_t = Evaluation::default().nsd_tolerance)]
    nsd_tolerance: f64,
    /// Both files are maps of labels, in which these values are marked. With --threshold it holds for the true
    /// mask alone.
    #[arg(
        long,
        value_name = "VALUE,…",
        value_delimiter = ',',
        allow_negative_numbers = true,
        value_parser = finite
    )]
    label: Vec<f64>,
    /// The prediction is probabilities, and voxels are marked from this value on. It does not hold for the
    /// true mask.
    #[arg(long, value_name = "VALUE", allow_negative_numbers = true, value_parser = finite)]
    threshold: Option<f64>,
    /// How far the two files may lie apart, in voxels.
    #[arg(long, value_name = "VOXELS", default_value_t = GRID_TOLERANCE, value_parser = part_of_a_voxel)]
    grid_tolerance: f64,
}

fn finite(text: &str) -> Result<f64, String> {
    let value: f64 = text.parse().map_err(|_| "it must be a number")?;
    value
        .is_finite()
        .then_some(value)
        .ok_or("it must be a number".into())
}

fn part_of_a_voxel(text: &str) -> Result<f64, String> {
    let value = finite(text)?;
    (0.0..=1.0)
        .contains(&value)
        .then_some(value)
        .ok_or("it must be from 0 to 1".into())
}

impl Args {
    /// How the prediction is read, and how the true mask.
    fn rules(&self) -> [MaskRule; 2] {
        let of_labels = match self.label.is_empty() {
            true => Marked::OneValue,
            false => Marked::Labels(self.label.clone()),
        };
        let prediction = self.threshold.map_or(of_labels.clone(), Marked::From);
        [
            MaskRule {
                marked: prediction,
                ..MaskRule::ANY_PART
            },
            MaskRule {
                marked: of_labels,
                allow_empty: true,
                ..MaskRule::STRICT
            },
        ]
    }
}

pub(super) fn main(args: &Args, quiet: bool) -> Result<(), CliError> {
    let settings = Evaluation {
        nsd_tolerance: args.nsd_tolerance,
    };
    settings.validate().map_err(CliError::input)?;
    let [prediction, truth] = args.rules();
    let prediction = (&*args.prediction, &prediction);
    let truth = (&*args.truth, &truth);
    let scored = evaluate_files(prediction, truth, args.grid_tolerance, &settings);
    let (scored, warnings) = scored.map_err(CliError::input)?;
    for warning in warnings.iter().filter(|_| !quiet) {
        errln!("warning: {warning}.");
    }
    for (name, value) in &scored.scores {
        let unit = METRICS.iter().find(|metric| metric.name == *name);
        let unit = unit.map_or("", |metric| metric.unit);
        outln!("{}", format!("{name:<20}{value:<11.6} {unit}").trim_end());
    }
    Ok(())
}
