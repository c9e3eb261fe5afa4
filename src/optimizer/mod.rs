//! How weights follow gradients. One file a member; most of the arithmetic is Burn's.

mod adam;
mod adamw;
mod lion;
mod rmsprop;
mod sgd;

use std::sync::{Arc, Mutex, MutexGuard};

pub use adam::Adam;
pub use adamw::AdamW;
pub use lion::Lion;
pub use rmsprop::RmsProp;
pub use sgd::Sgd;

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{GradientsParams, MultiGradientsParams, SimpleOptimizer};
use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder, RecorderError};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use crate::sync::lock;

crate::family! {
    /// The optimiser.
    pub enum Optimizer {
        /// A running mean of gradients over the root of that of their squares.
        "adam" => Adam(Adam),
        /// Adam with weight decay of its own.
        "adamw" => AdamW(AdamW),
        /// The sign of a running mean of gradients.
        "lion" => Lion(Lion),
        /// Gradients over the root of a running mean of their squares.
        "rmsprop" => RmsProp(RmsProp),
        /// Stochastic gradient descent, with momentum.
        "sgd" => Sgd(Sgd),
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

/// A member of [`Optimizer`].
trait Member {
    /// What happens to one tensor.
    type Rule<B: Backend>: SimpleOptimizer<B>;

    fn learning_rate(&self) -> f64;

    /// The weight decay, and whether norms and biases have it too.
    fn weight_decay(&self) -> (f64, bool);

    fn rule<B: Backend>(&self, weight_decay: f64) -> Self::Rule<B>;

    fn start<B: AutodiffBackend, M: AutodiffModule<B>>(
        &self,
    ) -> Halves<Self::Rule<B::InnerBackend>, B, M> {
        let (decay, of_norms) = self.weight_decay();
        Halves {
            weights: self.rule(decay).into(),
            rest: self.rule(if of_norms { decay } else { 0.0 }).into(),
        }
    }
}

fn penalty(weight_decay: f64) -> Option<WeightDecayConfig> {
    (weight_decay > 0.0).then(|| WeightDecayConfig::new(weight_decay as f32))
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

fn validate_epsilon(epsilon: f64) -> Result<(), String> {
    if epsilon.is_finite() && epsilon > 0.0 {
        Ok(())
    } else {
        Err("epsilon must be above 0".into())
    }
}

/// An optimiser in the middle of a run. Clones share one state, so that whoever saves a checkpoint
/// sees what the learner's copy has accumulated.
pub struct OptimizerState<B: AutodiffBackend, M: AutodiffModule<B>>(Arc<Mutex<Running<B, M>>>);

/// Declares the running state of each member, and what runs the same for all.
macro_rules! running {
    ($($variant:ident($rule:ty),)+) => {
        enum Running<B: AutodiffBackend, M: AutodiffModule<B>> {
            $($variant(Halves<$rule, B, M>),)+
        }

        impl Optimizer {
            /// The learning rate that the schedule multiplies.
            pub fn learning_rate(&self) -> f64 {
                match self { $(Self::$variant(member) => member.learning_rate(),)+ }
            }

            /// The optimiser at the start of a run.
            pub fn init<B: AutodiffBackend, M: AutodiffModule<B>>(&self) -> OptimizerState<B, M> {
                OptimizerState(Arc::new(Mutex::new(match self {
                    $(Self::$variant(member) => Running::$variant(member.start()),)+
                })))
            }
        }

        /// Runs `$body` with `$optimizer` bound to whichever optimiser is running.
        macro_rules! each {
            ($running:expr, $optimizer:ident => $body:expr) => {
                match $running { $(Running::$variant($optimizer) => $body,)+ }
            };
        }
    };
}

running! {
    Adam(burn::optim::Adam),
    AdamW(burn::optim::AdamW),
    Lion(lion::LionRule),
    RmsProp(burn::optim::RmsProp),
    Sgd(burn::optim::Sgd<B::InnerBackend>),
}

/// One rule for convolutions' weights and one for norms and biases, which may differ in their weight
/// decay.
struct Halves<O: SimpleOptimizer<B::InnerBackend>, B: AutodiffBackend, M: AutodiffModule<B>> {
    weights: OptimizerAdaptor<O, M, B>,
    rest: OptimizerAdaptor<O, M, B>,
}

impl<O, B, M> Halves<O, B, M>
where
    O: SimpleOptimizer<B::InnerBackend>,
    B: AutodiffBackend,
    M: AutodiffModule<B>,
{
    fn step(&mut self, lr: f64, module: M, grads: GradientsParams) -> M {
        use burn::optim::Optimizer as _;
        let mut rest = Rest {
            all: grads,
            rest: GradientsParams::new(),
        };
        module.visit(&mut rest);
        let module = self.weights.step(lr, module, rest.all);
        self.rest.step(lr, module, rest.rest)
    }

    fn to_bytes(&self) -> Result<Vec<u8>, RecorderError> {
        use burn::optim::Optimizer as _;
        let halves = (self.weights.to_record(), self.rest.to_record());
        Recorder::<B>::record(&StateRecorder::default(), halves, ())
    }

    fn load_bytes(&mut self, bytes: Vec<u8>, device: &B::Device) -> Result<(), RecorderError> {
        use burn::optim::Optimizer as _;
        let (weights, rest) = Recorder::<B>::load(&StateRecorder::default(), bytes, device)?;
        self.weights = self.weights.clone().load_record(weights);
        self.rest = self.rest.clone().load_record(rest);
        Ok(())
    }
}

/// Takes the gradients of norms and biases (tensors of one axis) out of all.
struct Rest {
    all: GradientsParams,
    rest: GradientsParams,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for Rest {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if D == 1
            && let Some(grad) = self.all.remove::<B::InnerBackend, D>(param.id)
        {
            self.rest.register::<B::InnerBackend, D>(param.id, grad);
        }
    }
}

type StateRecorder = NamedMpkBytesRecorder<FullPrecisionSettings>;

impl<B: AutodiffBackend, M: AutodiffModule<B>> OptimizerState<B, M> {
    // A panic while holding the lock ends the run; the state is then not used again.
    fn running(&self) -> MutexGuard<'_, Running<B, M>> {
        lock(&self.0)
    }

    /// Everything accumulated so far, for a checkpoint.
    ///
    /// # Errors
    ///
    /// When Burn cannot serialise it.
    pub fn to_bytes(&self) -> Result<Vec<u8>, RecorderError> {
        each!(&*self.running(), optimizer => optimizer.to_bytes())
    }

    /// Continues from what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    ///
    /// When the bytes are damaged or from another optimiser.
    pub fn load_bytes(&self, bytes: Vec<u8>, device: &B::Device) -> Result<(), RecorderError> {
        each!(&mut *self.running(), optimizer => optimizer.load_bytes(bytes, device))
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

    fn step_multi(&mut self, _lr: f64, _module: M, _grads: MultiGradientsParams) -> M {
        unreachable!("our strategy makes one set of gradients of those of all devices")
    }

    fn to_record(&self) {}

    fn load_record(self, (): ()) -> Self {
        self
    }
}
