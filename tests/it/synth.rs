//! Synthetic scans: their masks against SciPy, their contrasts, what is seen of a head; `calvaria synth`.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use calvaria::augment::{Augmentations, Sample};
use calvaria::settings::{from_yaml, read_as};
use calvaria::synth::{Anatomy, FieldOfView, Shares, Synthesis, Texture};
use calvaria::volume::nifti::{Dtype, read_image, read_mask, write_image};
use ndarray::Array3;
use predicates::prelude::*;
use predicates::str::contains;
use serde::Deserialize;

use crate::common::{amount, calvaria, repository};

/// The settings that ship.
fn heads() -> Synthesis {
    read_as(&repository("configs/synth/heads.yaml"), Synthesis::rules).unwrap()
}

/// Those, with nothing moved, cut or done to the image.
fn plain(contrasts: &str) -> Synthesis {
    let none = from_yaml("{t1: 0, t2: 0, flair: 0, ct: 0, inverted: 0, random: 0}");
    let mut shares: BTreeMap<String, f64> =
        from_yaml(&serde_yaml::to_string::<Shares>(&none.unwrap()).unwrap()).unwrap();
    shares.insert(contrasts.to_owned(), 1.0);
    Synthesis {
        contrasts: from_yaml(&serde_yaml::to_string(&shares).unwrap()).unwrap(),
        geometry: Augmentations::default(),
        artefacts: Augmentations::default(),
        texture: Texture {
            std: 0.0,
            grain_mm: 0.0,
            spread: 0.0,
        },
        field_of_view: FieldOfView::default(),
        ..heads()
    }
}

fn head(name: &str, synthesis: &Synthesis) -> Anatomy {
    let path = repository(&format!("experiments/data/labelmaps/{name}_dseg.nii.gz"));
    Anatomy::read(&path, name, synthesis).unwrap()
}

#[test]
fn masks_are_those_that_scipy_makes_of_the_maps() {
    #[derive(Deserialize)]
    struct Expected {
        masks: BTreeMap<String, OneMask>,
    }
    #[derive(Deserialize)]
    struct OneMask {
        voxels: usize,
        middle: [f64; 3],
    }
    let text = fs::read_to_string(repository("tests/fixtures/synth/masks.json")).unwrap();
    let expected: Expected = serde_json::from_str(&text).unwrap();
    assert_eq!(expected.masks.len(), 20);
    let synthesis = plain("t1");
    for (name, expected) in expected.masks.iter().take(amount(5, 20)) {
        let mask = synthesis.scan(&head(name, &synthesis), 1, 0).sample.mask;
        let inside: Vec<_> = mask
            .indexed_iter()
            .filter(|(_, voxel)| **voxel == 1)
            .map(|(at, _)| at)
            .collect();
        assert_eq!(inside.len(), expected.voxels, "{name}");
        for (axis, middle) in expected.middle.iter().enumerate() {
            let sum: usize = inside.iter().map(|(x, y, z)| [*x, *y, *z][axis]).sum();
            assert!(
                (sum as f64 / inside.len() as f64 - middle).abs() < 1e-5,
                "{name}"
            );
        }
    }
}

/// Mean and deviation of an image where the map has one of `labels`.
fn brightness(sample: &Sample, map: &Path, labels: &[f32]) -> f64 {
    let map = read_image(map).unwrap();
    // The box is larger than the map on all sides, and shares its middle.
    let first: [usize; 3] =
        std::array::from_fn(|axis| (sample.shape()[axis] - map.shape()[axis]).div_ceil(2));
    let voxels = map
        .voxels
        .indexed_iter()
        .filter(|(_, label)| labels.contains(label));
    let values = voxels.map(|((x, y, z), _)| {
        f64::from(sample.images[0][[x + first[0], y + first[1], z + first[2]]])
    });
    let values: Vec<f64> = values.collect();
    values.iter().sum::<f64>() / values.len() as f64
}

#[test]
fn a_contrast_has_its_order_of_tissues() {
    let map = repository("experiments/data/labelmaps/head-03_dseg.nii.gz");
    let of = |contrast: &str| -> [f64; 3] {
        let synthesis = plain(contrast);
        let made = synthesis.scan(&head("head-03", &synthesis), 7, 3);
        assert_eq!(made.contrast, contrast);
        [[2.0, 41.0], [3.0, 42.0], [4.0, 43.0]]
            .map(|labels| brightness(&made.sample, &map, &labels))
    };
    let [white, grey, fluid] = of("t1");
    assert!(
        white > grey + 0.1 && grey > fluid + 0.1,
        "{white} {grey} {fluid}"
    );
    let [white, grey, fluid] = of("t2");
    assert!(
        fluid > grey + 0.1 && grey > white + 0.1,
        "{white} {grey} {fluid}"
    );
    let [_, grey, fluid] = of("flair");
    assert!(grey > fluid + 0.2, "{grey} {fluid}");
    let [white, grey, fluid] = of("inverted");
    assert!(
        fluid > grey + 0.1 && grey > white + 0.1,
        "{white} {grey} {fluid}"
    );
}

