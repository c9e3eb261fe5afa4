//! How often what has a probability is true.

use crate::evaluate::ReliabilityBin;
use crate::plot::{CurvePlot, Mark, Series};

/// The reliability curves of structures, by their names, of which a mask has none, and the line on which they should lie.
pub fn reliability(curves: &[(String, Vec<ReliabilityBin>)]) -> CurvePlot {
    let mark = match curves.len() {
        1 => Mark::Line,
        _ => Mark::Part,
    };
    let series = curves.iter().map(|(name, curve)| Series {
        label: match name.as_str() {
            "" => "prediction".to_owned(),
            name => name.to_owned(),
        },
        points: (curve.iter())
            .map(|bin| (bin.probability, bin.frequency))
            .collect(),
        mark,
    });
    let perfect = Series {
        label: "well calibrated".into(),
        points: vec![(0.0, 0.0), (1.0, 1.0)],
        mark: Mark::Line,
    };
    CurvePlot {
        title: "Reliability".into(),
        x_label: "probability (mean of each of 15 bins)".into(),
        y_label: "part of the voxels that is true".into(),
        series: std::iter::once(perfect).chain(series).collect(),
        mean_band: false,
        reference: None,
        y_range: Some((-0.02, 1.02)),
        log_y: false,
    }
}
