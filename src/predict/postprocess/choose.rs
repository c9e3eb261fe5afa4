//! Greedily, one change at a time: what raises the Dice is kept.

use rayon::prelude::*;

use super::sketch::two_digits;
use super::{Sketch, Sketching, Step};
use crate::experiment::{Postprocess, StructurePostprocess};
use crate::statistics::mean;
use crate::volume::Structures;

/// A change must bring as much: to the Dice of the structure that it is made to, or to the mean over the structures, if it
/// is made to all. What brings less would be chance.
const MARGIN: f64 = 0.001;
/// Smallest sizes that are tried, as parts of a structure's true volume.
const SIZES: [f64; 3] = [0.001, 0.01, 0.1];

/// What was chosen of all that was tried.
pub struct Choosing {
    /// The settings.
    pub settings: Postprocess,
    /// The changes from those that it began with.
    pub steps: Vec<Step>,
    /// How many changes were tried.
    pub tried: usize,
    /// Dice, the mean over cases and structures, before and after all changes.
    pub dice: [f64; 2],
}

/// Begins with the settings `start`, and tries one change after the other, in the order in which they are carried out:
/// the smoothing, of each structure the threshold, the largest piece of all together, then of each structure the largest
/// piece, the smallest size, the holes. The best value of
/// each is kept if it raises the Dice by at least 0.001, and lowers that of no structure: means over the cases, on
/// their own grids. None if it `is_stopped` before the end.
pub fn choose(
    sketches: &[Sketch],
    start: &Postprocess,
    sketching: &Sketching,
    structures: &Structures,
    is_stopped: &dyn Fn() -> bool,
) -> Option<Choosing> {
    let mut chooser = Chooser::new(sketches, start, sketching, structures, is_stopped);
    let smoothing = sketching.smooth_mm.iter().skip(1);
    let smoothing = smoothing.map(|std| smoothed(start, *std)).collect();
    chooser.take_best(smoothing, structures.count());
    for (at, changes_of) in [thresholds, largest, sizes, holes].into_iter().enumerate() {
        if at == 1 && structures.count() > 1 {
            let change = foreground(&chooser.chosen.settings);
            chooser.take_best(vec![change], structures.count());
        }
        for (structure, name) in structures.names().into_iter().enumerate() {
            let about = About {
                sketches,
                sketching,
                structure,
            };
            let of = match name {
                "" => String::new(),
                name => format!(" of {name}"),
            };
            let now = &chooser.chosen.settings;
            let changes = changes_of(&now.structures[structure], &about).into_iter();
            let changes = changes.map(|(what, changed)| {
                let mut settings = now.clone();
                settings.structures[structure] = changed;
                (what.replace("{of}", &of), settings)
            });
            let changes = changes.collect();
            chooser.take_best(changes, 1);
        }
    }
    (!is_stopped()).then_some(chooser.chosen)
}

struct Chooser<'a> {
    sketches: &'a [Sketch],
    sketching: &'a Sketching,
    structures: &'a Structures,
    chosen: Choosing,
    /// The Dice of each structure with what is chosen so far, mean over the cases.
    dice: Vec<f64>,
    is_stopped: &'a dyn Fn() -> bool,
}

impl<'a> Chooser<'a> {
    fn new(
        sketches: &'a [Sketch],
        start: &Postprocess,
        sketching: &'a Sketching,
        structures: &'a Structures,
        is_stopped: &'a dyn Fn() -> bool,
    ) -> Self {
        let mut new = Self {
            sketches,
            sketching,
            structures,
            chosen: Choosing {
                settings: start.clone(),
                steps: Vec::new(),
                tried: 0,
                dice: [0.0; 2],
            },
            dice: Vec::new(),
            is_stopped,
        };
        new.dice = new.dice_with(start);
        new.chosen.dice = [mean(&new.dice); 2];
        new
    }

    fn dice_with(&self, settings: &Postprocess) -> Vec<f64> {
        let of_case = |case: &Sketch| case.dice(settings, self.sketching, self.structures);
        let cases: Vec<Vec<f64>> = self.sketches.par_iter().map(of_case).collect();
        let of_structure = |structure: usize| {
            let values = cases.iter().map(|case| case[structure]);
            mean(&values.collect::<Vec<_>>())
        };
        (0..self.structures.count()).map(of_structure).collect()
    }

