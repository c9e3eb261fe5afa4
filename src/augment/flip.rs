use ndarray::{Array3, Slice, Zip};
use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Sample, happens, validate_probability};

/// Mirrors image and mask about the middle of the grid, along each of `axes` independently.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Flip {
    /// The axes that may be mirrored. Only left and right look alike in a head.
    pub axes: Vec<Axis>,
    /// Probability for each axis.
    pub p: f64,
}

/// An axis of the body.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Axis {
    /// The grid's first axis.
    LeftRight,
    /// The grid's second axis.
    FrontBack,
    /// The grid's third axis.
    UpDown,
}

impl Default for Flip {
    fn default() -> Self {
        Self {
            axes: vec![Axis::LeftRight],
            p: 0.5,
        }
    }
}

impl Flip {
    pub(super) fn validate(&self) -> Result<(), String> {
        validate_probability(self.p)?;
        let repeated = |(index, axis)| self.axes[..index].contains(axis);
        if self.axes.is_empty() || self.axes.iter().enumerate().any(repeated) {
            return Err(
                "axes must name at least one of left_right, front_back and up_down, each once"
                    .into(),
            );
        }
        Ok(())
    }

    pub(super) fn draw(&self, rng: &mut ChaCha8Rng) -> Option<FlipParams> {
        let mut axes = self.axes.clone();
        axes.retain(|_| happens(self.p, rng));
        (!axes.is_empty()).then_some(FlipParams { axes })
    }
}

/// What [`Flip`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlipParams {
    /// The axes to mirror.
    pub axes: Vec<Axis>,
}

impl FlipParams {
    pub(super) fn apply(&self, sample: &mut Sample) {
        for axis in &self.axes {
            let axis = match axis {
                Axis::LeftRight => 0,
                Axis::FrontBack => 1,
                Axis::UpDown => 2,
            };
            mirror(&mut sample.image, ndarray::Axis(axis));
            mirror(&mut sample.mask, ndarray::Axis(axis));
        }
    }
}

/// Swaps the voxels themselves: an array with a negative stride would be slower to read on.
fn mirror<T>(voxels: &mut Array3<T>, axis: ndarray::Axis) {
    let length = voxels.len_of(axis);
    let (mut near, mut far) = voxels.view_mut().split_at(axis, length / 2);
    // An odd length has a middle that stays.
    far.slice_axis_inplace(axis, Slice::from(length % 2..));
    far.invert_axis(axis);
    Zip::from(&mut near).and(&mut far).for_each(std::mem::swap);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_axis_mirrors_its_own_coordinate() {
        // Odd and even lengths.
        let shape = (3, 4, 5);
        let index = Array3::from_shape_fn(shape, |position| position);
        for (axis, name) in ["left_right", "front_back", "up_down"].iter().enumerate() {
            let mut sample = Sample {
                image: index.map(|&(x, y, z)| (100 * x + 10 * y + z) as f32),
                mask: index.map(|&(x, y, z)| ((x + y + z) % 2) as u8),
                spacing: [1.0; 3],
            };
            let before = sample.clone();
            let params: FlipParams = serde_yaml::from_str(&format!("axes: [{name}]")).unwrap();
            params.apply(&mut sample);
            for &(x, y, z) in &index {
                let mut from = [x, y, z];
                from[axis] = [2, 3, 4][axis] - from[axis];
                assert_eq!(sample.image[[x, y, z]], before.image[from]);
                assert_eq!(sample.mask[[x, y, z]], before.mask[from]);
            }
        }
    }

    #[test]
    fn axes_are_drawn_independently() {
        let flip: Flip = serde_yaml::from_str("axes: [left_right, up_down]").unwrap();
        let mut counts = [0; 3];
        for repeat in 0..4000 {
            let drawn = flip.draw(&mut crate::random::stream(1, &[], &[repeat]));
            counts[drawn.map_or(0, |params| params.axes.len())] += 1;
        }
        // Binomial(2, 0.5): a quarter, a half, a quarter; four standard deviations are 127.
        for (count, expected) in counts.iter().zip([1000_i32, 2000, 1000]) {
            assert!((count - expected).abs() < 127, "{counts:?}");
        }
    }

    #[test]
    fn no_axis_or_one_twice_is_refused() {
        for axes in ["[]", "[up_down, up_down]"] {
            let flip: Flip = serde_yaml::from_str(&format!("axes: {axes}")).unwrap();
            assert!(flip.validate().unwrap_err().contains("axes"));
        }
    }
}
