//! Moving the voxels of a sample: numbers from scipy, SimpleITK and TorchIO, and what must hold for any
//! parameters.

use std::collections::BTreeMap;
use std::f64::consts::PI;
use std::fs;

use calvaria::augment::{
    AffineParams, Axis, CropParams, Drawn, DrawnOn, Elastic, ElasticParams, FlipParams, Sample,
    ShiftParams, Transform, apply,
};
use calvaria::random;
use calvaria::volume::Affine;
use ndarray::{Array3, ArrayView3, Zip, s};
use proptest::prelude::*;
use safetensors::SafeTensors;

const STILL: AffineParams = AffineParams {
    degrees: [0.0; 3],
    scale: [1.0; 3],
    shear: [0.0; 3],
    translation: [0.0; 3],
};

/// A smooth image from 10 to 90 that fades to 10 at the edges, and a ball as mask, `radius` mm around
/// the middle.
fn ball(shape: [usize; 3], spacing: [f64; 3], radius: f64) -> Sample {
    let centre = shape.map(|n| (n as f64 - 1.0) / 2.0);
    let mm = |(x, y, z): (usize, usize, usize)| {
        let at = [x, y, z];
        [0, 1, 2].map(|a| (at[a] as f64 - centre[a]) * spacing[a])
    };
    Sample::of_mask(
        Array3::from_shape_fn(shape, |at| {
            let [x, y, z] = mm(at);
            let wave = (0.11 * x + 0.07).sin() * (0.09 * y).cos() * (0.13 * z + 0.2).sin();
            let fade = |a: usize| (PI / 2.0 * mm(at)[a] / (centre[a] + 1.0) / spacing[a]).cos();
            let fade: f64 = (0..3).map(|a| fade(a).powi(2)).product();
            (10.0 + 40.0 * fade * (1.0 + wave)) as f32
        }),
        Array3::from_shape_fn(shape, |at| {
            let squares = mm(at).map(|v| v * v);
            u8::from(squares.iter().sum::<f64>() <= radius * radius)
        }),
        Affine::diagonal(spacing, [-20.0, 30.0, 10.0]),
    )
}

fn after(drawn: &[Drawn], sample: &Sample) -> Sample {
    let mut sample = sample.clone();
    let drawn: Vec<DrawnOn> = drawn.iter().cloned().map(DrawnOn::from).collect();
    apply(&drawn, &mut sample);
    sample
}

fn one_by_one(drawn: &[Drawn], sample: &Sample) -> Sample {
    let mut sample = sample.clone();
    drawn.iter().for_each(|drawn| drawn.apply(&mut sample));
    sample
}

/// The default elastic deformation, drawn for certain.
fn bend(index: u64) -> Drawn {
    let elastic = Elastic {
        p: 1.0,
        ..Elastic::default()
    };
    let mut rng = random::stream(7, &["bend"], &[index]);
    Transform::Elastic(elastic).draw(&mut rng).unwrap()
}

fn name(drawn: &Drawn) -> &'static str {
    match drawn {
        Drawn::Affine(_) => "affine",
        Drawn::Elastic(_) => "elastic",
        Drawn::Crop(_) => "crop",
        _ => "flip or shift",
    }
}

/// What lies at least `margin` voxels from all sides.
fn inner(image: &Array3<f32>, margin: usize) -> ArrayView3<'_, f32> {
    let (x, y, z) = image.dim();
    let [x, y, z] = [x, y, z].map(|n| margin..n - margin);
    image.slice(s![x, y, z])
}

fn largest_difference(a: ArrayView3<f32>, b: ArrayView3<f32>) -> f32 {
    let differences = a.iter().zip(b).map(|(a, b)| (a - b).abs());
    differences.fold(0.0, f32::max)
}

// Numbers from others.

#[derive(serde::Deserialize)]
struct Reference {
    spacing: [f64; 3],
    drawn: BTreeMap<String, Vec<Drawn>>,
}

