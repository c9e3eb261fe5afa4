//! Moving by whole voxels: values are copied.

use std::ops::Range;

use ndarray::Array3;
use rayon::prelude::*;

use super::Frame;
use super::map::Line;
use crate::augment::Sample;

/// Puts in the place of `sample`'s images and mask arrays of `shape` with the voxels that `lines` name along each axis, and with
/// air.
pub(super) fn copy(sample: &mut Sample, frame: &Frame, lines: [Line; 3], shape: [usize; 3]) {
    let before = sample.shape();
    let spans: [Span; 3] = std::array::from_fn(|a| {
        let line = lines[a].from(frame.start[a]);
        Span::new(line, before[a], shape[a])
    });
    let whole = (0..3).all(|a| spans[a].at.len() == shape[a]);
    let Sample { images, mask, .. } = sample;
    // One image after the other: what is filled next is the memory that was read last.
    let images = || {
        for (place, image) in images.iter_mut().enumerate() {
            // Nothing enters from outside: its value is not needed.
            let outside = |values: &[f32]| match whole {
                true => 0.0,
                false => frame.air(place, values),
            };
            *image = copied(image, &spans, shape, outside);
        }
    };
    rayon::join(images, || *mask = copied(mask, &spans, shape, |_| 0));
}

/// An array of `shape` with voxels of `source`, and what lies `outside` of it.
fn copied<T: Copy + Default + Send + Sync>(
    source: &Array3<T>,
    spans: &[Span; 3],
    shape: [usize; 3],
    outside: impl Fn(&[T]) -> T,
) -> Array3<T> {
    let mut copied = Array3::from_elem(shape, T::default());
    // Values are read in the order of the indices, however they lie in memory.
    let source = source.as_standard_layout();
    let (_, before_y, before_z) = source.dim();
    let [_, ny, nz] = shape;
    let (Some(source), Some(target)) = (source.as_slice(), copied.as_slice_mut()) else {
        return copied;
    };
    let outside = outside(source);
    let planes = target.par_chunks_mut((ny * nz).max(1)).enumerate();
    planes.for_each(|(x, plane)| {
        for (y, row) in plane.chunks_exact_mut(nz).enumerate() {
            let from = spans[0].source(x).zip(spans[1].source(y));
            let Some((from_x, from_y)) = from else {
                row.fill(outside);
                continue;
            };
            let start = (from_x * before_y + from_y) * before_z;
            spans[2].copy(&source[start..start + before_z], row, outside);
        }
    });
    copied
}

/// The part of an axis that is filled from the source.
struct Span {
    line: Line,
    /// The voxels that are filled.
    at: Range<usize>,
}

impl Span {
    /// For an axis with `before` voxels in the source and `after` in the target.
    fn new(line: Line, before: usize, after: usize) -> Self {
        let (before, after_last) = (before as isize, after as isize);
        let (first, end) = if line.mirrored {
            (
                line.first.saturating_sub(before - 1),
                line.first.saturating_add(1),
            )
        } else {
            (
                line.first.saturating_neg(),
                before.saturating_sub(line.first),
            )
        };
        let within = |at: isize| at.clamp(0, after_last) as usize;
        let (first, end) = (within(first), within(end));
        Self {
            line,
            at: first..end.max(first),
        }
    }

    /// Where voxel `at` comes from, if from within the source.
    fn source(&self, at: usize) -> Option<usize> {
        let step = if self.line.mirrored {
            -(at as isize)
        } else {
            at as isize
        };
        self.at
            .contains(&at)
            .then(|| (self.line.first + step) as usize)
    }

    /// Fills a row of the target from a row of the source.
    fn copy<T: Copy>(&self, source: &[T], target: &mut [T], outside: T) {
        let Range { start, end } = self.at.clone();
        target[..start].fill(outside);
        target[end..].fill(outside);
        let Some((first, last)) = self
            .source(start)
            .zip(end.checked_sub(1).and_then(|end| self.source(end)))
        else {
            return;
        };
        let filled = &mut target[start..end];
        filled.copy_from_slice(&source[first.min(last)..=first.max(last)]);
        if self.line.mirrored {
            filled.reverse();
        }
    }
}
