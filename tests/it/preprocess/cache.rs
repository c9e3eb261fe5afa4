//! The cache of preprocessed cases.

use std::fs;
use std::path::{Path, PathBuf};

use calvaria::preprocess::cache::Cache;
use calvaria::preprocess::{CaseVolumes, GRID_TOLERANCE, ImageFile, Inputs, Pipeline, check_pair};
use calvaria::volume::nifti::{Dtype, Forms, read_image, read_mask, write_image, write_mask};
use calvaria::volume::{MaskRule, Volume};
use tempfile::TempDir;

use crate::common::ball as case;

fn pipeline(yaml: &str) -> Pipeline {
    let pipeline: Pipeline = serde_yaml::from_str(yaml).unwrap();
    pipeline.validate().unwrap();
    pipeline
}

struct Files {
    folder: TempDir,
    image: PathBuf,
    mask: PathBuf,
}

impl Files {
    fn of(case: &CaseVolumes) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let [image, mask] = ["scan.nii.gz", "brain.nii.gz"].map(|name| folder.path().join(name));
        write_image(&image, &case.images[0], Dtype::Int16).unwrap();
        write_mask(&mask, case.mask.as_ref().unwrap()).unwrap();
        Self {
            folder,
            image,
            mask,
        }
    }

    fn inputs<'a>(&'a self, id: &'a str) -> Inputs<'a> {
        Inputs {
            id,
            images: vec![ImageFile::only(&self.image)].into(),
            onto: None,
            mask: Some(&self.mask),
            mask_rule: &MaskRule::STRICT,
            region: None,
            grid_tolerance: GRID_TOLERANCE,
        }
    }

    fn cache(&self) -> Cache {
        Cache::new(self.cache_folder())
    }

    fn cache_folder(&self) -> PathBuf {
        self.folder.path().join("made/cache")
    }

    fn cached(&self) -> Vec<String> {
        let mut names: Vec<String> = fs::read_dir(self.cache_folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .filter(|name| name != ".in-use")
            .collect();
        names.sort();
        names
    }
}

const STEPS: &str = "[{resample: {shape: null}}, rescale]";

#[test]
fn a_case_is_made_once_and_is_what_the_pipeline_gives() {
    let files = Files::of(&case([0.0; 3]));
    let prepare = || {
        let inputs = files.inputs("sub-01");
        files.cache().prepare(&inputs, &pipeline(STEPS)).unwrap()
    };
    let first = prepare();
    let steps: Vec<&str> = first.times.unwrap().iter().map(|time| time.step).collect();
    assert_eq!(steps, ["resample", "rescale"]);
    let cached = first.files;
    let read = CaseVolumes {
        mask: Some(read_mask(&files.mask).unwrap()),
        ..read_image(&files.image).unwrap().into()
    };
    let made = pipeline(STEPS).apply(read).unwrap();
    let loaded = cached.load().unwrap();
    assert_eq!(loaded.images[0].voxels, made.images[0].voxels);
    assert_eq!(loaded.mask.unwrap().voxels, made.mask.unwrap().voxels);

    assert_eq!(first.shape, made.images[0].shape());

    let second = prepare();
    assert_eq!(second.times, None, "it was there");
    assert_eq!(second.files, cached);
    assert_eq!(files.cached().len(), 1);
    assert!(files.cached()[0].starts_with("sub-01-"));
}

#[test]
fn whatever_shapes_a_case_makes_it_anew() {
    let files = Files::of(&case([0.0; 3]));
    let cache = files.cache();
    let template = files.folder.path().join("template.nii");
    write_image(&template, &case([0.0; 3]).images[0], Dtype::Uint8).unwrap();
    let onto = format!("[{{resample: {{onto: {}}}}}]", template.display());
    let prepare = |inputs: Inputs, yaml: &str| {
        cache.prepare(&inputs, &pipeline(yaml)).unwrap();
        files.cached().len()
    };
    let whole = || files.inputs("a");
    let without_mask = || Inputs {
        mask: None,
        ..whole()
    };
    let with_region = Inputs {
        region: whole().mask,
        ..whole()
    };
    assert_eq!(prepare(whole(), STEPS), 1);
    assert_eq!(prepare(whole(), STEPS), 1);
    assert_eq!(prepare(files.inputs("b"), STEPS), 2);
    assert_eq!(prepare(without_mask(), STEPS), 3);
    assert_eq!(prepare(with_region, STEPS), 4);
    assert_eq!(prepare(whole(), "[{resample: {shape: null}}]"), 5);
    assert_eq!(prepare(whole(), &onto), 6);
    write_image(&template, &case([1.0; 3]).images[0], Dtype::Uint8).unwrap();
    assert_eq!(prepare(whole(), &onto), 7);
    let mut mask = case([0.0; 3]).mask.unwrap();
    mask.voxels[[0, 0, 0]] = 1;
    write_mask(&files.mask, &mask).unwrap();
    assert_eq!(prepare(whole(), STEPS), 8);
    write_image(&files.image, &case([1.0; 3]).images[0], Dtype::Int16).unwrap();
    assert_eq!(prepare(without_mask(), STEPS), 9);
}

