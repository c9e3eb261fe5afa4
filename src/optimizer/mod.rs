//! How weights follow gradients. One file per member; most of the arithmetic is Burn's.

use std::sync::{Arc, Mutex, MutexGuard};

use burn::module::{AutodiffModule, ModuleVisitor, Param};
use burn::optim::adaptor::OptimizerAdaptor;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{GradientsParams, MultiGradientsParams, SimpleOptimizer};
use burn::record::{FullPrecisionSettings, NamedMpkBytesRecorder, Recorder, RecorderError};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};

use crate::settings::Fault;
use crate::sync::lock;

/// What every optimiser provides: the contract of a member of [`Optimizer`].
pub trait UpdateRule {
    /// What happens to one tensor.
    type Rule<B: Backend>: SimpleOptimizer<B>;

    /// The learning rate that the schedule multiplies.
    fn learning_rate(&self) -> f64;

    /// The weight decay, and whether norms and biases have it too.
    fn weight_decay(&self) -> (f64, bool);

    /// The rule with this weight decay.
    fn rule<B: Backend>(&self, weight_decay: f64) -> Self::Rule<B>;

    /// What is wrong with the values that the ranges of the fields do not show.
    fn rules(&self) -> Vec<Fault> {
        Vec::new()
    }
}

crate::family! {
    /// The optimiser.
    pub enum Optimizer: UpdateRule, listed as "optimizers" {
        /// A running mean of gradients over the root of that of their squares.
        "adam" => adam::Adam,
        /// Adam with weight decay of its own.
        "adamw" => adamw::AdamW,
        /// The sign of a running mean of gradients.
        "lion" => lion::Lion,
        /// Gradients over the root of a running mean of their squares.
        "rmsprop" => rmsprop::RmsProp,
        /// Stochastic gradient descent, with momentum.
        "sgd" => sgd::Sgd,
    }
}

impl Default for Optimizer {
    fn default() -> Self {
        Self::Adam(Adam::default())
    }
}

fn penalty(weight_decay: f64) -> Option<WeightDecayConfig> {
    (weight_decay > 0.0).then(|| WeightDecayConfig::new(weight_decay as f32))
}

/// An optimiser in the middle of a run. Clones share one state, so that a checkpoint has what the learner's
/// copy has accumulated.
pub struct OptimizerState<B: AutodiffBackend, M: AutodiffModule<B>>(Arc<Mutex<Running<B, M>>>);

/// Declares the running state of each member.
macro_rules! running {
    ($($member:ident,)+) => {
        enum Running<B: AutodiffBackend, M: AutodiffModule<B>> {
            $($member(ParamGroups<<$member as UpdateRule>::Rule<B::InnerBackend>, B, M>),)+
        }

        impl Optimizer {
            /// The optimiser at the start of a run.
            pub fn init<B: AutodiffBackend, M: AutodiffModule<B>>(&self) -> OptimizerState<B, M> {
                OptimizerState(Arc::new(Mutex::new(match self {
                    $(Self::$member(member) => Running::$member(ParamGroups::of(member)),)+
                })))
            }
        }

        /// Does the same with whichever optimiser is running.
        macro_rules! with_running {
            ($running:expr, $optimizer:ident => $work:expr) => {
                match $running { $(Running::$member($optimizer) => $work,)+ }
            };
        }
    };
}

for_members!(running!);

impl Optimizer {
    /// The learning rate that the schedule multiplies.
    pub fn learning_rate(&self) -> f64 {
        with_member!(self, member => member.learning_rate())
    }
}

/// One rule for convolutions' weights and one for norms and biases: their weight decays may differ.
struct ParamGroups<O: SimpleOptimizer<B::InnerBackend>, B: AutodiffBackend, M: AutodiffModule<B>> {
    weights: OptimizerAdaptor<O, M, B>,
    rest: OptimizerAdaptor<O, M, B>,
}

impl<O, B, M> ParamGroups<O, B, M>
where
    O: SimpleOptimizer<B::InnerBackend>,
    B: AutodiffBackend,
    M: AutodiffModule<B>,
{
    /// Both at the start of a run.
    fn of(member: &impl UpdateRule<Rule<B::InnerBackend> = O>) -> Self {
        let (decay, of_norms) = member.weight_decay();
        let rule = |decay: f64| member.rule::<B::InnerBackend>(decay);
        Self {
            weights: rule(decay).into(),
            rest: rule(if of_norms { decay } else { 0.0 }).into(),
        }
    }

    fn step(&mut self, lr: f64, module: M, grads: GradientsParams) -> M {
        use burn::optim::Optimizer as _;
        let mut split = SplitNorms {
            all: grads,
            norms: GradientsParams::new(),
        };
        module.visit(&mut split);
        let module = self.weights.step(lr, module, split.all);
        self.rest.step(lr, module, split.norms)
    }

    fn to_bytes(&self) -> Result<Vec<u8>, RecorderError> {
        use burn::optim::Optimizer as _;
        let groups = (self.weights.to_record(), self.rest.to_record());
        Recorder::<B>::record(&StateRecorder::default(), groups, ())
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
struct SplitNorms {
    all: GradientsParams,
    norms: GradientsParams,
}

impl<B: AutodiffBackend> ModuleVisitor<B> for SplitNorms {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        if D == 1
            && let Some(grad) = self.all.remove::<B::InnerBackend, D>(param.id)
        {
            self.norms.register::<B::InnerBackend, D>(param.id, grad);
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
        with_running!(&*self.running(), optimizer => optimizer.to_bytes())
    }

    /// Continues from what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    ///
    /// When the bytes are damaged or from another optimiser.
    pub fn load_bytes(&self, bytes: Vec<u8>, device: &B::Device) -> Result<(), RecorderError> {
        with_running!(&mut *self.running(), optimizer => optimizer.load_bytes(bytes, device))
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
        with_running!(&mut *self.running(), optimizer => optimizer.step(lr, module, grads))
    }

    fn step_multi(&mut self, _lr: f64, _module: M, _grads: MultiGradientsParams) -> M {
        unreachable!("our strategy makes one set of gradients of those of all devices")
    }

    fn to_record(&self) {}

    fn load_record(self, (): ()) -> Self {
        self
    }
}
