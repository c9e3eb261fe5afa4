//! Batches, prepared on background threads while the device works.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use rand::seq::SliceRandom;

use super::Patch;
use crate::augment::{self, Augmentations, CropParams, Drawn, Sample, mix_batch};
use crate::preprocess::PreprocessError;
use crate::preprocess::cache::CachedCase;
use crate::random;

/// A case ready for the network: its id and its preprocessed files.
#[derive(Clone, Debug)]
pub struct TrainingCase {
    /// The case's id.
    pub id: String,
    /// Its preprocessed image and mask.
    pub files: CachedCase,
}

/// Samples on their way through the network.
#[derive(Clone, Debug)]
pub struct Batch<B: Backend> {
    /// The id of each sample's case.
    pub cases: Vec<String>,
    /// Images, `[batch, 1, depth, height, width]`.
    pub images: Tensor<B, 5>,
    /// Masks of zeros and ones (soft where samples were mixed), `[batch, 1, depth, height, width]`.
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
/// workers nor on what was drawn before. At most two batches per worker wait in memory.
pub struct BatchLoader<B: Backend> {
    cases: Arc<Vec<TrainingCase>>,
    sampling: Sampling,
    epoch: Arc<AtomicUsize>,
    failure: Failure,
    device: B::Device,
}

struct Draw {
    case: usize,
    draw_index: u64,
}

struct HostBatch {
    cases: Vec<String>,
    shape: [usize; 3],
    images: Vec<f32>,
    masks: Vec<f32>,
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

