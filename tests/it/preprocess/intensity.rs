//! Intensity steps against SimpleITK, torchio, MONAI and NumPy.

use std::fs;
use std::path::Path;

use calvaria::channels::On;
use calvaria::preprocess::{
    CaseVolumes, Inputs, Landmarks, Nyul, Pipeline, Rescale, Step, VoxelSelection, Zscore,
};
use calvaria::volume::{Affine, Volume};
use ndarray::Array3;
use safetensors::{Dtype as TensorType, SafeTensors};

fn pipeline(yaml: &str) -> Pipeline {
    let pipeline: Pipeline = serde_yaml::from_str(yaml).unwrap();
    pipeline.validate().unwrap();
    pipeline
}

fn apply(step: Step, image: Volume<f32>) -> Volume<f32> {
    Pipeline::from(vec![step])
        .apply(CaseVolumes::from(image))
        .unwrap()
        .images
        .remove(0)
}

fn volume(shape: (usize, usize, usize), values: Vec<f32>) -> Volume<f32> {
    Volume {
        voxels: Array3::from_shape_vec(shape, values).unwrap(),
        affine: Affine::identity(),
    }
}

/// A tensor of the references.
fn reference(name: &str) -> Volume<f32> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/rescale/expected.safetensors"
    );
    let bytes = fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let tensor = tensors.tensor(name).unwrap();
    let values = match tensor.dtype() {
        TensorType::I16 => (tensor.data().chunks_exact(2))
            .map(|bytes| f32::from(i16::from_le_bytes(bytes.try_into().unwrap())))
            .collect(),
        _ => (tensor.data().chunks_exact(4))
            .map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap()))
            .collect(),
    };
    volume((24, 24, 24), values)
}

#[track_caller]
fn assert_close(ours: &Volume<f32>, theirs: &str, tolerance: f32) {
    let difference = &ours.voxels - &reference(theirs).voxels;
    let worst = difference.iter().fold(0f32, |worst, d| worst.max(d.abs()));
    assert!(worst <= tolerance, "off by up to {worst} from {theirs}");
}

#[test]
fn rescaling_is_itks() {
    let float = apply(Step::Rescale(Rescale::default()), reference("crop_float"));
    assert_close(&float, "sitk_rescale_float", 2e-5 * 255.0);
    let truncating = Rescale {
        truncate: true,
        ..Rescale::default()
    };
    let whole = apply(Step::Rescale(truncating), reference("crop_int16"));
    assert_close(&whole, "sitk_rescale_int16", 0.0);
}

#[test]
fn rescaling_between_percentiles_is_torchios() {
    let rescale = Rescale {
        max: 1.0,
        lower_percentile: 0.5,
        upper_percentile: 99.5,
        ..Rescale::default()
    };
    let ours = apply(Step::Rescale(rescale), reference("crop_float"));
    assert_close(&ours, "percentile_01_torchio_crop_float", 2e-6);
}

#[test]
fn percentiles_lie_between_the_voxels_around_them() {
    let rescale = Rescale {
        max: 32.0,
        lower_percentile: 10.0,
        upper_percentile: 90.0,
        ..Rescale::default()
    };
    // The 10th percentile is 4, the 90th 36.
    let image = volume((1, 1, 5), vec![30.0, 0.0, 40.0, 10.0, 20.0]);
    let ours = apply(Step::Rescale(rescale), image);
    assert_eq!(
        ours.voxels.as_slice().unwrap(),
        [26.0, 0.0, 32.0, 6.0, 16.0]
    );
}

