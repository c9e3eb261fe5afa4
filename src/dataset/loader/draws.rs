//! Which samples an epoch consists of.

use rand::seq::SliceRandom;

use super::{Order, Sampling};
use crate::random;

/// A sample of a case.
pub(super) struct Draw {
    /// Which case.
    pub(super) case: usize,
    /// Counts the case's samples in the epoch.
    pub(super) draw_index: u64,
}

impl Sampling {
    /// The draws from `cases` cases in an epoch, batch by batch.
    pub(super) fn draws(&self, cases: usize, epoch: u64) -> Vec<Vec<Draw>> {
        let size = self.batch_size;
        let draws: Vec<Draw> = match &self.order {
            Order::Sequential => (0..cases)
                .map(|case| Draw {
                    case,
                    draw_index: 0,
                })
                .collect(),
            Order::Shuffled { batches, patch, .. } => {
                let samples = patch.as_ref().map_or(1, |patch| patch.samples as u64);
                (0..)
                    .flat_map(|pass| {
                        self.shuffled(cases, epoch, pass)
                            .map(move |case| (case, pass))
                    })
                    .flat_map(|(case, pass)| {
                        (0..samples).map(move |sample| Draw {
                            case,
                            draw_index: pass * samples + sample,
                        })
                    })
                    .take(batches * size)
                    .collect()
            }
        };
        let mut batches = Vec::with_capacity(draws.len().div_ceil(size));
        let mut draws = draws.into_iter().peekable();
        while draws.peek().is_some() {
            batches.push(draws.by_ref().take(size).collect());
        }
        batches
    }

    /// The cases in the order of a pass through all of them in an epoch.
    fn shuffled(&self, cases: usize, epoch: u64, pass: u64) -> impl Iterator<Item = usize> + use<> {
        let mut order: Vec<usize> = (0..cases).collect();
        order.shuffle(&mut random::stream(self.seed, &["shuffle"], &[epoch, pass]));
        order.into_iter()
    }
}
