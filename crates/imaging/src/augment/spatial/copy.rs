//! Moving by whole voxels: values are copied.

use std::ops::Range;

use rayon::prelude::*;

use super::map::Line;
use super::{Source, Target, air};

/// Fills `target` with the voxels of `source` that `lines` name along each axis, and with air.
pub(super) fn copy(source: &Source, lines: [Line; 3], target: Target) {
    let [nx, ny, nz] = target.shape;
    if nx * ny * nz == 0 {
        return;
    }
    let spans: [Span; 3] =
        std::array::from_fn(|a| Span::new(lines[a], source.shape[a], target.shape[a]));
    let whole = (0..3).all(|a| spans[a].at.len() == target.shape[a]);
    let plane = [ny, nz];
    let images = || {
        let images = source.images.par_iter().zip(target.images);
        images.for_each(|(image, target)| {
            // Nothing enters from outside: its value is not needed.
            let outside = if whole { 0.0 } else { air(image) };
            copy_values(image, source.shape, &spans, target, plane, outside);
        });
    };
    let mask = || copy_values(source.mask, source.shape, &spans, target.mask, plane, 0);
    rayon::join(images, mask);
}

/// Fills `target`, whose planes are of `plane` voxels.
fn copy_values<T: Copy + Send + Sync>(
    source: &[T],
    shape: [usize; 3],
    spans: &[Span; 3],
    target: &mut [T],
    [ny, nz]: [usize; 2],
    outside: T,
) {
    let planes = target.par_chunks_mut(ny * nz).enumerate();
    planes.for_each(|(x, plane)| {
        for (y, row) in plane.chunks_exact_mut(nz).enumerate() {
            let from = spans[0].source(x).zip(spans[1].source(y));
            let Some((from_x, from_y)) = from else {
                row.fill(outside);
                continue;
            };
            let start = (from_x * shape[1] + from_y) * shape[2];
            spans[2].copy(&source[start..start + shape[2]], row, outside);
        }
    });
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
