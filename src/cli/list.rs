//! `calvaria list`.

use std::path::PathBuf;

use serde::Serialize;

use super::Failed;
use crate::augment::Transform;
use crate::config;
use crate::dataset::{Source, Split};
use crate::evaluate::volume_ml;
use crate::loss::Loss;
use crate::model::Model;
use crate::preprocess::Step;
use crate::train::{Optimizer, Schedule};
use crate::volume::nifti::{read_image, read_mask};
use crate::volume::orientation::axis_codes;

/// List what can be named in an experiment, or an experiment's cases.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// What to list.
    #[arg(value_enum)]
    what: What,
    /// The experiment, for `cases`.
    experiment: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, clap::ValueEnum)]
enum What {
    Augmentations,
    Cases,
    Losses,
    Models,
    Optimizers,
    Preprocessing,
    Schedules,
    Sources,
    Splits,
}

pub(super) fn main(args: &Args) -> Result<(), Failed> {
    match args.what {
        What::Augmentations => members(&Transform::defaults()),
        What::Losses => members(&Loss::defaults()),
        What::Models => members(&Model::defaults()),
        What::Optimizers => members(&Optimizer::defaults()),
        What::Preprocessing => members(&Step::defaults()),
        What::Schedules => members(&Schedule::defaults()),
        What::Sources => members(&Source::defaults()),
        What::Splits => members(&Split::defaults()),
        What::Cases => cases(args),
    }
}

/// Each member with its defaults, as YAML that can be copied into an experiment.
fn members<T: Serialize>(defaults: &[T]) -> Result<(), Failed> {
    for member in defaults {
        let yaml = serde_yaml::to_string(member).map_err(Failed::work)?;
        out!("{yaml}");
    }
    Ok(())
}

fn cases(args: &Args) -> Result<(), Failed> {
    let path = args.experiment.as_ref().ok_or_else(|| {
        Failed::input("name the experiment: calvaria list cases experiments/quickstart.yaml")
    })?;
    let resolved = config::load(path, &[]).map_err(Failed::input)?;
    outln!("case,shape,spacing_mm,orientation,mask_ml");
    for case in resolved.experiment.data.cases().map_err(Failed::input)? {
        let image = read_image(&case.image).map_err(Failed::input)?;
        let mask = read_mask(&case.mask).map_err(Failed::input)?;
        let [x, y, z] = image.shape();
        let [dx, dy, dz] = image.spacing();
        let axes: String = axis_codes(&image.affine).iter().collect();
        let volume = volume_ml(&mask);
        outln!(
            "{},{x}x{y}x{z},{dx:.3}x{dy:.3}x{dz:.3},{axes},{volume:.1}",
            case.id
        );
    }
    Ok(())
}