    /// Tries changes to so many structures, each in words and as the settings with it, and keeps the best one, if it brings
    /// enough.
    fn take_best(&mut self, changes: Vec<(String, Postprocess)>, structures: usize) {
        let mut best: Option<(f64, String, Postprocess, Vec<f64>)> = None;
        for (what, settings) in changes {
            if (self.is_stopped)() {
                return;
            }
            let after = self.dice_with(&settings);
            self.chosen.tried += 1;
            let mut pairs = after.iter().zip(&self.dice);
            let lowers = pairs.any(|(after, before)| after < before);
            let gain = after.iter().sum::<f64>() - self.dice.iter().sum::<f64>();
            let is_better = best.as_ref().is_none_or(|(most, ..)| gain > *most);
            if !lowers && gain / structures as f64 >= MARGIN && is_better {
                best = Some((gain, what, settings, after));
            }
        }
        if let Some((gain, what, settings, after)) = best {
            self.dice = after;
            self.chosen.settings = settings;
            self.chosen.dice[1] = mean(&self.dice);
            self.chosen.steps.push(Step {
                what,
                dice: self.chosen.dice[1],
                gain: gain / self.dice.len() as f64,
            });
        }
    }
}

fn smoothed(start: &Postprocess, std: f64) -> (String, Postprocess) {
    let what = match std > 0.0 {
        true => format!("probabilities smoothed with a Gaussian of {std} mm"),
        false => "no smoothing".to_owned(),
    };
    let settings = Postprocess {
        smooth_mm: std,
        ..start.clone()
    };
    (what, settings)
}

fn foreground(now: &Postprocess) -> (String, Postprocess) {
    let what = match now.largest_foreground {
        true => "all pieces of the structures together, not the largest alone",
        false => "the largest piece of all structures together",
    };
    let settings = Postprocess {
        largest_foreground: !now.largest_foreground,
        ..now.clone()
    };
    (what.to_owned(), settings)
}

/// What the changes to a structure depend on.
struct About<'a> {
    sketches: &'a [Sketch],
    sketching: &'a Sketching,
    structure: usize,
}

/// Changes in words, in which `{of}` stands for the structure.
type Changes = Vec<(String, StructurePostprocess)>;

fn thresholds(now: &StructurePostprocess, about: &About) -> Changes {
    let all = about.sketching.thresholds.get(about.structure);
    let others = all.into_iter().flatten().filter(|of| **of != now.threshold);
    let change = |&threshold: &f64| {
        let changed = StructurePostprocess { threshold, ..*now };
        let what = format!("threshold{{of}} {threshold} instead of {}", now.threshold);
        (what, changed)
    };
    others.map(change).collect()
}

fn largest(now: &StructurePostprocess, _: &About) -> Changes {
    let what = match now.largest_component {
        true => "all pieces{of}, not the largest alone",
        false => "the largest piece{of} alone",
    };
    let changed = StructurePostprocess {
        largest_component: !now.largest_component,
        ..*now
    };
    vec![(what.to_owned(), changed)]
}

fn sizes(now: &StructurePostprocess, about: &About) -> Changes {
    if now.largest_component {
        return Vec::new();
    }
    let cases = about.sketches.iter();
    let mut true_ml: Vec<f64> = cases
        .map(|case| case.true_ml[about.structure])
        .filter(|ml| *ml > 0.0)
        .collect();
    true_ml.sort_by(f64::total_cmp);
    let Some(median) = true_ml.get(true_ml.len() / 2) else {
        return Vec::new();
    };
    let others = SIZES.map(|part| two_digits(part * median));
    let others = [0.0].into_iter().chain(others);
    let change = |minimum_ml: f64| {
        let changed = StructurePostprocess { minimum_ml, ..*now };
        let what = match minimum_ml > 0.0 {
            true => format!("no pieces{{of}} below {minimum_ml} mL"),
            false => "pieces{of} of every size".to_owned(),
        };
        (what, changed)
    };
    others
        .filter(|ml| *ml != now.minimum_ml)
        .map(change)
        .collect()
}

fn holes(now: &StructurePostprocess, _: &About) -> Changes {
    let what = match now.fill_holes {
        true => "holes{of} left as they are",
        false => "holes{of} filled",
    };
    let changed = StructurePostprocess {
        fill_holes: !now.fill_holes,
        ..*now
    };
    vec![(what.to_owned(), changed)]
}