#[test]
fn rescaling_takes_negative_ranges_and_constant_images() {
    let rescale = Rescale {
        min: -1.0,
        max: 1.0,
        ..Rescale::default()
    };
    let ours = apply(
        Step::Rescale(rescale.clone()),
        volume((1, 1, 3), vec![-30.0, 20.0, 70.0]),
    );
    assert_eq!(ours.voxels.as_slice().unwrap(), [-1.0, 0.0, 1.0]);
    let constant = apply(Step::Rescale(rescale), volume((1, 1, 2), vec![7.5; 2]));
    assert_eq!(constant.voxels.as_slice().unwrap(), [-1.0; 2]);
    // The cut is toward 0, also below it.
    let cut = Rescale {
        min: -10.0,
        max: 10.0,
        truncate: true,
        ..Rescale::default()
    };
    let ours = apply(
        Step::Rescale(cut),
        volume((1, 1, 4), vec![0.0, 0.28, 0.72, 1.0]),
    );
    assert_eq!(ours.voxels.as_slice().unwrap(), [-10.0, -4.0, 4.0, 10.0]);
}

#[test]
fn zscores_are_monais() {
    let whole = apply(
        Step::Zscore(Zscore {
            over: VoxelSelection::Whole,
        }),
        reference("crop_int16"),
    );
    assert_close(&whole, "zscore_monai_crop", 1e-5);
    let mut image = reference("crop_int16");
    image.voxels.slice_mut(ndarray::s![..4, .., ..]).fill(0.0);
    let foreground = apply(
        Step::Zscore(Zscore {
            over: VoxelSelection::Foreground,
        }),
        image,
    );
    assert_close(&foreground, "zscore_monai_nonzero_crop_first4x_zero", 1e-5);
}

#[test]
fn a_constant_image_has_no_zscore() {
    for (over, value) in [
        (VoxelSelection::Whole, 3.0),
        (VoxelSelection::Foreground, 3.0),
        (VoxelSelection::Foreground, 0.0),
    ] {
        let steps = Pipeline::from(vec![Step::Zscore(Zscore { over })]);
        let image = volume((2, 2, 2), vec![value; 8]);
        let message = steps
            .apply(CaseVolumes::from(image))
            .unwrap_err()
            .to_string();
        let why = if value == 0.0 { "no voxel" } else { "constant" };
        assert!(
            message.contains("`zscore`") && message.contains(why),
            "{message}"
        );
    }
}

/// TorchIO's standardisation of the heads that ship.
struct Standardised {
    expected: serde_json::Value,
    blocks: Vec<u8>,
}

impl Standardised {
    fn open() -> Self {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/rescale");
        Self {
            expected: serde_json::from_slice(&fs::read(folder.join("nyul.json")).unwrap()).unwrap(),
            blocks: fs::read(folder.join("nyul.safetensors")).unwrap(),
        }
    }

    fn numbers(&self, pointer: &str) -> Vec<f64> {
        let values = self.expected.pointer(pointer).unwrap().as_array().unwrap();
        values.iter().map(|value| value.as_f64().unwrap()).collect()
    }

    fn number(&self, name: &str) -> f64 {
        self.expected[name].as_f64().unwrap()
    }
}

/// A head that ships, with its brain as the region.
fn head(number: usize) -> CaseVolumes {
    let name = format!("sub-{number:02}");
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("experiments/data/heads")
        .join(&name);
    let inputs = [format!("{name}_T1w"), format!("{name}_T1w_brainmask")]
        .map(|name| folder.join(format!("{name}.nii.gz")));
    Inputs::scan(&inputs[0], Some(&inputs[1]))
        .read()
        .unwrap()
        .case
}

const OVERS: [(&str, VoxelSelection); 3] = [
    ("whole", VoxelSelection::Whole),
    ("above_mean", VoxelSelection::AboveMean),
    ("region", VoxelSelection::Region),
];

#[test]
fn landmarks_learnt_from_heads_are_torchios() {
    let reference = Standardised::open();
    for (name, over) in OVERS {
        let unlearnt = Pipeline::from(vec![Step::Nyul(Nyul {
            landmarks: None,
            over,
        })]);
        assert_eq!(unlearnt.first_to_learn(), Some(0));
        let learnt = unlearnt.learnt((1..=4).map(|i| Ok(head(i)))).unwrap();
        assert_eq!(learnt.first_to_learn(), None);
        let [
            On {
                member:
                    Step::Nyul(Nyul {
                        landmarks: Some(Landmarks::All(ours)),
                        ..
                    }),
                ..
            },
        ] = &learnt.0[..]
        else {
            panic!("nothing was learnt");
        };
        let theirs = reference.numbers(&format!("/landmarks/{name}"));
        assert_eq!(ours.len(), theirs.len());
        for (ours, theirs) in ours.iter().zip(theirs) {
            assert!((ours - theirs).abs() < 1e-10, "{name}: {ours} for {theirs}");
        }
    }
}

