//! The probabilities of a scan's structures.

use std::borrow::Cow;
use std::sync::Arc;

use crate::volume::resample::{Interpolation, resample, resample_filled};
use crate::volume::{Grid, Structures, Volume};

/// The probability of each structure. Those of several are kept on the network's grid, which is mostly the coarser
/// one, and moved onto the scan's when they are asked for.
#[derive(Clone, Debug)]
pub struct Probabilities {
    /// One for each channel of the network.
    pub(super) maps: Vec<Volume<f32>>,
    pub(super) scan: Grid,
    pub(super) structures: Arc<Structures>,
}

impl Probabilities {
    /// The probability of a structure at each voxel of the scan; 0 outside the network's field of view.
    ///
    /// # Panics
    ///
    /// If there is no such structure.
    pub fn of(&self, structure: usize) -> Cow<'_, Volume<f32>> {
        let map = &self.maps[self.structures.channel(structure)];
        match map.grid() == self.scan {
            true => Cow::Borrowed(map),
            false => Cow::Owned(resample(map, &self.scan, Interpolation::Linear, false)),
        }
    }

    /// As [`Self::of`], smoothed with a Gaussian of the standard deviation `std` in mm.
    pub(super) fn smoothed(&self, structure: usize, std: f64) -> Cow<'_, Volume<f32>> {
        let mut map = self.of(structure);
        if std > 0.0 {
            map.to_mut().smooth(std);
        }
        map
    }

    /// The smoothed probability of the background, which is the first channel where structures exclude each other; 1
    /// outside the network's field of view.
    pub(super) fn background(&self, std: f64) -> Volume<f32> {
        let map = &self.maps[0];
        let mut map = resample_filled(map, &self.scan, Interpolation::Linear, false, 1.0);
        if std > 0.0 {
            map.smooth(std);
        }
        map
    }
}
