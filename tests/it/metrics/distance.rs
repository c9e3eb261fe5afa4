//! The distance transform against scipy and against measuring every pair of voxels.

use calvaria::volume::distance::squared_distance;
use ndarray::{Array3, ArrayView3, Axis, s};
use proptest::prelude::*;
use safetensors::SafeTensors;

fn measured_by_pairs(mask: ArrayView3<'_, bool>, spacing: [f64; 3]) -> Array3<f64> {
    let set: Vec<_> = mask.indexed_iter().filter(|(_, is)| **is).collect();
    let squared = |a: usize, b: usize, spacing: f64| ((a as f64 - b as f64) * spacing).powi(2);
    Array3::from_shape_fn(mask.dim(), |(x, y, z)| {
        set.iter()
            .map(|&((i, j, k), _)| {
                squared(x, i, spacing[0]) + squared(y, j, spacing[1]) + squared(z, k, spacing[2])
            })
            .fold(f64::INFINITY, f64::min)
    })
}

fn assert_close(found: &Array3<f64>, expected: &Array3<f64>) {
    assert_eq!(found.dim(), expected.dim());
    for ((index, &found), &expected) in found.indexed_iter().zip(expected) {
        let same = found == expected || (found - expected).abs() <= 1e-12 * expected;
        assert!(same, "{index:?}: {found}, not {expected}");
    }
}

#[test]
fn distances_are_scipys() {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/distance/distance.safetensors"
    );
    let bytes = std::fs::read(path).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    for name in ["sparse", "dense", "plane"] {
        let tensor = |part: &str| tensors.tensor(&format!("{name}.{part}")).unwrap();
        let floats = |part: &str| -> Vec<f64> {
            let (values, _) = tensor(part).data().as_chunks::<8>();
            values
                .iter()
                .map(|&bytes| f64::from_le_bytes(bytes))
                .collect()
        };
        let shape: [usize; 3] = tensor("mask").shape().try_into().unwrap();
        let mask: Vec<bool> = tensor("mask").data().iter().map(|&is| is != 0).collect();
        let mask = Array3::from_shape_vec(shape, mask).unwrap();
        let spacing: [f64; 3] = floats("spacing").try_into().unwrap();
        let found = squared_distance(mask.view(), spacing).mapv(f64::sqrt);
        let expected = Array3::from_shape_vec(shape, floats("distance")).unwrap();
        assert_close(&found, &expected);
    }
}

#[test]
fn without_foreground_every_distance_is_infinite() {
    let empty = Array3::from_elem((3, 20, 5), false);
    let found = squared_distance(empty.view(), [1.0; 3]);
    assert!(found.iter().all(|&squared| squared == f64::INFINITY));
    let nothing = Array3::from_elem((3, 0, 5), false);
    assert_eq!(squared_distance(nothing.view(), [1.0; 3]).dim(), (3, 0, 5));
}

fn masks() -> impl Strategy<Value = Array3<bool>> {
    let shapes = (1_usize..20, 1_usize..20, 1_usize..20);
    (shapes, 0.0..0.2_f64).prop_flat_map(|(shape, share)| {
        let voxels = shape.0 * shape.1 * shape.2;
        prop::collection::vec(prop::bool::weighted(share), voxels)
            .prop_map(move |mask| Array3::from_shape_vec(shape, mask).unwrap())
    })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn distances_are_exact(mask in masks(), spacing in [0.2..5.0_f64, 0.2..5.0, 0.2..5.0]) {
        let expected = measured_by_pairs(mask.view(), spacing);
        assert_close(&squared_distance(mask.view(), spacing), &expected);
    }

    #[test]
    fn the_layout_in_memory_does_not_matter(
        mask in masks(),
        order in Just(vec![0, 1, 2]).prop_shuffle(),
        mirrored in 0_usize..3,
    ) {
        let spacing = [0.8, 1.7, 2.9];
        let order: [usize; 3] = order.try_into().unwrap();
        let expected = squared_distance(mask.view(), spacing);
        let mut turned = mask.view().permuted_axes(order);
        turned.invert_axis(Axis(mirrored));
        let mut found = squared_distance(turned, order.map(|axis| spacing[axis]));
        found.invert_axis(Axis(mirrored));
        assert_close(&found, &expected.permuted_axes(order).to_owned());

        let spread = Array3::from_shape_fn(
            (mask.len_of(Axis(0)), mask.len_of(Axis(1)), 2 * mask.len_of(Axis(2))),
            |(x, y, z)| mask[[x, y, z / 2]],
        );
        let every_second = spread.slice(s![.., .., ..;2]);
        let expected = squared_distance(mask.view(), spacing);
        assert_close(&squared_distance(every_second, spacing), &expected);
    }
}
