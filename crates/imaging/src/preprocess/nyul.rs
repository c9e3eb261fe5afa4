//! Histogram standardisation: the same tissue gets the same intensity in every scan.

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::voxel_selection::VoxelSelection;
use super::{About, CaseStep, CaseVolumes, ChangesImage, PreprocessError, Work, of_image};
use crate::settings::Fault;
use crate::statistics::intensities::percentiles;
use crate::volume::Volume;

/// Maps each scan's percentiles onto standard landmarks, piecewise linearly (Nyúl, Udupa and Zhang
/// 2000, "New variants of a method of MRI scale standardization", IEEE TMI 19(2)), as TorchIO does.
///
/// The landmarks are the mean percentiles of the training cases, each scan first mapped linearly so
/// that its 1st and 99th percentile fall on 0 and 100. They are learnt from the training cases
/// alone, of each image its own, and written into the run's `config.yaml`, where prediction finds them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Nyul {
    /// What the percentiles 1, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90 and 99 are mapped onto;
    /// `null` to learn it from the training cases. For several images a map of their names to what each one's are.
    pub landmarks: Option<Landmarks>,
    /// Which voxels the percentiles are taken over; all are mapped.
    pub over: VoxelSelection,
}

const PERCENTILES: [f64; 13] = [
    1.0, 10.0, 20.0, 25.0, 30.0, 40.0, 50.0, 60.0, 70.0, 75.0, 80.0, 90.0, 99.0,
];

/// Which of the landmarks are mapped: all but the quartiles, as in TorchIO.
const MAPPED: [usize; 11] = [0, 1, 2, 4, 5, 6, 7, 8, 10, 11, 12];

/// The range onto which the 1st and 99th percentile of each training scan are mapped.
const STANDARD: (f64, f64) = (0.0, 100.0);

/// Percentiles nearer to each other than this are one.
const LEAST_GAP: f64 = 1e-5;

/// What the 13 percentiles of the images are mapped onto.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a list of numbers, or a map of images' names to such lists"
)]
#[schemars(inline)]
pub enum Landmarks {
    /// Of every image the same, and of one that is alone.
    All(Vec<f64>),
    /// Of each image by its name.
    Each(BTreeMap<String, Vec<f64>>),
}

impl Landmarks {
    /// Those of one image.
    fn of(&self, name: &str) -> Option<&[f64]> {
        match self {
            Self::All(landmarks) => Some(landmarks),
            Self::Each(landmarks) => landmarks.get(name).map(Vec::as_slice),
        }
    }

    fn lists(&self) -> Vec<&Vec<f64>> {
        match self {
            Self::All(landmarks) => vec![landmarks],
            Self::Each(landmarks) => landmarks.values().collect(),
        }
    }
}

impl CaseStep for Nyul {
    fn work(&self) -> Work<'_> {
        Work::Intensities(self)
    }

    fn learn(
        &mut self,
        cases: &mut dyn Iterator<Item = Result<CaseVolumes, PreprocessError>>,
    ) -> Result<(), PreprocessError> {
        let mut sums: BTreeMap<String, [f64; PERCENTILES.len()]> = BTreeMap::new();
        let mut count = 0.0;
        for case in cases {
            let case = case?;
            for (image, name) in case.images.iter().zip(&case.names) {
                let standard = self.standard(image, case.region.as_ref());
                let standard = standard.map_err(|why| PreprocessError::Step {
                    step: "nyul",
                    why: of_image(&case.names, name, &why),
                })?;
                let sums = sums.entry(name.clone()).or_default();
                for (sum, percentile) in sums.iter_mut().zip(standard) {
                    *sum += percentile;
                }
            }
            count += 1.0;
        }
        let mean = |(name, sums): (String, [f64; PERCENTILES.len()])| {
            (name, sums.map(|sum| sum / count).to_vec())
        };
        let mut means: BTreeMap<String, Vec<f64>> = sums.into_iter().map(mean).collect();
        self.landmarks = Some(match means.len() {
            1 => Landmarks::All(means.pop_first().unwrap_or_default().1),
            _ => Landmarks::Each(means),
        });
        Ok(())
    }

    fn must_learn(&self) -> bool {
        self.landmarks.is_none()
    }

    fn images(&self) -> Vec<(&'static str, &str)> {
        match &self.landmarks {
            Some(Landmarks::Each(landmarks)) => {
                let names = landmarks.keys();
                names.map(|name| ("landmarks", name.as_str())).collect()
            }
            _ => Vec::new(),
        }
    }

    fn rules(&self) -> Vec<Fault> {
        let fits =
            |landmarks: &&Vec<f64>| landmarks.len() == PERCENTILES.len() && landmarks.is_sorted();
        let lists = self.landmarks.iter().flat_map(Landmarks::lists);
        if lists.clone().all(|landmarks| fits(&landmarks)) {
            return Vec::new();
        }
        let message = format!(
            "landmarks must be {} numbers in rising order, or null to learn them from the training \
             cases",
            PERCENTILES.len()
        );
        vec![Fault::new("landmarks", message)]
    }
}

impl ChangesImage for Nyul {
    fn change(&self, image: &mut Volume<f32>, about: About) -> Result<(), String> {
        let landmarks = self.landmarks.as_ref().ok_or(
            "its landmarks have not been learnt. Run an experiment with it, and take them \
             from the config.yaml of the run",
        )?;
        let landmarks = landmarks.of(about.name).ok_or_else(|| {
            format!(
                "its landmarks are of other images, not of `{}`. Set them to `null` to learn them, or give those of \
                 every image",
                about.name
            )
        })?;
        let percentiles = self.percentiles(image, about.region)?;
        let from = MAPPED.map(|i| percentiles[i]);
        let onto = MAPPED.map(|i| landmarks[i]);
        let lines: [(f64, f64); MAPPED.len() - 1] = std::array::from_fn(|i| {
            let gap = from[i + 1] - from[i];
            // Where percentiles coincide, as in the background, there is nothing to stretch.
            let slope = match gap < LEAST_GAP {
                true => 0.0,
                false => (onto[i + 1] - onto[i]) / gap,
            };
            (slope, onto[i] - slope * from[i])
        });
        // The first and last lines extend beyond the ends.
        let inner = &from[1..MAPPED.len() - 1];
        let mapped = |value: f32| {
            let value = f64::from(value);
            let (slope, intercept) = lines[inner.partition_point(|edge| *edge <= value)];
            (slope * value + intercept) as f32
        };
        image.change(mapped);
        Ok(())
    }
}

impl Nyul {
    fn percentiles(
        &self,
        image: &Volume<f32>,
        region: Option<&Volume<f32>>,
    ) -> Result<[f64; PERCENTILES.len()], String> {
        let values = self.over.values(image, region)?;
        Ok(percentiles(values, PERCENTILES))
    }

    /// An image's percentiles after the first and the last are mapped onto [`STANDARD`].
    fn standard(
        &self,
        image: &Volume<f32>,
        region: Option<&Volume<f32>>,
    ) -> Result<[f64; PERCENTILES.len()], String> {
        let percentiles = self.percentiles(image, region)?;
        let (first, last) = (percentiles[0], percentiles[PERCENTILES.len() - 1]);
        if last - first < LEAST_GAP {
            return Err(
                "the scan's 1st and 99th percentile are the same intensity, so nothing \
                 can be learnt from it. Check the scan, or choose another `over`"
                    .into(),
            );
        }
        let slope = (STANDARD.1 - STANDARD.0) / (last - first);
        Ok(percentiles.map(|percentile| STANDARD.0 + slope * (percentile - first)))
    }
}
