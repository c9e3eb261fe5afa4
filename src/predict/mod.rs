//! From a raw scan to a mask on the scan's own grid.

mod brain;
mod clean;
mod decide;
mod error;
mod mirror;
mod network;
mod open;
mod opinions;
mod plausible;
mod postprocess;
mod probabilities;

use std::sync::Arc;

use ndarray::Array3;

pub use brain::Segmented;
pub use error::PredictError;
pub use open::{experiment_of, fingerprint};
pub use opinions::Uncertainty;
pub use postprocess::{Choosing, Chosen, Sketch, Sketching, Step, choose};
pub use probabilities::Probabilities;

use crate::experiment::{Postprocess, Prediction};
use crate::preprocess::{Applied, CaseVolumes, Pipeline};
use crate::volume::{Grid, Structures, Volume};
use crate::window::View;
use decide::decide;
use mirror::Mirror;
use network::Network;
use opinions::Opinions;
use plausible::UsualVolumes;

/// A trained network with everything that comes before and after it; or several, whose probabilities are averaged.
pub struct Predictor {
    /// At least one.
    groups: Vec<Group>,
    settings: Prediction,
    postprocess: Postprocess,
    mirrors: Vec<Mirror>,
    tells_uncertainty: bool,
    structures: Arc<Structures>,
    images: Vec<String>,
    usual_volumes: UsualVolumes,
}

/// Networks that see the same prepared images.
struct Group {
    pipeline: Pipeline,
    networks: Vec<Box<dyn Network>>,
}

/// A segmented scan, on the scan's own grid.
#[derive(Clone, Debug)]
pub struct Predicted {
    /// The probability of each structure.
    pub probabilities: Probabilities,
    /// The class map (see [`Structures`]); of one mask, ones where there is brain.
    pub mask: Volume<u8>,
    /// How doubtful each structure is, from 0 to 1: what is missing of the Dice that its probabilities promise; where it is
    /// not found the largest probability.
    pub doubts: Vec<f64>,
    /// How sure the networks are of each voxel, if that is wanted: [`Predictor::tell_uncertainty`].
    pub uncertainty: Option<Uncertainty>,
    /// What is doubtful about the result, in words.
    pub warnings: Vec<String>,
}

/// Whether all voxels are the same.
fn is_blank(image: &Volume<f32>) -> bool {
    let mut voxels = image.voxels.iter();
    let first = voxels.next();
    voxels.all(|voxel| Some(voxel) == first)
}

impl Predictor {
    fn networks_mut(&mut self) -> impl Iterator<Item = &mut Box<dyn Network>> {
        self.groups.iter_mut().flat_map(|group| &mut group.networks)
    }

    /// How many networks there are.
    pub fn count(&self) -> usize {
        self.groups.iter().map(|group| group.networks.len()).sum()
    }

    /// Lets the networks see this much of a scan at once, instead of what their experiments say.
    ///
    /// # Panics
    ///
    /// When a scan is segmented, if it is a window without a size, and a network was not trained on patches:
    /// [`View::rules`].
    pub fn see(&mut self, view: &View) {
        self.networks_mut()
            .for_each(|network| network.see(view.clone()));
    }

    /// Tells with every scan from now on how sure the networks are of each voxel.
    pub fn tell_uncertainty(&mut self) {
        self.tells_uncertainty = true;
    }

    /// What the networks find.
    pub fn structures(&self) -> &Structures {
        &self.structures
    }

    /// The images that they see, in order.
    pub fn images(&self) -> &[String] {
        &self.images
    }

    /// Segments a raw scan; a mask that comes with it is not looked at.
    ///
    /// # Errors
    ///
    /// When the scan has not the networks' number of images, it cannot be preprocessed, or the device fails. A scan that is
    /// blank is none: nothing is found in it.
    pub fn predict(&self, scan: CaseVolumes) -> Result<Predicted, PredictError> {
        if scan.images.len() != self.images.len() || scan.images.is_empty() {
            return Err(PredictError::Images {
                given: scan.images.len(),
                wanted: self.images.join(", "),
            });
        }
        let native = scan.grid();
        if scan.images.iter().all(is_blank) {
            return Ok(self.nothing(&native));
        }
        let mut scan = Some(CaseVolumes { mask: None, ..scan });
        let mut opinions = self.opinions();
        let mut doubts: Vec<String> = Vec::new();
        for (at, group) in self.groups.iter().enumerate() {
            // The last group may have the scan itself.
            let raw = match at + 1 == self.groups.len() {
                true => scan.take(),
                false => scan.clone(),
            };
            let Some(raw) = raw else {
                unreachable!("the scan is taken by the last group");
            };
            let Applied { case, warnings, .. } = group.pipeline.apply_in_full(raw)?.useful()?;
            for doubt in warnings {
                if !doubts.contains(&doubt) {
                    doubts.push(doubt);
                }
            }
            self.ask(group, &case.images, &mut opinions)?;
        }
        let mut predicted = self.decided(opinions, &native);
        predicted.warnings.splice(0..0, doubts);
        Ok(predicted)
    }

    /// Segments images, all of one grid, that have been through the preprocessing, onto the grid of their scan. Networks
    /// whose preprocessing is not the first one's are not asked.
    ///
    /// # Errors
    ///
    /// When the device fails.
    pub fn predict_prepared(
        &self,
        images: &[Volume<f32>],
        native: &Grid,
    ) -> Result<Predicted, PredictError> {
        let mut opinions = self.opinions();
        self.ask(&self.groups[0], images, &mut opinions)?;
        Ok(self.decided(opinions, native))
    }

    /// What is found in a scan in which there is nothing to see.
    fn nothing(&self, native: &Grid) -> Predicted {
        let blank = |value| Volume {
            voxels: Array3::from_elem(native.shape, value),
            affine: native.affine,
        };
        let channels = (0..self.structures.outputs()).map(|channel| {
            let is_background = channel == 0 && self.structures.is_exclusive();
            blank(f32::from(u8::from(is_background)))
        });
        let (mask, probabilities) = decide(
            channels.collect(),
            native,
            &self.structures,
            &self.postprocess,
        );
        Predicted {
            probabilities,
            mask,
            doubts: vec![1.0; self.structures.count()],
            uncertainty: None,
            warnings: vec![
                "the scan is blank, all its voxels are the same: the mask is empty".into(),
            ],
        }
    }

    fn opinions(&self) -> Opinions<'_> {
        Opinions::of(&self.structures, self.tells_uncertainty)
    }

    /// Adds what a group's networks say of every mirrored view.
    fn ask(
        &self,
        group: &Group,
        images: &[Volume<f32>],
        opinions: &mut Opinions,
    ) -> Result<(), PredictError> {
        let grid = images[0].grid();
        for network in &group.networks {
            for mirror in &self.mirrors {
                let channels = network.probabilities(&mirror.of(images))?;
                opinions.add(mirror.back(channels), &grid);
            }
        }
        Ok(())
    }

    fn decided(&self, opinions: Opinions, native: &Grid) -> Predicted {
        let (channels, uncertainty) = opinions.mean();
        let threshold = |structure: usize| self.postprocess.structures[structure].threshold;
        let doubts = opinions::doubts(&channels, &self.structures, threshold);
        let (mask, probabilities) = decide(channels, native, &self.structures, &self.postprocess);
        let warnings = plausible::doubts(&mask, &self.structures, &self.usual_volumes);
        Predicted {
            probabilities,
            mask,
            doubts,
            uncertainty,
            warnings,
        }
    }
}
