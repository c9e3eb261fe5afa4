//! One image and one mask: what is drawn, and every bit that it makes.

use super::*;
use crate::random;
use crate::volume::Affine;

/// FNV-1a, a checksum that is the same everywhere.
fn checksum(bytes: impl IntoIterator<Item = u8>) -> u64 {
    bytes.into_iter().fold(0xcbf2_9ce4_8422_2325, |sum, byte| {
        (sum ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    })
}

/// A made-up head of uneven shape and spacing, z-scored or so: values from about -1 to 3.
fn head() -> Sample {
    let shape = (34, 27, 30);
    let mut rng = random::stream(5, &["head"], &[]);
    let mut inside = Array3::zeros(shape);
    for ((x, y, z), label) in inside.indexed_iter_mut() {
        let part = |at: usize, n: f64| (at as f64 - n / 2.0) / (0.4 * n);
        let squares = [part(x, 34.0), part(y, 27.0), part(z, 30.0)].map(|v| v * v);
        *label = u8::from(squares.iter().sum::<f64>() < 1.0);
    }
    let mut value = |label: u8| -1.0 + 2.5 * f32::from(label) + rng.random::<f32>();
    let affine = Affine::diagonal([2.0, 1.0, 1.5], [5.0, -6.0, 7.0]);
    Sample::of_mask(inside.mapv(&mut value), inside, affine)
}

/// A list, and the checksums of what was drawn from it as JSON and of the voxels of the samples.
type Kept = (&'static str, u64, u64);

/// Made before there were samples of several images.
const KEPT: [Kept; 22] = [
    (
        "[{flip: {p: 1.0}}]",
        0xeddd_7a17_7162_1675,
        0x2610_28fe_52c0_5f2d,
    ),
    (
        "[{gamma: {p: 1.0}}]",
        0xb747_2bec_85fd_a208,
        0xf098_3c03_8727_04ef,
    ),
    (
        "[{noise: {p: 1.0}}]",
        0x3fde_8105_97ea_d66d,
        0xe9ae_50d3_158c_1694,
    ),
    (
        "[{shift: {p: 1.0}}]",
        0x4300_94fe_ecbd_820e,
        0xcdc8_ba70_f52b_08d5,
    ),
    (
        "[{brightness: {p: 1.0}}]",
        0x986d_ebcc_b191_6048,
        0x30af_b6a5_3244_282b,
    ),
    (
        "[{bias_field: {p: 1.0}}]",
        0x884b_7804_bd36_e586,
        0x579c_51da_f474_22b1,
    ),
    (
        "[{contrast: {p: 1.0}}]",
        0xc982_63d8_8b1d_fda2,
        0x0c71_d08a_505e_7e70,
    ),
    (
        "[{blur: {p: 1.0}}]",
        0x7162_5f51_f1d2_81ae,
        0xe535_9c47_5141_d953,
    ),
    (
        "[{low_resolution: {p: 1.0}}]",
        0x16d4_77ad_10f9_8aaa,
        0xfb6c_6ec3_3cf6_89df,
    ),
    (
        "[{sharpen: {p: 1.0}}]",
        0x147b_440f_ad06_fe41,
        0x8584_5e0d_c181_bb8c,
    ),
    (
        "[{histogram_shift: {p: 1.0}}]",
        0x3f45_f25e_e376_cbf7,
        0xf9bb_7aa5_73cf_167c,
    ),
    (
        "[{ghosting: {p: 1.0}}]",
        0x855b_459f_2478_9c67,
        0x9781_f05b_14c6_fc23,
    ),
    (
        "[{spike: {p: 1.0}}]",
        0x407f_76df_bdb2_9f05,
        0x29da_4674_8291_3b42,
    ),
    (
        "[{motion: {p: 1.0}}]",
        0xe7da_1474_8057_0011,
        0x2f5d_377d_4a61_337a,
    ),
    (
        "[{cutout: {p: 1.0}}]",
        0x4780_517e_8e60_f2bd,
        0x1058_1812_1168_f9aa,
    ),
    (
        "[{affine: {p: 1.0}}]",
        0x76f3_7137_882d_0469,
        0x3beb_6dea_dce7_8952,
    ),
    (
        "[{elastic: {p: 1.0}}]",
        0x79af_738e_7b86_9a2c,
        0x63c9_d7a4_b19b_4eb0,
    ),
    (
        "[{crop: {shape: [20, 30, 16]}}]",
        0xdf1d_a64b_04b0_100a,
        0x6f7b_2da6_a099_f240,
    ),
    (
        "[{anisotropy: {p: 1.0}}]",
        0x8625_9495_8862_5fb5,
        0xb2f9_18f7_eb17_ef97,
    ),
    (
        "[{mixup: {p: 1.0}}]",
        0x9985_8962_f48a_8a24,
        0x8581_1806_3a13_c1bd,
    ),
    (
        "[flip, shift, affine, elastic, noise, gamma, blur, contrast, cutout]",
        0xd2dd_3024_7498_48b7,
        0x27a9_050e_3fce_1407,
    ),
    (
        "[{affine: {p: 1}}, {elastic: {p: 1}}, {crop: {shape: [20, 30, 16]}}, noise]",
        0xff75_e3ff_1bde_3379,
        0xba25_ff8e_169a_2188,
    ),
];

/// Fourier transforms choose their instructions by the processor, and round accordingly.
const PROCESSORS_DIFFER: [&str; 2] = ["ghosting", "motion"];

#[test]
fn a_sample_of_one_image_is_drawn_and_made_as_ever() {
    for (list, draws, voxels) in KEPT {
        let augment: Augmentations = serde_yaml::from_str(list).unwrap();
        let (mut drawn_bytes, mut voxel_bytes) = (Vec::new(), Vec::new());
        for epoch in 1..=4 {
            let drawn = augment.draw(42, epoch, "sub-01", 0, &["image".into()]);
            drawn_bytes.extend(serde_json::to_vec(&drawn).unwrap());
            let mut sample = head();
            apply(&drawn, &mut sample);
            let values = sample.images[0].iter();
            voxel_bytes.extend(values.flat_map(|value| value.to_le_bytes()));
            voxel_bytes.extend(sample.mask.iter());
        }
        assert_eq!(checksum(drawn_bytes), draws, "{list}");
        if !PROCESSORS_DIFFER.iter().any(|name| list.contains(name)) {
            assert_eq!(checksum(voxel_bytes), voxels, "{list}");
        }
    }
}
