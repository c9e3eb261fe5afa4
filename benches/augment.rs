//! `cargo bench --bench augment`: every augmentation with its defaults, and the spatial ones together, on
//! image and mask of a head that ships, 96x128x160 voxels of 2 mm; then on four images and a mask. `peers/augment.py` does the same with
//! TorchIO.

use std::path::Path;

use calvaria::augment::{Augmentations, DrawnOn, Sample, Transform, apply};
use calvaria::kernel::keep_memory;
use calvaria::volume::Grid;
use calvaria::volume::nifti::{read_image, read_mask};
use calvaria::volume::resample::{Interpolation, resample, resample_mask};
use criterion::{BatchSize, Criterion, criterion_group, criterion_main};

fn head() -> Sample {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("experiments/data/heads/sub-01");
    let image = read_image(&folder.join("sub-01_T1w.nii.gz")).expect("the head ships");
    let mask = read_mask(&folder.join("sub-01_T1w_brainmask.nii.gz")).expect("its mask ships");
    let grid = Grid::centred_on(image.grid().centre(), [96, 128, 160], [2.0; 3]);
    let image = resample(&image, &grid, Interpolation::Linear, false);
    Sample::of_mask(
        image.voxels,
        resample_mask(&mask, &grid).voxels,
        grid.affine,
    )
}

/// The transforms that `yaml` lists, each with probability 1 where it has one.
fn always(yaml: &str) -> Augmentations {
    let transforms: Vec<Transform> = serde_yaml::from_str(yaml).expect("names of transforms");
    let certain = |transform: &Transform| {
        let mut value = serde_yaml::to_value(transform).expect("plain data");
        if let Some(p) = value[transform.name()].get_mut("p") {
            *p = 1.0.into();
        }
        serde_yaml::from_value(value).expect("what was written")
    };
    transforms.iter().map(certain).collect()
}

fn augment(criterion: &mut Criterion) {
    keep_memory();
    let head = head();
    let alone = Transform::NAMES.iter().map(|name| format!("[{name}]"));
    let together = [
        "[affine, elastic]",
        "[elastic, affine]",
        "[flip, shift, affine, elastic]",
        "[affine, elastic, crop]",
    ];
    let lists: Vec<String> = alone.chain(together.map(String::from)).collect();
    for (images, list) in [1, 4]
        .into_iter()
        .flat_map(|images| lists.iter().map(move |list| (images, list)))
    {
        let augment = always(list);
        let mut head = head.clone();
        head.images.resize(images, head.images[0].clone());
        let names: Vec<String> = (0..images).map(|image| image.to_string()).collect();
        // Another draw each time, as in training.
        let mut draws =
            (0..).map(|epoch| -> Vec<DrawnOn> { augment.draw(42, epoch, "sub-01", 0, &names) });
        let mut name = list.trim_matches(['[', ']']).replace(", ", " + ");
        if images > 1 {
            name = format!("{name}, {images} images");
        }
        criterion.bench_function(&name, |bench| {
            bench.iter_batched_ref(
                || (draws.next().unwrap_or_default(), head.clone()),
                |(drawn, sample)| apply(drawn, sample),
                BatchSize::PerIteration,
            );
        });
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = augment
}
criterion_main!(benches);