#[test]
fn voxels_go_where_scipy_simpleitk_and_torchio_put_them() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/augment");
    let text = fs::read_to_string(format!("{folder}/spatial.json")).unwrap();
    let reference: Reference = serde_json::from_str(&text).unwrap();
    let bytes = fs::read(format!("{folder}/spatial.safetensors")).unwrap();
    let tensors = SafeTensors::deserialize(&bytes).unwrap();
    let floats = |name: &str| {
        let data = tensors.tensor(name).unwrap();
        let values = data
            .data()
            .as_chunks()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b));
        Array3::from_shape_vec((13, 11, 12), values.collect()).unwrap()
    };
    let mask = tensors.tensor("mask").unwrap().data().to_vec();
    let before = Sample::of_mask(
        floats("image"),
        Array3::from_shape_vec((13, 11, 12), mask).unwrap(),
        Affine::diagonal(reference.spacing, [0.0; 3]),
    );
    assert!(reference.drawn.len() >= 12);
    for (name, drawn) in &reference.drawn {
        let moved = after(drawn, &before);
        let coarse = name.starts_with("anisotropy");
        let mut compared = 0;
        let expected = floats(name);
        Zip::from(&moved.images[0])
            .and(&expected)
            .for_each(|&ours, &theirs| {
                // Unknown, or filled with 0 where TorchIO's coarse grid ends.
                if theirs.is_nan() || coarse && theirs == 0.0 {
                    return;
                }
                compared += 1;
                // The values go from 3 to 103.
                assert!((ours - theirs).abs() < 5e-4, "{name}: {ours} for {theirs}");
            });
        assert!(compared > 900, "{name}: only {compared} voxels");
        if coarse {
            assert_eq!(moved.mask, before.mask);
            continue;
        }
        Zip::from(&moved.mask)
            .and(&floats(&format!("{name}.soft")))
            .for_each(|&ours, &soft| {
                // Ties are decided by rounding.
                if (soft - 0.5).abs() > 1e-5 {
                    assert_eq!(ours == 1, soft > 0.5, "{name}");
                }
            });
    }
}

// What must hold.

#[test]
fn identity_parameters_change_nothing() {
    let before = ball([14, 9, 11], [1.0, 2.0, 0.7], 5.0);
    let still = ElasticParams {
        control_points: 5,
        displacements: vec![[0.0; 3]; 125],
    };
    for drawn in [
        Drawn::Affine(STILL),
        Drawn::Elastic(still),
        Drawn::Flip(FlipParams {
            axes: vec![],
            swap: Vec::new(),
        }),
        Drawn::Shift(ShiftParams { offset: [0.0; 3] }),
        Drawn::Crop(CropParams::window([0; 3], [14, 9, 11])),
        serde_yaml::from_str("!anisotropy {axis: up_down, factor: 1.0}").unwrap(),
    ] {
        assert_eq!(
            after(std::slice::from_ref(&drawn), &before),
            before,
            "{drawn:?}"
        );
    }
}

#[test]
fn a_quarter_turn_moves_every_voxel_of_a_cube_to_its_place() {
    let mut before = ball([12; 3], [1.5; 3], 6.0);
    before.mask[[1, 2, 3]] = 1;
    let turned = |axis: usize| {
        let mut degrees = [0.0; 3];
        degrees[axis] = 90.0;
        after(&[Drawn::Affine(AffineParams { degrees, ..STILL })], &before)
    };
    // Counter-clockwise: about x, y goes to z and z to -y.
    for (axis, from) in [
        (
            0,
            (|[x, y, z]| [x, z, 11 - y]) as fn([usize; 3]) -> [usize; 3],
        ),
        (1, |[x, y, z]| [11 - z, y, x]),
        (2, |[x, y, z]| [y, 11 - x, z]),
    ] {
        let after = turned(axis);
        for ((x, y, z), value) in after.images[0].indexed_iter() {
            let from = from([x, y, z]);
            assert!((value - before.images[0][from]).abs() < 1e-4, "axis {axis}");
            assert_eq!(after.mask[[x, y, z]], before.mask[from], "axis {axis}");
        }
    }
}

#[test]
fn movements_are_in_millimetres_along_each_axis() {
    let mut before = ball([20, 20, 20], [2.0, 1.0, 0.5], 0.0);
    before.images[0].fill(0.0);
    before.images[0][[9, 9, 9]] = 8.0;
    let affine = AffineParams {
        translation: [3.0, 3.0, -3.0],
        ..STILL
    };
    let moved = after(&[Drawn::Affine(affine)], &before).images.remove(0);
    // 1.5, 3 and -6 voxels.
    assert_eq!((moved[[10, 12, 3]], moved[[11, 12, 3]]), (4.0, 4.0));
    assert_eq!(moved.sum(), 8.0);
}

