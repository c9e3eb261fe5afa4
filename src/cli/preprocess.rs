//! `calvaria preprocess`.

use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::{Duration, Instant};

use super::CliError;
use crate::channels::On;
use crate::files::read_text;
use crate::preprocess::{ImageFile, Inputs, Pipeline, PreprocessError, Step};
use crate::volume::Volume;
use crate::volume::nifti::{Dtype, Encoding, check_output, write_like};

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
    /// Number type of the output: `same` as the input's (with its scaling, if that keeps the intensities),
    /// float32, float64, or uint8, int16 and so on (rounded and clamped).
    #[arg(long, default_value = "float32", value_name = "TYPE")]
    dtype: OutputType,
    /// A mask or weights on the input's grid, for steps that look at the region.
    #[arg(long, value_name = "FILE")]
    region: Option<PathBuf>,
    /// Replace files that are not unchanged results of calvaria.
    #[arg(long)]
    overwrite: bool,
    /// Also write the field that n4 found, in log intensity.
    #[arg(long, value_name = "FILE")]
    save_bias: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug)]
enum OutputType {
    Same,
    Chosen(Dtype),
}

impl FromStr for OutputType {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        match name {
            "same" => Ok(Self::Same),
            _ => name
                .parse()
                .map(Self::Chosen)
                .map_err(|why: String| format!("{why}, same")),
        }
    }
}

pub(super) fn main(args: &Args, quiet: bool) -> Result<(), CliError> {
    let pipeline = parse(&args.steps)?;
    for output in std::iter::once(&args.output).chain(&args.save_bias) {
        check_output(output, &[&args.input], args.overwrite).map_err(CliError::input)?;
    }
    let place = |path: &PathBuf| std::path::absolute(path).ok();
    if args.save_bias.as_ref().and_then(place) == place(&args.output) {
        return Err(CliError::input(
            "the output and --save-bias name the same file: choose two",
        ));
    }
    let say_time = |what: &str, time: Duration| {
        if !quiet {
            errln!("{what} {:.3} s", time.as_secs_f64());
        }
    };
    let started = Instant::now();
    let inputs = Inputs::scan(&args.input, args.region.as_deref());
    let raw = inputs.read().map_err(CliError::input)?;
    say_time("read", started.elapsed());
    super::warn(&args.input, &raw.warnings, quiet);
    let failed =
        |error: PreprocessError| CliError::input(format!("{}: {error}", args.input.display()));
    let (done, bias) = match &args.save_bias {
        None => (pipeline.apply_in_full(raw.case).map_err(failed)?, None),
        Some(path) => {
            let done = pipeline.apply_with_bias(raw.case).map_err(failed)?;
            let (done, bias) = done.ok_or_else(|| {
                CliError::input("--save-bias needs exactly one n4 step among the STEPS")
            })?;
            (done, Some((path, bias)))
        }
    };
    for step in &done.times {
        say_time(step.step, step.time);
    }
    super::warn(&args.input, &done.warnings, quiet);
    let encoding = match args.dtype {
        OutputType::Same => {
            check_same(&raw.encoding, raw.rounded, done.case.first())?;
            raw.encoding
        }
        OutputType::Chosen(dtype) => dtype.into(),
    };
    let started = Instant::now();
    if let Some((path, bias)) = bias {
        write_like(path, &bias, Dtype::Float32, &raw.origin).map_err(CliError::input)?;
    }
    write_like(&args.output, done.case.first(), encoding, &raw.origin).map_err(CliError::input)?;
    say_time("write", started.elapsed());
    Ok(())
}

/// Part of the range of intensities up to which storing may round them.
const COARSEST: f32 = 1.0 / 200.0;

/// Checks that the input's own way of storing numbers keeps what the steps made.
fn check_same(encoding: &Encoding, rounded: usize, image: &Volume<f32>) -> Result<(), CliError> {
    let refused = |why: String| {
        Err(CliError::input(format!(
            "--dtype same cannot keep the intensities: {why}. Use --dtype float32."
        )))
    };
    if rounded > 0 {
        return refused(format!(
            "{rounded} of the input's voxels hold numbers that are rounded on reading"
        ));
    }
    let (mut low, mut high, mut error) = (f32::INFINITY, f32::NEG_INFINITY, 0.0_f32);
    for value in &image.voxels {
        let stored = encoding.stored(f64::from(*value)) as f32;
        (low, high) = (low.min(*value), high.max(*value));
        error = error.max((stored - value).abs());
    }
    match error > COARSEST * (high - low) {
        true => refused(format!(
            "they run from {low} to {high}, and {} numbers with the input's scaling are up to {error} off",
            encoding.dtype
        )),
        false => Ok(()),
    }
}

fn parse(steps: &str) -> Result<Pipeline, CliError> {
    let file = Path::new(steps);
    let (text, place) = if file.is_file() {
        (read_text(file).map_err(CliError::input)?, steps)
    } else {
        (steps.to_owned(), "STEPS")
    };
    let pipeline = serde_yaml::from_str::<Pipeline>(&text)
        .or_else(|list| match serde_yaml::from_str::<On<Step>>(&text) {
            Ok(step) => Ok(Pipeline(vec![step])),
            // The message fits what was written: a list, or one step.
            Err(_) if text.trim_start().starts_with(['-', '[']) => Err(list),
            Err(single) => Err(single),
        })
        .map_err(|error| CliError::input(format!("{place}: {error}")))?;
    pipeline
        .validate()
        .map_err(|why| CliError::input(format!("{place}: {why}")))?;
    let unknown = pipeline.check(&[ImageFile::ONLY.to_owned()]);
    if let Some(fault) = unknown.first() {
        return Err(CliError::input(format!("{place}: {fault}")));
    }
    Ok(match file.parent() {
        Some(folder) if file.is_file() => pipeline.anchored(folder),
        _ => pipeline,
    })
}
