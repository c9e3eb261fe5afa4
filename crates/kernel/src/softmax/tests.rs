//! Ours against Burn's operations, and against differences of plain formulas in double precision.

use burn::backend::{Autodiff, Flex};
use burn::tensor::{Tensor, TensorData};
use proptest::prelude::*;

use crate::{Entropy, IGNORED_CLASS, Kernels, reference};

type Ad = Autodiff<Flex>;

/// Numbers from -1 to 1.
fn noise(seed: u64, count: usize) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut next = || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 40) as f32 / (1 << 23) as f32 - 1.0
    };
    (0..count).map(|_| next()).collect()
}

/// Logits, some of them extreme, and classes, some of them ignored.
struct Case {
    shape: [usize; 5],
    logits: Vec<f32>,
    classes: Vec<f32>,
}

impl Case {
    fn new(seed: u64, shape: [usize; 5]) -> Self {
        let [batch, channels, depth, height, width] = shape;
        let voxels = depth * height * width;
        let mut logits = noise(seed, batch * channels * voxels);
        for (i, logit) in logits.iter_mut().enumerate() {
            *logit *= if i % 11 == 0 { 50.0 } else { 3.0 };
        }
        let class = |noise: f32| {
            let class = ((noise + 1.0) * 0.55 * channels as f32) as usize;
            // Class 1 is absent.
            let class = if class == 1 { 0 } else { class };
            if class < channels {
                class as f32
            } else {
                f32::from(IGNORED_CLASS)
            }
        };
        let classes = noise(seed + 1, batch * voxels).into_iter().map(class);
        Self {
            shape,
            logits,
            classes: classes.collect(),
        }
    }

    fn logits<B: Kernels>(&self) -> Tensor<B, 5> {
        Tensor::from_data(
            TensorData::new(self.logits.clone(), self.shape),
            &Default::default(),
        )
    }

    fn classes<B: Kernels>(&self) -> Tensor<B, 5> {
        let [batch, _, depth, height, width] = self.shape;
        let data = TensorData::new(self.classes.clone(), [batch, 1, depth, height, width]);
        Tensor::from_data(data, &Default::default())
    }

    /// What an operation gives, and the gradient of the logits under a random gradient from above.
    fn of<const D: usize>(
        &self,
        operation: impl Fn(Tensor<Ad, 5>, Tensor<Ad, 5>) -> Tensor<Ad, D>,
    ) -> [Vec<f32>; 2] {
        let logits = self.logits::<Ad>().require_grad();
        let output = operation(logits.clone(), self.classes());
        let count = output.dims().iter().product();
        let above = TensorData::new(noise(7, count), output.dims());
        let above = Tensor::<Ad, D>::from_data(above, &Default::default());
        let gradients = (output.clone() * above).sum().backward();
        let gradient = logits.grad(&gradients).unwrap().into_data();
        [
            output.into_data().to_vec().unwrap(),
            gradient.to_vec().unwrap(),
        ]
    }
}

/// The largest difference over the largest value; over a tenth where all are smaller. Where a softmax is nearly 1, Burn's
/// operations take terms of size 1 from each other, and what is left of a small gradient is their rounding: -3.87e-6 becomes
/// -2^-18.
fn apart(ours: &[f32], theirs: &[f32]) -> f32 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0.1_f32, |most, v| most.max(v.abs()));
    let differences = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs());
    // What is not a number is the worst.
    differences.fold(0.0, |most, d| if d <= most { most } else { d }) / largest
}

