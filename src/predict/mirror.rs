//! Mirrored views of a scan: the network sees them, and what it says is mirrored back.

use std::borrow::Cow;

use ndarray::{Array3, ArrayView3, Axis};

use crate::augment;
use crate::experiment::Mirrors;
use crate::volume::{Structures, Volume};

/// One way to mirror a scan; the first of all is not to.
pub(super) struct Mirror {
    axes: Vec<Axis>,
    /// Channels that are exchanged.
    swap: Vec<[usize; 2]>,
}

impl Mirror {
    /// All combinations of the axes that are mirrored.
    pub(super) fn all(settings: &Mirrors, structures: &Structures) -> Vec<Self> {
        let axes = &settings.flip;
        let combinations = 0..1_usize << axes.len();
        let chosen = |bits: usize| -> Vec<augment::Axis> {
            let axes = axes.iter().enumerate();
            let axes = axes.filter(|(at, _)| bits & (1 << at) != 0);
            axes.map(|(_, axis)| *axis).collect()
        };
        let channel = |name: &str| Some(structures.channel(structures.named(name)?));
        let pairs = settings.swap.iter();
        let pairs: Vec<[usize; 2]> = pairs
            .filter_map(|[left, right]| Some([channel(left)?, channel(right)?]))
            .collect();
        let mirror = |axes: Vec<augment::Axis>| Self {
            swap: match axes.contains(&augment::Axis::LeftRight) {
                true => pairs.clone(),
                false => Vec::new(),
            },
            axes: axes.into_iter().map(|axis| Axis(axis.index())).collect(),
        };
        combinations.map(chosen).map(mirror).collect()
    }

    /// The images as they are seen.
    pub(super) fn of<'a>(&self, images: &'a [Volume<f32>]) -> Cow<'a, [Volume<f32>]> {
        if self.axes.is_empty() {
            return Cow::Borrowed(images);
        }
        let seen = |image: &Volume<f32>| Volume {
            voxels: self.turned(image.voxels.view()),
            affine: image.affine,
        };
        images.iter().map(seen).collect()
    }

    /// What is said of them, for the images as they are.
    pub(super) fn back(&self, mut channels: Vec<Array3<f32>>) -> Vec<Array3<f32>> {
        for [a, b] in &self.swap {
            channels.swap(*a, *b);
        }
        if self.axes.is_empty() {
            return channels;
        }
        let channels = channels.iter();
        channels
            .map(|channel| self.turned(channel.view()))
            .collect()
    }

    fn turned(&self, mut voxels: ArrayView3<f32>) -> Array3<f32> {
        for axis in &self.axes {
            voxels.invert_axis(*axis);
        }
        // In the order of its own memory, not of what it is a view of.
        voxels.as_standard_layout().into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Undeclared};

    #[test]
    fn what_is_said_of_a_mirrored_scan_is_mirrored_back() {
        let named = [("left".to_owned(), vec![1]), ("right".to_owned(), vec![2])];
        let structures = Structures::labels(&named, None, Undeclared::Refused).unwrap();
        let settings: Mirrors =
            serde_yaml::from_str("{flip: [left_right, up_down], swap: [[left, right]]}").unwrap();
        let image = Volume {
            voxels: Array3::from_shape_fn((2, 3, 4), |(x, y, z)| (100 * x + 10 * y + z) as f32),
            affine: Affine::identity(),
        };
        let mirrors = Mirror::all(&settings, &structures);
        assert_eq!(mirrors.len(), 4);
        let first: Vec<f32> = mirrors
            .iter()
            .map(|mirror| mirror.of(std::slice::from_ref(&image))[0].voxels[[0, 0, 0]])
            .collect();
        assert_eq!(first, [0.0, 100.0, 3.0, 103.0]);
        for mirror in mirrors {
            let seen = mirror.of(std::slice::from_ref(&image));
            // The network says what it sees of the background, and more of each structure.
            let said = [0.0, 1000.0, 2000.0].map(|more| seen[0].voxels.mapv(|v| v + more));
            let back = mirror.back(said.to_vec());
            let is_swapped = mirror.axes.contains(&Axis(0));
            let more = if is_swapped {
                [0.0, 2000.0, 1000.0]
            } else {
                [0.0, 1000.0, 2000.0]
            };
            for (channel, more) in back.iter().zip(more) {
                assert_eq!(channel, image.voxels.mapv(|v| v + more));
                assert!(channel.is_standard_layout());
            }
        }
    }
}