#[test]
fn a_damaged_case_is_made_again() {
    let files = Files::of(&case([0.0; 3]));
    let prepare = || {
        let cached = files.cache().prepare(&files.inputs("s"), &pipeline(STEPS));
        cached.unwrap().files
    };
    let cached = prepare();
    let whole = cached.load().unwrap();
    for path in [&cached.images[0], cached.mask.as_ref().unwrap()] {
        let bytes = fs::read(path).unwrap();
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        assert_eq!(prepare().load().unwrap(), whole);
        // A voxel that is another number is still a voxel: only the digest shows it.
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(path, changed).unwrap();
        let message = cached.load().unwrap_err().to_string();
        assert!(message.contains("not what was stored"), "{message}");
        assert_eq!(prepare().load().unwrap(), whole);
        fs::remove_file(path).unwrap();
        assert_eq!(prepare().load().unwrap(), whole);
    }
    assert_eq!(files.cached().len(), 1);
}

#[test]
fn many_at_once_make_one_case() {
    let files = Files::of(&case([0.0; 3]));
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                let cached = files.cache().prepare(&files.inputs("s"), &pipeline(STEPS));
                cached.unwrap().files.load().unwrap();
            });
        }
    });
    assert_eq!(files.cached().len(), 1);
}

#[test]
fn a_case_name_cannot_leave_the_cache() {
    let files = Files::of(&case([0.0; 3]));
    for id in ["../../sub-01/ses 1", ".."] {
        let cached = files.cache().prepare(&files.inputs(id), &pipeline(STEPS));
        assert!(cached.unwrap().folder.starts_with(files.cache_folder()));
    }
    assert_eq!(files.cached().len(), 2);
}

#[test]
fn a_mask_that_does_not_fit_is_refused_with_both_files() {
    let files = Files::of(&case([0.0; 3]));
    let refusal = |mask: &Volume<u8>| {
        write_mask(&files.mask, mask).unwrap();
        let made = files.cache().prepare(&files.inputs("s"), &pipeline(STEPS));
        made.unwrap_err().to_string()
    };
    let mask = case([0.0; 3]).mask.unwrap();
    let cut = Volume {
        voxels: mask.voxels.slice(ndarray::s![..39, .., ..]).to_owned(),
        affine: mask.affine,
    };
    let message = refusal(&cut);
    for part in [
        "scan.nii.gz",
        "brain.nii.gz",
        "[39, 36, 30]",
        "[40, 36, 30]",
    ] {
        assert!(message.contains(part), "{message}");
    }
    let mut moved = mask.clone();
    moved.affine.0[1][3] += 0.5;
    let message = refusal(&moved);
    assert!(
        message.contains("0.500 mm") && message.contains("scan.nii.gz"),
        "{message}"
    );
    let mut empty = mask.clone();
    empty.voxels.fill(0);
    let message = refusal(&empty);
    assert!(message.contains("brain.nii.gz is empty"), "{message}");
    assert_eq!(files.cached(), [""; 0]);
}

#[test]
fn a_small_part_of_a_voxel_does_not_part_a_mask_from_its_image() {
    let image = case([0.0; 3]).images.remove(0);
    let scan = Forms::of(&image.grid());
    let noted = |millimetres: f64, tolerance: f64| {
        let mut grid = image.grid();
        grid.affine.0[0][3] += millimetres;
        let mask = (Path::new("mask"), &Forms::of(&grid));
        check_pair((Path::new("scan"), &scan), mask, tolerance)
    };
    // The smallest voxel edge is 1 mm.
    assert_eq!(noted(1e-4, GRID_TOLERANCE).unwrap(), None);
    let warning = noted(0.013, GRID_TOLERANCE).unwrap().unwrap();
    assert!(warning.contains("0.013 mm"), "{warning}");
    assert!(noted(0.2, GRID_TOLERANCE).is_err());
    assert!(noted(0.2, 0.3).unwrap().is_some());
    assert!(noted(0.013, 0.0).is_err());
}

