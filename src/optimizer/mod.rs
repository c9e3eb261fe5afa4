//! How weights follow gradients. One file per member; most of the arithmetic is Burn's.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use burn::module::{AutodiffModule, ModuleMapper, Param, ParamId};
use burn::optim::decay::WeightDecayConfig;
use burn::optim::{GradientsParams, MultiGradientsParams, SimpleOptimizer};
use burn::record::{FullPrecisionSettings, Record};
use burn::tensor::Tensor;
use burn::tensor::backend::{AutodiffBackend, Backend};
use thiserror::Error;

use crate::kernel::{Kernels, TrainingBackend};
use crate::settings::Fault;
use crate::sync::lock;

/// What every optimiser provides: the contract of a member of [`Optimizer`].
pub trait UpdateRule {
    /// What happens to the values of a parameter, each by itself.
    type Rule<B: Kernels>: SimpleOptimizer<B> + 'static;

    /// The learning rate that the schedule multiplies.
    fn learning_rate(&self) -> f64;

    /// The weight decay, and whether norms and biases have it too.
    fn weight_decay(&self) -> (f64, bool);

    /// The rule with this weight decay.
    fn rule<B: Kernels>(&self, weight_decay: f64) -> Self::Rule<B>;

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

impl Optimizer {
    /// The learning rate that the schedule multiplies.
    pub fn learning_rate(&self) -> f64 {
        with_member!(self, member => member.learning_rate())
    }

    /// The optimiser at the start of a run.
    pub fn init<B: TrainingBackend>(&self) -> OptimizerState<B> {
        OptimizerState(Arc::new(Mutex::new(with_member!(self, member => {
            let (decay, norms_decay) = member.weight_decay();
            Box::new(Running {
                weights: member.rule::<B::InnerBackend>(decay),
                norms: member.rule::<B::InnerBackend>(if norms_decay { decay } else { 0.0 }),
                states: BTreeMap::new(),
            })
        }))))
    }
}

/// A state cannot be written or read: it is damaged, or that of another optimiser.
#[derive(Debug, Error)]
pub enum StateError {
    /// It cannot be written.
    #[error("the optimiser's state cannot be encoded: {0}")]
    Write(#[from] rmp_serde::encode::Error),
    /// It cannot be read.
    #[error("the optimiser's state cannot be decoded: {0}")]
    Read(#[from] rmp_serde::decode::Error),
}

/// Any rule with what it has accumulated.
///
/// A network's parameters go through it as flat tensors: with a type for each rank, each rule's code would be
/// compiled again for each of them, and for each network.
trait Update<B: Backend>: Send {
    /// The parameter's values, flat, after a step.
    fn step(
        &mut self,
        rate: f64,
        of: Parameter,
        values: Tensor<B, 1>,
        gradient: Tensor<B, 1>,
    ) -> Tensor<B, 1>;

    fn to_bytes(&self) -> Result<Vec<u8>, StateError>;

    fn load_bytes(&mut self, bytes: &[u8], device: &B::Device) -> Result<(), StateError>;
}

/// Which parameter a step is for.
struct Parameter {
    id: ParamId,
    /// Whether it belongs to a norm, or is a bias: a tensor of one axis.
    is_norm: bool,
}

/// What is written of a state.
type Item<B, S> = <S as Record<B>>::Item<FullPrecisionSettings>;

/// One rule for convolutions' weights and one for norms and biases, whose weight decays may differ.
struct Running<B: Backend, R: SimpleOptimizer<B>> {
    weights: R,
    norms: R,
    /// What is accumulated for each parameter, by its id.
    states: BTreeMap<u64, R::State<1>>,
}

impl<B: Backend, R: SimpleOptimizer<B>> Update<B> for Running<B, R> {
    fn step(
        &mut self,
        rate: f64,
        of: Parameter,
        values: Tensor<B, 1>,
        gradient: Tensor<B, 1>,
    ) -> Tensor<B, 1> {
        let rule = if of.is_norm {
            &self.norms
        } else {
            &self.weights
        };
        let id = of.id.val();
        let (values, state) = rule.step(rate, values, gradient, self.states.remove(&id));
        self.states.extend(state.map(|state| (id, state)));
        values
    }

    fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        let states = self.states.iter();
        let items: Vec<_> = states
            .map(|(id, state)| (id, state.clone().into_item::<FullPrecisionSettings>()))
            .collect();
        Ok(rmp_serde::to_vec_named(&items)?)
    }

    fn load_bytes(&mut self, bytes: &[u8], device: &B::Device) -> Result<(), StateError> {
        let items: Vec<(u64, Item<B, R::State<1>>)> = rmp_serde::from_slice(bytes)?;
        let states = items.into_iter();
        self.states = states
            .map(|(id, item)| (id, Record::from_item::<FullPrecisionSettings>(item, device)))
            .collect();
        Ok(())
    }
}

/// An optimiser in the middle of a run. Clones share one state, so that a checkpoint has what the learner's
/// copy has accumulated.
pub struct OptimizerState<B: AutodiffBackend>(Arc<Mutex<Box<dyn Update<B::InnerBackend>>>>);

impl<B: AutodiffBackend> OptimizerState<B> {
    /// Everything accumulated so far, for a checkpoint.
    ///
    /// # Errors
    ///
    /// If it cannot be encoded.
    pub fn to_bytes(&self) -> Result<Vec<u8>, StateError> {
        lock(&self.0).to_bytes()
    }

    /// Continues from what [`to_bytes`](Self::to_bytes) gave.
    ///
    /// # Errors
    ///
    /// If the bytes are damaged or those of another optimiser.
    pub fn load_bytes(&self, bytes: &[u8], device: &B::Device) -> Result<(), StateError> {
        lock(&self.0).load_bytes(bytes, device)
    }
}

impl<B: AutodiffBackend> Clone for OptimizerState<B> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<B: AutodiffBackend, M: AutodiffModule<B>> burn::optim::Optimizer<M, B> for OptimizerState<B> {
    // Checkpoints go through `to_bytes`: the record's type would depend on the member.
    type Record = ();

    fn step(&mut self, lr: f64, module: M, grads: GradientsParams) -> M {
        module.map(&mut Step::<B> {
            rate: lr,
            grads,
            update: &mut **lock(&self.0),
        })
    }

    fn step_multi(&mut self, _lr: f64, _module: M, _grads: MultiGradientsParams) -> M {
        unreachable!("our strategy makes one set of gradients of those of all devices")
    }

    fn to_record(&self) {}

    fn load_record(self, (): ()) -> Self {
        self
    }
}

/// A step on its way through a module.
struct Step<'a, B: AutodiffBackend> {
    rate: f64,
    grads: GradientsParams,
    update: &'a mut dyn Update<B::InnerBackend>,
}

impl<B: AutodiffBackend> ModuleMapper<B> for Step<'_, B> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let Some(gradient) = self.grads.remove::<B::InnerBackend, D>(param.id) else {
            return param;
        };
        let of = Parameter {
            id: param.id,
            is_norm: D == 1,
        };
        param.map(|values| {
            let tracked = values.is_require_grad();
            let shape = values.shape();
            let flat = [shape.num_elements()];
            let (values, gradient) = (values.inner().reshape(flat), gradient.reshape(flat));
            let values = self.update.step(self.rate, of, values, gradient);
            Tensor::from_inner(values.reshape(shape)).set_require_grad(tracked)
        })
    }
}