#[test]
fn a_head_standardised_by_landmarks_is_torchios() {
    let reference = Standardised::open();
    let blocks = SafeTensors::deserialize(&reference.blocks).unwrap();
    for (name, over) in OVERS {
        let nyul = Nyul {
            landmarks: Some(Landmarks::All(
                reference.numbers(&format!("/landmarks/{name}")),
            )),
            over,
        };
        let ours = Pipeline::from(vec![Step::Nyul(nyul)])
            .apply(head(5))
            .unwrap();
        let ours = &ours.images[0].voxels;
        let block = ours.slice(ndarray::s![16..32, 30..46, 30..46]);
        let theirs = blocks.tensor(name).unwrap();
        let theirs = theirs.data().chunks_exact(4);
        for (ours, theirs) in block.iter().zip(theirs) {
            let theirs = f32::from_le_bytes(theirs.try_into().unwrap());
            assert!((ours - theirs).abs() < 1e-4, "{name}: {ours} for {theirs}");
        }
    }
}

#[test]
fn landmarks_that_were_not_learnt_are_asked_for() {
    let message = pipeline("[nyul]").apply(head(5)).unwrap_err().to_string();
    assert!(
        message.contains("`nyul`") && message.contains("config.yaml"),
        "{message}"
    );
    for wrong in ["[1, 2]", "[1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 13, 12]"] {
        let yaml = format!("[{{nyul: {{landmarks: {wrong}}}}}]");
        let why = serde_yaml::from_str::<Pipeline>(&yaml).unwrap().validate();
        assert_eq!(why.unwrap_err().0[0].path, "0.nyul.landmarks");
    }
}

#[test]
fn statistics_over_a_region_are_numpys_within_the_brain() {
    let reference = Standardised::open();
    let case = head(5);
    let at = [27, 40, 40];
    let value = f64::from(case.images[0].voxels[at]);
    let scored = pipeline("[{zscore: {over: region}}]")
        .apply(case.clone())
        .unwrap();
    let expected = (value - reference.number("brain_mean")) / reference.number("brain_deviation");
    assert!((f64::from(scored.images[0].voxels[at]) - expected).abs() < 1e-6);

    let ends = reference.numbers("/percentiles_0.5_99.5");
    let clipped = pipeline("[{clip: {over: region}}]")
        .apply(case.clone())
        .unwrap();
    for (ours, before) in clipped.images[0].voxels.iter().zip(&case.images[0].voxels) {
        assert_eq!(f64::from(*ours), f64::from(*before).clamp(ends[0], ends[1]));
    }
    let without = CaseVolumes {
        region: None,
        ..case
    };
    for yaml in ["[{zscore: {over: region}}]", "[{n4: {mask: region}}]"] {
        let message = pipeline(yaml)
            .apply(without.clone())
            .unwrap_err()
            .to_string();
        assert!(
            message.contains("region, but the case has none"),
            "{message}"
        );
    }
}

#[test]
fn voxels_that_are_no_number_are_counted_and_become_zero_on_request() {
    let mut image = volume((1, 1, 5), vec![1.0, 2.0, 3.0, 4.0, 5.0]);
    image.voxels[[0, 0, 1]] = f32::NAN;
    image.voxels[[0, 0, 3]] = f32::INFINITY;
    let message = pipeline("[rescale]")
        .apply(image.clone().into())
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("[0, 0, 1] is NaN") && message.contains("2 such voxels"),
        "{message}"
    );
    let repaired = pipeline("[nan_to_zero]").apply(image.into()).unwrap();
    assert_eq!(
        repaired.images[0].voxels.as_slice().unwrap(),
        [1.0, 0.0, 3.0, 0.0, 5.0]
    );
}
