//! `cargo bench --bench synth`: a synthetic scan of a head that ships, as `calvaria synth` makes it: 104x128x128 voxels of 2 mm.
//! `peers/synth.py` does the same with TorchIO.

use std::path::Path;

use calvaria::kernel::keep_memory;
use calvaria::settings::read_as;
use calvaria::synth::{Anatomy, Synthesis};
use criterion::{Criterion, criterion_group, criterion_main};

fn scan(criterion: &mut Criterion) {
    keep_memory();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let settings = root.join("configs/synth/heads.yaml");
    let synthesis = read_as(&settings, Synthesis::rules).expect("settings that ship");
    let map = root.join("experiments/data/labelmaps/head-01_dseg.nii.gz");
    let anatomy = Anatomy::read(&map, "head-01", &synthesis).expect("a map that ships");
    // Another scan each time, as in training.
    let mut index = 0;
    criterion.bench_function("scan", |bench| {
        bench.iter(|| {
            index += 1;
            synthesis.scan(&anatomy, 42, index)
        });
    });
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = scan
}
criterion_main!(benches);