#[test]
fn a_displacement_is_in_millimetres_along_each_axis() {
    // All control points equal: the splines sum to one, and everything moves by that.
    let spacing = [2.0, 1.0, 0.5];
    let before = ball([24, 30, 40], spacing, 6.0);
    let bend = ElasticParams {
        control_points: 6,
        displacements: vec![[2.0, -1.0, 1.5]; 216],
    };
    let bent = after(&[Drawn::Elastic(bend)], &before);
    let shift = ShiftParams {
        offset: [-2.0, 1.0, -1.5],
    };
    let shifted = after(&[Drawn::Shift(shift)], &before);
    assert!(largest_difference(inner(&bent.images[0], 6), inner(&shifted.images[0], 6)) < 1e-3);
}

#[test]
fn volumes_grow_with_the_scales_product() {
    let before = ball([60, 80, 64], [1.5, 1.0, 1.25], 20.0);
    let count = |sample: &Sample| {
        sample
            .mask
            .iter()
            .map(|&label| f64::from(label))
            .sum::<f64>()
    };
    for scale in [[0.7; 3], [1.3; 3], [0.8, 1.4, 1.1]] {
        let scaled = after(&[Drawn::Affine(AffineParams { scale, ..STILL })], &before);
        let grown = count(&scaled) / count(&before);
        let expected: f64 = scale.iter().product();
        assert!((grown / expected - 1.0).abs() < 0.01, "{scale:?}: {grown}");
    }
    // What keeps volumes.
    let turn = AffineParams {
        degrees: [20.0, -35.0, 10.0],
        shear: [10.0, 5.0, -12.0],
        ..STILL
    };
    let turned = after(&[Drawn::Affine(turn)], &before);
    assert!((count(&turned) / count(&before) - 1.0).abs() < 0.005);
}

#[test]
fn the_strongest_bend_does_not_fold() {
    // Positions along each axis as intensities show where every voxel came from.
    let shape = [28, 24, 20];
    let strongest = Elastic {
        max_displacement: 100.0,
        locked_borders: 0,
        p: 1.0,
        ..Elastic::default()
    };
    for index in 0..5 {
        let mut rng = random::stream(3, &["fold"], &[index]);
        let drawn = Transform::Elastic(strongest.clone())
            .draw(&mut rng)
            .unwrap();
        let from = [0, 1, 2].map(|axis| {
            let mut sample = ball(shape, [2.0, 1.0, 1.5], 1.0);
            // A wide frame, so that nothing inside comes from outside the grid.
            sample.images[0] = Array3::from_shape_fn(shape, |(x, y, z)| [x, y, z][axis] as f32);
            after(std::slice::from_ref(&drawn), &sample)
                .images
                .remove(0)
        });
        let mut smallest = f32::INFINITY;
        for (x, y, z) in ndarray::indices((18, 14, 10)) {
            let at = [x + 5, y + 5, z + 5];
            let step = |axis: usize, along: usize| {
                let mut next = at;
                next[along] += 1;
                from[axis][next] - from[axis][at]
            };
            let j = [0, 1, 2].map(|axis| [0, 1, 2].map(|along| step(axis, along)));
            let minor = |a: usize, b: usize| j[1][a] * j[2][b] - j[1][b] * j[2][a];
            let volume = j[0][0] * minor(1, 2) - j[0][1] * minor(0, 2) + j[0][2] * minor(0, 1);
            smallest = smallest.min(volume);
        }
        assert!(smallest > 0.0, "draw {index}: {smallest}");
    }
}

#[test]
fn borders_that_are_locked_hardly_move() {
    let shape = [48; 3];
    let mut largest = [0.0f32; 2];
    for axis in 0..3 {
        let mut sample = ball(shape, [2.0; 3], 1.0);
        sample.images[0] = Array3::from_shape_fn(shape, |(x, y, z)| [x, y, z][axis] as f32);
        let bent = after(&[bend(0)], &sample).images.remove(0);
        for ((x, y, z), from) in bent.indexed_iter() {
            let at = [x, y, z];
            let from_edge = at.map(|n| n.min(47 - n));
            let millimetres = 2.0 * (from - at[axis] as f32).abs();
            // Air mixes with the outermost voxels.
            match from_edge.iter().min() {
                Some(0) => {}
                Some(1) => largest[0] = largest[0].max(millimetres),
                _ => largest[1] = largest[1].max(millimetres),
            }
        }
    }
    // At the second voxel, an eighth of the way into a cell, the third control point weighs 0.236.
    assert!(largest[0] < 0.237 * 7.5 && largest[1] > 2.0, "{largest:?}");
}

