//! Batches, prepared on background threads while the device works.

mod assemble;
mod case;
mod draws;
#[cfg(test)]
mod tests;

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};

use super::Patch;
use crate::augment::Augmentations;
use crate::preprocess::PreprocessError;
use crate::random;
use assemble::{Delivery, assemble};
use draws::Draw;

pub use case::TrainingCase;

/// Samples on their way through the network.
#[derive(Clone, Debug)]
pub struct Batch<B: Backend> {
    /// The id of each sample's case.
    pub cases: Vec<String>,
    /// Images, `[batch, images, depth, height, width]`.
    pub images: Tensor<B, 5>,
    /// The class of each voxel, `[batch, 1, depth, height, width]`: for masks zeros and ones (soft where samples were
    /// mixed).
    pub masks: Tensor<B, 5>,
    /// Seeds whatever the network draws for this batch (dropout).
    pub seed: u64,
    /// Whether a picture of this batch is wanted.
    pub preview: bool,
}

impl<B: Backend> Batch<B> {
    /// The batch on `device`.
    #[must_use]
    pub fn to_device(self, device: &B::Device) -> Self {
        Self {
            images: self.images.to_device(device),
            masks: self.masks.to_device(device),
            ..self
        }
    }
}

/// How samples are drawn.
#[derive(Clone, Debug)]
pub struct Sampling {
    /// The run's seed.
    pub seed: u64,
    /// In which order.
    pub order: Order,
    /// Samples per batch.
    pub batch_size: usize,
    /// Background threads; with none, batches are made when they are asked for.
    pub workers: usize,
}

/// In which order samples come.
#[derive(Clone, Debug)]
pub enum Order {
    /// Every case once, in order, as it is.
    Sequential,
    /// Shuffled again in each epoch (and in each pass within one), augmented, this many batches per epoch.
    Shuffled {
        /// Batches per epoch.
        batches: usize,
        /// What to take of each case, if not all.
        patch: Option<Patch>,
        /// Applied to every sample.
        augment: Augmentations,
    },
}

/// Why batches stopped coming, if they did.
pub type Failure = Arc<Mutex<Option<PreprocessError>>>;

/// A [`DataLoader`] whose batches depend on the seed and the epoch alone: neither on the number of
/// workers nor on what was drawn before. At most two batches per worker wait in memory, and of a case only what a sample is
/// made from is read, so memory does not grow with the number of cases.
pub struct BatchLoader<B: Backend> {
    cases: Arc<Vec<TrainingCase>>,
    sampling: Sampling,
    epoch: Arc<AtomicUsize>,
    failure: Failure,
    device: B::Device,
}

impl<B: Backend> BatchLoader<B> {
    /// Batches of `cases` for `device`. `epoch` is read when an epoch's iteration starts; a case
    /// that cannot be read ends the iteration and is left in `failure`.
    pub fn new(
        cases: Vec<TrainingCase>,
        sampling: Sampling,
        epoch: Arc<AtomicUsize>,
        failure: Failure,
        device: B::Device,
    ) -> Self {
        Self {
            cases: Arc::new(cases),
            sampling,
            epoch,
            failure,
            device,
        }
    }

    /// Batches per epoch.
    pub fn batches(&self) -> usize {
        match &self.sampling.order {
            Order::Sequential => self.cases.len().div_ceil(self.sampling.batch_size),
            Order::Shuffled { batches, .. } => *batches,
        }
    }

    fn with_device(&self, device: &B::Device) -> Self {
        Self {
            cases: Arc::clone(&self.cases),
            sampling: self.sampling.clone(),
            epoch: Arc::clone(&self.epoch),
            failure: Arc::clone(&self.failure),
            device: device.clone(),
        }
    }
}

