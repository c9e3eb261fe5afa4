use super::simd::Isa;
use super::*;
use crate::conv_transpose3d::{self, ConvTransposeShape};
use proptest::prelude::*;

/// Values in -1..1 that look random.
fn noise(seed: u64, len: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut next = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    };
    (0..len).map(|_| next()).collect()
}

/// Input, weights, output gradient and bias of a shape.
fn tensors(shape: &ConvShape) -> [Vec<f32>; 4] {
    [
        noise(1, shape.input_len()),
        noise(2, shape.weight_len()),
        noise(3, shape.output_len()),
        noise(4, shape.out_channels),
    ]
}

/// Calls `visit(input, weight, output)` with the indices of every product of a convolution.
fn for_each_product(shape: &ConvShape, mut visit: impl FnMut(usize, usize, usize)) {
    let (input, output, kernel) = (shape.input, shape.output(), shape.kernel);
    for n in 0..shape.batch {
        for co in 0..shape.out_channels {
            for ci in 0..shape.in_channels {
                for (oz, oy, ox) in block::product(output[0], output[1], output[2]) {
                    let o = [oz, oy, ox];
                    for (kz, ky, kx) in block::product(kernel[0], kernel[1], kernel[2]) {
                        let k = [kz, ky, kx];
                        let at: [usize; 3] = std::array::from_fn(|i| {
                            (o[i] * shape.stride[i] + k[i]).wrapping_sub(shape.padding[i])
                        });
                        if (0..3).any(|i| at[i] >= input[i]) {
                            continue;
                        }
                        let index = |c: usize, size: [usize; 3], p: [usize; 3]| {
                            ((c * size[0] + p[0]) * size[1] + p[1]) * size[2] + p[2]
                        };
                        visit(
                            index(n * shape.in_channels + ci, input, at),
                            index(co * shape.in_channels + ci, kernel, k),
                            index(n * shape.out_channels + co, output, o),
                        );
                    }
                }
            }
        }
    }
}

fn assert_close(got: &[f32], want: &[f64], tolerance: f64, what: &str) {
    let scale = want.iter().fold(1e-3f64, |max, v| max.max(v.abs()));
    assert_close_for(scale, got, want, tolerance, what);
}

fn assert_close_for(scale: f64, got: &[f32], want: &[f64], tolerance: f64, what: &str) {
    assert_eq!(got.len(), want.len(), "{what}");
    for (i, (got, want)) in got.iter().zip(want).enumerate() {
        let error = (f64::from(*got) - want).abs() / scale;
        assert!(error <= tolerance, "{what}[{i}]: {got} for {want}");
    }
}

/// Output, input gradient and weight gradient, directly and, if it can be, by Winograd's way.
fn all(isa: Isa, shape: &ConvShape) -> Vec<[Vec<f32>; 3]> {
    let [x, w, g, b] = tensors(shape);
    let mut ways = vec![[
        correlate::forward(isa, shape, x[..].into(), &w, Some(&b)),
        correlate::input_gradient(isa, shape, 0..shape.in_channels, &g, &w, None),
        weight_gradient::weight_gradient(isa, shape, x[..].into(), &g),
    ]];
    if winograd::applies(shape) {
        ways.push([
            winograd::forward(isa, shape, x[..].into(), &w, Some(&b)),
            winograd::input_gradient(isa, shape, 0..shape.in_channels, &g, &w, None),
            winograd::weight_gradient::weight_gradient(isa, shape, x[..].into(), &g),
        ]);
    }
    ways
}

