//! Trains an experiment on a loss of one's own, from outside the crate:
//!
//!     cargo run --release --example own_loss
//!
//! A loss that experiments can name in YAML, and sweeps compare, is a file in `src/loss/`: see CONTRIBUTING.md.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;
use burn::tensor::backend::Backend;
use calvaria::Options;
use calvaria::console::{Console, Verbosity};
use calvaria::loss::LossTerm;
use calvaria::train::OwnLoss;

/// Cross-entropy that counts a voxel of the brain `weight` times.
#[derive(Debug)]
struct WeightedCrossEntropy {
    weight: f64,
}

impl LossTerm for WeightedCrossEntropy {
    /// `logits` and `target` are `[batch, channels, depth, height, width]`, the loss is `[1]`.
    fn forward<B: Backend>(&self, logits: Tensor<B, 5>, target: Tensor<B, 5>) -> Tensor<B, 1> {
        let inside = log_sigmoid(logits.clone()) * target.clone() * self.weight;
        let outside = log_sigmoid(-logits) * (-target + 1.0);
        -(inside + outside).mean()
    }
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let overrides = ["name=own-loss", "train.epochs=2"].map(str::to_owned);
    let resolved = calvaria::load("experiments/quickstart.yaml".as_ref(), &overrides)?;
    let options = Options {
        own_loss: Some(OwnLoss::new(WeightedCrossEntropy { weight: 2.0 })),
        console: Console::new(Verbosity::Normal),
        ..Options::default()
    };
    for run in calvaria::run(&resolved.experiment, &options)? {
        println!("IoU {:.3}: {}", run.best_iou, run.folder.display());
    }
    Ok(())
}