impl<B: Backend> DataLoader<B, Batch<B>> for BatchLoader<B> {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<Batch<B>> + 'a> {
        let epoch = self.epoch.load(Ordering::Relaxed) as u64;
        let batches = self.sampling.draws(self.cases.len(), epoch);
        let total = batches.iter().map(Vec::len).sum();
        let feed = match self.sampling.workers {
            0 => Feed::Here(batches.into_iter()),
            workers => {
                let mut shares: Vec<Vec<Vec<Draw>>> = (0..workers).map(|_| Vec::new()).collect();
                for (index, batch) in batches.into_iter().enumerate() {
                    shares[index % workers].push(batch);
                }
                let start = |share| self.start_worker(share, epoch);
                Feed::Workers(shares.into_iter().map(start).collect())
            }
        };
        Box::new(Batches {
            loader: self,
            feed,
            epoch,
            next: 0,
            items: 0,
            total,
        })
    }

    fn num_items(&self) -> usize {
        match &self.sampling.order {
            Order::Sequential => self.cases.len(),
            Order::Shuffled { batches, .. } => batches * self.sampling.batch_size,
        }
    }

    fn to_device(&self, device: &B::Device) -> Arc<dyn DataLoader<B, Batch<B>>> {
        Arc::new(self.with_device(device))
    }

    fn slice(&self, start: usize, end: usize) -> Arc<dyn DataLoader<B, Batch<B>>> {
        let mut part = self.with_device(&self.device);
        part.cases = Arc::new(self.cases[start..end].to_vec());
        Arc::new(part)
    }
}

impl<B: Backend> BatchLoader<B> {
    fn start_worker(&self, share: Vec<Vec<Draw>>, epoch: u64) -> Receiver<Delivery> {
        let (outbox, inbox) = sync_channel(1);
        let cases = Arc::clone(&self.cases);
        let sampling = self.sampling.clone();
        std::thread::spawn(move || {
            for draws in share {
                let batch = assemble(&cases, &sampling, &draws, epoch);
                let failed = batch.is_err();
                // The receiver is gone if the epoch was cut short.
                if outbox.send(batch).is_err() || failed {
                    return;
                }
            }
        });
        inbox
    }
}

/// Where an epoch's batches come from.
enum Feed {
    /// Made when asked for.
    Here(std::vec::IntoIter<Vec<Draw>>),
    /// Made ahead by workers that take turns.
    Workers(Vec<Receiver<Delivery>>),
}

struct Batches<'a, B: Backend> {
    loader: &'a BatchLoader<B>,
    feed: Feed,
    epoch: u64,
    next: usize,
    items: usize,
    total: usize,
}

impl<B: Backend> Iterator for Batches<'_, B> {
    type Item = Batch<B>;

    fn next(&mut self) -> Option<Batch<B>> {
        let delivery = match &mut self.feed {
            Feed::Here(draws) => {
                let draws = draws.next()?;
                let loader = self.loader;
                assemble(&loader.cases, &loader.sampling, &draws, self.epoch)
            }
            // Workers take turns, so batches arrive in the order drawn, whichever worker is faster. A closed
            // channel is the end of the epoch.
            Feed::Workers(inboxes) => inboxes[self.next % inboxes.len()].recv().ok()?,
        };
        let host = match delivery {
            Ok(host) => host,
            Err(error) => {
                *self
                    .loader
                    .failure
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner) = Some(error);
                return None;
            }
        };
        let index = self.next;
        self.next += 1;
        self.items += host.cases.len();
        let [x, y, z] = host.shape;
        let tensor = |values, channels| {
            let shape = [host.cases.len(), channels, x, y, z];
            Tensor::from_data(TensorData::new(values, shape), &self.loader.device)
        };
        let images = tensor(host.images, host.images_per_case);
        let masks = tensor(host.masks, 1);
        Some(Batch {
            cases: host.cases,
            images,
            masks,
            seed: random::derived_seed(
                self.loader.sampling.seed,
                &["step"],
                &[self.epoch, index as u64],
            ),
            preview: index == 0,
        })
    }
}

impl<B: Backend> DataLoaderIterator<Batch<B>> for Batches<'_, B> {
    fn progress(&self) -> Progress {
        Progress::new(self.items, self.total)
    }
}