/// Output, input gradient and weight gradient, each way, of an input whose channels come from two tensors.
fn all_joined(isa: Isa, shape: &ConvShape, split: usize) -> Vec<[Vec<f32>; 3]> {
    let [x, w, g, b] = tensors(shape);
    let sample = shape.input_len() / shape.batch;
    let first = sample / shape.in_channels * split;
    let samples = || x.chunks_exact(sample);
    let tensors = [
        samples()
            .flat_map(|x| x[..first].to_vec())
            .collect::<Vec<f32>>(),
        samples().flat_map(|x| x[first..].to_vec()).collect(),
    ];
    let input = Input::joined(&tensors[0], &tensors[1]);
    let join = |gradient: &dyn Fn(Range<usize>) -> Vec<f32>| {
        let [a, b] = [gradient(0..split), gradient(split..shape.in_channels)];
        let pairs = a.chunks_exact(first).zip(b.chunks_exact(sample - first));
        pairs.flat_map(|(a, b)| [a, b].concat()).collect()
    };
    let mut ways = vec![[
        correlate::forward(isa, shape, input, &w, Some(&b)),
        join(&|channels| correlate::input_gradient(isa, shape, channels, &g, &w, None)),
        weight_gradient::weight_gradient(isa, shape, input, &g),
    ]];
    if winograd::applies(shape) {
        ways.push([
            winograd::forward(isa, shape, input, &w, Some(&b)),
            join(&|channels| winograd::input_gradient(isa, shape, channels, &g, &w, None)),
            winograd::weight_gradient::weight_gradient(isa, shape, input, &g),
        ]);
    }
    ways
}

#[test]
fn the_channels_of_two_tensors_are_convolved_as_if_they_were_joined() {
    let shapes = [
        (cubic(2, [3, 5], [5, 9, 20], [3, 1, 1]), 1),
        (cubic(1, [48, 16], [8, 8, 24], [3, 1, 1]), 16),
        (cubic(1, [70, 9], [4, 6, 7], [3, 1, 1]), 40),
        (cubic(2, [6, 4], [6, 7, 18], [3, 2, 1]), 4),
        (cubic(1, [4, 3], [5, 6, 17], [1, 1, 0]), 2),
    ];
    for (shape, split) in shapes {
        for isa in Isa::available() {
            let (joined, whole) = (all_joined(isa, &shape, split), all(isa, &shape));
            assert!(joined == whole, "{isa:?} {shape:?}");
        }
    }
}

fn dot(a: &[f32], b: &[f32]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| f64::from(*a) * f64::from(*b))
        .sum()
}

/// Compares every function, on every instruction set, with the definition in `f64`.
fn check(shape: &ConvShape) {
    let [x, w, g, b] = tensors(shape);
    let volume: usize = shape.output().iter().product();
    let mut y: Vec<f64> = (0..shape.output_len())
        .map(|i| f64::from(b[i / volume % shape.out_channels]))
        .collect();
    let mut dx = vec![0.0; x.len()];
    let mut dw = vec![0.0; w.len()];
    let mut squares = [y.len(), dx.len(), dw.len()].map(|len| vec![0.0f64; len]);
    for_each_product(shape, |i, k, o| {
        let [x, w, g] = [x[i], w[k], g[o]].map(f64::from);
        y[o] += x * w;
        dx[i] += g * w;
        dw[k] += g * x;
        squares[0][o] += (x * w).powi(2);
        squares[1][i] += (g * w).powi(2);
        squares[2][k] += (g * x).powi(2);
    });
    // Errors are parts of the largest result, or, where a few happen to be small, of what one is by chance.
    let scale = |want: &[f64], squares: &[f64]| {
        let largest = want.iter().fold(1e-3f64, |max, v| max.max(v.abs()));
        squares.iter().fold(largest, |max, v| max.max(v.sqrt()))
    };
    let results = [
        ("forward", &y),
        ("input gradient", &dx),
        ("weight gradient", &dw),
    ];
    let scales = [0, 1, 2].map(|k| scale(results[k].1, &squares[k]));
    for isa in Isa::available() {
        for got in all(isa, shape) {
            for ((got, (what, want)), scale) in got.iter().zip(results).zip(scales) {
                assert_close_for(scale, got, want, 1e-5, what);
            }
        }
    }
    let [mut db, mut squares] = [(); 2].map(|()| vec![0.0; shape.out_channels]);
    for (i, g) in g.iter().enumerate() {
        let (channel, g) = (i / volume % shape.out_channels, f64::from(*g));
        db[channel] += g;
        squares[channel] += g * g;
    }
    let got = bias_gradient(shape, &g);
    assert_close_for(scale(&db, &squares), &got, &db, 1e-5, "bias gradient");
}