#[test]
fn a_scan_depends_on_seed_and_index_alone() {
    let synthesis = heads();
    let anatomy = head("head-05", &synthesis);
    let scan = |seed, index| synthesis.scan(&anatomy, seed, index);
    let first = scan(42, 7);
    let pool = rayon::ThreadPoolBuilder::new()
        .num_threads(1)
        .build()
        .unwrap();
    let alone = pool.install(|| scan(42, 7));
    assert!(
        first.sample == alone.sample && first.drawn == alone.drawn,
        "one thread or several"
    );
    for other in [scan(42, 8), scan(43, 7)] {
        assert_ne!(first.sample.images, other.sample.images);
    }
    assert!(first.sample.mask.iter().any(|voxel| *voxel == 1));
}

#[test]
fn what_is_not_seen_is_empty_and_a_face_is_taken_away_without_the_brain() {
    let mut synthesis = plain("t1");
    let whole = synthesis.scan(&head("head-02", &synthesis), 1, 0).sample;
    let lowest = |sample: &Sample| {
        sample
            .mask
            .indexed_iter()
            .filter(|(_, v)| **v == 1)
            .map(|((.., z), _)| z)
            .min()
            .unwrap()
    };
    synthesis.field_of_view.below_mm = [10.0, 10.0];
    let cut = synthesis.scan(&head("head-02", &synthesis), 1, 0).sample;
    assert_eq!(cut.mask, whole.mask);
    let from = lowest(&whole) - 5;
    for ((.., z), value) in cut.images[0].indexed_iter() {
        assert!(
            z >= from || *value == 0.0,
            "plane {z} lies below what is seen, from {from}"
        );
    }
    assert!(
        whole.images[0]
            .indexed_iter()
            .any(|((.., z), value)| z < from && *value > 0.1),
        "there is a neck to cut"
    );
    // Cut within the mask: it is empty there as well.
    synthesis.field_of_view = FieldOfView {
        cut: 1.0,
        margin_mm: [-10.0, -10.0],
        ..FieldOfView::default()
    };
    let cut = synthesis.scan(&head("head-02", &synthesis), 1, 0).sample;
    let left = |sample: &Sample| sample.mask.iter().filter(|voxel| **voxel == 1).count();
    assert!(left(&cut) < left(&whole) && left(&cut) > left(&whole) / 2);
    for ((at, inside), value) in cut.mask.indexed_iter().zip(&cut.images[0]) {
        assert!(*inside == 0 || *value == whole.images[0][at], "{at:?}");
    }
    // The face.
    synthesis.field_of_view = FieldOfView {
        deface: 1.0,
        face_mm: [4.0, 4.0],
        ..FieldOfView::default()
    };
    let defaced = synthesis.scan(&head("head-02", &synthesis), 1, 0).sample;
    assert_eq!(defaced.mask, whole.mask);
    let (mut gone, mut head) = (0, 0);
    for ((at, before), after) in whole.images[0].indexed_iter().zip(&defaced.images[0]) {
        assert!(
            before == after || (*after == 0.0 && whole.mask[at] == 0),
            "{at:?}"
        );
        gone += usize::from(before != after);
        head += usize::from(*before > 0.0);
    }
    assert!(gone > head / 50, "{gone} of {head} voxels were taken away");
}

#[test]
fn the_program_writes_pairs_and_a_sheet() {
    let folder = tempfile::tempdir().unwrap();
    let synth = |more: &str| {
        let maps = repository("experiments/data/labelmaps");
        let more = more.split_whitespace();
        calvaria()
            .current_dir(folder.path())
            .arg("synth")
            .arg(maps)
            .args(more)
            .assert()
    };
    synth("-n 3 -o out --seed 5")
        .success()
        .stdout(contains("3: head-03, ").and(contains("out/sheet.png")));
    let out = folder.path().join("out");
    let names = [
        "1_image.nii.gz",
        "1_mask.nii.gz",
        "3_mask.nii.gz",
        "sheet.png",
    ];
    assert!(names.iter().all(|name| out.join(name).is_file()));
    let (image, mask) = (
        read_image(&out.join("2_image.nii.gz")).unwrap(),
        read_mask(&out.join("2_mask.nii.gz")).unwrap(),
    );
    assert_eq!(image.grid(), mask.grid());
    let synthesis = heads();
    let made = synthesis.scan(&head("head-02", &synthesis), 5, 1).sample;
    assert_eq!(mask.voxels, made.mask);
    assert!(
        image
            .voxels
            .iter()
            .zip(&made.images[0])
            .all(|(file, value)| (file - 1000.0 * value).abs() <= 0.51)
    );
    // A second time nothing is replaced.
    synth("-n 3 -o out")
        .code(2)
        .stderr(contains("out is not empty"));
    synth("-n 0 -o new").code(2).stderr(contains("-n"));
}

