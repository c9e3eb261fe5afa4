//! Histogram standardisation: the same tissue gets the same intensity in every scan.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::voxel_selection::VoxelSelection;
use super::{CaseStep, CaseVolumes, PreprocessError};
use crate::settings::Fault;
use crate::statistics::intensities::percentiles;

/// Maps each scan's percentiles onto standard landmarks, piecewise linearly (Nyúl, Udupa and Zhang
/// 2000, "New variants of a method of MRI scale standardization", IEEE TMI 19(2)), as TorchIO does.
///
/// The landmarks are the mean percentiles of the training cases, each scan first mapped linearly so
/// that its 1st and 99th percentile fall on 0 and 100. They are learnt from the training cases
/// alone, and written into the run's `config.yaml`, where prediction finds them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Nyul {
    /// What the percentiles 1, 10, 20, 25, 30, 40, 50, 60, 70, 75, 80, 90 and 99 are mapped onto;
    /// `null` to learn it from the training cases.
    pub landmarks: Option<Vec<f64>>,
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

impl CaseStep for Nyul {
    fn learn(
        &mut self,
        cases: &mut dyn Iterator<Item = Result<CaseVolumes, PreprocessError>>,
    ) -> Result<(), PreprocessError> {
        let mut sums = [0.0; PERCENTILES.len()];
        let mut count = 0.0;
        for case in cases {
            let percentiles = self.percentiles(&case?)?;
            let (first, last) = (percentiles[0], percentiles[PERCENTILES.len() - 1]);
            if last - first < LEAST_GAP {
                return Err(PreprocessError::Step {
                    step: "nyul",
                    why: "the scan's 1st and 99th percentile are the same intensity, so nothing \
                          can be learnt from it. Check the scan, or choose another `over`"
                        .into(),
                });
            }
            let slope = (STANDARD.1 - STANDARD.0) / (last - first);
            for (sum, percentile) in sums.iter_mut().zip(percentiles) {
                *sum += STANDARD.0 + slope * (percentile - first);
            }
            count += 1.0;
        }
        self.landmarks = Some(sums.map(|sum| sum / count).to_vec());
        Ok(())
    }

    fn apply(&self, mut case: CaseVolumes) -> Result<CaseVolumes, PreprocessError> {
        let landmarks = self
            .landmarks
            .as_ref()
            .ok_or_else(|| PreprocessError::Step {
                step: "nyul",
                why:
                    "its landmarks have not been learnt. Run an experiment with it, and take them \
                      from the config.yaml of the run"
                        .into(),
            })?;
        let percentiles = self.percentiles(&case)?;
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
        case.image.change(mapped);
        Ok(case)
    }

    fn must_learn(&self) -> bool {
        self.landmarks.is_none()
    }

    fn rules(&self) -> Vec<Fault> {
        let fits =
            |landmarks: &Vec<f64>| landmarks.len() == PERCENTILES.len() && landmarks.is_sorted();
        if self.landmarks.as_ref().is_none_or(fits) {
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

impl Nyul {
    fn percentiles(&self, case: &CaseVolumes) -> Result<[f64; PERCENTILES.len()], PreprocessError> {
        let values = self.over.values(case, "nyul")?;
        Ok(percentiles(values, PERCENTILES))
    }
}
