//! Dropout on the CPU: Burn's draws, made in parallel and kept as bits. Burn makes them on one thread, and keeps
//! them as numbers.

use std::cell::Cell;
use std::sync::Arc;

use burn::backend::flex::FlexTensor;
use multiversion::multiversion;
use rand::SeedableRng;
use rand::distr::{Bernoulli, Distribution};
use rand_chacha::ChaCha12Rng;
use rayon::prelude::*;

use super::flex::{dims, tensor, values};
use super::parallel::{PART, collect};
use super::tape::{Operation, Recomputed, each_wanted};

/// What a thread draws from, and how many draws it has made.
#[derive(Clone, Copy, Debug, Default)]
struct Stream {
    seed: u64,
    drawn: usize,
}

thread_local! {
    static STREAM: Cell<Stream> = const { Cell::new(Stream { seed: 0, drawn: 0 }) };
}

/// See [`super::Kernels::seed_dropout`].
pub(super) fn seed(seed: u64) {
    STREAM.set(Stream { seed, drawn: 0 });
}

/// Keeps some values, multiplied by `scale`, and sets the others to 0.
#[derive(Clone, Debug)]
pub(super) struct Dropout {
    /// A bit for each value of a tensor, and one more word.
    kept: Arc<Vec<u64>>,
    scale: f32,
    /// In each sample of the tensor, where the channels begin that this is for.
    first: usize,
    /// Values of a sample of the tensor.
    sample: usize,
}

impl Dropout {
    /// Draws which values of a tensor are kept that has samples of `sample` values; each is dropped with this
    /// probability.
    pub(super) fn draw(batch: usize, sample: usize, probability: f64) -> Self {
        let len = batch * sample;
        let keep = 1.0 - probability;
        let stream = STREAM.get();
        STREAM.set(Stream {
            drawn: stream.drawn + len,
            ..stream
        });
        let distribution = Bernoulli::new(keep).expect("a probability, which settings are");
        let mut kept = vec![0; len.div_ceil(64) + 1];
        let parts = kept.par_chunks_mut(PART / 64).enumerate();
        parts.for_each(|(part, words)| {
            let mut rng = ChaCha12Rng::seed_from_u64(stream.seed);
            // A draw takes two words of the stream.
            rng.set_word_pos(2 * (stream.drawn + part * PART) as u128);
            for word in words {
                for bit in 0..64 {
                    *word |= u64::from(distribution.sample(&mut rng)) << bit;
                }
            }
        });
        Self {
            kept: Arc::new(kept),
            scale: (1.0 / keep) as f32,
            first: 0,
            sample,
        }
    }

    /// The same draws, for the channels from the value `first` of a sample on.
    pub(super) fn part(&self, first: usize) -> Self {
        Self {
            first,
            ..self.clone()
        }
    }

    fn apply(&self, x: &FlexTensor) -> FlexTensor {
        let from = values(x);
        let shape = dims::<5>(x);
        let len = from.len() / shape[0];
        let out = collect(from.len(), len, 64, |sample, start, out| {
            let bit = sample * self.sample + self.first + start;
            let from = &from[sample * len + start..][..out.len()];
            kept_then_scaled(from, &self.kept[bit / 64..], bit % 64, self.scale, out);
        });
        tensor(out, shape)
    }
}

impl Operation for Dropout {
    const RECOMPUTED: Recomputed = Recomputed::Never;
    const NEEDS_INPUTS: bool = false;

    fn forward(&self, parents: &[FlexTensor]) -> FlexTensor {
        self.apply(&parents[0])
    }

    fn gradients(
        &self,
        _: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        each_wanted(wanted, |_| self.apply(gradient))
    }
}

/// The values whose bit is set, times `scale`; the first value's is the bit `first` of the first word.
#[multiversion(targets = "simd")]
fn kept_then_scaled(x: &[f32], kept: &[u64], first: usize, scale: f32, out: &mut [f32]) {
    let parts = out.chunks_mut(64).zip(x.chunks(64)).zip(kept.windows(2));
    for ((out, x), words) in parts {
        // In two steps, as shifting a word by all of its bits is not allowed.
        let kept = words[0] >> first | words[1] << 1 << (63 - first);
        for (bit, (out, x)) in out.iter_mut().zip(x).enumerate() {
            *out = x * (kept >> bit & 1) as f32 * scale;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::rngs::StdRng;

    /// Burn draws one by one from the standard generator.
    #[test]
    fn draws_are_burns_one_after_the_other_and_gradients_take_the_same_ones() {
        let mut rng = StdRng::seed_from_u64(7);
        seed(7);
        for (len, probability) in [(PART + 100, 0.3), (70, 0.05), (3 * PART, 0.5)] {
            let dropout = Dropout::draw(1, len, probability);
            let x: Vec<f32> = (0..len).map(|i| i as f32 - 50.0).collect();
            let x = tensor(x, [1, 1, 1, 1, len]);
            let keep = Bernoulli::new(1.0 - probability).unwrap();
            let scale = (1.0 / (1.0 - probability)) as f32;
            let expected: Vec<f32> = values(&x)
                .iter()
                .map(|x| {
                    if keep.sample(&mut rng) {
                        x * scale
                    } else {
                        0.0
                    }
                })
                .collect();
            assert!(values(&dropout.forward(std::slice::from_ref(&x))) == expected);
            let gradient = dropout.gradients(&[], &x, &[true]).remove(0).unwrap();
            assert!(values(&gradient) == expected);
        }
    }

    #[test]
    fn two_tensors_share_the_draws_of_both_joined() {
        for [a, b] in [[64, 128], [70, 33], [PART + 3, 2 * PART + 100]] {
            let sample = a + b;
            let whole = Dropout::draw(2, sample, 0.4);
            let ones = |shape| tensor(vec![1.0; 2 * shape], [2, 1, 1, 1, shape]);
            let joined = whole.apply(&ones(sample));
            let parts = [(0, a), (a, b)].map(|(first, len)| whole.part(first).apply(&ones(len)));
            for n in 0..2 {
                let (first, second) = values(&joined)[n * sample..][..sample].split_at(a);
                assert!(first == &values(&parts[0])[n * a..][..a]);
                assert!(second == &values(&parts[1])[n * b..][..b]);
            }
        }
    }
}
