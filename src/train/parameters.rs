//! The parameters of a module as plain data, to the last bit, for `last.state`.
//!
//! Burn's own records would do; but each network's record is a type of its own, whose reading and writing
//! takes longer to compile than the rest of training.

use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::backend::Backend;
use burn::tensor::{Tensor, TensorData};
use serde::{Deserialize, Serialize};

/// The tensors of a module with their ids, in the order in which it shows them.
#[derive(Debug, PartialEq, Serialize, Deserialize)]
pub(super) struct Parameters(Vec<(u64, TensorData)>);

impl Parameters {
    /// What `module` holds, running statistics included.
    pub(super) fn of<B: Backend, M: Module<B>>(module: &M) -> Self {
        // A running statistic takes in its last update only when it becomes a record.
        let _updated = module.clone().into_record();
        let mut all = Self(Vec::new());
        module.visit(&mut all);
        all
    }

    /// `module`, of the same architecture, with these parameters.
    ///
    /// # Errors
    ///
    /// When they are those of another module.
    pub(super) fn load<B: Backend, M: Module<B>>(self, module: M) -> Result<M, String> {
        let mut loading = Loading {
            parameters: self.0.into_iter(),
            other: false,
        };
        let module = module.map(&mut loading);
        match loading.other || loading.parameters.next().is_some() {
            true => Err("it holds the parameters of another model".into()),
            false => Ok(module),
        }
    }
}

impl<B: Backend> ModuleVisitor<B> for Parameters {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<B, D>>) {
        self.0.push((param.id.val(), param.val().into_data()));
    }
}

struct Loading {
    parameters: std::vec::IntoIter<(u64, TensorData)>,
    other: bool,
}

impl<B: Backend> ModuleMapper<B> for Loading {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<B, D>>) -> Param<Tensor<B, D>> {
        match self.parameters.next() {
            Some((id, data)) if data.shape[..] == param.shape()[..] => {
                let tensor = Tensor::from_data(data, &param.lazy_device());
                param.transform_for_load(tensor, ParamId::from(id))
            }
            _ => {
                self.other = true;
                param
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use burn::backend::{Autodiff, Flex};
    use burn::module::AutodiffModule;

    use super::*;
    use crate::model::Model;

    type Ad = Autodiff<Flex>;

    fn network(yaml: &str, seed: u64) -> crate::model::Network<Ad> {
        let model: Model = serde_yaml::from_str(yaml).unwrap();
        model.init(seed, &Default::default())
    }

    #[test]
    fn parameters_read_back_to_the_last_bit() {
        let yaml = "{article: {filters: 2}}";
        let saved = rmp_serde::to_vec_named(&Parameters::of(&network(yaml, 1))).unwrap();
        let read: Parameters = rmp_serde::from_slice(&saved).unwrap();
        let loaded = read.load(network(yaml, 2)).unwrap();
        assert_eq!(
            rmp_serde::to_vec_named(&Parameters::of(&loaded)).unwrap(),
            saved
        );
        let read: Parameters = rmp_serde::from_slice(&saved).unwrap();
        assert!(read.load(network(yaml, 2).valid()).is_ok());
    }

    #[test]
    fn those_of_another_network_are_refused() {
        for other in ["{article: {filters: 4}}", "{unet: {filters: 2, levels: 2}}"] {
            let saved = Parameters::of(&network(other, 1));
            assert!(
                saved.load(network("{article: {filters: 2}}", 1)).is_err(),
                "{other}"
            );
        }
    }
}
