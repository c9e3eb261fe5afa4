//! Segments raw scans with a trained run, as `calvaria predict` does:
//!
//!     cargo run --release --example predict -- results/quickstart/seed-42 scan.nii.gz

use std::path::PathBuf;

use calvaria::Predictor;
use calvaria::device::DeviceChoice;
use calvaria::evaluate::volume_ml;
use calvaria::layout::PredictionFiles;
use calvaria::preprocess::Inputs;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1).map(PathBuf::from);
    let run = arguments.next().ok_or("usage: predict RUN SCAN…")?;
    let warn = |warning: &str| eprintln!("warning: {warning}");
    // The first GPU that works, or the processor. One predictor serves any number of scans.
    let predictor = Predictor::open(&run, &DeviceChoice::Auto, warn)?;
    for path in arguments {
        let scan = Inputs::scan(&path, None).read()?;
        // `predictor.predict(scan.case)` gives the mask and the probabilities without writing files.
        let files = PredictionFiles::of(&path, "predicted".as_ref(), predictor.structures());
        let segmented = predictor.segment(scan, &files)?;
        segmented.write()?;
        println!(
            "{}: {:.0} mL in {}",
            path.display(),
            volume_ml(&segmented.predicted.mask),
            files.mask.display()
        );
    }
    Ok(())
}
