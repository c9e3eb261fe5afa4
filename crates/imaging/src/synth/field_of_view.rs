//! How much of a head is seen.

use ndarray::{Array3, s};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::{Anatomy, FieldOfView};
use crate::augment::Sample;

/// What of a scan is seen.
pub(super) struct View {
    /// The first voxel along each axis that is seen, and the one after the last.
    ends: [[usize; 2]; 3],
    /// The face's side of a plane: its normal in voxels, and where it begins.
    face: Option<([f64; 3], f64)>,
}

impl FieldOfView {
    /// Draws what is seen of a map of classes.
    pub(super) fn draw(&self, moved: &Sample, anatomy: &Anatomy, rng: &mut ChaCha8Rng) -> View {
        let mask = anatomy.mask_of(&moved.mask);
        let (shape, spacing) = (moved.shape(), moved.spacing());
        let ends_of_mask = ends(&mask);
        let between =
            |[low, high]: [f64; 2], rng: &mut ChaCha8Rng| low + (high - low) * rng.random::<f64>();
        let mut seen = shape.map(|n| [0, n]);
        for (axis, seen) in seen.iter_mut().enumerate() {
            for side in [0, 1] {
                let cut = rng.random_bool(self.cut);
                let is_below = (axis, side) == (2, 0);
                let margin = between(
                    if is_below {
                        self.below_mm
                    } else {
                        self.margin_mm
                    },
                    rng,
                );
                if !(is_below || cut) {
                    continue;
                }
                let voxels = margin / spacing[axis];
                let at = match side {
                    0 => ends_of_mask[axis][0] as f64 - voxels,
                    _ => ends_of_mask[axis][1] as f64 + voxels,
                };
                seen[side] = at.round().clamp(0.0, shape[axis] as f64) as usize;
            }
        }
        let (deface, margin, tilt) = (
            rng.random_bool(self.deface),
            between(self.face_mm, rng),
            rng.random_range(0.2..1.2),
        );
        // In front of the brain, and below: y points forwards, z upwards.
        let normal: [f64; 3] = [0.0, f64::cos(tilt), -f64::sin(tilt)];
        let normal = [0, 1, 2].map(|axis| normal[axis] * spacing[axis]);
        View {
            ends: seen,
            face: deface.then(|| (normal, farthest(&mask, normal) + margin)),
        }
    }
}

impl View {
    /// Takes the face away: air.
    pub(super) fn deface(&self, sample: &mut Sample) {
        let Some((normal, from)) = self.face else {
            return;
        };
        for ((x, y, z), value) in sample.images[0].indexed_iter_mut() {
            if along(normal, [x, y, z]) > from {
                *value = 0.0;
            }
        }
    }

    /// Clears what is not seen, of the image to its lowest value, and of the mask.
    pub(super) fn cut(&self, sample: &mut Sample) {
        let lowest = sample.images[0]
            .iter()
            .copied()
            .fold(f32::INFINITY, f32::min);
        clear(&mut sample.images[0], self.ends, lowest);
        clear(&mut sample.mask, self.ends, 0);
    }
}

fn along(normal: [f64; 3], at: [usize; 3]) -> f64 {
    (0..3).map(|axis| normal[axis] * at[axis] as f64).sum()
}

/// How far the mask reaches along a direction.
fn farthest(mask: &Array3<u8>, normal: [f64; 3]) -> f64 {
    let voxels = mask.indexed_iter().filter(|(_, voxel)| **voxel != 0);
    let far = voxels.map(|((x, y, z), _)| along(normal, [x, y, z]));
    far.fold(f64::NEG_INFINITY, f64::max)
}

/// The first voxel of a mask along each axis, and the one after the last.
fn ends(mask: &Array3<u8>) -> [[usize; 2]; 3] {
    let mut ends = [[usize::MAX, 0]; 3];
    for ((x, y, z), _) in mask.indexed_iter().filter(|(_, voxel)| **voxel != 0) {
        for (end, at) in ends.iter_mut().zip([x, y, z]) {
            *end = [end[0].min(at), end[1].max(at + 1)];
        }
    }
    ends
}

/// Fills all but the voxels between `ends`.
fn clear<T: Copy>(voxels: &mut Array3<T>, [x, y, z]: [[usize; 2]; 3], to: T) {
    let (nx, ny, nz) = voxels.dim();
    voxels.slice_mut(s![..x[0].min(nx), .., ..]).fill(to);
    voxels
        .slice_mut(s![x[1].max(x[0]).min(nx).., .., ..])
        .fill(to);
    voxels.slice_mut(s![.., ..y[0].min(ny), ..]).fill(to);
    voxels
        .slice_mut(s![.., y[1].max(y[0]).min(ny).., ..])
        .fill(to);
    voxels.slice_mut(s![.., .., ..z[0].min(nz)]).fill(to);
    voxels
        .slice_mut(s![.., .., z[1].max(z[0]).min(nz)..])
        .fill(to);
}