#[test]
fn mistakes_are_told() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &[&str]| {
        calvaria()
            .current_dir(folder.path())
            .arg("synth")
            .args(arguments)
            .assert()
            .code(2)
    };
    run(&["nowhere", "-o", "out"]).stderr(contains("cannot read nowhere"));
    run(&[".", "-o", "out"]).stderr(contains("holds no maps"));
    let maps = repository("experiments/data/labelmaps");
    let maps = maps.to_str().unwrap();
    let text = fs::read_to_string(repository("configs/synth/heads.yaml")).unwrap();
    let wrong = |from: &str, to: &str, words: &[&str]| {
        assert!(text.contains(from), "{from}");
        fs::write(folder.path().join("wrong.yaml"), text.replacen(from, to, 1)).unwrap();
        let done = run(&[maps, "-o", "out", "--settings", "wrong.yaml"]);
        let told = String::from_utf8(done.get_output().stderr.clone()).unwrap();
        assert!(words.iter().all(|word| told.contains(word)), "{told}");
    };
    wrong(
        "closing_mm",
        "closing",
        &["wrong.yaml", "unknown key `closing`", "closing_mm"],
    );
    wrong(
        "labels: [512]",
        "labels: [512, 515]",
        &["tissues.cord.labels", "label 515 is bone's too"],
    );
    wrong(
        "below_mm: [0, 120]",
        "below_mm: [120, 0]",
        &["field_of_view", "must rise"],
    );
    wrong("t1: 0.80", "t1: 8", &["tissues.white_matter.brightness.t1"]);
    wrong(
        "mask:\n  labels: [2, 41,",
        "mask:\n  labels: [9999]\n  enclosed: [2, 41,",
        &["enclosed"],
    );
    wrong(
        "face_mm: [4, 30]",
        "face_mm: [-40, 30]",
        &["field_of_view.face_mm", "must not be below 0"],
    );
    // More classes than a map can have, and voxels so small that a scan does not fit into memory.
    let small = |spacing: f64, labels: usize| {
        let voxels =
            Array3::from_shape_fn((40, 10, 1), |(x, y, _)| ((x * 10 + y) % labels + 1) as f32);
        let affine = calvaria::volume::Affine::diagonal([spacing; 3], [0.0; 3]);
        calvaria::volume::Volume { voxels, affine }
    };
    fs::create_dir(folder.path().join("small")).unwrap();
    let write =
        |volume| write_image(&folder.path().join("small/a.nii"), &volume, Dtype::Int16).unwrap();
    let many: Vec<String> = (1..=255).map(|label| label.to_string()).collect();
    let many = many.join(", ");
    let settings = format!(
        "tissues: {{all: {{labels: [{many}], brightness: {{t1: 1, t2: 1, flair: 1, ct: 1}}}}}}\nmask: {{labels: [{many}]}}\nsize_mm: [80, 20, 2]\n"
    );
    fs::write(folder.path().join("many.yaml"), settings).unwrap();
    write(small(2.0, 255));
    run(&["small", "-o", "out", "--settings", "many.yaml"])
        .stderr(contains("a.nii: it has more than 254 labels"));
    write(small(0.002, 5));
    run(&["small", "-o", "out", "--settings", "many.yaml"])
        .stderr(contains("its voxels are [0.002").and(contains("size_mm")));
    write(small(2.0, 254));
    let made = calvaria()
        .current_dir(folder.path())
        .args([
            "synth",
            "small",
            "-n",
            "1",
            "-o",
            "all",
            "--settings",
            "many.yaml",
        ])
        .assert();
    made.success();
    let mask = read_mask(&folder.path().join("all/1_mask.nii.gz")).unwrap();
    assert!(mask.voxels.iter().all(|voxel| *voxel == 1));
    // A scan of which nothing of the mask is seen is told.
    let settings = fs::read_to_string(folder.path().join("many.yaml")).unwrap()
        + "field_of_view: {below_mm: [-900, -900]}\n";
    fs::write(folder.path().join("many.yaml"), settings).unwrap();
    let made = calvaria()
        .current_dir(folder.path())
        .args([
            "synth",
            "small",
            "-n",
            "1",
            "-o",
            "none",
            "--settings",
            "many.yaml",
        ])
        .assert();
    made.success()
        .stderr(contains("nothing of the mask is seen"));
    // A scan is no map.
    let scan = repository("experiments/data/heads/sub-01");
    let scan = scan.join("sub-01_T1w.nii.gz");
    fs::create_dir(folder.path().join("scans")).unwrap();
    let image = read_image(&scan).unwrap();
    let half = calvaria::volume::Volume {
        voxels: image.voxels.mapv(|value| value + 0.5),
        affine: image.affine,
    };
    calvaria::volume::nifti::write_image(
        &folder.path().join("scans/a.nii"),
        &half,
        calvaria::volume::nifti::Dtype::Float32,
    )
    .unwrap();
    run(&["scans", "-o", "out"]).stderr(contains("a.nii").and(contains("is not a label")));
    // A map without anything of the mask.
    let none = calvaria::volume::Volume {
        voxels: image.voxels.mapv(|_| 511.0),
        affine: image.affine,
    };
    calvaria::volume::nifti::write_image(
        &folder.path().join("scans/a.nii"),
        &none,
        calvaria::volume::nifti::Dtype::Int16,
    )
    .unwrap();
    run(&["scans", "-o", "out"]).stderr(contains("nothing of the mask lies in the middle"));
}