#[test]
fn together_is_as_one_by_one_up_to_interpolation() {
    let before = ball([48, 64, 40], [2.0, 1.5, 2.5], 25.0);
    let turn = AffineParams {
        degrees: [8.0, -6.0, 12.0],
        scale: [1.05, 0.95, 1.1],
        shear: [2.0, 0.0, 0.0],
        translation: [3.0, -2.0, 1.0],
    };
    let flip = Drawn::Flip(FlipParams {
        axes: vec![Axis::LeftRight, Axis::UpDown],
        swap: Vec::new(),
    });
    let shift = Drawn::Shift(ShiftParams {
        offset: [4.0, -3.0, 5.0],
    });
    let crop = Drawn::Crop(CropParams::window([5, 6, 4], [36, 50, 30]));
    let (turn, bends) = (Drawn::Affine(turn), [bend(1), bend(2)]);
    let orders = [
        vec![turn.clone(), bends[0].clone()],
        vec![bends[0].clone(), turn.clone()],
        vec![
            flip.clone(),
            turn.clone(),
            shift.clone(),
            bends[0].clone(),
            crop.clone(),
        ],
        vec![
            bends[0].clone(),
            flip.clone(),
            turn.clone(),
            bends[1].clone(),
        ],
        vec![crop, bends[0].clone(), turn, flip, shift],
    ];
    for drawn in orders {
        let (together, apart) = (after(&drawn, &before), one_by_one(&drawn, &before));
        assert_eq!(together.affine, apart.affine);
        // One by one, air enters where a later change looks beyond a crop.
        let difference =
            largest_difference(inner(&together.images[0], 11), inner(&apart.images[0], 11));
        let names: Vec<&str> = drawn.iter().map(name).collect();
        // Each linear interpolation flattens a wave of 50 mm by up to 1 of its 40.
        assert!(difference < 2.5, "{names:?}: {difference}");
        // Masks differ along their outline alone, and by chance.
        for (((x, y, z), label), other) in together.mask.indexed_iter().zip(&apart.mask) {
            if label != other {
                let around = |n: usize| n.saturating_sub(1)..n + 2;
                let [nx, ny, nz] = together.shape();
                let around = s![
                    around(x).start..around(x).end.min(nx),
                    around(y).start..around(y).end.min(ny),
                    around(z).start..around(z).end.min(nz)
                ];
                assert!(
                    together.mask.slice(around).iter().any(|near| near == other),
                    "{names:?}"
                );
            }
        }
        let count = |mask: &Array3<u8>| mask.iter().map(|&label| f64::from(label)).sum::<f64>();
        let growth = count(&together.mask) / count(&apart.mask);
        assert!((growth - 1.0).abs() < 0.01, "{names:?}: {growth}");
    }
}

#[test]
fn the_way_back_undoes_a_turn_up_to_interpolation() {
    let before = ball([50, 60, 45], [2.0, 1.5, 2.0], 22.0);
    // One angle at a time: the inverse of R H S + t is of the same form then.
    for axis in 0..3 {
        let mut degrees = [0.0; 3];
        degrees[axis] = 23.0;
        let back = degrees.map(|angle| -angle);
        let there = AffineParams { degrees, ..STILL };
        let back = AffineParams {
            degrees: back,
            ..STILL
        };
        let drawn = [Drawn::Affine(there), Drawn::Affine(back)];
        let apart = one_by_one(&drawn, &before);
        assert!(
            largest_difference(inner(&apart.images[0], 17), inner(&before.images[0], 17)) < 1.5
        );
        // At once, nothing is lost at all but rounding.
        let together = after(&drawn, &before);
        assert!(largest_difference(together.images[0].view(), before.images[0].view()) < 1e-3);
        assert_eq!(together.mask, before.mask);
    }
}