/// `<conv(x), g> == <x, input_gradient(g)> == <w, weight_gradient>`.
fn check_adjoint(shape: &ConvShape) {
    let [x, w, g, _] = tensors(shape);
    let y = forward(shape, x[..].into(), &w, None);
    let (yg, yy, gg) = (dot(&y, &g), dot(&y, &y), dot(&g, &g));
    let xd = dot(&x, &input_gradient(shape, 0..shape.in_channels, &g, &w));
    let wd = dot(&w, &weight_gradient(shape, x[..].into(), &g));
    let scale = (yy * gg).sqrt().max(1e-3);
    assert!((yg - xd).abs() <= 1e-5 * scale, "{yg} {xd} {shape:?}");
    assert!((yg - wd).abs() <= 1e-5 * scale, "{yg} {wd} {shape:?}");
}

fn with_threads<R: Send>(threads: usize, run: impl FnOnce() -> R + Send) -> R {
    rayon::ThreadPoolBuilder::new()
        .num_threads(threads)
        .build()
        .unwrap()
        .install(run)
}

fn bits(ways: &[[Vec<f32>; 3]]) -> Vec<Vec<u32>> {
    let values = ways.iter().flatten();
    values
        .map(|v| v.iter().map(|v| v.to_bits()).collect())
        .collect()
}

/// A shape with the given kernel, stride and padding on all axes.
fn cubic(batch: usize, channels: [usize; 2], input: [usize; 3], ksp: [usize; 3]) -> ConvShape {
    ConvShape {
        batch,
        in_channels: channels[0],
        out_channels: channels[1],
        input,
        kernel: [ksp[0]; 3],
        stride: [ksp[1]; 3],
        padding: [ksp[2]; 3],
    }
}

