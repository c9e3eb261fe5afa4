//! nnU-Net's names of weights, and ours.
//!
//! Its 3-D networks (`PlainConvUNet` and `ResidualEncoderUNet` of dynamic_network_architectures 0.4.4) are `nnunet` and
//! `resenc_unet`. A block keeps its convolution twice, and the decoder keeps the encoder, so a file may have a weight under
//! four names; the bias of a convolution before a normalisation is undone by it, and ours have none.

use std::collections::BTreeMap;
use std::sync::LazyLock;

use burn::tensor::TensorData;
use regex::Regex;

/// Tensors by their names.
pub(super) type Tensors = BTreeMap<String, TensorData>;

/// The tensors under our names; as they are, where they are not nnU-Net's.
///
/// # Errors
///
/// When the file has two values for one weight.
pub(super) fn renamed(tensors: Tensors) -> Result<Tensors, String> {
    if !tensors
        .keys()
        .any(|name| name.starts_with("encoder.stages."))
    {
        return Ok(tensors);
    }
    let mut ours = Tensors::new();
    for (name, data) in tensors {
        let Some(own) = own_name(&name) else {
            continue;
        };
        if ours.get(&own).is_some_and(|known| *known != data) {
            return Err(format!(
                "it has two values for `{own}`, one of them as `{name}`"
            ));
        }
        ours.insert(own, data);
    }
    Ok(ours)
}

/// Our name of a weight; none of one that we do not need.
fn own_name(name: &str) -> Option<String> {
    static RULES: LazyLock<Vec<(Regex, &str)>> = LazyLock::new(|| {
        let rules = [
            (r"^decoder\.encoder\.", "encoder."),
            (r"\.all_modules\.0\.", ".conv."),
            (r"^encoder\.stem\.convs\.0\.", "stem."),
            (
                r"^encoder\.stages\.(\d+)\.0\.convs\.(\d+)\.",
                "encoder.$1.layers.$2.",
            ),
            (
                r"^encoder\.stages\.(\d+)\.blocks\.(\d+)\.conv1\.",
                "encoder.$1.$2.first.",
            ),
            (
                r"^encoder\.stages\.(\d+)\.blocks\.(\d+)\.conv2\.",
                "encoder.$1.$2.second.",
            ),
            (
                r"^encoder\.stages\.(\d+)\.blocks\.(\d+)\.skip\.\d+\.",
                "encoder.$1.$2.projection.",
            ),
            (r"^decoder\.transpconvs\.(\d+)\.", "decoder.up.$1."),
            (
                r"^decoder\.stages\.(\d+)\.convs\.(\d+)\.",
                "decoder.merge.$1.layers.$2.",
            ),
            (r"^decoder\.seg_layers\.(\d+)\.", "decoder.heads.$1."),
        ];
        let compiled = rules
            .into_iter()
            .filter_map(|(from, to)| Some((Regex::new(from).ok()?, to)));
        compiled.collect()
    });
    let mut own = name.to_owned();
    for (from, to) in RULES.iter() {
        own = from.replace(&own, *to).into_owned();
    }
    // The normalisation has another place among a block's modules where it drops activations.
    let is_left_out = own.contains(".all_modules.") || own.ends_with(".conv.bias");
    (!is_left_out).then_some(own)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tensors(of: &[(&str, f32)]) -> Tensors {
        let tensor = |(name, value): &(&str, f32)| ((*name).to_owned(), TensorData::from([*value]));
        of.iter().map(tensor).collect()
    }

    #[test]
    fn a_weight_of_four_names_is_one_and_of_two_values_is_refused() {
        let block = "encoder.stages.0.0.convs.1";
        let names = [
            format!("{block}.conv.weight"),
            format!("{block}.all_modules.0.weight"),
            format!("decoder.{block}.conv.weight"),
            format!("decoder.{block}.all_modules.0.weight"),
        ];
        let all: Vec<(&str, f32)> = names.iter().map(|name| (name.as_str(), 2.0)).collect();
        assert_eq!(
            renamed(tensors(&all)).unwrap(),
            tensors(&[("encoder.0.layers.1.conv.weight", 2.0)])
        );
        for changed in 0..4 {
            let mut all = all.clone();
            all[changed].1 = 3.0;
            let why = renamed(tensors(&all)).unwrap_err();
            assert!(
                why.contains("two values for `encoder.0.layers.1.conv.weight`"),
                "{why}"
            );
        }
        let other = tensors(&[("encoder.0.layers.1.conv.bias", 1.0)]);
        assert_eq!(renamed(other.clone()).unwrap(), other);
    }
}
