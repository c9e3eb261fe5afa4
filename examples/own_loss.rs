//! Trains an experiment on a loss of one's own, from outside the crate:
//!
//!     cargo run --release --example own_loss
//!
//! A loss that experiments can name in YAML, and sweeps compare, is a file in `src/loss/`: see CONTRIBUTING.md.

use burn::tensor::Tensor;
use burn::tensor::activation::log_sigmoid;
use calvaria::Options;
use calvaria::console::{Console, Verbosity};
use calvaria::kernel::Kernels;
use calvaria::loss::{LossTerm, Target};
use calvaria::train::OwnLoss;

/// Cross-entropy that counts a voxel of the brain `weight` times.
#[derive(Debug)]
struct WeightedCrossEntropy {
    weight: f64,
}

impl LossTerm for WeightedCrossEntropy {
    /// `logits` and the truth are `[batch, channels, depth, height, width]`, the loss is `[1]`.
    fn forward<B: Kernels>(&self, logits: Tensor<B, 5>, target: &Target<B>) -> Tensor<B, 1> {
        let truth = target.truth(logits.dims()[1]);
        let inside = log_sigmoid(logits.clone()) * truth.clone() * self.weight;
        let outside = log_sigmoid(-logits) * (-truth + 1.0);
        // Over the voxels that count.
        -target.mean(inside + outside)
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
