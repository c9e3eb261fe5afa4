//! The post-processing that is chosen by validation cases (`predict: {postprocess: auto}`).
//!
//! The idea is nnU-Net's (Isensee et al., Nature Methods, 2021), which tries the largest piece: a step is kept where
//! cross-validation says that it helps, and that it harms no structure. Here more steps are tried.

mod choose;
mod sketch;
#[cfg(test)]
mod tests;

use serde::{Deserialize, Serialize};

pub use choose::{Choosing, choose};
pub use sketch::{Sketch, Sketching};

use crate::experiment::Prediction;
use crate::files::{FileError, read_text, write_json};
use crate::layout::RunFolder;
use crate::settings;

/// The post-processing that a run has chosen: its postprocess.json.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Chosen {
    /// The settings with which the run segments from now on, as they may stand under `predict` of an experiment.
    pub predict: Prediction,
    /// What was changed, in this order, and what each change brought.
    pub steps: Vec<Step>,
    /// How many changes were tried.
    pub tried: usize,
    /// Dice of the cases, the mean over their structures, before any change.
    pub dice_before: f64,
    /// The same after all changes.
    pub dice_after: f64,
    /// Number of validation cases; one that several runs were validated on counts for each.
    pub cases: usize,
    /// The runs whose validation cases they are.
    pub runs: Vec<String>,
}

/// A change that was kept.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Step {
    /// What was done.
    pub what: String,
    /// Dice with it and with all steps before.
    pub dice: f64,
    /// How much more that is than without it.
    pub gain: f64,
}

impl Chosen {
    /// The choice of the run, if it has made one.
    ///
    /// # Errors
    ///
    /// When the file is damaged.
    pub fn read(run: &RunFolder) -> Result<Option<Self>, FileError> {
        let path = run.postprocess();
        if !path.exists() {
            return Ok(None);
        }
        let read: Result<Self, std::io::Error> =
            serde_json::from_str(&read_text(&path)?).map_err(Into::into);
        // What was changed by hand must be what an experiment may say.
        let checked = read.and_then(|chosen| {
            let checked = settings::validate(&chosen.predict, |_| Vec::new());
            checked.map(|()| chosen).map_err(std::io::Error::other)
        });
        checked.map(Some).map_err(|source| FileError {
            action: "understand",
            path,
            remedy: "Remove it, and run the experiment again: it is chosen anew.",
            source,
        })
    }

    /// Writes it as the run's choice.
    ///
    /// # Errors
    ///
    /// When the file cannot be written.
    pub fn write(&self, run: &RunFolder) -> Result<(), FileError> {
        write_json(&run.postprocess(), self)
    }

    /// What was chosen and what it brought, a line each.
    pub fn lines(&self) -> Vec<String> {
        let first = format!(
            "Dice {:.4} before, {:.4} after {} of {} changes that were tried",
            self.dice_before,
            self.dice_after,
            self.steps.len(),
            self.tried
        );
        let steps = self.steps.iter();
        let steps =
            steps.map(|step| format!("{:+.4} to {:.4}: {}", step.gain, step.dice, step.what));
        std::iter::once(first).chain(steps).collect()
    }
}
