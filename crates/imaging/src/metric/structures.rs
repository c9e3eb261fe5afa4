//! Scores of several structures at once: voxels are counted in one pass over the class maps, and each structure's
//! surfaces are looked at within its own box.

use std::borrow::Cow;
use std::ops::Range;

use ndarray::{Array3, ArrayView2, ArrayView3, Zip, s};
use rayon::prelude::*;

use super::{
    Comparison, Evaluation, METRICS, Overlap, Pieces, SurfaceDistances, all, memory_order,
    smooth_iou, turned,
};
use crate::volume::{Structures, Volume};

/// Name and value of every metric of one structure, in the order of [`METRICS`](super::METRICS).
pub type Values = Vec<(&'static str, f64)>;

/// Gives a structure's probabilities, on the grid of the class maps.
pub type Probability<'a> = &'a (dyn Fn(usize) -> Cow<'a, Volume<f32>> + Sync);

/// How each structure of a predicted class map overlaps the true one, in the structures' order; voxels that the truth
/// ignores are not counted.
pub fn overlaps(
    prediction: ArrayView3<'_, u8>,
    truth: ArrayView3<'_, u8>,
    structures: &Structures,
) -> Vec<Overlap> {
    let survey = Survey::of(prediction, truth);
    let each = 0..structures.count();
    each.map(|structure| survey.overlap(&Members::of(structures, structure)))
        .collect()
}

/// The metrics of each structure of a predicted class map, in the structures' order; `iou_soft` only where there are
/// probabilities. Of one mask these are the values of [`all`].
///
/// Voxels that the truth ignores ([`Structures::IGNORED`]) are taken out of both maps: they are in no count and in no
/// structure, so a structure's surface ends where they begin.
///
/// # Panics
///
/// When the shapes differ.
pub fn by_structure(
    prediction: &Volume<u8>,
    truth: &Volume<u8>,
    structures: &Structures,
    probability: Option<Probability<'_>>,
    settings: &Evaluation,
) -> Vec<Values> {
    if structures.is_mask() {
        let probability = probability.map(|of| of(0));
        return vec![all(prediction, truth, probability.as_deref(), settings)];
    }
    assert_eq!(
        prediction.shape(),
        truth.shape(),
        "class maps must have one shape"
    );
    let axes = memory_order(truth);
    let spacing = axes.map(|axis| truth.spacing()[axis]);
    let (predicted, true_) = (turned(prediction, axes), turned(truth, axes));
    let survey = Survey::of(predicted, true_);
    let scored = (0..structures.count()).into_par_iter().map(|structure| {
        let members = Members::of(structures, structure);
        let iou_soft = probability.map(|of| {
            let probability = of(structure);
            assert_eq!(
                probability.shape(),
                truth.shape(),
                "probabilities must have the class maps' shape"
            );
            soft_iou(turned(&probability, axes), true_, &members)
        });
        let parts = survey
            .extent(&members)
            .map(|box_| cut(predicted, true_, &members, box_));
        let surfaces = parts
            .as_ref()
            .map_or_else(SurfaceDistances::default, |[of, truth]| {
                SurfaceDistances::between(of.view(), truth.view(), spacing)
            });
        let pieces =
            parts
                .as_ref()
                .map_or_else(Pieces::default, |[of, truth]| match settings.pieces {
                    true => Pieces::of(of.view(), truth.view()),
                    false => Pieces::default(),
                });
        let comparison = Comparison {
            overlap: survey.overlap(&members),
            iou_soft,
            surfaces,
            voxel_ml: truth.voxel_volume_ml(),
            nsd_tolerance: settings.nsd_tolerance,
            pieces: settings.pieces.then_some(pieces),
        };
        let values = METRICS.iter();
        values
            .filter_map(|metric| Some((metric.name, metric.of(&comparison)?)))
            .collect()
    });
    scored.collect()
}

/// The mean of each metric over the structures of a case. A distance is infinite where that of one structure is: a
/// structure that was not found is not a small error, and a mean that left it out would flatter.
pub fn mean_of_structures<N: Clone>(structures: &[Vec<(N, f64)>]) -> Vec<(N, f64)> {
    let Some(first) = structures.first() else {
        return Vec::new();
    };
    let mean = |(at, (name, _)): (usize, &(N, f64))| {
        let values = structures.iter().map(|of| of[at].1);
        (name.clone(), values.sum::<f64>() / structures.len() as f64)
    };
    first.iter().enumerate().map(mean).collect()
}

/// Which classes belong to a structure.
struct Members([bool; 256]);

impl Members {
    fn of(structures: &Structures, structure: usize) -> Self {
        let mut members = [false; 256];
        for (class, member) in (0..=u8::MAX).zip(&mut members) {
            *member = structures.contains(structure, class);
        }
        Self(members)
    }

    fn has(&self, class: u8) -> bool {
        self.0[usize::from(class)]
    }

    fn classes(&self) -> impl Iterator<Item = usize> + '_ {
        let classes = self.0.iter().enumerate();
        classes.filter_map(|(class, is)| is.then_some(class))
    }
}

/// First and last index along each axis.
type Extent = [(usize, usize); 3];

const NOWHERE: Extent = [(usize::MAX, 0); 3];

fn joined(a: Extent, b: Extent) -> Extent {
    std::array::from_fn(|axis| (a[axis].0.min(b[axis].0), a[axis].1.max(b[axis].1)))
}

/// What one pass over both class maps tells: how often a predicted class meets a true one, and where each class
/// occurs in either.
struct Survey {
    /// The voxels of each predicted and true class, as `256 * predicted + true`; ignored ones are not counted.
    counts: Vec<u64>,
    extents: Vec<Extent>,
}

impl Survey {
    fn of(prediction: ArrayView3<'_, u8>, truth: ArrayView3<'_, u8>) -> Self {
        let planes: Vec<_> = prediction.outer_iter().zip(truth.outer_iter()).collect();
        let planes: Vec<_> = planes.into_iter().enumerate().collect();
        let share = planes.len().div_ceil(rayon::current_num_threads()).max(1);
        let parts = planes.par_chunks(share).map(|planes| {
            let mut part = Self::empty();
            for (x, (prediction, truth)) in planes {
                part.add(*x, *prediction, *truth);
            }
            part
        });
        parts.reduce(Self::empty, Self::join)
    }

    fn empty() -> Self {
        Self {
            counts: vec![0; 256 * 256],
            extents: vec![NOWHERE; 256],
        }
    }

    fn add(&mut self, x: usize, prediction: ArrayView2<'_, u8>, truth: ArrayView2<'_, u8>) {
        for (y, (prediction, truth)) in prediction.rows().into_iter().zip(truth.rows()).enumerate()
        {
            for (z, (&predicted, &is)) in prediction.iter().zip(truth).enumerate() {
                if is == Structures::IGNORED {
                    continue;
                }
                self.counts[256 * usize::from(predicted) + usize::from(is)] += 1;
                if predicted | is != 0 {
                    let here = [(x, x), (y, y), (z, z)];
                    for class in [predicted, is] {
                        let extent = &mut self.extents[usize::from(class)];
                        *extent = joined(*extent, here);
                    }
                }
            }
        }
    }

    fn join(mut self, other: Self) -> Self {
        for (count, more) in self.counts.iter_mut().zip(other.counts) {
            *count += more;
        }
        for (extent, more) in self.extents.iter_mut().zip(other.extents) {
            *extent = joined(*extent, more);
        }
        self
    }

    fn overlap(&self, members: &Members) -> Overlap {
        let mut overlap = Overlap::default();
        for (predicted, row) in (0..=u8::MAX).zip(self.counts.chunks(256)) {
            for (is, count) in (0..=u8::MAX).zip(row) {
                *match (members.has(predicted), members.has(is)) {
                    (true, true) => &mut overlap.tp,
                    (true, false) => &mut overlap.fp,
                    (false, true) => &mut overlap.fn_,
                    (false, false) => &mut overlap.tn,
                } += count;
            }
        }
        overlap
    }

    /// The box that holds a structure in both maps; none where it is in neither.
    fn extent(&self, members: &Members) -> Option<[Range<usize>; 3]> {
        let extents = members.classes().map(|class| self.extents[class]);
        let extent = extents.fold(NOWHERE, joined);
        (extent != NOWHERE).then(|| extent.map(|(first, last)| first..last + 1))
    }
}

/// A structure in both maps, within a box that holds it.
fn cut(
    prediction: ArrayView3<'_, u8>,
    truth: ArrayView3<'_, u8>,
    members: &Members,
    [x, y, z]: [Range<usize>; 3],
) -> [Array3<u8>; 2] {
    let within = s![x, y, z];
    let (prediction, truth) = (prediction.slice(within), truth.slice(within));
    [prediction, truth].map(|map| {
        let voxels = Zip::from(map).and(truth);
        voxels.map_collect(|&class, &is| u8::from(members.has(class) && is != Structures::IGNORED))
    })
}

/// As [`iou_soft`](super::iou_soft), of one structure and without ignored voxels.
fn soft_iou(probability: ArrayView3<'_, f32>, truth: ArrayView3<'_, u8>, members: &Members) -> f64 {
    let (mut intersection, mut sum) = (0.0, 0.0);
    for (&p, &is) in probability.iter().zip(truth) {
        if is != Structures::IGNORED {
            let (p, t) = (f64::from(p), f64::from(u8::from(members.has(is))));
            intersection += p * t;
            sum += p + t;
        }
    }
    smooth_iou(intersection, sum)
}
