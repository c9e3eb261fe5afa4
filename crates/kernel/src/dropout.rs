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

use super::autodiff::{Operation, Recomputed, each_wanted};
use super::flex::{dims, tensor, values};
use super::parallel::{PART, collect};

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
    /// A bit for each value.
    kept: Arc<Vec<u64>>,
    scale: f32,
}

impl Dropout {
    /// Draws which of `len` values are kept; each is dropped with this probability.
    pub(super) fn draw(len: usize, probability: f64) -> Self {
        let keep = 1.0 - probability;
        let stream = STREAM.get();
        STREAM.set(Stream {
            drawn: stream.drawn + len,
            ..stream
        });
        let distribution = Bernoulli::new(keep).expect("a probability, which settings are");
        let mut kept = vec![0; len.div_ceil(64)];
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
        }
    }

    fn apply(&self, x: &FlexTensor, by: fn(&[f32], &[u64], f32, &mut [f32])) -> FlexTensor {
        let from = values(x);
        let out = collect(from.len(), from.len(), 64, |_, start, out| {
            by(
                &from[start..][..out.len()],
                &self.kept[start / 64..],
                self.scale,
                out,
            );
        });
        tensor(out, dims::<5>(x))
    }
}

impl Operation for Dropout {
    const RECOMPUTED: Recomputed = Recomputed::Never;
    const NEEDS_INPUTS: bool = false;

    fn forward(&self, parents: &[FlexTensor]) -> FlexTensor {
        self.apply(&parents[0], kept_then_scaled)
    }

    fn gradients(
        &self,
        _: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        each_wanted(wanted, |_| self.apply(gradient, kept_then_scaled))
    }
}

#[multiversion(targets = "simd")]
fn kept_then_scaled(x: &[f32], kept: &[u64], scale: f32, out: &mut [f32]) {
    let parts = out.chunks_mut(64).zip(x.chunks(64)).zip(kept);
    for ((out, x), kept) in parts {
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
            let dropout = Dropout::draw(len, probability);
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
}
