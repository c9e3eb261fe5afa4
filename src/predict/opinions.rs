//! What networks say of the views of a scan, together; and how sure they are.

use ndarray::{Array3, Zip};

use crate::volume::resample::{Interpolation, resample_filled};
use crate::volume::{Grid, Structures, Volume};

/// Several opinions about a scan.
pub(super) struct Opinions<'a> {
    structures: &'a Structures,
    /// The sum of the probabilities, channel by channel, on the grid of the first opinion.
    sum: Vec<Volume<f32>>,
    /// The sum of the opinions' entropies, where disagreement is wanted.
    entropy: Option<Array3<f32>>,
    count: usize,
}

/// How sure networks are, voxel by voxel, on the network's grid: from 0 to 1.
#[derive(Clone, Debug)]
pub struct Uncertainty {
    /// The entropy of the mean of the probabilities, as a part of the largest that there can be; of structures that may
    /// overlap the mean over them.
    pub entropy: Volume<f32>,
    /// The part of the entropy that comes of different opinions: less the mean of their own entropies (the mutual
    /// information of opinion and outcome). None of one opinion.
    ///
    /// Reference: Houlsby et al., "Bayesian Active Learning for Classification and Preference Learning", 2011 (BALD).
    pub disagreement: Option<Volume<f32>>,
}

impl<'a> Opinions<'a> {
    pub(super) fn of(structures: &'a Structures, with_disagreement: bool) -> Self {
        Self {
            structures,
            sum: Vec::new(),
            entropy: with_disagreement.then(|| Array3::zeros((0, 0, 0))),
            count: 0,
        }
    }

    /// Adds probabilities on a grid; where it is not the first one's they are moved onto that.
    pub(super) fn add(&mut self, channels: Vec<Array3<f32>>, grid: &Grid) {
        let affine = grid.affine;
        let channels = channels.into_iter();
        let mut channels: Vec<Volume<f32>> =
            channels.map(|voxels| Volume { voxels, affine }).collect();
        if let Some(first) = self
            .sum
            .first()
            .map(Volume::grid)
            .filter(|first| first != grid)
        {
            for (at, channel) in channels.iter_mut().enumerate() {
                // What a network does not see is background, the first channel where it is one.
                let outside = f32::from(u8::from(at == 0 && self.structures.is_exclusive()));
                *channel = resample_filled(channel, &first, Interpolation::Linear, false, outside);
            }
        }
        if let Some(sum) = &mut self.entropy {
            let own = entropy(&channels, self.structures);
            match self.count {
                0 => *sum = own,
                _ => *sum += &own,
            }
        }
        self.count += 1;
        if self.count == 1 {
            self.sum = channels;
            return;
        }
        for (sum, channel) in self.sum.iter_mut().zip(&channels) {
            sum.voxels += &channel.voxels;
        }
    }

    /// The mean of the probabilities, and how sure it is, if that is wanted.
    pub(super) fn mean(mut self) -> (Vec<Volume<f32>>, Option<Uncertainty>) {
        let part = 1.0 / self.count as f32;
        if self.count > 1 {
            for channel in &mut self.sum {
                channel.voxels *= part;
            }
        }
        let uncertainty = self.entropy.map(|sum| {
            let of_mean = entropy(&self.sum, self.structures);
            let affine = self.sum[0].affine;
            let place = |voxels| Volume { voxels, affine };
            // Rounding may make it negative.
            let rest = || (&of_mean - sum * part).mapv(|rest| rest.max(0.0));
            Uncertainty {
                disagreement: (self.count > 1).then(rest).map(place),
                entropy: place(of_mean),
            }
        });
        (self.sum, uncertainty)
    }
}

/// The entropy of probabilities, as a part of the largest that there can be.
fn entropy(channels: &[Volume<f32>], structures: &Structures) -> Array3<f32> {
    let term = |p: f32| if p > 0.0 { -p * p.ln() } else { 0.0 };
    let mut sum = Array3::zeros(channels[0].voxels.dim());
    for channel in channels {
        match structures.is_exclusive() {
            true => Zip::from(&mut sum)
                .and(&channel.voxels)
                .for_each(|sum, p| *sum += term(*p)),
            false => Zip::from(&mut sum)
                .and(&channel.voxels)
                .for_each(|sum, p| *sum += term(*p) + term(1.0 - *p)),
        }
    }
    let largest = match structures.is_exclusive() {
        true => (channels.len() as f32).ln(),
        false => channels.len() as f32 * 2.0_f32.ln(),
    };
    sum / largest
}

