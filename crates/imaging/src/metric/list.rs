//! What a metric is: its name, its meaning, and where it is defined.

use super::Comparison;

/// A measure of how well two masks agree, or of how large they are.
#[derive(Debug)]
pub struct Metric {
    /// Its name, as in the tables' columns.
    pub name: &'static str,
    /// Its meaning.
    pub description: &'static str,
    /// Its unit; empty for a share, which lies between 0 and 1.
    pub unit: &'static str,
    /// Which values are good.
    pub better: Better,
    /// Who defined it, or which program's number it is.
    pub reference: &'static str,
    /// The value; none where it needs probabilities and there are none.
    pub(super) value: fn(&Comparison) -> Option<f64>,
}

impl Metric {
    /// The value, without the sign that a sum of nothing has: -0 is 0.
    pub(super) fn of(&self, masks: &Comparison) -> Option<f64> {
        (self.value)(masks).map(|value| value + 0.0)
    }
}

/// Which values of a metric are good.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Better {
    /// The higher ones.
    Higher,
    /// The lower ones.
    Lower,
    /// Neither: the number describes and does not judge.
    Neither,
}

const TAHA_HANBURY: &str = "Taha & Hanbury, Metrics for evaluating 3D medical image segmentation: \
    analysis, selection, and tool, BMC Medical Imaging, 2015.";

/// Declares the metrics, in the order of the tables' columns: one line per metric, which names its file.
macro_rules! metrics {
    ($($metric:ident,)+) => {
        $(mod $metric;)+

        /// Every metric, in the order of the tables' columns.
        pub const METRICS: &[Metric] = &[$($metric::METRIC),+];
    };
}

/// What most shares have in common; they are defined in one review.
pub(super) const SHARE: Metric = Metric {
    name: "",
    description: "",
    unit: "",
    better: Better::Higher,
    reference: TAHA_HANBURY,
    value: |_| None,
};

pub(super) const DISTANCE: Metric = Metric {
    unit: "mm",
    better: Better::Lower,
    ..SHARE
};

pub(super) const VOLUME: Metric = Metric {
    unit: "mL",
    better: Better::Neither,
    ..SHARE
};
