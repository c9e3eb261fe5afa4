//! Batches made of what was drawn.

use super::draws::Draw;
use super::{Sampling, TrainingCase};
use crate::augment::mix_batch;
use crate::preprocess::PreprocessError;

/// A batch, or why there is none.
pub(super) type Delivery = Result<HostBatch, PreprocessError>;

/// A batch in memory, sample after sample.
pub(super) struct HostBatch {
    pub(super) cases: Vec<String>,
    pub(super) shape: [usize; 3],
    pub(super) images_per_case: usize,
    pub(super) images: Vec<f32>,
    pub(super) masks: Vec<f32>,
}

/// Makes the batch of `draws`.
pub(super) fn assemble(
    cases: &[TrainingCase],
    sampling: &Sampling,
    draws: &[Draw],
    epoch: u64,
) -> Delivery {
    let mut batch = HostBatch {
        cases: Vec::new(),
        shape: [0; 3],
        images_per_case: 0,
        images: Vec::new(),
        masks: Vec::new(),
    };
    let mut all_drawn = Vec::new();
    for patches in draws.chunk_by(|a, b| a.case == b.case) {
        let case = &cases[patches[0].case];
        let mut open = case.open()?;
        for draw in patches {
            let (sample, drawn) = open.sample(sampling, epoch, draw.draw_index)?;
            batch.shape = sample.shape();
            batch.images_per_case = sample.images.len();
            for image in &sample.images {
                batch.images.extend(image.iter());
            }
            batch
                .masks
                .extend(sample.mask.iter().map(|&label| f32::from(label)));
            batch.cases.push(case.id.clone());
            all_drawn.push(drawn);
        }
    }
    mix_batch(&all_drawn, &mut batch.images, &mut batch.masks);
    Ok(batch)
}