/// Two grids further: nothing that moves less is lost.
fn with_margin(sample: &Sample, margin: usize, air: f32) -> Sample {
    let [x, y, z] = sample.shape();
    let shape = [x + 2 * margin, y + 2 * margin, z + 2 * margin];
    let place = s![margin..margin + x, margin..margin + y, margin..margin + z];
    let (image, mask) = (Array3::from_elem(shape, air), Array3::zeros(shape));
    let mut wide = Sample::of_mask(image, mask, sample.affine);
    wide.images[0].slice_mut(place).assign(&sample.images[0]);
    wide.mask.slice_mut(place).assign(&sample.mask);
    wide
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn flips_shifts_and_crops_are_exact_and_lose_nothing_on_the_way(
        steps in prop::collection::vec((any::<bool>(), 0..3usize, prop::array::uniform3(-4.0..4.0f64)), 0..5),
        start in prop::array::uniform3(-6..9isize),
        shape in prop::array::uniform3(1..14usize),
    ) {
        let mut before = ball([9, 7, 8], [1.0, 1.5, 0.5], 2.6);
        before.images[0].iter_mut().enumerate().for_each(|(i, value)| *value = i as f32);
        let mut drawn: Vec<Drawn> = steps
            .iter()
            .map(|&(flip, axis, offset)| if flip {
                Drawn::Flip(FlipParams { axes: vec![[Axis::LeftRight, Axis::FrontBack, Axis::UpDown][axis]], swap: Vec::new() })
            } else {
                Drawn::Shift(ShiftParams { offset })
            })
            .collect();
        const MARGIN: usize = 60;
        let mut wide = with_margin(&before, MARGIN, 0.0);
        drawn.iter().for_each(|drawn| drawn.apply(&mut wide));
        let wide_start = start.map(|n| n + MARGIN as isize);
        Drawn::Crop(CropParams::window(wide_start, shape)).apply(&mut wide);
        drawn.push(Drawn::Crop(CropParams::window(start, shape)));
        let together = after(&drawn, &before);
        prop_assert_eq!(&together.images[0], &wide.images[0]);
        prop_assert_eq!(&together.mask, &wide.mask);
        let origin = before.affine.apply(start.map(|n| n as f64));
        prop_assert_eq!(together.affine.apply([0.0; 3]), origin);
    }

    #[test]
    fn a_crop_at_the_end_gives_the_voxels_it_would_cut_from_the_whole(
        start in prop::array::uniform3(-5..30isize),
        shape in prop::array::uniform3(1..20usize),
        index in 0..50u64,
        bent_first in any::<bool>(),
    ) {
        let before = ball([30, 26, 28], [2.0, 1.5, 2.5], 20.0);
        let affine: Transform = serde_yaml::from_str("affine: {p: 1.0, rotate: 30}").unwrap();
        let affine = affine.draw(&mut random::stream(1, &["crop"], &[index])).unwrap();
        let mut drawn = if bent_first { vec![bend(index), affine] } else { vec![affine, bend(index)] };
        let whole = after(&drawn, &before);
        let crop = CropParams::window(start, shape);
        let cut = after(&[Drawn::Crop(crop.clone())], &whole);
        drawn.push(Drawn::Crop(crop));
        let patch = after(&drawn, &before);
        prop_assert_eq!(patch.affine, cut.affine);
        for ((x, y, z), &value) in patch.images[0].indexed_iter() {
            let at = [x, y, z];
            let place: [isize; 3] = std::array::from_fn(|a| at[a] as isize + start[a]);
            // Beyond the whole's edge the patch sees what the whole has lost.
            if (0..3).all(|a| (0..[30, 26, 28][a]).contains(&place[a])) {
                prop_assert!((value - cut.images[0][at]).abs() < 2e-3);
            }
        }
    }

    #[test]
    fn a_random_crop_lies_within_the_grid_wherever_it_can(
        shape in prop::array::uniform3(1..12usize),
        index in 0..1000u64,
    ) {
        let mut before = ball([6, 7, 8], [1.0; 3], 2.0);
        before.images[0].fill(3.0);
        before.images[0][[0, 0, 0]] = 1.0;
        let yaml = format!("crop: {{shape: {shape:?}}}");
        let crop: Transform = serde_yaml::from_str(&yaml).unwrap();
        let drawn = crop.draw(&mut random::stream(1, &["crop"], &[index])).unwrap();
        let cut = after(&[drawn], &before);
        prop_assert_eq!(cut.shape(), shape);
        let inside: usize = (0..3).map(|a| shape[a].min([6, 7, 8][a])).product();
        let from_grid = cut.images[0].iter().filter(|&&value| value == 3.0).count();
        prop_assert!(from_grid == inside || from_grid + 1 == inside);
        // Where it is larger than the grid, that lies in its middle.
        let origin = cut.affine.apply([0.0; 3]);
        for axis in 0..3 {
            let room = [6.0, 7.0, 8.0][axis] - shape[axis] as f64;
            let start = origin[axis] - before.affine.apply([0.0; 3])[axis];
            let middle = (room / 2.0).floor();
            let allowed = if room < 0.0 { middle..=middle } else { 0.0..=room };
            prop_assert!(allowed.contains(&start));
        }
    }
}