#[test]
fn a_mask_that_is_taken_voxel_by_voxel_is_where_the_scan_is() {
    let files = Files::of(&case([0.0; 3]));
    let mut mask = case([0.0; 3]).mask.unwrap();
    let affine = read_image(&files.image).unwrap().affine;
    mask.affine.0[2][3] += 0.05;
    write_mask(&files.mask, &mask).unwrap();
    let loaded = files.inputs("sub-01").read().unwrap();
    assert_eq!(loaded.case.mask.unwrap().affine, affine);
    assert!(
        loaded.warnings[0].contains("voxel by voxel"),
        "{:?}",
        loaded.warnings
    );
}

#[test]
fn a_missing_scan_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let missing = folder.path().join("nobody.nii.gz");
    let inputs = Inputs::scan(&missing, None);
    let error = Cache::new(folder.path()).prepare(&inputs, &pipeline(STEPS));
    assert!(error.unwrap_err().to_string().contains("nobody.nii.gz"));
}

#[test]
fn a_failing_case_is_named_and_nothing_is_stored() {
    let mut flat = case([0.0; 3]);
    flat.images[0].voxels.fill(7.0);
    let files = Files::of(&flat);
    let error = files
        .cache()
        .prepare(&files.inputs("s"), &pipeline("[zscore]"))
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("scan.nii.gz") && error.contains("`zscore`"),
        "{error}"
    );
    assert_eq!(files.cached(), [""; 0]);
}

#[test]
fn a_region_must_fit_and_have_weights() {
    let files = Files::of(&case([0.0; 3]));
    let region = files.folder.path().join("region.nii.gz");
    let inputs = Inputs {
        region: Some(&region),
        ..files.inputs("s")
    };
    let mut weights = case([0.0; 3]).images.remove(0);
    weights.voxels.mapv_inplace(|value| value / 200.0);
    write_image(&region, &weights, Dtype::Float32).unwrap();
    let read = inputs.read().unwrap().case.region.unwrap();
    assert_eq!(read.voxels, weights.voxels);
    weights.voxels[[0, 0, 0]] = -0.5;
    write_image(&region, &weights, Dtype::Float32).unwrap();
    let message = inputs.read().unwrap_err().to_string();
    assert!(
        message.contains("region.nii.gz has values below 0"),
        "{message}"
    );
    weights.affine.0[0][3] += 3.0;
    write_image(&region, &weights, Dtype::Float32).unwrap();
    let message = inputs.read().unwrap_err().to_string();
    assert!(message.contains("3.000 mm"), "{message}");
}

#[test]
fn entries_are_listed_and_only_entries_are_removed() {
    let files = Files::of(&case([0.0; 3]));
    let cache = files.cache();
    assert!(cache.entries().unwrap().is_empty());
    let kept = cache
        .prepare(&files.inputs("kept"), &pipeline(STEPS))
        .unwrap();
    let broken = cache
        .prepare(&files.inputs("broken"), &pipeline(STEPS))
        .unwrap();
    fs::remove_file(&broken.files.images[0]).unwrap();
    fs::create_dir(files.cache_folder().join("my notes")).unwrap();
    fs::create_dir(files.cache_folder().join(".tmp-at-work")).unwrap();

    let entries = cache.entries().unwrap();
    let names = |entry: &calvaria::preprocess::cache::Entry| {
        entry
            .record
            .as_ref()
            .map(|record| (record.case.clone(), record.steps.clone()))
    };
    let listed: Vec<_> = entries.iter().map(names).collect();
    let steps = vec!["resample".to_owned(), "rescale".to_owned()];
    assert_eq!(listed, [None, None, Some(("kept".to_owned(), steps))]);
    assert!(entries[2].bytes > 10_000);
    // What a process works with stays, and what another one may be making now.
    let nothing = Cache::new(files.cache_folder())
        .prune(entries.clone())
        .unwrap();
    assert_eq!((nothing.removed.len(), nothing.kept.len()), (0, 3));
    drop(cache);
    let cache = files.cache();
    let pruned = cache.prune(entries).unwrap();
    assert_eq!((pruned.removed.len(), pruned.kept.len()), (2, 1));
    assert_eq!(files.cached(), [".tmp-at-work", "my notes"]);
    assert!(kept.files.load().is_err());
}
