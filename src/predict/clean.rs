//! What is done to the pieces of each structure, once it is decided which voxels it has.

use ndarray::{Array3, Zip};

use crate::experiment::Postprocess;
use crate::volume::{Structures, drop_small, fill_holes, keep_largest};

/// What is done to the mask of each structure.
pub(super) struct Cleaning<'a> {
    pub(super) settings: &'a Postprocess,
    pub(super) structures: &'a Structures,
    /// The volume of a voxel.
    pub(super) voxel_ml: f64,
}

impl Cleaning<'_> {
    /// Cleans each structure of a class map, in which it is one class: what is taken from it is background, and holes are
    /// filled where there is background.
    pub(super) fn of_classes(&self, classes: &mut Array3<u8>) {
        if self.settings.largest_foreground {
            let mut foreground = classes.mapv(|of| u8::from(of != 0));
            keep_largest(&mut foreground);
            keep_within(classes, &foreground);
        }
        let each = 0..self.structures.count();
        for structure in each.filter(|structure| self.changes(*structure)) {
            let class = self.structures.written(structure);
            let mut kept = classes.mapv(|of| u8::from(of == class));
            self.clean(structure, &mut kept);
            Zip::from(&mut *classes).and(&kept).for_each(|of, kept| {
                if *of == class && *kept == 0 {
                    *of = 0;
                } else if *of == 0 && *kept != 0 {
                    *of = class;
                }
            });
        }
    }

    /// The class map of the structures' masks, each cleaned, later ones over earlier ones.
    pub(super) fn of_masks(
        &self,
        shape: [usize; 3],
        mask_of: impl Fn(usize) -> Array3<u8>,
    ) -> Array3<u8> {
        if self.structures.is_mask() {
            let mut mask = mask_of(0);
            self.clean(0, &mut mask);
            return mask;
        }
        let each = 0..self.structures.count();
        let foreground = self.settings.largest_foreground.then(|| {
            let mut foreground = Array3::zeros(shape);
            for structure in each.clone() {
                Zip::from(&mut foreground)
                    .and(&mask_of(structure))
                    .for_each(|of, inside| *of |= inside);
            }
            keep_largest(&mut foreground);
            foreground
        });
        let mut classes = Array3::zeros(shape);
        for structure in each {
            let class = self.structures.written(structure);
            let mut mask = mask_of(structure);
            if let Some(foreground) = &foreground {
                keep_within(&mut mask, foreground);
            }
            self.clean(structure, &mut mask);
            Zip::from(&mut classes).and(&mask).for_each(|of, inside| {
                if *inside != 0 {
                    *of = class;
                }
            });
        }
        classes
    }

    /// The fewest voxels of a piece.
    fn least(&self, structure: usize) -> usize {
        let least = self.settings.structures[structure].minimum_ml / self.voxel_ml;
        // A piece of the very size stays, whatever rounding does.
        (least - 1e-6).ceil().max(0.0) as usize
    }

    fn changes(&self, structure: usize) -> bool {
        let steps = &self.settings.structures[structure];
        steps.largest_component || steps.fill_holes || self.least(structure) > 1
    }

    fn clean(&self, structure: usize, mask: &mut Array3<u8>) {
        let steps = &self.settings.structures[structure];
        if steps.largest_component {
            keep_largest(mask);
        }
        let least = self.least(structure);
        if least > 1 {
            drop_small(mask, least);
        }
        if steps.fill_holes {
            fill_holes(mask);
        }
    }
}

/// Leaves what lies in the foreground.
fn keep_within(classes: &mut Array3<u8>, foreground: &Array3<u8>) {
    Zip::from(classes)
        .and(foreground)
        .for_each(|of, inside| *of *= inside);
}
