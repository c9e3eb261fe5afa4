//! N4 bias field correction: removing the slow brightness drift that MRI coils leave.
//!
//! Tustison et al. 2010, "N4ITK: Improved N3 Bias Correction", IEEE TMI 29(6). Follows ITK's
//! filter, and agrees with it to float32's rounding; on the regular grid of an image the spline
//! fit is separable, which makes it tens of times as fast.

mod fit;
mod lanes;
mod sharpen;
mod spline;

use ndarray::{Array3, Slice};
use rayon::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{About, CaseStep, ChangesImage, Work, otsu};
use crate::settings::{Fault, Faults, validate};
use crate::volume::resample::extremes;
use crate::volume::{Volume, in_order};
use fit::Fit;

/// Divides an image by the smooth field that, taken away, makes its histogram sharpest.
///
/// The field is estimated on every `shrink_factor`-th voxel (none are averaged) and applied to
/// all of them. The defaults are ITK's; the ANTs command, and nipype through it, sets
/// `convergence_threshold` to 0 when it is given only the iterations.
///
/// Logarithms are taken of intensities above 0. As in ITK, a voxel at or below 0 is taken as if its value were
/// a logarithm already, so zeros count as ones, and a mask of `none` makes the field depend on the unit of the
/// intensities.
///
/// A field multiplies what lies above the background. Where an image's darkest voxels are negative (CT in
/// Hounsfield units), or farther from 0 than its whole range (an offset), they are taken as 0 for the correction; ITK
/// does not do that.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct N4 {
    /// The field is estimated on every n-th voxel along each axis.
    #[schemars(range(min = 1))]
    pub shrink_factor: usize,
    /// The most iterations of each level; every level doubles the spans of the spline.
    pub iterations: Vec<usize>,
    /// A level ends when the coefficient of variation of the field's change is not above this.
    #[schemars(range(min = 0.0, max = 1.0))]
    pub convergence_threshold: f64,
    /// Control points of the first level's spline along each axis.
    pub control_points: usize,
    /// Order of the spline (3: cubic).
    #[schemars(range(min = 2, max = 4))]
    pub spline_order: usize,
    /// Bins of the histogram.
    #[schemars(range(min = 2, max = 4096))]
    pub bins: usize,
    /// Full width at half maximum of the Gaussian by which the histogram is deconvolved, in log
    /// intensity.
    #[schemars(range(min = 0.001, max = 10.0))]
    pub fwhm: f64,
    /// Noise of the Wiener filter that deconvolves it.
    #[schemars(range(min = 1e-9, max = 1e9))]
    pub wiener_noise: f64,
    /// Which voxels the field is estimated from; it is applied to all.
    pub mask: Mask,
}

/// Which voxels a bias field is estimated from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Mask {
    /// All, as ITK and ANTs do when they are given no mask.
    #[default]
    None,
    /// Those above Otsu's threshold (200 bins), as early versions of ANTs did.
    Otsu,
    /// Those above 0.
    Foreground,
    /// Those of the case's region, each with the region's value as its weight (ITK's mask and
    /// confidence image in one).
    Region,
}

impl Default for N4 {
    fn default() -> Self {
        Self {
            shrink_factor: 3,
            iterations: vec![20, 10, 10, 5],
            convergence_threshold: 0.001,
            control_points: 4,
            spline_order: 3,
            bins: 200,
            fwhm: 0.15,
            wiener_noise: 0.01,
            mask: Mask::None,
        }
    }
}

/// A corrected image and how it came about.
#[derive(Clone, Debug, PartialEq)]
pub struct Corrected {
    /// The image divided by the field's exponential.
    pub image: Volume<f32>,
    /// The field, in log intensity, on the image's grid.
    pub log_bias: Volume<f32>,
    /// How many iterations each level took.
    pub iterations_run: Vec<usize>,
    /// After each iteration of all levels, the coefficient of variation of the field's change.
    pub convergence: Vec<f64>,
}

/// An image could not be corrected.
#[derive(Debug, Error)]
pub enum N4Error {
    /// A setting is out of its range.
    #[error("{0}")]
    Settings(Faults),
    /// Less than two voxels along an axis are left after shrinking.
    #[error(
        "an image of {shape:?} voxels is too small for shrink_factor {shrink_factor}: every axis \
         needs at least {} voxels. Lower shrink_factor or leave n4 out", 2 * shrink_factor
    )]
    TooSmall {
        /// Voxels along each axis.
        shape: [usize; 3],
        /// The setting.
        shrink_factor: usize,
    },
    /// A voxel is infinite or not a number.
    #[error(
        "the image has voxels that are infinite or not a number. Repair the scan, or leave the \
         case out"
    )]
    NotFinite,
    /// The mask is to be the region, and there is none.
    #[error(
        "its mask is the case's region, but the case has none. Give one (`--region`, or the column \
         `region` of a table), or choose another mask"
    )]
    NoRegion,
    /// The region does not fit.
    #[error(
        "the region has {region:?} voxels and the image {image:?}. Use a region on the image's grid"
    )]
    RegionShape {
        /// Voxels of the region along each axis.
        region: [usize; 3],
        /// Voxels of the image along each axis.
        image: [usize; 3],
    },
    /// No two voxels differ.
    #[error(
        "the {voxels} voxels to estimate the field from all have one intensity. Check the scan, \
         choose another mask for n4, or leave the case out"
    )]
    Flat {
        /// How many voxels there are inside the mask, after shrinking.
        voxels: usize,
    },
}

