//! How weights follow gradients. One file a member; the arithmetic is Burn's.

mod adam;
mod adamw;
mod sgd;

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

pub use adam::Adam;
pub use adamw::AdamW;
pub use sgd::Sgd;

use burn::module::AutodiffModule;
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::{GradientsParams, MultiGradientsParams};
use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder, RecorderError};
use burn::tensor::backend::AutodiffBackend;

crate::family! {
    /// The optimiser.
    pub enum Optimizer {
        /// Adam (Kingma and Ba 2015).
        "adam" => Adam(Adam),
        /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
        "adamw" => AdamW(AdamW),
        /// Stochastic gradient descent, with momentum.
        "sgd" => Sgd(Sgd),
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

impl Optimizer {
    /// The learning rate that the schedule multiplies.
    pub fn learning_rate(&self) -> f64 {
        match self {
            Self::Adam(member) => member.learning_rate,
            Self::AdamW(member) => member.learning_rate,
            Self::Sgd(member) => member.learning_rate,
        }
    }

    /// The optimiser at the start of a run.
    pub fn init<B: AutodiffBackend, M: AutodiffModule<B>>(&self) -> OptimizerState<B, M> {
        OptimizerState(Arc::new(Mutex::new(match self {
            Self::Adam(member) => Running::Adam(member.init()),
            Self::AdamW(member) => Running::AdamW(member.init()),
            Self::Sgd(member) => Running::Sgd(member.init()),
        })))
    }
}

fn validate_rate(learning_rate: f64) -> Result<(), String> {
    if learning_rate.is_finite() && learning_rate > 0.0 {
        Ok(())
    } else {
        Err("learning_rate must be above 0".into())
    }
}

fn validate_decay(weight_decay: f64) -> Result<(), String> {
    if weight_decay.is_finite() && weight_decay >= 0.0 {
        Ok(())
    } else {
        Err("weight_decay must be at least 0".into())
    }
}

fn validate_beta(name: &str, beta: f64) -> Result<(), String> {
    if (0.0..1.0).contains(&beta) {
        Ok(())
    } else {
        Err(format!("{name} must be at least 0 and below 1"))
    }
}

/// An optimiser in the middle of a run. Clones share one state, so that whoever saves a checkpoint
/// sees what the learner's copy has accumulated.
pub struct OptimizerState<B: AutodiffBackend, M: AutodiffModule<B>>(Arc<Mutex<Running<B, M>>>);

enum Running<B: AutodiffBackend, M: AutodiffModule<B>> {
    Adam(OptimizerAdaptor<burn::optim::Adam, M, B>),
    AdamW(OptimizerAdaptor<burn::optim::AdamW, M, B>),
    Sgd(OptimizerAdaptor<burn::optim::Sgd<B::InnerBackend>, M, B>),
}

/// Runs `$body` with `$optimizer` bound to whichever optimiser is running.
macro_rules! each {
    ($running:expr, $optimizer:ident => $body:expr) => {
        match $running {
            Running::Adam($optimizer) => $body,
            Running::AdamW($optimizer) => $body,
            Running::Sgd($optimizer) => $body,
        }
    };
}

type StateRecorder = NamedMpkBytesRecorder<FullPrecisionSettings>;

impl<B: AutodiffBackend, M: AutodiffModule<B>> OptimizerState<B, M> {
    // A panic while holding the lock ends the run; the state is then not used again.
    fn running(&self) -> MutexGuard<'_, Running<B, M>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Everything accumulated so far, for a checkpoint.
    ///
    /// # Errors
    ///
    /// When Burn cannot serialise it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecorderError> {
        use burn::optim::Optimizer as _;
        let recorder = StateRecorder::default();
        each!(&*self.running(), optimizer => {
            Recorder::<B>::record(&recorder, optimizer.to_record(), ())
        })
    }

    /// Continues from what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    ///
    /// When the bytes are damaged or from another optimiser.
    pub fn load_bytes(&self, bytes: Vec<u8>, device: &B::Device) -> Result<(), RecorderError> {
        use burn::optim::Optimizer as _;
        let recorder = StateRecorder::default();
        let mut running = self.running();
        each!(&mut *running, optimizer => {
            let record = Recorder::<B>::load(&recorder, bytes, device)?;
            *optimizer = optimizer.clone().load_record(record);
        });
        Ok(())
    }
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> Clone for OptimizerState<B, M> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> burn::optim::Optimizer<M, B>
    for OptimizerState<B, M>
{
    // Checkpoints go through `to_bytes`: the record's type would depend on the member.
    type Record = ();

    fn step(&mut self, lr: f64, module: M, grads: GradientsParams) -> M {
        each!(&mut *self.running(), optimizer => optimizer.step(lr, module, grads))
    }

    fn step_multi(&mut self, lr: f64, module: M, grads: MultiGradientsParams) -> M {
        each!(&mut *self.running(), optimizer => optimizer.step_multi(lr, module, grads))
    }

    fn to_record(&self) {}

    fn load_record(self, (): ()) -> Self {
        self
    }
}
