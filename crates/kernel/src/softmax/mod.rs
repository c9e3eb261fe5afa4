//! The softmax over the channels of logits, and what losses and scores make of it, for many classes: nothing as large
//! as the logits is made but their gradient, which is written at once, from the logits themselves.
//!
//! A class map has a class for each voxel, the number of its channel; [`super::IGNORED_CLASS`] marks voxels that
//! count for nothing. Voxels are taken in blocks that fit the cache, with all their channels. Sums are made in double
//! precision, of the same parts in the same order at any number of threads.

mod counts;
mod entropy;
mod exponential;
mod overlap;
mod tensors;

use multiversion::multiversion;
use rayon::prelude::*;

use super::normalise::Extent;
use exponential::exponential;

pub(super) use tensors::{CrossEntropy, Overlap, counts, entropy, overlap};

/// Voxels that one task works on.
const PART: usize = 1 << 14;

/// Values of a block: 128 KiB, which stay in a core's cache.
const BLOCK: usize = 1 << 15;

/// Voxels of a block.
fn block_width(channels: usize) -> usize {
    (BLOCK / channels.max(1)).clamp(32, 1024) / 16 * 16
}

/// The class of a voxel as the number of its channel; at least `channels` where it is ignored.
fn class(value: f32, channels: usize) -> usize {
    // A cast from a float stays within the type's range.
    let class = value as usize;
    debug_assert!(
        class < channels || value == f32::from(super::IGNORED_CLASS),
        "class {value} of {channels} channels"
    );
    class
}

/// A part of the voxels of a sample.
#[derive(Clone, Copy)]
struct Part {
    sample: usize,
    /// The first voxel, in the sample.
    start: usize,
    len: usize,
}

/// The parts of all samples, in order: how they are cut depends on the extent alone.
fn parts(extent: Extent) -> Vec<Part> {
    let of_sample = |sample| {
        let starts = (0..extent.voxels).step_by(PART);
        starts.map(move |start| Part {
            sample,
            start,
            len: PART.min(extent.voxels - start),
        })
    };
    (0..extent.batch).flat_map(of_sample).collect()
}

/// Sums of each sample: those that `of` makes of each part are added, in order.
fn sums(extent: Extent, size: usize, of: impl Fn(Part, &mut [f64]) + Sync) -> Vec<Vec<f64>> {
    let parts = parts(extent);
    let sums: Vec<Vec<f64>> = parts
        .par_iter()
        .map(|part| {
            let mut sums = vec![0.0; size];
            of(*part, &mut sums);
            sums
        })
        .collect();
    let mut of_samples = vec![vec![0.0; size]; extent.batch];
    for (part, sums) in parts.iter().zip(sums) {
        let all = of_samples[part.sample].iter_mut();
        all.zip(sums).for_each(|(all, sum)| *all += sum);
    }
    of_samples
}

/// A new tensor of this extent: `fill` is handed a part and its voxels of each channel, which are all 0.
fn collect(extent: Extent, fill: impl Fn(Part, &mut [&mut [f32]]) + Sync) -> Vec<f32> {
    let mut values = vec![0.0; extent.batch * extent.channels * extent.voxels];
    let parts = parts(extent);
    let mut of_parts: Vec<Vec<&mut [f32]>> = Vec::new();
    of_parts.resize_with(parts.len(), || Vec::with_capacity(extent.channels));
    let per_sample = extent.voxels.div_ceil(PART);
    for (map, channel) in values.chunks_mut(extent.voxels.max(1)).enumerate() {
        let first = map / extent.channels * per_sample;
        for (at, piece) in channel.chunks_mut(PART).enumerate() {
            of_parts[first + at].push(piece);
        }
    }
    (parts.par_iter().zip(of_parts)).for_each(|(part, mut channels)| fill(*part, &mut channels));
    values
}

/// The softmax of a block of voxels, up to a factor for each of them.
struct Block {
    /// Voxels that there is room for.
    width: usize,
    /// Of the logits less the largest of the voxel: a row of `width` for each channel.
    exponentials: Vec<f32>,
    /// The largest logit of each voxel, and its channel; of equal ones the first.
    largest: Vec<f32>,
    channel: Vec<u32>,
    /// Of each voxel the sum of the other exponentials; that of the largest is 1.
    others: Vec<f32>,
}

