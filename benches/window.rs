//! What a sliding window costs besides the network: a plain 3-D U-Net over a cube, window by window.
//!
//!     cargo bench --bench window -- EDGE WINDOW FILTERS OVERLAP
//!
//! Prints JSON: how many windows there are, seconds of all and of the network's calls alone, their ratio, and the peak of
//! resident memory, the cube and the probabilities included.

use std::time::{Duration, Instant};

use burn::backend::Flex;
use burn::tensor::{Tensor, TensorData};
use calvaria::model::{Channels, Model};
use calvaria::window::{Window, Windows, slide};
use ndarray::{Array3, Axis, s};

fn main() {
    let numbers: Vec<f64> = std::env::args()
        .filter_map(|text| text.parse().ok())
        .collect();
    let [edge, size, filters, overlap] = numbers[..] else {
        panic!("usage: EDGE WINDOW FILTERS OVERLAP");
    };
    let (edge, size) = (edge as usize, size as usize);
    calvaria::kernel::keep_memory();
    let yaml = format!("{{unet: {{filters: {filters}, levels: 4, norm: instance}}}}");
    let model: Model = serde_yaml::from_str(&yaml).expect("a valid model");
    let channels = Channels {
        input: 1,
        output: 1,
    };
    let device = Default::default();
    let network = model.init_for::<Flex>(channels, 0, &device);
    let shape = [edge; 3];
    let image = Array3::from_shape_fn(shape, |(x, y, z)| ((7 * x + 5 * y + 3 * z) % 11) as f32);
    let window = Window {
        overlap,
        ..Window::of([size; 3])
    };
    let windows = Windows::over(shape, &window);
    let call = |voxels: Vec<f32>| -> Vec<f32> {
        let [d, h, w] = windows.size();
        let input = TensorData::new(voxels, [1, 1, d, h, w]);
        let logits = network.forward(Tensor::<Flex, 5>::from_data(input, &device));
        logits.into_data().iter::<f32>().collect()
    };
    call(vec![0.0; size.pow(3)]);
    let (mut inside, mut calls, mut done) = (Duration::ZERO, 0, 0);
    let mut probabilities: Array3<f32> = Array3::zeros(shape);
    let started = Instant::now();
    let shown = |voxels| {
        let started = Instant::now();
        let values = call(voxels);
        inside += started.elapsed();
        calls += 1;
        Ok::<_, std::convert::Infallible>(values)
    };
    let told = slide(&[image.view()], &windows, shown, |mut planes| {
        planes.mapv_inplace(|logit| 1.0 / (1.0 + (-logit).exp()));
        let count = planes.len_of(Axis(1));
        let mut place = probabilities.slice_mut(s![done..done + count, .., ..]);
        place.assign(&planes.index_axis(Axis(0), 0));
        done += count;
    });
    told.unwrap_or_else(|never| match never {});
    let all = started.elapsed();
    println!(
        "{{\"edge\": {edge}, \"window\": {size}, \"overlap\": {overlap}, \"filters\": {filters}, \"threads\": {}, \
         \"windows\": {calls}, \"all_s\": {:.2}, \"network_s\": {:.2}, \"ratio\": {:.3}, \"peak_mib\": {:.0}}}",
        rayon::current_num_threads(),
        all.as_secs_f64(),
        inside.as_secs_f64(),
        all.as_secs_f64() / inside.as_secs_f64(),
        calvaria::device::peak_memory_mib().unwrap_or(f64::NAN),
    );
}
