//! `cargo bench --bench metrics`: all metrics of two masks of 256 x 256 x 256 voxels.

use std::hint::black_box;

use calvaria::metric::{self, Evaluation};
use calvaria::volume::distance::squared_distance;
use calvaria::volume::{Affine, Volume};
use criterion::{Criterion, criterion_group, criterion_main};
use ndarray::Array3;

const SIDE: usize = 256;

/// A ball with a rough surface, in voxels of 1 x 1 x 1.2 mm.
fn ball(radius: f64, waves: f64) -> Volume<u8> {
    let centred = |i: usize| i as f64 - SIDE as f64 / 2.0;
    let voxels = Array3::from_shape_fn((SIDE, SIDE, SIDE), |(x, y, z)| {
        let [x, y, z] = [x, y, z].map(centred);
        let rough = (x / waves).sin() + (y / waves).cos() + (z / waves).sin();
        u8::from((x * x + y * y + z * z).sqrt() < radius + 3.0 * rough)
    });
    let affine = Affine::diagonal([1.0, 1.0, 1.2], [0.0; 3]);
    Volume { voxels, affine }
}

fn metrics(criterion: &mut Criterion) {
    let settings = Evaluation::default();
    let mut group = criterion.benchmark_group("256^3");
    group.sample_size(10);
    // A brain's size, and a pair whose box is the whole image.
    for (name, radius) in [("brain", 75.0), ("whole", 126.0)] {
        let (prediction, truth) = (ball(radius, 9.0), ball(radius + 2.0, 11.0));
        let probability = Volume {
            voxels: prediction.voxels.mapv(f32::from),
            affine: prediction.affine,
        };
        group.bench_function(format!("all metrics, {name}"), |bench| {
            bench.iter(|| {
                let probability = Some(&probability);
                metric::all(black_box(&prediction), &truth, probability, &settings)
            })
        });
        let mask = truth.voxels.mapv(|label| label != 0);
        group.bench_function(format!("distance transform, {name}"), |bench| {
            bench.iter(|| squared_distance(black_box(mask.view()), [1.0, 1.0, 1.2]))
        });
    }
    group.finish();
}

criterion_group!(benches, metrics);
criterion_main!(benches);
