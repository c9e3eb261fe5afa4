//! Concatenation of two tensors along their channels, and its inverse.

use super::parallel::collect;

/// How many values a sample has in the first tensor and in the second.
#[derive(Clone, Copy, Debug)]
pub(super) struct SampleLengths(pub(super) usize, pub(super) usize);

/// `first` and `second` sample by sample.
pub(super) fn forward(first: &[f32], second: &[f32], lengths: SampleLengths) -> Vec<f32> {
    let SampleLengths(a, b) = lengths;
    collect(
        first.len() + second.len(),
        a + b,
        1,
        |sample, start, out| {
            let of_first = out.len().min(a.saturating_sub(start));
            let (from_first, from_second) = out.split_at_mut(of_first);
            from_first.copy_from_slice(&first[sample * a + start.min(a)..][..from_first.len()]);
            let start = start.saturating_sub(a);
            from_second.copy_from_slice(&second[sample * b + start..][..from_second.len()]);
        },
    )
}

/// The part of `joined` that came from the first tensor (`part` 0) or the second (1).
pub(super) fn part(
    joined: &[f32],
    samples: usize,
    lengths: SampleLengths,
    part: usize,
) -> Vec<f32> {
    let SampleLengths(a, b) = lengths;
    let (first, len) = if part == 0 { (0, a) } else { (a, b) };
    collect(samples * len, len, 1, |sample, start, out| {
        out.copy_from_slice(&joined[sample * (a + b) + first + start..][..out.len()]);
    })
}

#[cfg(test)]
mod tests {
    use super::super::parallel::PART;
    use super::*;

    /// Two samples of two tensors. Neither tensor ends where a task's part ends.
    #[test]
    fn tensors_are_joined_sample_by_sample_and_parted_again() {
        let (a, b) = (PART + 3, 2 * PART + 5);
        let tensor = |len: usize, sign: f32| (0..len).map(|i| sign * i as f32).collect();
        let (first, second): (Vec<f32>, Vec<f32>) = (tensor(2 * a, 1.0), tensor(2 * b, -1.0));
        let joined = forward(&first, &second, SampleLengths(a, b));
        let expected = [&first[..a], &second[..b], &first[a..], &second[b..]];
        assert!(joined == expected.concat());
        assert!(part(&joined, 2, SampleLengths(a, b), 0) == first);
        assert!(part(&joined, 2, SampleLengths(a, b), 1) == second);
    }
}