/// The kernels of real networks, most of the time.
fn any_shape() -> impl Strategy<Value = ConvShape> {
    let usual = prop_oneof![
        Just([[3; 3], [1; 3], [1; 3]]),
        Just([[3; 3], [2; 3], [1; 3]]),
        Just([[1; 3], [1; 3], [0; 3]]),
        Just([[2; 3], [2; 3], [0; 3]]),
        Just([[1, 3, 3], [1; 3], [0, 1, 1]]),
        Just([[3; 3], [1, 2, 2], [1; 3]]),
    ];
    let odd = (
        prop::array::uniform3(1..=5usize),
        prop::array::uniform3(1..=4usize),
        prop::array::uniform3(0..=3usize),
    )
        .prop_map(|(k, s, p)| [k, s, p]);
    let size = prop_oneof![1..=4usize, 1..=13usize, Just(1), 16..=19usize];
    (
        1..=3usize,
        prop_oneof![1..=9usize, 1..=67usize],
        prop_oneof![1..=9usize, 1..=67usize],
        prop::array::uniform3(size),
        prop_oneof![3 => usual, 1 => odd],
    )
        .prop_map(
            |(batch, in_channels, out_channels, mut input, [kernel, stride, padding])| {
                for i in 0..3 {
                    input[i] = input[i].max(kernel[i].saturating_sub(2 * padding[i]));
                }
                ConvShape {
                    batch,
                    in_channels,
                    out_channels,
                    input,
                    kernel,
                    stride,
                    padding,
                }
            },
        )
        // Keep the naive sums affordable.
        .prop_map(|mut shape| {
            let volume = |s: &ConvShape| s.output().iter().product::<usize>() * s.taps() * s.batch;
            while volume(&shape) * shape.in_channels * shape.out_channels > 20_000_000 {
                if shape.in_channels > shape.out_channels {
                    shape.in_channels = shape.in_channels.div_ceil(2);
                } else {
                    shape.out_channels = shape.out_channels.div_ceil(2);
                }
            }
            shape
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(if cfg!(miri) { 2 } else { 300 }))]
    #[test]
    #[cfg_attr(miri, ignore)]
    fn any_shape_agrees_with_the_definition(shape in any_shape()) {
        check(&shape);
        check_adjoint(&shape);
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn usual_shapes_agree_with_the_definition() {
    for ksp in [[3, 1, 1], [3, 2, 1], [1, 1, 0], [2, 2, 0]] {
        for channels in [[1, 16], [16, 1], [8, 8], [16, 16], [17, 33], [67, 67]] {
            for input in [[2, 2, 2], [5, 6, 7], [8, 9, 80], [3, 40, 41], [2, 3, 1101]] {
                let shape = cubic(1, channels, input, ksp);
                if shape.output_len() * shape.in_channels * shape.taps() < 40_000_000 {
                    check(&shape);
                }
                check_adjoint(&shape);
            }
        }
    }
}

/// Tiles that stick out, rows shorter than a vector, widths and weights that are cut up.
#[test]
#[cfg_attr(miri, ignore)]
fn winograd_agrees_with_the_definition_at_every_edge() {
    let usual = [[1, 1], [3, 5], [8, 8], [9, 17], [35, 12]];
    let inputs = [
        [1, 1, 1],
        [1, 5, 7],
        [4, 4, 4],
        [9, 1, 15],
        [3, 4, 1],
        [8, 8, 16],
        [5, 9, 17],
        [2, 3, 33],
    ];
    for channels in usual {
        for input in inputs {
            check(&cubic(2, channels, input, [3, 1, 1]));
        }
    }
    check(&cubic(1, [40, 2], [2, 3, 700], [3, 1, 1]));
    check(&cubic(1, [2, 40], [2, 3, 700], [3, 1, 1]));
    check(&cubic(1, [300, 100], [4, 4, 4], [3, 1, 1]));
    // Several blocks, parts of the source channels and shares of the destination's.
    check(&cubic(1, [70, 40], [8, 12, 80], [3, 1, 1]));
}

/// As many products in a sum as a network has at most.
#[test]
#[cfg_attr(miri, ignore)]
fn long_sums_keep_their_precision() {
    for (channels, input) in [
        ([512, 4], [8, 8, 8]),
        ([4, 512], [8, 8, 8]),
        ([2, 2], [64; 3]),
    ] {
        check(&cubic(1, channels, input, [3, 1, 1]));
    }
}

#[test]
fn winograd_is_for_volumes_that_are_not_tiny() {
    let pays = |input| winograd::pays(&cubic(1, [16, 16], input, [3, 1, 1]));
    for input in [
        [48, 64, 80],
        [24, 32, 40],
        [12, 16, 20],
        [6, 8, 10],
        [8, 8, 8],
    ] {
        assert!(pays(input), "{input:?}");
    }
    // Tiles that are half empty, and weights that take longer to transform than to use.
    for input in [[1, 64, 80], [2, 2, 80], [3, 4, 5], [4, 4, 4], [1, 1, 1]] {
        assert!(!pays(input), "{input:?}");
    }
    let few = |channels| winograd::weight_gradient::pays(&cubic(1, channels, [48; 3], [3, 1, 1]));
    assert!(few([8, 8]) && few([16, 32]) && !few([1, 16]) && !few([16, 2]));
}

#[test]
fn small_shapes_agree_with_the_definition() {
    for ksp in [
        [3, 1, 1],
        [3, 2, 1],
        [1, 1, 0],
        [2, 2, 0],
        [2, 3, 1],
        [1, 2, 1],
    ] {
        check(&cubic(2, [3, 5], [2, 3, 4], ksp));
    }
    // Its one bias gradient happens to be small: its terms cancel.
    check(&ConvShape {
        kernel: [1, 3, 3],
        padding: [0, 1, 1],
        ..cubic(3, [1, 1], [1, 13, 19], [3, 1, 1])
    });
}

#[test]
#[cfg_attr(miri, ignore)]
fn the_number_of_threads_changes_no_bit() {
    for (channels, input, ksp) in [
        ([5, 9], [20, 17, 33], [3, 1, 1]),
        ([16, 16], [24, 32, 40], [3, 1, 1]),
        ([64, 72], [3, 4, 5], [3, 1, 1]),
        ([12, 24], [17, 18, 40], [3, 2, 1]),
        ([24, 12], [16, 18, 40], [2, 2, 0]),
        ([16, 3], [16, 32, 40], [1, 1, 0]),
    ] {
        let shape = cubic(2, channels, input, ksp);
        let g = noise(3, shape.output_len());
        for isa in Isa::available() {
            let run = || (bits(&all(isa, &shape)), bias_gradient(&shape, &g));
            let one = with_threads(1, run);
            assert!(one == with_threads(2, run));
            assert!(one == with_threads(5, run));
        }
    }
}

/// Scratch memory keeps the values of earlier calls, which must not shine through.
#[test]
#[cfg_attr(miri, ignore)]
fn infinities_do_not_outlive_their_call() {
    let run = || {
        for ksp in [[3, 1, 1], [3, 2, 1], [1, 1, 0], [2, 2, 0], [5usize, 3, 2]] {
            for channels in [[1, 1], [3, 5], [16, 9]] {
                for input in [[1, 1, 1], [3, 4, 5], [9, 11, 13], [5, 30, 31]] {
                    let big = cubic(1, [40, 40], [12, 13, 30], [3, 1, 1]);
                    let bad = vec![f32::INFINITY; big.input_len()];
                    for isa in Isa::available() {
                        weight_gradient::weight_gradient(isa, &big, bad[..].into(), &bad);
                        winograd::weight_gradient::weight_gradient(isa, &big, bad[..].into(), &bad);
                        if input[0] >= ksp[0].saturating_sub(2 * ksp[2]) {
                            let shape = cubic(1, channels, input, ksp);
                            let clean = all(isa, &shape);
                            assert!(
                                clean.iter().flatten().flatten().all(|v| v.is_finite()),
                                "{shape:?}"
                            );
                        }
                    }
                }
            }
        }
    };
    with_threads(1, run);
}

#[test]
#[cfg_attr(miri, ignore)]
fn instruction_sets_agree() {
    for ksp in [[3, 1, 1], [3, 2, 1], [1, 1, 0], [2, 2, 0]] {
        let shape = cubic(1, [31, 43], [9, 17, 35], ksp);
        let want = all(Isa::Portable, &shape);
        for isa in Isa::available() {
            for (got, want) in all(isa, &shape).iter().flatten().zip(want.iter().flatten()) {
                let want: Vec<f64> = want.iter().copied().map(f64::from).collect();
                assert_close(got, &want, 1e-5, "instruction set");
            }
        }
    }
}

#[test]
#[cfg_attr(miri, ignore)]
fn transposed_convolution_agrees_with_the_definition() {
    let overlapping = [(3, 1, 1), (3, 1, 0), (4, 1, 1), (3, 0, 0)]
        .map(|(kernel, padding, out_padding)| ([kernel; 3], [2; 3], padding, out_padding));
    // As large as the stride, such as those of a U-Net.
    let apart = [[2; 3], [1, 2, 2], [3; 3], [1, 1, 3], [2, 1, 4], [1; 3]]
        .map(|kernel| (kernel, kernel, 0, 0));
    for (kernel, stride, padding, out_padding) in overlapping.into_iter().chain(apart) {
        let shape = ConvTransposeShape {
            batch: 2,
            in_channels: 9,
            out_channels: 5,
            input: [3, 4, 7],
            kernel,
            stride,
            padding: [padding; 3],
            out_padding: [out_padding; 3],
        };
        let output = shape.output();
        let expected: [usize; 3] = std::array::from_fn(|i| {
            ([3, 4, 7][i] - 1) * stride[i] + kernel[i] + out_padding - 2 * padding
        });
        assert_eq!(output, expected);
        let convolution = ConvShape {
            batch: 2,
            in_channels: 5,
            out_channels: 9,
            input: output,
            kernel,
            stride,
            padding: [padding; 3],
        };
        let [g, w, x, _] = tensors(&convolution);
        let bias = noise(5, 5);
        let volume: usize = output.iter().product();
        let mut y: Vec<f64> = (0..g.len())
            .map(|i| f64::from(bias[i / volume % 5]))
            .collect();
        let mut dx = vec![0.0; x.len()];
        let mut dw = vec![0.0; w.len()];
        for_each_product(&convolution, |o, k, i| {
            y[o] += f64::from(x[i]) * f64::from(w[k]);
            dx[i] += f64::from(g[o]) * f64::from(w[k]);
            dw[k] += f64::from(g[o]) * f64::from(x[i]);
        });
        let got = conv_transpose3d::forward(&shape, &x, &w, Some(&bias));
        assert_close(&got, &y, 1e-5, "forward");
        assert_close(
            &conv_transpose3d::input_gradient(&shape, &g, &w),
            &dx,
            1e-5,
            "input gradient",
        );
        let got = conv_transpose3d::weight_gradient(&shape, &x, &g);
        assert_close(&got, &dw, 1e-5, "weight gradient");
        let mut db = vec![0.0; 5];
        for (i, g) in g.iter().enumerate() {
            db[i / volume % 5] += f64::from(*g);
        }
        assert_close(
            &conv_transpose3d::bias_gradient(&shape, &g),
            &db,
            1e-5,
            "bias gradient",
        );
    }
}
