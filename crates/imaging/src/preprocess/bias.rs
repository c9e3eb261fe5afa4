//! Preprocessing that also gives the field that N4 removed.

use std::time::Instant;

use super::{Applied, CaseVolumes, Pipeline, PreprocessError, Step, StepTime};
use crate::channels::On;
use crate::volume::Volume;

impl Pipeline {
    /// As [`Pipeline::apply_in_full`] for a scan of one image, and the field that its only `n4` step finds, in log
    /// intensity; none where there is not exactly one step and one image.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::apply`].
    pub fn apply_with_bias(
        mut self,
        case: CaseVolumes,
    ) -> Result<Option<(Applied, Volume<f32>)>, PreprocessError> {
        let is_n4 = |step: &On<Step>| matches!(step.member, Step::N4(_));
        let only = self.0.iter().filter(|step| is_n4(step)).count() == 1 && case.images.len() == 1;
        let Some(at) = self.0.iter().position(is_n4).filter(|_| only) else {
            return Ok(None);
        };
        let after = Self(self.0.split_off(at + 1));
        let Some(Step::N4(n4)) = self.0.pop().map(|step| step.member) else {
            unreachable!("the step at that place is n4");
        };
        let Applied {
            mut case,
            mut times,
            mut warnings,
            mut vanished,
            is_cut_off,
        } = self.apply_in_full(case)?;
        let started = Instant::now();
        let corrected = n4.correct(case.first(), case.region.as_ref());
        let corrected = corrected.map_err(|error| PreprocessError::Step {
            step: "n4",
            why: error.to_string(),
        })?;
        times.push(StepTime {
            step: "n4",
            time: started.elapsed(),
        });
        case.images = vec![corrected.image];
        let done = after.apply_in_full(case)?;
        times.extend(done.times);
        warnings.extend(done.warnings);
        vanished.extend(done.vanished);
        let done = Applied {
            case: done.case,
            times,
            warnings,
            vanished,
            is_cut_off: is_cut_off || done.is_cut_off,
        };
        Ok(Some((done, corrected.log_bias)))
    }
}