impl Block {
    fn new(channels: usize) -> Self {
        let width = block_width(channels);
        Self {
            width,
            exponentials: vec![0.0; channels * width],
            largest: vec![0.0; width],
            channel: vec![0; width],
            others: vec![0.0; width],
        }
    }

    /// Cuts a part into blocks: the first voxel of each, in the part, and how many there are.
    fn ranges(&self, len: usize) -> impl Iterator<Item = (usize, usize)> + use<> {
        let width = self.width;
        (0..len)
            .step_by(width)
            .map(move |start| (start, width.min(len - start)))
    }

    /// Takes `len` voxels of a sample (`[channels, voxels]`) from `start`. What is not a number, or infinite, makes all
    /// of its voxel not a number.
    fn load(&mut self, sample: &[f32], voxels: usize, start: usize, len: usize) {
        let rows = || sample.chunks(voxels).map(|row| &row[start..][..len]);
        let (largest, channel) = (&mut self.largest[..len], &mut self.channel[..len]);
        largest.fill(f32::NEG_INFINITY);
        channel.fill(0);
        for (number, row) in rows().enumerate() {
            raise(row, number as u32, largest, channel);
        }
        let others = &mut self.others[..len];
        others.fill(0.0);
        let out = self.exponentials.chunks_mut(self.width);
        for (number, (row, out)) in rows().zip(out).enumerate() {
            exponentials(
                row,
                number as u32,
                largest,
                channel,
                others,
                &mut out[..len],
            );
        }
    }

    fn row(&self, channel: usize, len: usize) -> &[f32] {
        &self.exponentials[channel * self.width..][..len]
    }

    fn rows_mut(&mut self, len: usize) -> impl Iterator<Item = &mut [f32]> {
        let rows = self.exponentials.chunks_mut(self.width);
        rows.map(move |row| &mut row[..len])
    }

    /// What makes probabilities of a voxel's exponentials.
    fn factor(&self, voxel: usize) -> f32 {
        1.0 / (1.0 + self.others[voxel])
    }

    /// The logarithm of the probability of the largest logit's channel, times -1.
    fn surprise(&self, voxel: usize) -> f32 {
        // In double precision, whose logarithm does not differ between processors once it is rounded.
        f64::from(self.others[voxel]).ln_1p() as f32
    }
}

/// Keeps the larger logits, and their channel.
#[multiversion(targets = "simd")]
fn raise(row: &[f32], number: u32, largest: &mut [f32], channel: &mut [u32]) {
    for (value, (largest, channel)) in row.iter().zip(largest.iter_mut().zip(channel)) {
        let more = *value > *largest;
        *channel = if more { number } else { *channel };
        *largest = if more { *value } else { *largest };
    }
}

/// A channel's exponentials, which are added to `others` but for the largest: for that, 0 or not a number is.
#[multiversion(targets = "simd")]
fn exponentials(
    row: &[f32],
    number: u32,
    largest: &[f32],
    channel: &[u32],
    others: &mut [f32],
    out: &mut [f32],
) {
    for (i, out) in out.iter_mut().enumerate() {
        let value = exponential(row[i] - largest[i]);
        others[i] += if channel[i] == number {
            value - 1.0
        } else {
            value
        };
        *out = value;
    }
}

/// Sums that do not wait for each other.
const LANES: usize = 16;

/// The sum of products.
#[multiversion(targets = "simd")]
fn dot(a: &[f32], b: &[f32]) -> f64 {
    let mut lanes = [0.0f32; LANES];
    let (a, rest_of_a) = a.as_chunks::<LANES>();
    let (b, rest_of_b) = b.as_chunks::<LANES>();
    for (a, b) in a.iter().zip(b) {
        for lane in 0..LANES {
            lanes[lane] += a[lane] * b[lane];
        }
    }
    for (lane, (a, b)) in rest_of_a.iter().zip(rest_of_b).enumerate() {
        lanes[lane] += a * b;
    }
    lanes.into_iter().map(f64::from).sum()
}

/// Each value times a factor of its own.
#[multiversion(targets = "simd")]
fn scale(values: &mut [f32], factors: &[f32]) {
    for (value, factor) in values.iter_mut().zip(factors) {
        *value *= factor;
    }
}

#[cfg(test)]
mod tests;
