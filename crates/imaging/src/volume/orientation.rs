//! Which way the voxel axes run in the body, and turning them.

use std::fmt;
use std::str::FromStr;

use ndarray::{Array3, Axis};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Affine, Volume};

/// The anatomical direction in which each voxel axis increases: `R`ight or `L`eft, `A`nterior or
/// `P`osterior, `S`uperior or `I`nferior; `LAS` for a scan stored from right to left.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "String", into = "String")]
pub struct AxisCodes([char; 3]);

const POSITIVE: [char; 3] = ['R', 'A', 'S'];
const NEGATIVE: [char; 3] = ['L', 'P', 'I'];

/// The world axis of a letter.
fn world_axis(letter: char) -> Option<usize> {
    (0..3).find(|&axis| letter == POSITIVE[axis] || letter == NEGATIVE[axis])
}

impl AxisCodes {
    /// From left to right, from back to front, and upwards.
    pub const RAS: Self = Self(POSITIVE);

    /// The directions of a grid's axes.
    ///
    /// Each letter pair is used once: for an oblique grid the axes share them out so that the
    /// strongest alignment is served first.
    pub fn of(affine: &Affine) -> Self {
        let spacing = affine.spacing();
        let cosine = |world: usize, axis: usize| affine.0[world][axis] / spacing[axis];

        let mut pairs: Vec<(usize, usize)> = (0..3)
            .flat_map(|world| (0..3).map(move |axis| (world, axis)))
            .collect();
        pairs.sort_by(|&(w, a), &(v, b)| cosine(v, b).abs().total_cmp(&cosine(w, a).abs()));

        let mut codes = [None; 3];
        let mut taken = [false; 3];
        for (world, axis) in pairs {
            if codes[axis].is_none() && !taken[world] {
                let letters = if cosine(world, axis) < 0.0 {
                    NEGATIVE
                } else {
                    POSITIVE
                };
                codes[axis] = Some(letters[world]);
                taken[world] = true;
            }
        }
        // Every (world, axis) pair was offered, so no axis is left without a letter.
        Self(codes.map(|code| code.unwrap_or('?')))
    }

    /// The letters, in the order of the voxel axes.
    pub fn letters(self) -> [char; 3] {
        self.0
    }
}

impl Default for AxisCodes {
    fn default() -> Self {
        Self(POSITIVE)
    }
}

impl fmt::Display for AxisCodes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|letter| write!(f, "{letter}"))
    }
}

impl FromStr for AxisCodes {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let letters: Vec<char> = text.chars().collect();
        let codes = <[char; 3]>::try_from(letters).ok();
        let covers = |codes: &[char; 3]| {
            (0..3).all(|world| codes.iter().any(|code| world_axis(*code) == Some(world)))
        };
        codes.filter(covers).map(Self).ok_or_else(|| {
            format!("`{text}` must be three letters, one each of R or L, A or P, S or I")
        })
    }
}

impl TryFrom<String> for AxisCodes {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        text.parse()
    }
}

impl From<AxisCodes> for String {
    fn from(codes: AxisCodes) -> Self {
        codes.to_string()
    }
}

/// The same volume with its axes permuted and flipped so that they run along `codes`. Every voxel
/// keeps its value and its place in the world; turning back gives the volume back.
pub fn reoriented<T: Clone>(volume: &Volume<T>, codes: AxisCodes) -> Volume<T> {
    let from = AxisCodes::of(&volume.affine).0;
    let mut voxels = volume.voxels.view();
    // From an index in the new volume to one in the old.
    let mut back = [[0.0; 4], [0.0; 4], [0.0; 4], [0.0, 0.0, 0.0, 1.0]];
    let mut order = [0; 3];
    for (new, code) in codes.0.into_iter().enumerate() {
        // Both name every world axis once, so there is always one.
        let old = (0..3)
            .find(|&old| world_axis(from[old]) == world_axis(code))
            .unwrap_or(new);
        order[new] = old;
        let flipped = from[old] != code;
        if flipped {
            voxels.invert_axis(Axis(old));
        }
        back[old][new] = if flipped { -1.0 } else { 1.0 };
        back[old][3] = if flipped {
            volume.shape()[old] as f64 - 1.0
        } else {
            0.0
        };
    }
    let turned = voxels.permuted_axes(order);
    let shape = turned.raw_dim();
    let values: Vec<T> = turned.iter().cloned().collect();
    Volume {
        // Cannot fail: as many values as the view has voxels, in its order.
        voxels: Array3::from_shape_vec(shape, values).expect("one value per voxel"),
        affine: volume.affine.mul(&Affine(back)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(affine: &Affine) -> String {
        AxisCodes::of(affine).to_string()
    }

    /// Sagittal slices: voxel x runs to the back, y to the feet, z to the left; tilted by 40 degrees,
    /// where rounding each axis on its own would give two of them the same name.
    fn tilted() -> Affine {
        let (s, c) = 40f64.to_radians().sin_cos();
        Affine([
            [0.0, 0.0, -3.0, 90.0],
            [-c, s, 0.0, 100.0],
            [-s, -c, 0.0, 80.0],
            [0.0, 0.0, 0.0, 1.0],
        ])
    }

    #[test]
    fn axes_are_named_by_where_they_point() {
        assert_eq!(of(&Affine::identity()), "RAS");
        let las = Affine::diagonal([-1.0, 1.3, 1.3], [80.0, 0.0, 0.0]);
        assert_eq!(of(&las), "LAS");
        assert_eq!(of(&tilted()), "PIL");
    }

    #[test]
    fn turning_the_axes_moves_no_voxel_in_the_world_and_can_be_undone() {
        let volume = Volume {
            voxels: Array3::from_shape_fn((2, 3, 4), |(x, y, z)| 100 * x + 10 * y + z),
            affine: tilted(),
        };
        for codes in ["RAS", "LPI", "SAR", "IRP", "PIL"] {
            let codes: AxisCodes = codes.parse().unwrap();
            let turned = reoriented(&volume, codes);
            assert_eq!(AxisCodes::of(&turned.affine), codes);
            let to_old = volume.affine.inverse().unwrap();
            for ((x, y, z), value) in turned.voxels.indexed_iter() {
                let world = turned.affine.apply([x as f64, y as f64, z as f64]);
                let [x, y, z] = to_old.apply(world).map(|at| at.round() as usize);
                assert_eq!(*value, volume.voxels[[x, y, z]]);
            }
            let back = reoriented(&turned, AxisCodes::of(&volume.affine));
            assert_eq!(back.voxels, volume.voxels);
            assert!(volume.grid().largest_offset(&back.affine) < 1e-12);
        }
    }

    #[test]
    fn three_letters_of_three_directions_are_asked_for() {
        for wrong in ["RAR", "RA", "RASI", "ras", ""] {
            assert!(wrong.parse::<AxisCodes>().is_err(), "{wrong}");
        }
        let codes: AxisCodes = serde_yaml::from_str("LPS").unwrap();
        assert_eq!(serde_yaml::to_string(&codes).unwrap(), "LPS\n");
    }
}
