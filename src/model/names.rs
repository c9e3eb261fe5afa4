//! The names of layers and weights, as in weights files.

use burn::module::{Module, ModuleVisitor, Param};
use burn::tensor::Tensor;
use burn::tensor::backend::Backend;

use super::Network;
use crate::settings::nearest;

/// Whether a layer or a weight called `name` is in the layer called `layer`.
pub(super) fn is_in(name: &str, layer: &str) -> bool {
    let rest = name.strip_prefix(layer);
    rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
}

/// Checks that the network has layers of these names.
///
/// # Errors
///
/// The first one that it does not have, and what it has instead.
pub(super) fn check_layers<B: Backend>(
    network: &Network<B>,
    layers: &[String],
) -> Result<(), String> {
    let mut names = Names::default();
    network.visit(&mut names);
    for layer in layers {
        if names.weights.iter().any(|name| is_in(name, layer)) {
            continue;
        }
        let mut known: Vec<&str> = names
            .weights
            .iter()
            .filter_map(|name| name.split('.').next())
            .collect();
        known.dedup();
        let all: Vec<&str> = names.weights.iter().flat_map(|name| above(name)).collect();
        let hint = nearest(layer, &all)
            .map_or_else(String::new, |name| format!(" Did you mean `{name}`?"));
        return Err(format!(
            "the network has no layer `{layer}`.{hint} Its layers: {}",
            known.join(", ")
        ));
    }
    Ok(())
}

/// Whether every weight of the network is in one of these layers.
pub(super) fn is_all<B: Backend>(network: &Network<B>, layers: &[String]) -> bool {
    let mut names = Names::default();
    network.visit(&mut names);
    let is_named = |name: &String| layers.iter().any(|layer| is_in(name, layer));
    names.weights.iter().all(is_named)
}

/// The layers that a weight is in, and the weight.
fn above(name: &str) -> impl Iterator<Item = &str> {
    let ends = name.match_indices('.').map(|(at, _)| at);
    ends.chain([name.len()]).map(|end| &name[..end])
}

/// Where in a module its visitor is: names and container types of the modules around it, from the root.
#[derive(Default)]
pub(super) struct Place(Vec<(String, String)>);

impl Place {
    pub(super) fn enter(&mut self, name: &str, container: &str) {
        self.0.push((name.to_owned(), container.to_owned()));
    }

    pub(super) fn exit(&mut self) {
        self.0.pop();
    }

    /// Name and container of the innermost.
    pub(super) fn last(&self) -> Option<&(String, String)> {
        self.0.last()
    }

    pub(super) fn name(&self) -> String {
        // An enum's variant is not part of a parameter's name.
        let named = self
            .0
            .iter()
            .filter(|(_, container)| !container.starts_with("Enum:"));
        let names: Vec<&str> = named.map(|(name, _)| name.as_str()).collect();
        names.join(".")
    }
}

#[derive(Default)]
struct Names {
    place: Place,
    weights: Vec<String>,
}

impl<B: Backend> ModuleVisitor<B> for Names {
    fn enter_module(&mut self, name: &str, container: &str) {
        self.place.enter(name, container);
    }

    fn exit_module(&mut self, _name: &str, _container: &str) {
        self.place.exit();
    }

    fn visit_float<const D: usize>(&mut self, _param: &Param<Tensor<B, D>>) {
        self.weights.push(self.place.name());
    }
}
