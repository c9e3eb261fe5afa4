//! The beginning of each axis, activated.

use burn::backend::flex::FlexTensor;
use multiversion::multiversion;

use super::flex::{dims, tensor, values};
use super::parallel::collect;
use super::tape::{Operation, Recomputed, each_wanted};

/// The first planes, rows and columns, `size` of them, activated: see [`super::Kernels::crop_and_activate`].
#[derive(Clone, Debug)]
pub(super) struct Crop {
    pub(super) size: [usize; 3],
    /// The slope below 0.
    pub(super) slope: f32,
}

impl Crop {
    pub(super) fn apply(&self, x: &FlexTensor) -> FlexTensor {
        let [batch, channels, from @ ..] = dims::<5>(x);
        let [depth, height, width] = self.size;
        let [len, volume] = [self.size, from].map(|size| size.iter().product());
        let values = values(x);
        let out = collect(batch * channels * len, len, width, |map, start, out| {
            for (i, out) in out.chunks_exact_mut(width).enumerate() {
                let row = start / width + i;
                let row = (row / height * from[1] + row % height) * from[2];
                activated(&values[map * volume + row..][..width], self.slope, out);
            }
        });
        tensor(out, [batch, channels, depth, height, width])
    }
}

impl Operation for Crop {
    const RECOMPUTED: Recomputed = Recomputed::Checkpointing;
    const NEEDS_INPUTS: bool = true;

    fn forward(&self, parents: &[FlexTensor]) -> FlexTensor {
        self.apply(&parents[0])
    }

    fn gradients(
        &self,
        parents: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        let shape = dims::<5>(&parents[0]);
        let [batch, channels, from @ ..] = shape;
        let [depth, height, width] = self.size;
        let [len, volume] = [self.size, from].map(|size| size.iter().product());
        let (x, above) = (values(&parents[0]), values(gradient));
        each_wanted(wanted, |_| {
            let maps = batch * channels;
            let out = collect(maps * volume, volume, from[2], |map, start, out| {
                for (i, out) in out.chunks_exact_mut(from[2]).enumerate() {
                    let row = start / from[2] + i;
                    let (z, y) = (row / from[1], row % from[1]);
                    if z < depth && y < height {
                        let x = &x[map * volume + row * from[2]..][..width];
                        let above = &above[map * len + (z * height + y) * width..][..width];
                        activated_gradient(x, above, self.slope, &mut out[..width]);
                    }
                }
            });
            tensor(out, shape)
        })
    }
}

#[multiversion(targets = "simd")]
fn activated(x: &[f32], slope: f32, out: &mut [f32]) {
    for (out, x) in out.iter_mut().zip(x) {
        *out = if *x > 0.0 { *x } else { slope * x };
    }
}

#[multiversion(targets = "simd")]
fn activated_gradient(x: &[f32], above: &[f32], slope: f32, out: &mut [f32]) {
    for (out, (x, above)) in out.iter_mut().zip(x.iter().zip(above)) {
        *out = if *x > 0.0 { *above } else { slope * above };
    }
}
