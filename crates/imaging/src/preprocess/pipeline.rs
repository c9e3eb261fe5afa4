//! Steps one after the other.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::field_of_view::{Classes, Content};
use super::{About, CaseVolumes, PreprocessError, Step, Work, of_image};
use crate::channels::{On, unknown_name};
use crate::settings::{self, Fault, Faults, within};

/// How long a step took.
#[derive(Clone, Debug, PartialEq)]
pub struct StepTime {
    /// The step's name in YAML.
    pub step: &'static str,
    /// Its wall time.
    pub time: Duration,
}

/// A case after all steps.
#[derive(Clone, Debug)]
pub struct Applied {
    /// The case.
    pub case: CaseVolumes,
    /// How long each step took.
    pub times: Vec<StepTime>,
    /// What is doubtful about it, in words.
    pub warnings: Vec<String>,
    /// The classes of its mask of which nothing is left, while others are.
    pub vanished: Vec<u8>,
    /// Whether the grid at the end holds less than half of the mask, or of the foreground of a scan without a mask. The
    /// last warning then has the details.
    pub is_cut_off: bool,
}

impl Applied {
    /// The case, if it is of use for training and prediction.
    ///
    /// # Errors
    ///
    /// When most of it is cut off.
    pub fn useful(mut self) -> Result<Self, PreprocessError> {
        match self.is_cut_off {
            true => Err(PreprocessError::OutsideGrid(
                self.warnings.pop().unwrap_or_default(),
            )),
            false => Ok(self),
        }
    }
}

/// The steps in the order in which they are applied, each to all images or, by `channels` beside its name, to some.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Pipeline(pub Vec<On<Step>>);

impl From<Vec<Step>> for Pipeline {
    /// Steps for all images.
    fn from(steps: Vec<Step>) -> Self {
        Self(steps.into_iter().map(On::from).collect())
    }
}

impl Pipeline {
    /// What is wrong with the steps that the ranges of their fields do not show.
    pub fn rules(&self) -> Vec<Fault> {
        let steps = self.0.iter().enumerate();
        steps
            .flat_map(|(index, step)| within(&index.to_string(), step.rules()))
            .collect()
    }

    /// What is wrong with the steps of a run whose images have these names: those that none of them has.
    pub fn check(&self, images: &[String]) -> Vec<Fault> {
        let faults = |step: &On<Step>| {
            let named = step.member.behaviour().images().into_iter();
            let unknown = named.filter(|(_, name)| !images.iter().any(|image| image == name));
            let own =
                unknown.map(|(field, name)| Fault::new(field, unknown_name("image", name, images)));
            let own = within(step.member.name(), own.collect());
            step.check(images).into_iter().chain(own).collect()
        };
        let steps = self.0.iter().enumerate();
        steps
            .flat_map(|(index, step)| within(&index.to_string(), faults(step)))
            .collect()
    }

    /// Checks every step's values.
    ///
    /// # Errors
    ///
    /// Each field that is wrong, and what it may be.
    pub fn validate(&self) -> Result<(), Faults> {
        settings::validate(self, Self::rules)
    }

    /// Takes a case through all steps.
    ///
    /// # Errors
    ///
    /// When the scan has voxels that are infinite or not a number, a step cannot do its work on it or leaves
    /// such voxels, or the grid at the end holds less than half of the mask (or of the foreground of a scan without one).
    pub fn apply(&self, case: CaseVolumes) -> Result<CaseVolumes, PreprocessError> {
        let applied = self.apply_in_full(case)?.useful()?;
        Ok(applied.case)
    }

    /// As [`Pipeline::apply`], and also returns how long each step took and what is doubtful; a case that is cut off
    /// is no error.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::apply`], but for what the grid does not hold.
    pub fn apply_in_full(&self, mut case: CaseVolumes) -> Result<Applied, PreprocessError> {
        let content = Content::of(&case);
        let classes = Classes::of(case.mask.as_ref());
        let first = self.0.first();
        let repairing = first.filter(|step| step.member.behaviour().repairs_voxels());
        let repaired = repairing.map(|step| step.positions(&case.names));
        check_finite(&case, &repaired.unwrap_or_default())?;
        let mut times = Vec::with_capacity(self.0.len());
        for step in &self.0 {
            let started = Instant::now();
            case = apply(step, case)?;
            times.push(StepTime {
                step: step.member.name(),
                time: started.elapsed(),
            });
        }
        let missing = content.missing_in(&case.grid(), self.remedy_for_grid(&case));
        Ok(Applied {
            vanished: classes.vanished_from(&case),
            case,
            times,
            is_cut_off: missing.as_ref().is_some_and(|missing| missing.is_most),
            warnings: missing.into_iter().map(|missing| missing.message).collect(),
        })
    }

