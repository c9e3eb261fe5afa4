//! Trains an experiment from code, as `calvaria run` does:
//!
//!     cargo run --release --example train

use calvaria::Options;
use calvaria::console::{Console, Verbosity};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    // What `--set` changes on the command line.
    let overrides = ["name=from-code", "train.epochs=2"].map(str::to_owned);
    let resolved = calvaria::load("experiments/quickstart.yaml".as_ref(), &overrides)?;
    // Fields of the experiment can also be set here, such as `resolved.experiment.seed`.
    let options = Options {
        seeds: vec![1, 2],
        console: Console::new(Verbosity::Normal),
        ..Options::default()
    };
    // A finished run is read, not trained again; an unfinished one resumes.
    for run in calvaria::run(&resolved.experiment, &options)? {
        println!(
            "{}: IoU {:.3} in epoch {}, {:.3} on the scans' own grids; see {}",
            run.variant,
            run.best_iou,
            run.best_epoch,
            run.native_iou,
            run.folder.display()
        );
    }
    Ok(())
}