/// The most control points along each axis of the last level: 16 MiB of them.
const MOST_CONTROL_POINTS: usize = 128;

impl CaseStep for N4 {
    fn work(&self) -> Work<'_> {
        Work::Intensities(self)
    }

    fn rules(&self) -> Vec<Fault> {
        let order = self.spline_order;
        if !(order + 1..=MOST_CONTROL_POINTS).contains(&self.control_points) {
            let message = format!(
                "control_points must be from {} (spline_order + 1) to {MOST_CONTROL_POINTS}, not {}",
                order + 1,
                self.control_points
            );
            return vec![Fault::new("control_points", message)];
        }
        let spans = |points: usize| points - order;
        let doublings = (spans(MOST_CONTROL_POINTS) / spans(self.control_points)).ilog2();
        let most_levels = 1 + doublings as usize;
        if (1..=most_levels).contains(&self.iterations.len()) {
            return Vec::new();
        }
        let message = format!(
            "iterations must have from 1 to {most_levels} levels where control_points is {} \
             (every level doubles the spline's spans), not {}",
            self.control_points,
            self.iterations.len()
        );
        vec![Fault::new("iterations", message)]
    }
}

/// What is no part of the signal that a field multiplies.
fn offset(image: &Volume<f32>) -> f32 {
    let Some([low, high]) = extremes(image) else {
        return 0.0;
    };
    match low < -0.1 * (high - low) || low > high - low {
        true => low as f32,
        false => 0.0,
    }
}

impl ChangesImage for N4 {
    fn change(&self, image: &mut Volume<f32>, about: About) -> Result<(), String> {
        let estimate = self.divide(image, about.region, None);
        estimate.map(drop).map_err(|error| error.to_string())
    }
}

/// How the field was found.
struct Estimate {
    iterations_run: Vec<usize>,
    convergence: Vec<f64>,
}

impl N4 {
    /// Estimates the bias field of `image` and divides by it. The result is the same at any number
    /// of threads. `region` is used by the mask of that name alone.
    ///
    /// # Errors
    ///
    /// When a setting is out of its range, the image is too small for the shrink factor, a voxel
    /// is not finite, the region is missing or has another shape, or all voxels to estimate from
    /// are the same.
    pub fn correct(
        &self,
        image: &Volume<f32>,
        region: Option<&Volume<f32>>,
    ) -> Result<Corrected, N4Error> {
        let mut corrected = image.clone();
        let mut log_bias = vec![0.0; image.voxels.len()];
        let estimate = self.divide(&mut corrected, region, Some(&mut log_bias))?;
        Ok(Corrected {
            log_bias: Volume {
                // Cannot fail: it was made with as many values as the image has voxels.
                voxels: Array3::from_shape_vec(image.shape(), log_bias)
                    .expect("one value per voxel"),
                affine: image.affine,
            },
            image: corrected,
            iterations_run: estimate.iterations_run,
            convergence: estimate.convergence,
        })
    }

    /// Divides `image` by its field, and writes the field into `log_bias`, in log intensity and C order, if that is wanted.
    /// An image that cannot be corrected may have been changed.
    fn divide(
        &self,
        image: &mut Volume<f32>,
        region: Option<&Volume<f32>>,
        log_bias: Option<&mut [f32]>,
    ) -> Result<Estimate, N4Error> {
        validate(self, CaseStep::rules).map_err(N4Error::Settings)?;
        let offset = offset(image);
        if offset != 0.0 {
            image.change(|value| value - offset);
        }
        let fit = self.fit(image, region)?;
        let estimate = match self.spline_order {
            2 => self.divide_by::<3>(image, fit, log_bias),
            3 => self.divide_by::<4>(image, fit, log_bias),
            _ => self.divide_by::<5>(image, fit, log_bias),
        };
        if offset != 0.0 {
            image.change(|value| value + offset);
        }
        Ok(estimate)
    }

    /// What the field is fitted to.
    fn fit(&self, image: &Volume<f32>, region: Option<&Volume<f32>>) -> Result<Fit, N4Error> {
        let shape = image.shape();
        if shape.iter().any(|n| n / 2 < self.shrink_factor) {
            return Err(N4Error::TooSmall {
                shape,
                shrink_factor: self.shrink_factor,
            });
        }
        if !image.is_finite() {
            return Err(N4Error::NotFinite);
        }
        let kept = shrunk(&image.voxels, self.shrink_factor);
        let above = |floor: f64| {
            let inside = |voxel: &f32| f32::from(f64::from(*voxel) > floor);
            kept.iter().map(inside).collect()
        };
        let weights = match self.mask {
            Mask::None => vec![1.0; kept.len()],
            Mask::Otsu => {
                let in_order = image.voxels.as_standard_layout();
                above(otsu::threshold(in_order.as_slice().unwrap_or_default()))
            }
            Mask::Foreground => above(0.0),
            Mask::Region => {
                let region = region.ok_or(N4Error::NoRegion)?;
                if region.shape() != shape {
                    return Err(N4Error::RegionShape {
                        region: region.shape(),
                        image: shape,
                    });
                }
                let weights = shrunk(&region.voxels, self.shrink_factor);
                weights.iter().map(|weight| weight.max(0.0)).collect()
            }
        };
        let fit = Fit::new(&kept, weights);
        if fit.is_flat() {
            return Err(N4Error::Flat {
                voxels: fit.voxels(),
            });
        }
        Ok(fit)
    }

