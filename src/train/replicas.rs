//! Several devices that share the batches of each step: data parallelism.
//!
//! The batches of a step (`train.accumulate`) are dealt out in order, their gradients gathered on the first
//! device in that order, and one optimiser step is made there; so a step is the same on one device and on
//! several, but for the rounding of different devices. Between devices travel the weights, once per step, and
//! of each batch its images and masks, made for the first device, and its gradients.
//!
//! Burn's copies of a network share the running statistics of batch normalisation, and all devices
//! the stream of random numbers that dropout draws from: networks with either are not shared.

use std::panic::resume_unwind;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::thread::JoinHandle;

use burn::module::Module;
use burn_train::{TrainOutput, TrainStep};

use super::segmenter::{Segmenter, StepRecord};
use crate::dataset::Batch;
use crate::kernel::TrainingBackend;

/// The devices besides the first, each with a thread of its own and a copy of the network.
pub(super) struct Replicas<B: TrainingBackend> {
    first: B::Device,
    workers: Vec<Worker<B>>,
}

/// A thread keeps its device's stream of work, and its memory, from step to step.
struct Worker<B: TrainingBackend> {
    orders: Sender<Order<B>>,
    results: Receiver<TrainOutput<StepRecord>>,
    thread: JoinHandle<()>,
}

enum Order<B: TrainingBackend> {
    Load(Box<Segmenter<B>>),
    Differentiate(Batch<B>),
}

impl<B: TrainingBackend> Replicas<B> {
    /// `first` is the device that batches and the network are on.
    pub fn new(first: B::Device, extra_devices: &[B::Device]) -> Self {
        let workers = extra_devices
            .iter()
            .map(|device| Worker::start(device.clone()));
        Self {
            workers: workers.collect(),
            first,
        }
    }

    /// How many batches are worked on at once.
    pub fn count(&self) -> usize {
        1 + self.workers.len()
    }

    /// Copies the weights of `model` to every device.
    pub fn load(&mut self, model: &Segmenter<B>) {
        for at in 0..self.workers.len() {
            self.order(at, Order::Load(Box::new(model.clone())));
        }
    }

    /// The result of each of the batches, at most [`Self::count`], in their order, with the gradients on the
    /// first device.
    pub fn differentiate(
        &mut self,
        model: &Segmenter<B>,
        batches: Vec<Batch<B>>,
    ) -> Vec<TrainOutput<StepRecord>> {
        let mut batches = batches.into_iter();
        let own = batches.next();
        let mut sent = 0;
        for batch in batches {
            self.order(sent, Order::Differentiate(batch));
            sent += 1;
        }
        let mut outputs: Vec<_> = own.map(|batch| model.step(batch)).into_iter().collect();
        for at in 0..sent {
            let result = self.workers[at].results.recv();
            let TrainOutput { item, grads } = result.unwrap_or_else(|_| self.fail(at));
            let grads = grads.to_device::<B, _>(&self.first, model);
            outputs.push(TrainOutput { item, grads });
        }
        outputs
    }

    fn order(&mut self, at: usize, order: Order<B>) {
        if self.workers[at].orders.send(order).is_err() {
            self.fail(at)
        }
    }

    /// Resumes the panic that ended a worker.
    fn fail(&mut self, at: usize) -> ! {
        match self.workers.remove(at).thread.join() {
            Err(panic) => resume_unwind(panic),
            Ok(()) => unreachable!("a worker ends when its orders do, and they have not"),
        }
    }
}

impl<B: TrainingBackend> Worker<B> {
    fn start(device: B::Device) -> Self {
        let (orders, inbox) = channel();
        let (outbox, results) = channel();
        let thread = std::thread::spawn(move || {
            let mut model: Option<Segmenter<B>> = None;
            for order in inbox {
                match (order, &model) {
                    (Order::Load(latest), _) => model = Some(latest.fork(&device)),
                    (Order::Differentiate(batch), Some(model)) => {
                        // The receiver is gone if training was given up.
                        if outbox.send(model.step(batch.to_device(&device))).is_err() {
                            return;
                        }
                    }
                    (Order::Differentiate(_), None) => {
                        unreachable!("a step begins with its weights")
                    }
                }
            }
        });
        Self {
            orders,
            results,
            thread,
        }
    }
}