#[test]
fn every_place_of_a_random_crop_is_as_likely() {
    let before = ball([8, 1, 1], [1.0; 3], 1.0);
    let crop: Transform = serde_yaml::from_str("crop: {shape: [5, 1, 1]}").unwrap();
    let mut counts = [0i32; 4];
    for index in 0..4000 {
        let drawn = crop
            .draw(&mut random::stream(1, &["place"], &[index]))
            .unwrap();
        let start = after(&[drawn], &before).affine.0[0][3] - before.affine.0[0][3];
        counts[start as usize] += 1;
    }
    // Four standard deviations of a binomial.
    assert!(
        counts.iter().all(|count| (count - 1000).abs() < 110),
        "{counts:?}"
    );
}

#[test]
fn bits_do_not_depend_on_the_number_of_threads_nor_on_the_layout_in_memory() {
    let before = ball([40, 33, 37], [2.0, 1.5, 1.0], 14.0);
    let turn = AffineParams {
        degrees: [10.0, 20.0, 30.0],
        ..STILL
    };
    let coarse: Drawn =
        serde_yaml::from_str("!anisotropy {axis: front_back, factor: 2.7}").unwrap();
    for drawn in [
        vec![Drawn::Affine(turn.clone()), bend(3), coarse],
        vec![bend(3), Drawn::Affine(turn)],
        vec![Drawn::Flip(FlipParams {
            axes: vec![Axis::UpDown],
            swap: Vec::new(),
        })],
    ] {
        let plain = after(&drawn, &before);
        for threads in [1, 3] {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            assert_eq!(pool.install(|| after(&drawn, &before)), plain);
        }
        let (image, mask) = (before.images[0].t(), before.mask.t());
        let turned = Sample::of_mask(
            image.as_standard_layout().into_owned().reversed_axes(),
            mask.as_standard_layout().into_owned().reversed_axes(),
            before.affine,
        );
        assert_eq!(after(&drawn, &turned), plain);
    }
}

#[test]
fn factors_of_scale_are_log_uniform_and_one_when_isotropic() {
    for isotropic in [false, true] {
        let yaml = format!("affine: {{scale: [0.5, 2.0], isotropic: {isotropic}, p: 1.0}}");
        let affine: Transform = serde_yaml::from_str(&yaml).unwrap();
        let mut shrunk = 0;
        for index in 0..4000 {
            let drawn = affine.draw(&mut random::stream(1, &["scale"], &[index]));
            let Some(Drawn::Affine(params)) = drawn else {
                panic!()
            };
            let [x, y, z] = params.scale;
            assert_eq!(x == y && y == z, isotropic);
            assert!(
                params
                    .scale
                    .iter()
                    .all(|factor| (0.5..=2.0).contains(factor))
            );
            shrunk += u32::from(y < 1.0);
        }
        // Four standard deviations of a binomial.
        assert!(shrunk.abs_diff(2000) < 127, "{shrunk}");
    }
}

#[test]
fn angles_and_distances_are_given_once_or_for_each_axis() {
    let params = |yaml: &str| {
        let affine: Transform = serde_yaml::from_str(yaml).unwrap();
        let mut largest = [[0.0f64; 3]; 2];
        for index in 0..500 {
            let drawn = affine.draw(&mut random::stream(1, &["axis"], &[index]));
            let Some(Drawn::Affine(params)) = drawn else {
                panic!()
            };
            for (largest, values) in largest.iter_mut().zip([params.degrees, params.translation]) {
                for (largest, value) in largest.iter_mut().zip(values) {
                    *largest = largest.max(value.abs());
                }
            }
        }
        largest.map(|values| values.map(f64::ceil))
    };
    assert_eq!(
        params("affine: {rotate: 15, translate: 8, p: 1}"),
        [[15.0; 3], [8.0; 3]]
    );
    assert_eq!(
        params("affine: {rotate: [0, 5, 10], translate: [1, 2, 0], p: 1}"),
        [[0.0, 5.0, 10.0], [1.0, 2.0, 0.0]]
    );
    let wrong = serde_yaml::from_str::<Transform>("affine: {rotate: [1, 2]}").unwrap_err();
    assert!(
        wrong.to_string().contains("a number, or three numbers"),
        "{wrong}"
    );
}