    fn draws(&self, epoch: u64) -> Vec<Vec<Draw>> {
        let size = self.sampling.batch_size;
        let draws: Vec<Draw> = match &self.sampling.order {
            Order::Sequential => (0..self.cases.len())
                .map(|case| Draw {
                    case,
                    draw_index: 0,
                })
                .collect(),
            Order::Shuffled { batches, patch, .. } => {
                let samples = patch.as_ref().map_or(1, |patch| patch.samples as u64);
                (0..)
                    .flat_map(|pass| self.shuffled(epoch, pass).map(move |case| (case, pass)))
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
    fn shuffled(&self, epoch: u64, pass: u64) -> impl Iterator<Item = usize> + use<B> {
        let mut order: Vec<usize> = (0..self.cases.len()).collect();
        order.shuffle(&mut random::stream(
            self.sampling.seed,
            &["shuffle"],
            &[epoch, pass],
        ));
        order.into_iter()
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
        let batches = self.draws(epoch);
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

type Delivery = Result<HostBatch, PreprocessError>;

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

fn assemble(cases: &[TrainingCase], sampling: &Sampling, draws: &[Draw], epoch: u64) -> Delivery {
    let mut batch = HostBatch {
        cases: Vec::new(),
        shape: [0; 3],
        images: Vec::new(),
        masks: Vec::new(),
    };
    let mut all_drawn = Vec::new();
    for patches in draws.chunk_by(|a, b| a.case == b.case) {
        let case = &cases[patches[0].case];
        let whole = case.load()?;
        for draw in patches {
            let mut sample = whole.clone();
            let drawn = sampling.draw(&case.id, &sample, epoch, draw.draw_index);
            augment::apply(&drawn, &mut sample);
            let (x, y, z) = sample.image.dim();
            batch.shape = [x, y, z];
            batch.images.extend(sample.image.iter());
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

impl TrainingCase {
    /// The preprocessed case.
    ///
    /// # Errors
    ///
    /// When its files cannot be read.
    fn load(&self) -> Result<Sample, PreprocessError> {
        let mut prepared = self.files.load()?;
        let image = prepared.images.swap_remove(0);
        // Every case of a dataset has a mask; only scans to predict have none.
        let mask = prepared.mask.ok_or_else(|| PreprocessError::NoMask {
            image: self.files.images[0].clone(),
        })?;
        Ok(Sample {
            affine: image.affine,
            image: image.voxels,
            mask: mask.voxels,
        })
    }

    /// The case as the network sees it before samples of a batch are mixed, and what was drawn for it. `epoch`
    /// counts from 1; `draw_index` counts this case's samples in the epoch from 0.
    ///
    /// # Errors
    ///
    /// When the preprocessed files cannot be read.
    pub fn sample(
        &self,
        sampling: &Sampling,
        epoch: u64,
        draw_index: u64,
    ) -> Result<(Sample, Vec<Drawn>), PreprocessError> {
        let mut sample = self.load()?;
        let drawn = sampling.draw(&self.id, &sample, epoch, draw_index);
        augment::apply(&drawn, &mut sample);
        Ok((sample, drawn))
    }
}

impl Sampling {
    /// Everything that is drawn for one sample of `case`: the patch, if only one is taken, then the
    /// augmentations, which so turn about the patch's middle and fill it from what lies around it.
    fn draw(&self, case: &str, whole: &Sample, epoch: u64, draw_index: u64) -> Vec<Drawn> {
        let Order::Shuffled { patch, augment, .. } = &self.order else {
            return Vec::new();
        };
        let mut stream = random::stream(self.seed, &["patch", case], &[epoch, draw_index]);
        let patch = patch.iter().map(|patch| {
            let start = patch.draw(whole.mask.view(), &mut stream);
            Drawn::Crop(CropParams::window(start, patch.size))
        });
        let patch: Vec<Drawn> = patch.collect();
        let augmentations = augment.draw(self.seed, epoch, case, draw_index);
        patch.into_iter().chain(augmentations).collect()
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
        let shape = [host.cases.len(), 1, x, y, z];
        let tensor =
            |values| Tensor::from_data(TensorData::new(values, shape), &self.loader.device);
        Some(Batch {
            cases: host.cases,
            images: tensor(host.images),
            masks: tensor(host.masks),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::preprocess::cache::Cache;
    use crate::preprocess::{ImageFile, Inputs, Pipeline};

    use crate::volume::nifti::{Dtype, write_image, write_mask};
    use crate::volume::{Affine, MaskRule, Volume};
    use burn::backend::Flex;
    use ndarray::Array3;

    fn cases(folder: &std::path::Path, count: usize) -> Vec<TrainingCase> {
        (0..count)
            .map(|index| {
                let affine = Affine::diagonal([1.0; 3], [0.0; 3]);
                let image = folder.join(format!("{index}.nii"));
                let mask = folder.join(format!("{index}_mask.nii"));
                let voxels = Array3::from_shape_fn((4, 4, 4), |(x, ..)| (x + index) as f32);
                write_image(&image, &Volume { voxels, affine }, Dtype::Float32).unwrap();
                let voxels = Array3::from_elem((4, 4, 4), 1);
                write_mask(&mask, &Volume { voxels, affine }).unwrap();
                let id = format!("case-{index}");
                let inputs = Inputs {
                    grid_tolerance: crate::preprocess::GRID_TOLERANCE,
                    id: &id,
                    images: vec![ImageFile::only(&image)].into(),
                    onto: None,
                    mask: Some(&mask),
                    mask_rule: &MaskRule::ANY_PART,
                    region: None,
                };
                let cache = Cache::new(folder.join("cache"));
                let files = cache.prepare(&inputs, &Pipeline::default()).unwrap().files;
                TrainingCase { id, files }
            })
            .collect()
    }

    fn epoch(cases: &[TrainingCase], workers: usize, epoch: usize) -> Vec<(Vec<String>, Vec<f32>)> {
        let sampling = Sampling {
            seed: 7,
            order: Order::Shuffled {
                batches: 5,
                patch: None,
                augment: serde_yaml::from_str("[flip, {noise: {p: 1.0}}]").unwrap(),
            },
            batch_size: 2,
            workers,
        };
        let loader = BatchLoader::<Flex>::new(
            cases.to_vec(),
            sampling,
            Arc::new(AtomicUsize::new(epoch)),
            Failure::default(),
            Default::default(),
        );
        loader
            .iter()
            .map(|batch| (batch.cases, batch.images.into_data().to_vec().unwrap()))
            .collect()
    }

    #[test]
    fn batches_do_not_depend_on_the_number_of_workers() {
        let folder = tempfile::tempdir().unwrap();
        let cases = cases(folder.path(), 3);
        let one = epoch(&cases, 1, 1);
        assert_eq!(one.len(), 5);
        assert_eq!(one, epoch(&cases, 4, 1));
        assert_eq!(one, epoch(&cases, 0, 1), "made when asked for");
        assert_ne!(one, epoch(&cases, 1, 2), "each epoch is drawn on its own");
    }

    #[test]
    fn mixup_mixes_each_sample_with_the_next_of_its_batch() {
        let folder = tempfile::tempdir().unwrap();
        let augment: Augmentations = serde_yaml::from_str("[{mixup: {alpha: 1, p: 1}}]").unwrap();
        let sampling = Sampling {
            seed: 7,
            order: Order::Shuffled {
                batches: 1,
                patch: None,
                augment: augment.clone(),
            },
            batch_size: 3,
            workers: 1,
        };
        let loader = BatchLoader::<Flex>::new(
            cases(folder.path(), 3),
            sampling,
            Arc::new(AtomicUsize::new(2)),
            Failure::default(),
            Default::default(),
        );
        let batch = loader.iter().next().unwrap();
        let images: Vec<f32> = batch.images.into_data().to_vec().unwrap();
        // The first voxel of case n is n.
        let first = |at: usize| {
            batch.cases[at % 3]
                .trim_start_matches("case-")
                .parse::<f32>()
        };
        for (at, case) in batch.cases.iter().enumerate() {
            let drawn = augment.draw(7, 2, case, 0);
            let Drawn::Mixup(params) = &drawn[0] else {
                panic!("{drawn:?}")
            };
            let own = params.lambda as f32;
            let mixed = own * first(at).unwrap() + (1.0 - own) * first(at + 1).unwrap();
            assert!((images[64 * at] - mixed).abs() < 1e-6, "{at}");
        }
    }

    #[test]
    fn a_pass_shows_every_case_once() {
        let folder = tempfile::tempdir().unwrap();
        let shown = epoch(&cases(folder.path(), 5), 2, 3);
        let ids: Vec<&String> = shown.iter().flat_map(|(ids, _)| ids).collect();
        let pass = |range: &[&String]| {
            let mut range = range.to_vec();
            range.sort();
            range.dedup();
            range.len()
        };
        assert_eq!((pass(&ids[..5]), pass(&ids[5..])), (5, 5));
    }

    #[test]
    fn a_case_that_vanishes_ends_the_epoch_with_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let cases = cases(folder.path(), 1);
        std::fs::remove_file(&cases[0].files.images[0]).unwrap();
        let failure = Failure::default();
        let loader = BatchLoader::<Flex>::new(
            cases,
            Sampling {
                seed: 1,
                order: Order::Sequential,
                batch_size: 1,
                workers: 1,
            },
            Arc::default(),
            Arc::clone(&failure),
            Default::default(),
        );
        assert_eq!(loader.iter().count(), 0);
        let message = failure.lock().unwrap().take().unwrap().to_string();
        assert!(message.contains("case-0"), "{message}");
    }
}
