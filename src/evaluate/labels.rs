//! Which labels occur in files.

use std::collections::BTreeSet;
use std::path::Path;

use super::EvaluateError;
use crate::volume::nifti::read_scan;
use crate::volume::{Named, Structures, Undeclared, Volume};

/// Every label that occurs in predictions or their truths, as a structure of its own that is called by its value; all but
/// the `ignored` one.
///
/// # Errors
///
/// When a file cannot be read, a value is no label (a whole number from 0 to 65535), or there are no labels or too many.
pub fn labels_that_occur(
    files: &[&Path],
    ignored: Option<u16>,
) -> Result<Structures, EvaluateError> {
    let refused = |why: String| EvaluateError::Labels {
        files: match files {
            [prediction, truth] => format!("{} and {}", prediction.display(), truth.display()),
            all => format!("{} files", all.len()),
        },
        why,
    };
    let mut labels = BTreeSet::new();
    for &path in files {
        let image = read_scan(path)?.into_image(path)?;
        let mut last = f32::NAN;
        for &value in &image.voxels {
            if value == last {
                continue;
            }
            last = value;
            let label = value.round();
            if (value - label).abs() > 1e-3 || !(0.0..=f32::from(u16::MAX)).contains(&label) {
                return Err(refused(format!(
                    "{} has the value {value}, which is not a whole number from 0 to 65535",
                    path.display()
                )));
            }
            labels.insert(label as u16);
        }
    }
    labels.remove(&0);
    ignored.inspect(|label| {
        labels.remove(label);
    });
    let named = labels.into_iter();
    let named: Vec<Named> = named
        .map(|label| (label.to_string(), vec![label]))
        .collect();
    Structures::labels(&named, ignored, Undeclared::Refused).map_err(|why| refused(why.to_string()))
}

/// The names of structures that are in neither class map.
pub(super) fn nowhere<'a>(structures: &'a Structures, maps: [&Volume<u8>; 2]) -> Vec<&'a str> {
    let counts = maps.map(|map| Structures::count_voxels(&map.voxels));
    let occurs = |structure: usize| {
        let mut classes = (0..=u8::MAX).filter(|class| structures.contains(structure, *class));
        classes.any(|class| counts.iter().any(|of| of[usize::from(class)] > 0))
    };
    let names = structures.names().into_iter().enumerate();
    names
        .filter_map(|(structure, name)| (!occurs(structure)).then_some(name))
        .collect()
}
