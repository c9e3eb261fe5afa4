//! What a convolution reads: the channels of one tensor, or of two as if they were joined.

use std::ops::Range;

/// The channels of one tensor, or those of two, sample by sample, as if they were joined.
#[derive(Clone, Copy, Debug)]
pub struct Input<'a>([&'a [f32]; 2]);

impl<'a> Input<'a> {
    /// The channels of `first`, then those of `second`.
    pub fn joined(first: &'a [f32], second: &'a [f32]) -> Self {
        Self([first, second])
    }

    /// Values in all.
    pub(super) fn len(self) -> usize {
        self.0[0].len() + self.0[1].len()
    }

    /// The channels of one of `batch` samples; a channel has `volume` values.
    pub(super) fn sample(self, sample: usize, batch: usize, volume: usize) -> Channels<'a> {
        let parts = self.0.map(|tensor| {
            let len = tensor.len() / batch;
            &tensor[sample * len..][..len]
        });
        Channels { parts, volume }
    }
}

impl<'a> From<&'a [f32]> for Input<'a> {
    fn from(tensor: &'a [f32]) -> Self {
        Self([tensor, &[]])
    }
}

/// Some channels of a sample.
#[derive(Clone, Copy, Debug)]
pub(super) struct Channels<'a> {
    parts: [&'a [f32]; 2],
    volume: usize,
}

impl<'a> Channels<'a> {
    /// How many there are.
    pub(super) fn len(self) -> usize {
        self.parts.iter().map(|part| part.len() / self.volume).sum()
    }

    /// A channel, unless it is past the last.
    pub(super) fn get(self, channel: usize) -> Option<&'a [f32]> {
        let [first, second] = self.parts;
        let start = channel * self.volume;
        let (part, start) = match start.checked_sub(first.len()) {
            None => (first, start),
            Some(start) => (second, start),
        };
        part.get(start..start + self.volume)
    }

    /// Some of them.
    pub(super) fn part(self, channels: Range<usize>) -> Channels<'a> {
        let [first, second] = self.parts;
        let [start, end] = [channels.start, channels.end].map(|channel| channel * self.volume);
        let of_second = |at: usize| at.saturating_sub(first.len());
        let parts = [
            &first[start.min(first.len())..end.min(first.len())],
            &second[of_second(start)..of_second(end)],
        ];
        Channels { parts, ..self }
    }

    /// Each of them.
    pub(super) fn iter(self) -> impl Iterator<Item = &'a [f32]> {
        let [first, second] = self.parts;
        let channels = first.chunks_exact(self.volume);
        channels.chain(second.chunks_exact(self.volume))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn channels_of_two_tensors_are_counted_as_one_tensors() {
        // Two samples of one and of two channels of two values.
        let (first, second) = (
            [0.0, 0.1, 3.0, 3.1],
            [1.0, 1.1, 2.0, 2.1, 4.0, 4.1, 5.0, 5.1],
        );
        let input = Input::joined(&first, &second);
        assert_eq!(input.len(), 12);
        for sample in 0..2 {
            let channels = input.sample(sample, 2, 2);
            assert_eq!(channels.len(), 3);
            assert_eq!(channels.get(3), None);
            let expected = |channel: usize| (3 * sample + channel) as f32;
            for (channel, values) in channels.iter().enumerate() {
                assert_eq!(values, [expected(channel), expected(channel) + 0.1]);
                assert_eq!(channels.get(channel), Some(values));
            }
            for (start, end) in [(0, 1), (0, 2), (1, 3), (2, 3)] {
                let part = channels.part(start..end);
                assert_eq!(part.len(), end - start);
                assert_eq!(part.iter().next(), channels.get(start));
                assert_eq!(part.iter().last(), channels.get(end - 1));
            }
        }
    }
}
