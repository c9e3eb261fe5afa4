//! Burn's tape: how an operation is put on it, taken back and computed again.

use std::marker::PhantomData;

use burn::backend::Flex;
use burn::backend::autodiff::NodeId;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::retro_forward::RetroForward;
use burn::backend::autodiff::checkpoint::state::BackwardStates;
use burn::backend::autodiff::checkpoint::strategy::BalancedCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::tensor::ops::FloatTensor;

use super::checkpointing::is_on;
use super::flex::contiguous;

/// A tensor on the tape.
pub(super) type Tracked = FloatTensor<burn::backend::Autodiff<Flex>>;

/// When an output is not kept for the backward pass.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Recomputed {
    Never,
    /// With gradient checkpointing.
    Checkpointing,
    Always,
}

/// An operation on the tape, apart from the tensors that it is applied to.
pub(super) trait Operation: Clone + Send + std::fmt::Debug + 'static {
    /// Whether the output is computed again in the backward pass, as it is cheap.
    const RECOMPUTED: Recomputed;

    /// Whether the gradients depend on the parents' values.
    const NEEDS_INPUTS: bool;

    /// The output.
    fn forward(&self, parents: &[FlexTensor]) -> FlexTensor;

    /// The gradient with respect to each parent for which one is wanted, given that with respect to
    /// the output. There are no `parents` if the operation does not need its inputs.
    fn gradients(
        &self,
        parents: &[FlexTensor],
        gradient: &FlexTensor,
        wanted: &[bool],
    ) -> Vec<Option<FlexTensor>>;
}

/// The step that the tape takes back over an operation.
#[derive(Debug)]
struct Step<T>(PhantomData<T>);

impl<T: Operation, const N: usize> Backward<Flex, N> for Step<T> {
    type State = (T, [NodeId; N]);

    fn backward(
        self,
        ops: Ops<Self::State, N>,
        grads: &mut Gradients,
        checkpointer: &mut Checkpointer,
    ) {
        let gradient = contiguous(grads.consume::<Flex>(&ops.node));
        let (operation, nodes) = ops.state;
        let mut parents = Vec::new();
        if T::NEEDS_INPUTS {
            let kept = nodes.map(|node| checkpointer.retrieve_node_output::<FlexTensor>(node));
            parents.extend(kept.map(contiguous));
        }
        let wanted = ops.parents.each_ref().map(Option::is_some);
        let gradients = operation.gradients(&parents, &gradient, &wanted);
        for (parent, gradient) in ops.parents.into_iter().zip(gradients) {
            if let (Some(parent), Some(gradient)) = (parent, gradient) {
                grads.register::<Flex>(parent.id, gradient);
            }
        }
    }
}

/// Computes the output of a cheap operation again.
#[derive(Debug)]
struct Recompute<T, const N: usize> {
    operation: T,
    parents: [NodeId; N],
}

impl<T: Operation, const N: usize> RetroForward for Recompute<T, N> {
    fn forward(&self, states: &mut BackwardStates, out_node: NodeId) {
        let parents = self
            .parents
            .map(|node| states.get_state::<FlexTensor>(&node));
        let output = self.operation.forward(&parents.map(contiguous));
        states.save(out_node, output);
    }
}

/// Applies an operation, and puts it on the tape.
pub(super) fn record<T: Operation, const N: usize>(
    parents: [&Tracked; N],
    operation: T,
) -> Tracked {
    let output = operation.forward(&parents.map(|parent| parent.primitive.clone()));
    let nodes = parents.map(|parent| parent.node.clone());
    let ids = parents.map(|parent| parent.node.id);
    let step = Backward::<Flex, N>::prepare::<BalancedCheckpointing>(Step(PhantomData), nodes);
    let is_recomputed = match T::RECOMPUTED {
        Recomputed::Never => false,
        Recomputed::Checkpointing => is_on(),
        Recomputed::Always => true,
    };
    let prepared = if is_recomputed {
        let recompute = Recompute {
            operation: operation.clone(),
            parents: ids,
        };
        step.memory_bound()
            .retro_forward(recompute)
            .parents(parents)
    } else {
        step.compute_bound()
    };
    match prepared.stateful() {
        OpsKind::Tracked(mut prepared) => {
            if T::NEEDS_INPUTS {
                for parent in parents {
                    prepared.checkpoint(parent);
                }
            }
            prepared.finish((operation, ids), output)
        }
        OpsKind::UnTracked(prepared) => prepared.finish(output),
    }
}

/// The gradients that are wanted, each made by itself.
pub(super) fn each_wanted(
    wanted: &[bool],
    of: impl Fn(usize) -> FlexTensor,
) -> Vec<Option<FlexTensor>> {
    let parents = wanted.iter().enumerate();
    parents
        .map(|(parent, wanted)| wanted.then(|| of(parent)))
        .collect()
}
