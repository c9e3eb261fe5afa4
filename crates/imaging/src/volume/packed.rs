//! A class map in little memory.

use ndarray::Array3;

use super::{Affine, Volume};

/// A class map as its runs of equal voxels: three bytes for each.
#[derive(Clone, Debug)]
pub struct PackedMask {
    classes: Vec<u8>,
    lengths: Vec<u16>,
    shape: [usize; 3],
    affine: Affine,
}

impl PackedMask {
    /// Packs `mask`.
    pub fn of(mask: &Volume<u8>) -> Self {
        let (mut classes, mut lengths) = (Vec::<u8>::new(), Vec::<u16>::new());
        for &voxel in &mask.voxels {
            match (classes.last(), lengths.last_mut()) {
                (Some(class), Some(length)) if *class == voxel && *length < u16::MAX => {
                    *length += 1;
                }
                _ => {
                    classes.push(voxel);
                    lengths.push(1);
                }
            }
        }
        Self {
            classes,
            lengths,
            shape: mask.shape(),
            affine: mask.affine,
        }
    }

    /// The class map itself.
    pub fn unpack(&self) -> Volume<u8> {
        let mut voxels = Vec::with_capacity(self.shape.iter().product());
        for (class, length) in self.classes.iter().zip(&self.lengths) {
            voxels.resize(voxels.len() + usize::from(*length), *class);
        }
        let mut voxels = voxels.into_iter();
        Volume {
            voxels: Array3::from_shape_simple_fn(self.shape, || voxels.next().unwrap_or(0)),
            affine: self.affine,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn volume(shape: [usize; 3], classes: Vec<u8>) -> Volume<u8> {
        Volume {
            voxels: Array3::from_shape_vec(shape, classes).unwrap(),
            affine: Affine::identity(),
        }
    }

    #[test]
    fn runs_may_be_longer_than_a_number_holds() {
        let mut classes = vec![1; 200_000];
        classes[150_000..].fill(2);
        let mask = volume([1, 2, 100_000], classes);
        assert_eq!(PackedMask::of(&mask).unpack(), mask);
    }

    proptest! {
        #[test]
        fn a_packed_class_map_unpacks_to_itself(classes in prop::collection::vec(prop_oneof![0_u8..3, Just(255)], 60)) {
            let mask = volume([3, 4, 5], classes);
            prop_assert_eq!(PackedMask::of(&mask).unpack(), mask);
        }
    }
}
