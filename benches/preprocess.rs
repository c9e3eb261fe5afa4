//! `cargo bench`: the steps of preprocessing, on a head that ships.

use std::hint::black_box;
use std::path::Path;

use calvaria::preprocess::N4;
use calvaria::volume::nifti::read_image;
use calvaria::volume::resample::{Interpolation, resample};
use calvaria::volume::{Grid, Volume};
use criterion::{Criterion, criterion_group, criterion_main};

fn head() -> Volume<f32> {
    let path = "experiments/data/heads/sub-01/sub-01_T1w.nii.gz";
    read_image(&Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).expect("the head ships")
}

fn preprocess(criterion: &mut Criterion) {
    let head = head();
    // As published: every iteration runs.
    let n4 = N4 {
        shrink_factor: 1,
        convergence_threshold: 0.0,
        ..N4::default()
    };
    criterion.bench_function("n4, 54x86x86, shrink 1, 45 iterations", |bench| {
        bench.iter(|| n4.correct(black_box(&head), None).expect("a good head"))
    });
    let grid = Grid::centred_on(head.grid().centre(), [96, 128, 160], [2.0; 3]);
    for (name, interpolation) in [
        ("nearest", Interpolation::Nearest),
        ("linear", Interpolation::Linear),
        ("cubic", Interpolation::Cubic),
    ] {
        criterion.bench_function(&format!("resample to 96x128x160, {name}"), |bench| {
            bench.iter(|| resample(black_box(&head), &grid, interpolation, false))
        });
    }
}

criterion_group!(benches, preprocess);
criterion_main!(benches);