fn entropies(channels: usize) -> Vec<Entropy> {
    let weights = || Some((0..channels).map(|class| 0.5 + class as f64).collect());
    let of = |class_weights, label_smoothing, gamma| Entropy {
        class_weights,
        label_smoothing,
        gamma,
    };
    vec![
        of(None, 0.0, 0.0),
        of(weights(), 0.0, 0.0),
        of(weights(), 0.2, 0.0),
        of(None, 0.0, 2.0),
        of(weights(), 0.1, 1.5),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn values_and_gradients_are_those_of_burns_operations(
        seed in 0..1000u64,
        batch in 1..3usize,
        channels in 2..40usize,
        size in [1..9usize, 1..9usize, 1..12usize],
    ) {
        let case = Case::new(seed, [batch, channels, size[0], size[1], size[2]]);
        for squared in [false, true] {
            let ours = case.of(|z, t| Ad::softmax_overlap(z, t, squared));
            let theirs = case.of(|z, t| reference::softmax_overlap(z, t, squared));
            for (ours, theirs) in ours.iter().zip(&theirs) {
                prop_assert!(apart(ours, theirs) < 1e-5, "{}", apart(ours, theirs));
            }
        }
        for entropy in entropies(channels) {
            let ours = case.of(|z, t| Ad::softmax_entropy(z, t, &entropy));
            let theirs = case.of(|z, t| reference::softmax_entropy(z, t, &entropy));
            for (ours, theirs) in ours.iter().zip(&theirs) {
                prop_assert!(apart(ours, theirs) < 1e-5, "{entropy:?}: {}", apart(ours, theirs));
            }
        }
        let ours = Flex::softmax_counts(case.logits(), case.classes()).into_data();
        let theirs = reference::softmax_counts(case.logits::<Flex>(), case.classes()).into_data();
        let [ours, theirs] = [ours, theirs].map(|data| data.to_vec::<f32>().unwrap());
        prop_assert!(apart(&ours, &theirs) < 1e-5, "{}", apart(&ours, &theirs));
    }
}

/// The softmax of a voxel in double precision.
fn softmax(logits: &[f64]) -> Vec<f64> {
    let largest = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let exponentials: Vec<f64> = logits.iter().map(|z| (z - largest).exp()).collect();
    let sum: f64 = exponentials.iter().sum();
    exponentials.iter().map(|e| e / sum).collect()
}

/// The slope of a function of one voxel's logits.
fn slope(logits: &[f64], channel: usize, of: impl Fn(&[f64]) -> f64) -> f64 {
    let moved = |by: f64| {
        let mut logits = logits.to_vec();
        logits[channel] += by;
        of(&logits)
    };
    (moved(1e-5) - moved(-1e-5)) / 2e-5
}

#[test]
fn gradients_are_the_slopes_of_the_formulas() {
    let (channels, voxels) = (5, 60);
    let case = Case::new(3, [1, channels, 3, 4, 5]);
    let logits = |voxel: usize| -> Vec<f64> {
        let logit = |channel| f64::from(case.logits[channel * voxels + voxel]);
        (0..channels).map(logit).collect()
    };
    let above = noise(7, 3 * channels);
    for squared in [false, true] {
        let [_, gradient] = case.of(|z, t| Ad::softmax_overlap(z, t, squared));
        for voxel in 0..voxels {
            let class = case.classes[voxel] as usize;
            for channel in 0..channels {
                let weighted = |z: &[f64]| {
                    let p = softmax(z);
                    let all = p.iter().zip(&above[channels..]);
                    let all: f64 = all
                        .map(|(p, g)| if squared { p * p } else { *p } * f64::from(*g))
                        .sum();
                    all + p[class] * f64::from(above[class])
                };
                let expected = match class < channels {
                    true => slope(&logits(voxel), channel, weighted),
                    false => 0.0,
                };
                let ours = f64::from(gradient[channel * voxels + voxel]);
                assert!((ours - expected).abs() < 1e-6, "{ours}, not {expected}");
            }
        }
    }
    for entropy in entropies(channels) {
        let [_, gradient] = case.of(|z, t| Ad::softmax_entropy(z, t, &entropy));
        let above = noise(7, voxels);
        for voxel in 0..voxels {
            let own = case.classes[voxel] as usize;
            let loss = |z: &[f64]| {
                let of_class = |(class, p): (usize, f64)| {
                    let share = entropy.label_smoothing / channels as f64
                        + f64::from(u8::from(class == own)) * (1.0 - entropy.label_smoothing);
                    -share * entropy.weight(class) * (1.0 - p).powf(entropy.gamma) * p.ln()
                };
                softmax(z)
                    .into_iter()
                    .enumerate()
                    .map(of_class)
                    .sum::<f64>()
            };
            for channel in 0..channels {
                let expected = match own < channels {
                    true => slope(&logits(voxel), channel, loss) * f64::from(above[voxel]),
                    false => 0.0,
                };
                let ours = f64::from(gradient[channel * voxels + voxel]);
                let apart = (ours - expected).abs();
                assert!(apart < 2e-5, "{entropy:?}: {ours}, not {expected}");
            }
        }
    }
}

#[test]
fn results_are_the_same_to_the_bit_at_any_number_of_threads() {
    // Several parts, and blocks that do not fill them.
    let case = Case::new(5, [2, 7, 9, 50, 61]);
    let all = || {
        let overlap = case.of(|z, t| Ad::softmax_overlap(z, t, true));
        let entropy = &entropies(7)[4];
        let entropy = case.of(|z, t| Ad::softmax_entropy(z, t, entropy));
        let counts = Flex::softmax_counts(case.logits(), case.classes()).into_data();
        let all = overlap.into_iter().chain(entropy);
        let all = all.chain([counts.to_vec().unwrap()]);
        all.flatten().map(f32::to_bits).collect::<Vec<u32>>()
    };
    let on = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(all)
    };
    assert!(on(1) == on(3));
    let theirs = case.of(|z, t| reference::softmax_overlap(z, t, true));
    let ours = case.of(|z, t| Ad::softmax_overlap(z, t, true));
    assert!(apart(&ours[0], &theirs[0]) < 1e-5 && apart(&ours[1], &theirs[1]) < 1e-5);
}

#[test]
fn what_is_not_a_number_is_not_hidden() {
    for bad in [f32::NAN, f32::INFINITY] {
        for place in 0..3 {
            let mut case = Case::new(1, [1, 3, 1, 2, 2]);
            case.classes = vec![0.0, 1.0, 2.0, 1.0];
            case.logits[place * 4 + 1] = bad;
            let [sums, _] = case.of(|z, t| Ad::softmax_overlap(z, t, false));
            assert!(
                sums.iter().any(|sum| sum.is_nan()),
                "{bad} in channel {place}"
            );
            let [losses, gradient] = case.of(|z, t| Ad::softmax_entropy(z, t, &Entropy::default()));
            assert!(losses[1].is_nan(), "{bad} in channel {place}: {losses:?}");
            assert!(gradient.iter().any(|g| g.is_nan()));
        }
    }
}

#[test]
fn of_equal_logits_the_first_class_is_predicted() {
    let case = Case {
        shape: [1, 3, 1, 1, 2],
        logits: vec![1.0, 0.0, 1.0, 2.0, 1.0, 2.0],
        classes: vec![1.0, 2.0],
    };
    let counts = Flex::softmax_counts(case.logits(), case.classes()).into_data();
    let counts: Vec<f32> = counts.to_vec().unwrap();
    // Voxels right, predicted and true, of class 1 and of class 2.
    assert_eq!(counts[2..5], [0.0, 1.0, 1.0]);
    assert_eq!(counts[7..10], [0.0, 0.0, 1.0]);
}
