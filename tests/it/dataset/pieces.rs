//! Samples that are made from parts of cached cases: they are what whole cases give.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicUsize;

use burn::backend::Flex;
use burn::data::dataloader::DataLoader;
use calvaria::augment::{Sample, apply};
use calvaria::dataset::{BatchLoader, Case, Failure, Order, Patch, Sampling, TrainingCase};
use calvaria::preprocess::cache::{Cache, CachedCase};
use calvaria::preprocess::{ImageFile, Pipeline};
use calvaria::volume::nifti::{Dtype, write_image};
use calvaria::volume::{Affine, Marked, MaskRule, Named, Structures, Undeclared, Volume};
use ndarray::Array3;

const SHAPE: (usize, usize, usize) = (30, 26, 34);

/// A cached case of two images and a map of two structures.
fn cached(folder: &Path, id: &str) -> (Case, CachedCase) {
    let affine = Affine::diagonal([1.0, 1.5, 2.0], [-4.0, 0.5, 3.0]);
    let write = |name: &str, voxel: &dyn Fn([usize; 3]) -> f32| {
        let path = folder.join(format!("{id}-{name}.nii"));
        let voxels = Array3::from_shape_fn(SHAPE, |(x, y, z)| voxel([x, y, z]));
        write_image(&path, &Volume { voxels, affine }, Dtype::Float32).unwrap();
        path
    };
    let offset = id.len();
    let t1 = write("t1", &|[x, y, z]| {
        ((7 * x + 11 * y + 13 * z + offset) % 31) as f32 / 7.0
    });
    let t2 = write("t2", &|[x, y, z]| ((x * y + z) % 17) as f32 - 40.0);
    let labels = write("labels", &|[x, y, z]| {
        f32::from(u8::from(x > 12) + u8::from(x > 20 && y > 5 && z < 30))
    });
    let named: Vec<Named> = [("a", 1), ("b", 2)]
        .map(|(name, label)| (name.into(), vec![label]))
        .into();
    let structures = Structures::labels(&named, None, Undeclared::Refused).unwrap();
    let images = vec![ImageFile::new("t1", t1), ImageFile::new("t2", t2)];
    let case = Case {
        mask_rule: MaskRule {
            marked: Marked::Structures(structures),
            ..MaskRule::STRICT
        },
        ..Case::of_files(id, images, labels)
    };
    let cache = Cache::new(folder.join("cache"));
    let prepared = cache.prepare(&case.inputs(), &Pipeline::default());
    (case, prepared.unwrap().files)
}

fn sampling(patch: Option<[usize; 3]>, workers: usize) -> Sampling {
    let augment = "[flip, {affine: {p: 0.7}}, {elastic: {p: 0.5}}, {gamma: {p: 0.5}}]";
    Sampling {
        seed: 42,
        order: Order::Shuffled {
            batches: 6,
            patch: patch.map(|size| Patch {
                size,
                foreground: 0.5,
                samples: 2,
            }),
            augment: serde_yaml::from_str(augment).unwrap(),
        },
        batch_size: 2,
        workers,
    }
}

#[test]
fn a_sample_is_what_the_whole_case_gives() {
    let folder = tempfile::tempdir().unwrap();
    let (case, files) = cached(folder.path(), "case");
    let whole = files.load().unwrap();
    let case = TrainingCase::new(&case, files);
    let whole = Sample {
        affine: whole.images[0].affine,
        images: whole.images.into_iter().map(|image| image.voxels).collect(),
        mask: whole.mask.unwrap().voxels,
        structures: Arc::clone(&case.structures),
    };
    for patch in [None, Some([9, 8, 11]), Some([40, 10, 12])] {
        let sampling = sampling(patch, 0);
        for epoch in 1..40 {
            let (sample, drawn) = case.sample(&sampling, epoch, epoch % 2).unwrap();
            let mut expected = whole.clone();
            apply(&drawn, &mut expected);
            assert_eq!(sample, expected, "{patch:?}, epoch {epoch}");
        }
    }
}

#[test]
fn patches_do_not_depend_on_the_number_of_workers() {
    let folder = tempfile::tempdir().unwrap();
    let cases: Vec<TrainingCase> = ["a", "bb", "ccc"]
        .map(|id| cached(folder.path(), id))
        .map(|(case, files)| TrainingCase::new(&case, files))
        .into();
    let epoch = |workers| -> Vec<_> {
        let loader = BatchLoader::<Flex>::new(
            cases.clone(),
            sampling(Some([12, 8, 10]), workers),
            Arc::new(AtomicUsize::new(3)),
            Failure::default(),
            Default::default(),
        );
        let bytes =
            |tensor: burn::tensor::Tensor<Flex, 5>| tensor.into_data().to_vec::<f32>().unwrap();
        let batches = loader.iter();
        batches
            .map(|batch| (batch.cases, bytes(batch.images), bytes(batch.masks)))
            .collect()
    };
    let one = epoch(1);
    assert_eq!(one.len(), 6);
    assert_eq!(one, epoch(0));
    assert_eq!(one, epoch(4));
}
