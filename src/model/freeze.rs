//! Layers that are not trained.

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::Network;
use super::names::{Place, check_layers, is_all, is_in};

/// Marks these layers of the network as not trained.
///
/// # Errors
///
/// The first layer that it does not have, and what it has instead.
pub fn freeze<B: Backend>(network: Network<B>, layers: &[String]) -> Result<Network<B>, String> {
    if layers.is_empty() {
        return Ok(network);
    }
    check_layers(&network, layers)?;
    if is_all(&network, layers) {
        return Err("it names every layer, so that nothing would be trained".into());
    }
    Ok(network.map(&mut Freezing {
        layers,
        place: Place::default(),
    }))
}

struct Freezing<'a> {
    layers: &'a [String],
    place: Place,
}

impl<B: Backend> ModuleMapper<B> for Freezing<'_> {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        let name = self.place.name();
        match self.layers.iter().any(|layer| is_in(&name, layer)) {
            true => param.set_require_grad(false),
            false => param,
        }
    }
}