    fn divide_by<const REACH: usize>(
        &self,
        image: &mut Volume<f32>,
        fit: Fit,
        log_bias: Option<&mut [f32]>,
    ) -> Estimate {
        let fitted = fit.run::<REACH>(self);
        // The control points found on the shrunk grid are stretched over the whole one, as in ITK.
        let shape = image.shape();
        let basis = fitted.lattice.basis(shape);
        let plane = shape[1] * shape[2];
        let planes = in_order(&mut image.voxels).par_chunks_mut(plane);
        let divide = |x: usize, voxels: &mut [f32], mut log_bias: Option<&mut [f32]>| {
            fitted.lattice.visit_plane(&basis, x, |start, field| {
                let row = start..start + field.len();
                for (voxel, field) in voxels[row.clone()].iter_mut().zip(field) {
                    *voxel /= (*field as f32).exp();
                }
                if let Some(log_bias) = &mut log_bias {
                    for (log_bias, field) in log_bias[row].iter_mut().zip(field) {
                        *log_bias = *field as f32;
                    }
                }
            });
        };
        match log_bias {
            None => planes
                .enumerate()
                .for_each(|(x, voxels)| divide(x, voxels, None)),
            Some(log_bias) => {
                let planes = planes.zip(log_bias.par_chunks_mut(plane)).enumerate();
                planes.for_each(|(x, (voxels, log_bias))| divide(x, voxels, Some(log_bias)));
            }
        }
        Estimate {
            iterations_run: fitted.iterations_run,
            convergence: fitted.convergence,
        }
    }
}

/// Every `factor`-th voxel, as many as fit, with the same margin at both ends or one voxel more
/// before the first than after the last. Every axis must have at least `factor` voxels.
fn shrunk(voxels: &Array3<f32>, factor: usize) -> Array3<f32> {
    let axis = |n: usize| {
        let length = (n / factor - 1) * factor + 1;
        let first = (n - length).div_ceil(2);
        Slice::from(first..first + length).step_by(factor as isize)
    };
    let every = voxels.slice_each_axis(|axis_description| axis(axis_description.len));
    every.as_standard_layout().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shrinking_keeps_the_voxels_that_itk_keeps() {
        // First voxel kept, by length and factor, from SimpleITK's Shrink.
        for (n, factor, first) in [
            (80, 3, 2),
            (96, 3, 1),
            (96, 4, 2),
            (128, 2, 1),
            (160, 3, 2),
            (192, 3, 1),
            (7, 4, 3),
            (10, 3, 2),
            (10, 1, 0),
        ] {
            let ramp = Array3::from_shape_fn((factor, n, factor), |(_, y, _)| y as f32);
            let kept = shrunk(&ramp, factor);
            let expected: Vec<f32> = (0..n / factor)
                .map(|i| (first + i * factor) as f32)
                .collect();
            assert_eq!(
                kept.into_raw_vec_and_offset().0,
                expected,
                "{n} by {factor}"
            );
        }
    }

    #[test]
    fn settings_out_of_range_are_refused_by_name() {
        type Spoil = fn(&mut N4);
        let refused: [(&str, Spoil); 10] = [
            ("shrink_factor", |n4| n4.shrink_factor = 0),
            ("spline_order", |n4| n4.spline_order = 5),
            ("control_points", |n4| n4.control_points = 3),
            ("iterations", |n4| n4.iterations = vec![]),
            ("iterations", |n4| n4.iterations = vec![1; 8]),
            ("bins", |n4| n4.bins = 1),
            ("convergence_threshold", |n4| {
                n4.convergence_threshold = -0.1
            }),
            ("convergence_threshold", |n4| {
                n4.convergence_threshold = f64::NAN
            }),
            ("fwhm", |n4| n4.fwhm = 0.0),
            ("wiener_noise", |n4| n4.wiener_noise = 0.0),
        ];
        for (name, spoil) in refused {
            let mut settings = N4::default();
            spoil(&mut settings);
            let Faults(faults) = validate(&settings, CaseStep::rules).unwrap_err();
            assert_eq!(faults[0].path, name);
        }
        assert_eq!(validate(&N4::default(), CaseStep::rules), Ok(()));
        let most = N4 {
            iterations: vec![1; 7],
            ..N4::default()
        };
        assert_eq!(validate(&most, CaseStep::rules), Ok(()));
    }
}
