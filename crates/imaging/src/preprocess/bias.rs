//! Preprocessing that also gives the field that N4 removed.

use super::{CaseVolumes, Pipeline, PreprocessError, Step};
use crate::volume::Volume;

impl Pipeline {
    /// As [`Pipeline::apply`], and the field that its only `n4` step finds, in log intensity; none where there
    /// is not exactly one.
    ///
    /// # Errors
    ///
    /// As [`Pipeline::apply`].
    pub fn apply_with_bias(
        mut self,
        case: CaseVolumes,
    ) -> Result<Option<(CaseVolumes, Volume<f32>)>, PreprocessError> {
        let is_n4 = |step: &Step| matches!(step, Step::N4(_));
        let only = self.0.iter().filter(|step| is_n4(step)).count() == 1;
        let Some(at) = self.0.iter().position(is_n4).filter(|_| only) else {
            return Ok(None);
        };
        let after = Self(self.0.split_off(at + 1));
        let Some(Step::N4(n4)) = self.0.pop() else {
            unreachable!("the step at that place is n4");
        };
        let case = self.apply(case)?;
        let corrected = n4.correct(&case.image, case.region.as_ref());
        let corrected = corrected.map_err(|error| PreprocessError::Step {
            step: "n4",
            why: error.to_string(),
        })?;
        let image = corrected.image;
        let done = after.apply(CaseVolumes { image, ..case })?;
        Ok(Some((done, corrected.log_bias)))
    }
}
