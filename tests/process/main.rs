//! What needs a process of its own: losses where the precision of the backend is half, which is set once per process.

use burn::backend::{Autodiff, Flex};
use burn::tensor::{DType, FloatDType, IntDType, Tensor, TensorData, set_default_dtypes};
use calvaria::loss::{Loss, Target};

type Ad = Autodiff<Flex>;

/// As many voxels as a head at 2 mm: more than a half-precision number can count.
const SHAPE: [usize; 5] = [1, 1, 96, 128, 160];

fn tensor(value: impl Fn(usize) -> f32, precision: DType) -> Tensor<Ad, 5> {
    let values: Vec<f32> = (0..SHAPE.iter().product()).map(value).collect();
    Tensor::from_data(
        TensorData::new(values, SHAPE),
        (&Default::default(), precision),
    )
}

#[test]
fn every_loss_of_half_precision_logits_is_that_of_their_values() {
    set_default_dtypes::<Ad>(&Default::default(), FloatDType::F16, IntDType::I32).unwrap();
    // Exact in half precision, some far beyond where its exponential is finite.
    let logits = |precision| tensor(|i| ((i * 37) % 241) as f32 / 4.0 - 30.0, precision);
    let target = |precision| tensor(|i| f32::from(u8::from(i / 20480 % 3 == 1)), precision);
    for loss in Loss::defaults() {
        let value = |precision| {
            let logits = logits(precision).require_grad();
            let value = loss.forward(logits.clone(), &Target::sigmoid(target(precision), None));
            let gradient = logits.grad(&value.backward()).unwrap().into_data();
            assert_eq!(gradient.dtype, precision, "{}", loss.name());
            let finite = gradient.iter::<f32>().all(f32::is_finite);
            assert!(finite, "{}", loss.name());
            value.into_data().iter::<f32>().next().unwrap()
        };
        let (half, single) = (value(DType::F16), value(DType::F32));
        let close = half.is_finite() && (half - single).abs() <= 1e-6 * single;
        assert!(close, "{}: {half}, not {single}", loss.name());
    }
}
