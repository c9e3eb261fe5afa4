use rand_chacha::ChaCha8Rng;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::spatial::{Map, Spatial};
use super::{Augmentation, Change, MOVES_ALL, chance, swap};
use crate::settings::Fault;
use crate::volume::{Affine, Structures};

/// Mirrors images and mask about the middle of the grid, along each of `axes` independently. Where left and right are
/// structures of their own, `swap` exchanges them whenever left becomes right: `[[left_hippocampus,
/// right_hippocampus]]`. Of structures that overlap, a label goes to the one label that lies in the exchanged
/// structures.
///
/// Reference: Pérez-García et al., "TorchIO", Computer Methods and Programs in Biomedicine, 2021
/// (`RandomFlip`).
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Flip {
    /// The axes that may be mirrored. A head is symmetric only from left to right.
    pub axes: Vec<Axis>,
    /// Pairs of structures that are exchanged when left and right are mirrored.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub swap: Vec<[String; 2]>,
    /// Probability for each axis.
    #[schemars(range(min = 0.0, max = 1.0))]
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

impl Axis {
    /// The axis' number in the grid.
    pub fn index(self) -> usize {
        match self {
            Self::LeftRight => 0,
            Self::FrontBack => 1,
            Self::UpDown => 2,
        }
    }

    /// What is wrong with a choice of axes.
    pub(super) fn rules(axes: &[Self]) -> Vec<Fault> {
        let repeated = |(index, axis)| axes[..index].contains(axis);
        if !axes.is_empty() && !axes.iter().enumerate().any(repeated) {
            return Vec::new();
        }
        let message =
            "axes must name at least one of left_right, front_back and up_down, each once";
        vec![Fault::new("axes", message)]
    }
}

impl Default for Flip {
    fn default() -> Self {
        Self {
            axes: vec![Axis::LeftRight],
            swap: Vec::new(),
            p: 0.5,
        }
    }
}

impl Augmentation for Flip {
    type Params = FlipParams;

    fn probability(&self) -> Option<f64> {
        None
    }

    fn concerns_all(&self) -> Option<&'static str> {
        Some(MOVES_ALL)
    }

    fn draw(&self, rng: &mut ChaCha8Rng) -> Option<FlipParams> {
        let mut axes = self.axes.clone();
        axes.retain(|_| chance(self.p, rng));
        let swap = match axes.contains(&Axis::LeftRight) {
            true => self.swap.clone(),
            false => Vec::new(),
        };
        (!axes.is_empty()).then_some(FlipParams { axes, swap })
    }

    fn rules(&self) -> Vec<Fault> {
        let mut faults = Axis::rules(&self.axes);
        faults.extend(swap::rules(&self.swap));
        if !self.swap.is_empty() && !self.axes.contains(&Axis::LeftRight) {
            let message = "swap exchanges left and right, but axes does not name left_right";
            faults.push(Fault::new("swap", message));
        }
        faults
    }

    fn check(&self, structures: &Structures) -> Vec<Fault> {
        swap::check(&self.swap, structures)
    }

    fn notes(&self, structures: &Structures) -> Vec<String> {
        match self.axes.contains(&Axis::LeftRight) {
            true => swap::notes(&self.swap, structures),
            false => Vec::new(),
        }
    }
}

/// What [`Flip`] draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FlipParams {
    /// The axes to mirror.
    pub axes: Vec<Axis>,
    /// Pairs of structures to exchange.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub swap: Vec<[String; 2]>,
}

impl Spatial for FlipParams {
    fn compose(&self, map: &mut Map) {
        let mut back = Affine::identity();
        for axis in self.axes.iter().map(|axis| axis.index()) {
            back.0[axis][axis] = -1.0;
            back.0[axis][3] = map.grid().shape[axis] as f64 - 1.0;
        }
        map.affine(back);
    }

    fn relabel(&self, structures: &Structures) -> Option<[u8; 256]> {
        // Only pairs that were not checked cannot be exchanged.
        match self.swap.is_empty() {
            true => None,
            false => swap::table(&self.swap, structures).ok(),
        }
    }
}

impl Change for FlipParams {
    fn spatial(&self) -> Option<&dyn Spatial> {
        Some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Drawn, Sample};
    use super::*;
    use ndarray::Array3;

    #[test]
    fn each_axis_mirrors_its_own_coordinate() {
        // Odd and even lengths.
        let shape = (3, 4, 5);
        let index = Array3::from_shape_fn(shape, |position| position);
        for (axis, name) in ["left_right", "front_back", "up_down"].iter().enumerate() {
            let mut sample = Sample::of_mask(
                index.map(|&(x, y, z)| (100 * x + 10 * y + z) as f32),
                index.map(|&(x, y, z)| ((x + y + z) % 2) as u8),
                Affine::diagonal([1.0, 2.0, 3.0], [4.0; 3]),
            );
            let before = sample.clone();
            let params: FlipParams = serde_yaml::from_str(&format!("axes: [{name}]")).unwrap();
            Drawn::Flip(params).apply(&mut sample);
            assert_eq!(sample.affine, before.affine);
            for &(x, y, z) in &index {
                let mut from = [x, y, z];
                from[axis] = [2, 3, 4][axis] - from[axis];
                assert_eq!(sample.images[0][[x, y, z]], before.images[0][from]);
                assert_eq!(sample.mask[[x, y, z]], before.mask[from]);
            }
        }
    }

    #[test]
    fn axes_are_drawn_independently() {
        let flip: Flip = serde_yaml::from_str("axes: [left_right, up_down]").unwrap();
        let mut counts = [0; 3];
        for index in 0..4000 {
            let drawn = flip.draw(&mut crate::random::stream(1, &[], &[index]));
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
            assert_eq!(flip.rules()[0].path, "axes");
        }
    }
}
