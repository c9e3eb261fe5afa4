//! Concatenation of two tensors along their channels, and its inverse.

use super::parallel::collect_maps;

/// How many values a sample has in the first tensor and in the second.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleLengths(pub(super) usize, pub(super) usize);

/// `first` and `second` sample by sample.
pub(super) fn forward(first: &[f32], second: &[f32], lengths: SampleLengths) -> Vec<f32> {
    let SampleLengths(a, b) = lengths;
    collect_maps(first.len() + second.len(), a + b, |sample, out| {
        let (of_first, of_second) = out.split_at_mut(a);
        of_first.copy_from_slice(&first[sample * a..][..a]);
        of_second.copy_from_slice(&second[sample * b..][..b]);
    })
}

/// The part of `joined` that came from the first tensor (`part` 0) or the second (1).
pub(super) fn part(
    joined: &[f32],
    samples: usize,
    lengths: SampleLengths,
    part: usize,
) -> Vec<f32> {
    let SampleLengths(a, b) = lengths;
    let (start, len) = if part == 0 { (0, a) } else { (a, b) };
    collect_maps(samples * len, len, |sample, out| {
        out.copy_from_slice(&joined[sample * (a + b) + start..][..len]);
    })
}
