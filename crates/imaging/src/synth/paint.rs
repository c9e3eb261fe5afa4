//! Painting a map of classes with a contrast.

use ndarray::Array3;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;

use super::{Anatomy, Brightness, Synthesis};
use crate::augment::normals;
use crate::volume::resample::{Interpolation, resample};
use crate::volume::{Affine, Grid, Volume, blur, in_order};

/// Corners along each axis of the lattice by whose values tissues fall into parts.
const LATTICE: usize = 14;
/// The most parts of a tissue.
const PARTS: usize = 4;

/// A kind of contrast, and the image of a map of classes in it: air is about 0, and tissues up to about 1.
pub(super) fn paint(
    synthesis: &Synthesis,
    classes: &Array3<u8>,
    anatomy: &Anatomy,
    rng: &mut ChaCha8Rng,
) -> (&'static str, Array3<f32>) {
    let contrast = kind(synthesis, rng);
    let tables = tables(synthesis, contrast, anatomy, rng);
    let grain = rng.random_range(0.0..=synthesis.texture.grain_mm);
    let texture = texture(anatomy, grain, rng.random());
    let fields = fields(&anatomy.grid(), rng.random());
    let mut image = texture;
    let (_, ny, nz) = classes.dim();
    let classes = classes.as_standard_layout();
    let classes = classes.as_slice().unwrap_or_default();
    let values = in_order(&mut image);
    let planes = values
        .par_chunks_mut(ny * nz)
        .zip(classes.par_chunks(ny * nz));
    planes
        .zip(fields.par_chunks(ny * nz))
        .for_each(|((values, classes), fields)| {
            for ((value, class), field) in values.iter_mut().zip(classes).zip(fields) {
                let (mean, std) = tables.of(*class, *field);
                *value = (mean + std * *value).max(0.0);
            }
        });
    (contrast, image)
}

fn kind(synthesis: &Synthesis, rng: &mut ChaCha8Rng) -> &'static str {
    let shares = synthesis.contrasts.all();
    let sum: f64 = shares.iter().map(|(_, share)| share).sum();
    let mut left = rng.random::<f64>() * sum;
    for (name, share) in shares {
        left -= share;
        if left < 0.0 {
            return name;
        }
    }
    shares[0].0
}

/// Mean and deviation of the brightness of each class, in each part that its tissue may fall into.
struct Tables {
    /// Into how many parts a class falls.
    parts: Vec<usize>,
    brightness: Vec<[(f32, f32); PARTS]>,
}

impl Tables {
    fn of(&self, class: u8, field: f32) -> (f32, f32) {
        let class = usize::from(class);
        // Parts are about equally large: the field is uniform from 0 to 1.
        let part = (field * self.parts[class] as f32) as usize;
        self.brightness[class][part.min(PARTS - 1)]
    }
}

fn tables(
    synthesis: &Synthesis,
    contrast: &str,
    anatomy: &Anatomy,
    rng: &mut ChaCha8Rng,
) -> Tables {
    let texture = &synthesis.texture;
    let tissues: Vec<_> = synthesis.tissues.values().collect();
    // Drawn for all tissues, so that one more label in a map changes nothing else.
    let random: Vec<f64> = tissues.iter().map(|_| rng.random()).collect();
    let air = match contrast {
        "inverted" if rng.random_bool(0.5) => 1.0,
        "random" if rng.random_bool(0.2) => rng.random_range(0.0..0.5),
        _ => 0.0,
    };
    // Weak to strong contrast between tissues.
    let bend: f64 = rng.random_range(0.7..1.4);
    let mean = |tissue: usize| {
        let of = |pick: fn(&Brightness) -> f64| pick(&tissues[tissue].brightness).powf(bend);
        match contrast {
            "t1" => of(|of| of.t1),
            "t2" => of(|of| of.t2),
            "flair" => of(|of| of.flair),
            "ct" => of(|of| of.ct),
            "inverted" => 1.0 - of(|of| of.t1),
            _ => random[tissue],
        }
    };
    let (mut parts, mut brightness) = (Vec::new(), Vec::new());
    for tissue in &anatomy.tissues {
        // Two numbers for each part, whether it is used or not.
        let drawn: [(f64, f64); PARTS] = std::array::from_fn(|_| (normal(rng), rng.random()));
        let count: usize = rng.random_range(1..=tissue.map_or(1, |of| tissues[of].parts));
        parts.push(count);
        brightness.push(std::array::from_fn(|part| match tissue {
            None => (air as f32, (0.3 * texture.std * drawn[0].1) as f32),
            Some(tissue) => {
                // Parts differ much more than labels of one tissue.
                let spread = if count > 1 { 0.25 } else { texture.spread };
                let (jitter, rough) = drawn[part];
                let mean = (mean(*tissue) + spread * jitter).clamp(0.0, 1.2);
                (mean as f32, (texture.std * rough) as f32)
            }
        }));
    }
    Tables { parts, brightness }
}

/// A standard normal number (Irwin and Hall's sum of twelve).
fn normal(rng: &mut ChaCha8Rng) -> f64 {
    (0..12).map(|_| rng.random::<f64>()).sum::<f64>() - 6.0
}

/// Standard normal noise with that grain in mm.
fn texture(anatomy: &Anatomy, grain: f64, seed: u64) -> Array3<f32> {
    let grid = anatomy.grid();
    let mut noise = Array3::zeros(grid.shape);
    normals(in_order(&mut noise), seed);
    let std = grid.affine.spacing().map(|mm| grain / 2.0 / mm);
    blur(&mut noise, std);
    // What blur takes from the deviation of white noise along each axis: 1 / (2 sqrt(pi) std).
    let lost = std.iter().filter(|std| **std >= 0.125);
    let lost: f64 = lost
        .map(|std| (2.0 * std::f64::consts::PI.sqrt() * std).max(1.0))
        .product();
    noise *= lost.sqrt() as f32;
    noise
}

/// A smooth field, uniform from 0 to 1.
fn fields(grid: &Grid, seed: u64) -> Vec<f32> {
    let mut corners = Array3::zeros([LATTICE; 3]);
    normals(in_order(&mut corners), seed);
    let extent = grid.shape.map(|n| n.max(2) as f64 - 1.0);
    let spacing = grid.affine.spacing();
    let step: [f64; 3] =
        std::array::from_fn(|axis| extent[axis] * spacing[axis] / (LATTICE as f64 - 1.0));
    let lattice = Volume {
        voxels: corners,
        affine: Affine::diagonal(step, [0.0; 3]),
    };
    let fine = Grid {
        shape: grid.shape,
        affine: Affine::diagonal(spacing, [0.0; 3]),
    };
    let mut field = resample(&lattice, &fine, Interpolation::Linear, false).voxels;
    let values = in_order(&mut field);
    // The logistic curve is near to the normal distribution; between corners values are means, and so less spread.
    values.par_chunks_mut(1 << 16).for_each(|part| {
        for value in part {
            *value = 1.0 / (1.0 + (-2.4 * *value).exp());
        }
    });
    std::mem::take(&mut field).into_raw_vec_and_offset().0
}
