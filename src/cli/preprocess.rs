//! `calvaria preprocess`.

use std::path::{Path, PathBuf};

use super::Failed;
use crate::files::read_text;
use crate::preprocess::{Pipeline, Prepared, Step};
use crate::volume::nifti::{Dtype, read_image, write_image};

/// Apply preprocessing steps to one NIfTI file.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// A step's name (n4), a step or a list of steps in YAML ('{resample: {spacing: [3, 3, 3]}}'),
    /// or a YAML file with either.
    steps: String,
    /// The image to read.
    input: PathBuf,
    /// The file to write (.nii or .nii.gz).
    output: PathBuf,
    /// Number type of the output: uint8, int16 (both rounded and clamped) or float32.
    #[arg(long, default_value = "float32", value_parser = parse_dtype, value_name = "TYPE")]
    dtype: Dtype,
}

pub(super) fn main(args: &Args) -> Result<(), Failed> {
    let pipeline = parse(&args.steps)?;
    let image = read_image(&args.input).map_err(Failed::input)?;
    let done = pipeline
        .apply(Prepared { image, mask: None })
        .map_err(|error| Failed::input(format!("{}: {error}", args.input.display())))?;
    write_image(&args.output, &done.image, args.dtype).map_err(Failed::input)
}

fn parse_dtype(name: &str) -> Result<Dtype, String> {
    match name {
        "uint8" => Ok(Dtype::Uint8),
        "int16" => Ok(Dtype::Int16),
        "float32" => Ok(Dtype::Float32),
        _ => Err("allowed: uint8, int16, float32".into()),
    }
}

fn parse(steps: &str) -> Result<Pipeline, Failed> {
    let (text, place) = if Path::new(steps).is_file() {
        (read_text(Path::new(steps)).map_err(Failed::input)?, steps)
    } else {
        (steps.to_owned(), "STEPS")
    };
    let pipeline = serde_yaml::from_str::<Pipeline>(&text)
        .or_else(|list| match serde_yaml::from_str::<Step>(&text) {
            Ok(step) => Ok(Pipeline(vec![step])),
            // The message fits what was written: a list, or one step.
            Err(_) if text.trim_start().starts_with(['-', '[']) => Err(list),
            Err(single) => Err(single),
        })
        .map_err(|error| Failed::input(format!("{place}: {error}")))?;
    pipeline
        .validate()
        .map_err(|why| Failed::input(format!("{place}: {why}")))?;
    Ok(pipeline)
}