    /// What helps if the grid does not hold the head.
    fn remedy_for_grid(&self, case: &CaseVolumes) -> &'static str {
        let around_origin = |step: &On<Step>| matches!(&step.member, Step::Resample(step) if step.is_around_origin());
        if case.mask.is_some() {
            "Give `resample` or `crop_pad` a larger `shape`, or set its `centre: head`"
        } else if self.0.iter().any(around_origin) {
            "The grid lies around the world's origin: set the origin in the scan's header to the middle of the \
             head, or use a run whose grid has `centre: head`"
        } else {
            "Crop the scan around the head first, or use a run with a larger grid"
        }
    }

    /// The files that steps read besides the case: what a result depends on.
    pub fn files(&self) -> Vec<PathBuf> {
        settings::paths(self)
    }

    /// The pipeline with relative paths taken from `folder`.
    pub fn anchored(self, folder: &Path) -> Self {
        settings::anchored(self, folder)
    }

    /// The position of the first step that has to learn from the training cases before it can be
    /// applied.
    pub fn first_to_learn(&self) -> Option<usize> {
        let must_learn = |step: &On<Step>| step.member.behaviour().must_learn();
        self.0.iter().position(must_learn)
    }

    /// The pipeline after its first learning step has learnt from `cases`: the training cases as the steps
    /// before it leave them.
    ///
    /// # Errors
    ///
    /// The first case that cannot be loaded, or that the step cannot learn from.
    pub fn learnt(
        mut self,
        cases: impl Iterator<Item = Result<CaseVolumes, PreprocessError>>,
    ) -> Result<Self, PreprocessError> {
        if let Some(at) = self.first_to_learn() {
            let step = self.0[at].clone();
            let mut cases = cases.map(|case| chosen_of(&step, case?));
            self.0[at].member.behaviour_mut().learn(&mut cases)?;
        }
        Ok(self)
    }
}

/// A case after a step.
fn apply(step: &On<Step>, mut case: CaseVolumes) -> Result<CaseVolumes, PreprocessError> {
    let failed = |why: String| PreprocessError::Step {
        step: step.member.name(),
        why,
    };
    match step.member.behaviour().work() {
        Work::Grid(moves) => case = moves.moved(case)?,
        Work::Intensities(changes) => {
            for at in positions(step, &case.names)? {
                let (name, region) = (&case.names[at], case.region.as_ref());
                let changed = changes.change(&mut case.images[at], About { name, region });
                changed.map_err(|why| failed(of_image(&case.names, name, &why)))?;
            }
        }
    }
    let mut images = case.images.iter().zip(&case.names);
    match images.find(|(image, _)| !image.is_finite()) {
        None => Ok(case),
        Some((_, name)) => {
            let why = "its result has voxels that are infinite or not a number. Look at the scan for extreme \
                       intensities";
            Err(failed(of_image(&case.names, name, why)))
        }
    }
}

/// The places of the images that a step is for, all of which must be there.
fn positions(step: &On<Step>, names: &[String]) -> Result<Vec<usize>, PreprocessError> {
    match step.check(names).into_iter().next() {
        None => Ok(step.positions(names)),
        Some(fault) => Err(PreprocessError::Step {
            step: step.member.name(),
            why: fault.message,
        }),
    }
}

/// The images of a case that a step is for, with what goes along.
fn chosen_of(step: &On<Step>, mut case: CaseVolumes) -> Result<CaseVolumes, PreprocessError> {
    let positions = positions(step, &case.names)?;
    let mut at = 0..;
    case.images
        .retain(|_| at.next().is_some_and(|at| positions.contains(&at)));
    let mut at = 0..;
    case.names
        .retain(|_| at.next().is_some_and(|at| positions.contains(&at)));
    Ok(case)
}

/// Checks all images but those at `repaired`.
fn check_finite(case: &CaseVolumes, repaired: &[usize]) -> Result<(), PreprocessError> {
    for (at, (image, name)) in case.images.iter().zip(&case.names).enumerate() {
        if repaired.contains(&at) || image.is_finite() {
            continue;
        }
        let voxels = image.voxels.indexed_iter();
        let mut broken = voxels.filter(|(_, value)| !value.is_finite());
        if let Some((first, value)) = broken.next() {
            return Err(PreprocessError::NotFinite {
                image: (case.images.len() > 1).then(|| name.clone()),
                first: first.into(),
                value: *value,
                count: 1 + broken.count(),
            });
        }
    }
    Ok(())
}