/// How doubtful each structure is as a whole, from 0 to 1: one less the Dice of the probabilities with the voxels in which
/// the structure is found, which is what its Dice with the truth would be if the probabilities were right. Where it is not
/// found it is the largest probability.
pub(super) fn doubts(
    channels: &[Volume<f32>],
    structures: &Structures,
    threshold: impl Fn(usize) -> f64,
) -> Vec<f64> {
    let largest = structures.is_exclusive().then(|| {
        let mut largest = channels[0].voxels.clone();
        for channel in &channels[1..] {
            Zip::from(&mut largest)
                .and(&channel.voxels)
                .for_each(|largest, p| *largest = largest.max(*p));
        }
        largest
    });
    let doubt = |structure: usize| {
        let probability = &channels[structures.channel(structure)].voxels;
        let (mut inside, mut size, mut all, mut most) = (0.0, 0_u64, 0.0, 0.0_f32);
        let mut look = |p: f32, is_found: bool| {
            all += f64::from(p);
            most = most.max(p);
            if is_found {
                inside += f64::from(p);
                size += 1;
            }
        };
        match &largest {
            Some(largest) => Zip::from(probability)
                .and(largest)
                .for_each(|p, largest| look(*p, p >= largest)),
            None => {
                let threshold = threshold(structure) as f32;
                Zip::from(probability).for_each(|p| look(*p, *p >= threshold));
            }
        }
        match size {
            0 => f64::from(most),
            size => 1.0 - 2.0 * inside / (all + size as f64),
        }
    };
    (0..structures.count()).map(doubt).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::volume::{Affine, Undeclared};

    fn line(values: &[f32]) -> Array3<f32> {
        Array3::from_shape_vec((values.len(), 1, 1), values.to_vec()).unwrap()
    }

    fn grid(length: usize) -> Grid {
        Grid {
            shape: [length, 1, 1],
            affine: Affine::identity(),
        }
    }

    fn uncertainty(opinions: &[&[&[f32]]], structures: &Structures) -> Uncertainty {
        let mut all = Opinions::of(structures, true);
        for opinion in opinions {
            let channels = opinion.iter().map(|channel| line(channel)).collect();
            all.add(channels, &grid(opinion[0].len()));
        }
        all.mean().1.unwrap()
    }

    #[test]
    fn entropy_is_of_the_mean_and_disagreement_is_its_part_that_differs() {
        let one = uncertainty(&[&[&[0.5, 1.0, 0.0]]], &Structures::Mask);
        assert_eq!(one.entropy.voxels, line(&[1.0, 0.0, 0.0]));
        assert!(one.disagreement.is_none());
        // Two that are sure of opposite things, two that are unsure alike, and two that agree.
        let two = uncertainty(
            &[&[&[1.0, 0.5, 0.0]], &[&[0.0, 0.5, 0.0]]],
            &Structures::Mask,
        );
        assert_eq!(two.entropy.voxels, line(&[1.0, 1.0, 0.0]));
        assert_eq!(two.disagreement.unwrap().voxels, line(&[1.0, 0.0, 0.0]));

        let named = [("a".to_owned(), vec![1]), ("b".to_owned(), vec![2])];
        let labels = Structures::labels(&named, None, Undeclared::Refused).unwrap();
        let third = 1.0 / 3.0;
        let even = uncertainty(&[&[&[third], &[third], &[third]]], &labels);
        assert!((even.entropy.voxels[[0, 0, 0]] - 1.0).abs() < 1e-6);
    }

    #[test]
    fn the_doubt_is_the_dice_that_the_probabilities_promise() {
        let place = |values: &[f32]| Volume {
            voxels: line(values),
            affine: Affine::identity(),
        };
        let of_mask = |values: &[f32]| doubts(&[place(values)], &Structures::Mask, |_| 0.5)[0];
        assert_eq!(of_mask(&[1.0, 1.0, 0.0]), 0.0);
        // Of 0.6 + 0.6 that is found, and 0.3 that is not: 2 * 1.2 / (1.5 + 2).
        assert!((of_mask(&[0.6, 0.6, 0.3]) - (1.0 - 2.4 / 3.5)).abs() < 1e-6);
        assert!((of_mask(&[0.2, 0.4, 0.0]) - 0.4).abs() < 1e-6);
        let named = [("a".to_owned(), vec![1])];
        let labels = Structures::labels(&named, None, Undeclared::Refused).unwrap();
        let channels = [place(&[0.2, 0.9]), place(&[0.8, 0.1])];
        assert!((doubts(&channels, &labels, |_| 0.5)[0] - (1.0 - 1.6 / 1.9)).abs() < 1e-6);
    }

    #[test]
    fn opinions_on_another_grid_are_moved_onto_the_first_ones() {
        let mut all = Opinions::of(&Structures::Mask, false);
        all.add(vec![line(&[1.0, 1.0])], &grid(2));
        let coarse = Grid {
            shape: [1, 1, 1],
            affine: Affine::identity(),
        };
        all.add(vec![line(&[0.5])], &coarse);
        // The second voxel lies outside the second opinion.
        assert_eq!(all.mean().0[0].voxels, line(&[0.75, 0.5]));
    }
}
