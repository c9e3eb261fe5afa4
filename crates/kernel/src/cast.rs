//! Between single precision and bf16 on the CPU. Burn's conversion goes through f64, on one thread, and takes
//! values a little above a tie for one.

use burn::backend::Flex;
use burn::backend::flex::FlexTensor;
use burn::tensor::ops::FloatTensorOps;
use burn::tensor::{DType, FloatDType, TensorData, bf16};
use multiversion::multiversion;
use rayon::prelude::*;

use super::flex::{dims_of, values};
use super::parallel::{PART, collect};
use super::tape::{Operation, Recomputed, each_wanted};

/// The tensor in this type; the values of bf16 are rounded to the nearest, of two the even one.
pub(super) fn cast(tensor: FlexTensor, dtype: FloatDType) -> FlexTensor {
    match (tensor.dtype(), dtype) {
        (DType::BF16, FloatDType::F32) => single(&tensor.to_contiguous()),
        (DType::F32, FloatDType::BF16) => rounded(&tensor.to_contiguous()),
        _ => Flex::float_cast(tensor, dtype),
    }
}

fn single(tensor: &FlexTensor) -> FlexTensor {
    let from: &[bf16] = tensor.storage();
    let out = collect(from.len(), from.len(), 1, |_, start, out| {
        widen(&from[start..][..out.len()], out);
    });
    FlexTensor::from_data(TensorData::new(out, dims_of(tensor)))
}

fn rounded(tensor: &FlexTensor) -> FlexTensor {
    let from = values(tensor);
    let mut out = vec![bf16::ZERO; from.len()];
    let parts = out.par_chunks_mut(PART).zip(from.par_chunks(PART));
    parts.for_each(|(out, from)| round(from, out));
    FlexTensor::from_data(TensorData::new(out, dims_of(tensor)))
}

#[multiversion(targets = "simd")]
fn widen(from: &[bf16], to: &mut [f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to = f32::from_bits(u32::from(from.to_bits()) << 16);
    }
}

#[multiversion(targets = "simd")]
fn round(from: &[f32], to: &mut [bf16]) {
    for (to, from) in to.iter_mut().zip(from) {
        let bits = from.to_bits();
        // Half of the last place that stays, less a little if that is even: ties go to the even one.
        let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1)) >> 16;
        // What is not a number must not become infinite: a bit of it stays.
        let not_a_number = bits >> 16 | 0x40;
        let rounded = if from.is_nan() { not_a_number } else { nearest };
        *to = bf16::from_bits(rounded as u16);
    }
}

/// [`cast`] to a type, of a tensor of another: to a `WIDER` one or to a narrower one.
#[derive(Clone, Debug)]
pub(super) struct Cast<const WIDER: bool> {
    pub(super) from: FloatDType,
    pub(super) to: FloatDType,
}

impl<const WIDER: bool> Operation for Cast<WIDER> {
    // Of the two, the narrower tensor is kept: the other is as cheap to make as to read.
    const RECOMPUTED: Recomputed = if WIDER {
        Recomputed::Always
    } else {
        Recomputed::Never
    };
    const NEEDS_INPUTS: bool = false;

    fn forward(&self, parents: &[FlexTensor]) -> FlexTensor {
        cast(parents[0].clone(), self.to)
    }

    fn gradients(
        &self,
        _: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>> {
        each_wanted(wanted, |_| cast(gradient.clone(), self.from))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every value of bf16 with several remainders below it, against the crate `half`.
    #[test]
    fn rounding_is_that_of_the_crate_half_for_all_kinds_of_values() {
        let remainders = [0, 1, 0x7fff, 0x8000, 0x8001, 0xffff];
        let all = (0..=u16::MAX)
            .flat_map(|high| remainders.map(|low| f32::from_bits(u32::from(high) << 16 | low)));
        let all: Vec<f32> = all.collect();
        let mut ours = vec![bf16::ZERO; all.len()];
        round(&all, &mut ours);
        let mut back = vec![0.0; all.len()];
        widen(&ours, &mut back);
        for ((value, ours), back) in all.iter().zip(&ours).zip(&back) {
            let theirs = bf16::from_f32(*value);
            assert_eq!(ours.to_bits(), theirs.to_bits(), "{value}");
            assert_eq!(back.to_bits(), theirs.to_f32().to_bits(), "{value}");
        }
    }

    #[test]
    fn a_view_is_cast_in_its_own_order() {
        let values: Vec<f32> = (0..6).map(|i| i as f32 + 0.001).collect();
        let tensor = FlexTensor::from_data(TensorData::new(values, [2, 3]));
        let turned = Flex::float_swap_dims(tensor, 0, 1);
        let rounded = cast(turned, FloatDType::BF16);
        let single = cast(rounded, FloatDType::F32);
        assert_eq!(
            super::values(&single),
            [0.000_999_450_7, 3.0, 1.0, 4.0, 2.0, 5.0]
        );
    }
}
