//! Whether a predicted mask can be right.

use crate::layout::RunFolder;

/// A mask may be this many times larger or smaller than those that a run was validated on.
const MARGIN: f64 = 1.5;

/// The volumes that masks have, in mL: of the true masks that a run was validated on.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct UsualVolumes {
    least: f64,
    most: f64,
}

impl UsualVolumes {
    /// Of the run in `folder`; none where it has no scores.
    pub(super) fn of(folder: &RunFolder) -> Option<Self> {
        let cases = folder.read_cases().ok()?;
        let volumes = cases.iter().filter_map(|case| case.score("true_volume_ml"));
        let (least, most) = volumes
            .fold((f64::INFINITY, f64::NEG_INFINITY), |(least, most), ml| {
                (ml.min(least), ml.max(most))
            });
        (least <= most).then_some(Self { least, most })
    }

    fn doubt(self, ml: f64) -> Option<String> {
        let Self { least, most } = self;
        let usual = (least / MARGIN..=most * MARGIN).contains(&ml);
        (!usual).then(|| {
            format!(
                "a brain of {ml:.0} mL is implausible: those that the run was validated on have {least:.0} to \
                 {most:.0} mL. Look at the mask"
            )
        })
    }
}

/// What is doubtful about a mask of this volume.
pub(super) fn doubt(ml: f64, usual: Option<UsualVolumes>) -> Option<String> {
    if ml == 0.0 {
        return Some("the mask is empty: nothing was found in the scan".into());
    }
    usual.and_then(|usual| usual.doubt(ml))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_volumes_far_from_the_usual_are_doubted() {
        let usual = Some(UsualVolumes {
            least: 1200.0,
            most: 1800.0,
        });
        for ml in [810.0, 1500.0, 2690.0] {
            assert_eq!(doubt(ml, usual), None, "{ml}");
        }
        for ml in [790.0, 2802.0] {
            let why = doubt(ml, usual).unwrap();
            assert!(why.contains("1200 to 1800 mL"), "{why}");
        }
        assert_eq!(doubt(2802.0, None), None);
        for usual in [None, usual] {
            assert!(doubt(0.0, usual).unwrap().contains("empty"));
        }
    }
}
