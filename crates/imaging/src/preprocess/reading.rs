//! From the files of a case to volumes on one grid.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use ndarray::Array3;

use super::field_of_view::Content;
use super::{CaseVolumes, ImageFile, Inputs, LoadedCase, PreprocessError, check_pair};
use crate::volume::nifti::{Forms, Origin, Scan, read_scan, read_volumes};
use crate::volume::resample::{background, resample_covered};
use crate::volume::{Grid, Volume, VolumeError};

/// What [`Inputs::place`] does.
pub(super) fn place(inputs: &Inputs, scans: Vec<Scan>) -> Result<LoadedCase, PreprocessError> {
    let reference = inputs.onto.unwrap_or(&inputs.images[0]);
    let at = inputs.images.iter().position(|image| image == reference);
    let (own, grid) = match at {
        Some(at) => (scans[at].forms, scans[at].volume.grid()),
        None => {
            let scan = read_one(reference)?;
            (scan.forms, scan.volume.grid())
        }
    };
    let mut reader = Reader {
        inputs,
        reference,
        own,
        forms: scans.iter().map(|scan| scan.forms).collect(),
        grid,
        warnings: doubts(&inputs.images, &scans),
        moved: Vec::new(),
    };
    let (encoding, rounded) = (scans[0].encoding, scans[0].rounded);
    let images = scans.into_iter().enumerate();
    let images = images.map(|(index, scan)| reader.image(index, scan.volume));
    let images = images.collect::<Result<_, _>>()?;
    let mask = inputs.mask.map(|path| reader.mask(path)).transpose()?;
    let region = inputs.region.map(|path| reader.region(path)).transpose()?;
    let case = CaseVolumes {
        images,
        names: inputs.names(),
        mask,
        region,
    };
    reader.look_beyond(&case);
    let files: Vec<&Path> = inputs.files().map(|image| &*image.path).collect();
    Ok(LoadedCase {
        case,
        encoding,
        origin: Origin::of(&files, reader.own),
        rounded,
        warnings: reader.warnings,
    })
}

/// An image alone.
fn read_one(image: &ImageFile) -> Result<Scan, PreprocessError> {
    let alone = Inputs::images(std::slice::from_ref(image), None);
    let mut scans = read_images(&alone)?;
    Ok(scans.remove(0))
}

/// What [`Inputs::read_images`] does.
pub(super) fn read_images(inputs: &Inputs) -> Result<Vec<Scan>, PreprocessError> {
    let mut wanted: BTreeMap<&Path, BTreeSet<usize>> = BTreeMap::new();
    for image in inputs.images.iter() {
        wanted.entry(&image.path).or_default().extend(image.volume);
    }
    let mut read: BTreeMap<(&Path, usize), Scan> = BTreeMap::new();
    for (path, volumes) in wanted.iter().filter(|(_, volumes)| !volumes.is_empty()) {
        let scans = read_volumes(path, volumes)?.into_iter();
        read.extend(scans.map(|(index, scan)| ((*path, index), scan)));
    }
    let mut scans = Vec::with_capacity(inputs.images.len());
    for (at, image) in inputs.images.iter().enumerate() {
        let Some(index) = image.volume else {
            scans.push(read_scan(&image.path)?);
            continue;
        };
        let same = |other: &ImageFile| other.path == image.path && other.volume == image.volume;
        let key = (&*image.path, index);
        // Not copied, unless another image is the same volume.
        let scan = match inputs.images[at + 1..].iter().any(same) {
            true => read.get(&key).cloned(),
            false => read.remove(&key),
        };
        let Some(scan) = scan else {
            unreachable!("every volume that is asked for is read, or reading fails");
        };
        scans.push(scan);
    }
    Ok(scans)
}

/// What is doubtful about the images, each of them named where there are several.
fn doubts(images: &[ImageFile], scans: &[Scan]) -> Vec<String> {
    if let [scan] = scans {
        return scan.warnings();
    }
    let mut told: BTreeSet<(&Path, String)> = BTreeSet::new();
    let mut doubts = Vec::new();
    for (image, scan) in images.iter().zip(scans) {
        for doubt in scan.warnings() {
            // One header stands for all volumes of its file.
            if told.insert((&image.path, doubt.clone())) {
                doubts.push(format!("the image `{}`: {doubt}", image.name));
            }
        }
    }
    doubts
}

/// Puts what is read on one grid.
struct Reader<'a> {
    inputs: &'a Inputs<'a>,
    /// The image whose grid it is, and how its file places it.
    reference: &'a ImageFile,
    own: Forms,
    /// How each image's file places it.
    forms: Vec<Forms>,
    grid: Grid,
    /// What is doubtful about the case.
    warnings: Vec<String>,
    /// The images that were moved onto the grid, by name, with their own grids.
    moved: Vec<(String, Grid)>,
}

impl Reader<'_> {
    fn fits(&self, name: &str, on: &Forms, other: &Forms) -> Result<Option<String>, String> {
        on.fits(name, other, self.inputs.grid_tolerance)
    }

    fn image(&mut self, index: usize, volume: Volume<f32>) -> Result<Volume<f32>, PreprocessError> {
        let (image, reference) = (&self.inputs.images[index], self.reference);
        if image == reference {
            return Ok(volume);
        }
        let name = format!("`{}`", reference.name);
        match self.fits(&name, &self.own, &self.forms[index]) {
            Ok(noted) => {
                let noted = noted.map(|noted| format!("the image `{}`: {noted}", image.name));
                self.warnings.extend(noted);
                Ok(Volume {
                    affine: self.grid.affine,
                    ..volume
                })
            }
            Err(_) if self.inputs.onto.is_some() => self.resampled(image, &volume),
            Err(difference) => Err(PreprocessError::Images {
                images: Box::new([image.clone(), reference.clone()]),
                difference,
                remedy: self.remedy(),
            }),
        }
    }

    fn resampled(
        &mut self,
        image: &ImageFile,
        volume: &Volume<f32>,
    ) -> Result<Volume<f32>, PreprocessError> {
        let fill = background(volume);
        let moved = resample_covered(volume, &self.grid, fill);
        let is_flat = |voxels: &Array3<f32>| voxels.iter().all(|voxel| *voxel == fill);
        if is_flat(&moved.voxels) && !is_flat(&volume.voxels) {
            return Err(PreprocessError::Apart {
                images: Box::new([image.clone(), self.reference.clone()]),
            });
        }
        self.moved.push((image.name.clone(), volume.grid()));
        Ok(moved)
    }

    /// Tells how much of what matters in a case the images that were moved do not show.
    fn look_beyond(&mut self, case: &CaseVolumes) {
        if self.moved.is_empty() {
            return;
        }
        let content = Content::of(case);
        let doubts = self.moved.iter().filter_map(|(name, grid)| {
            let part = content.beyond(grid)?;
            Some(format!(
                "{part} lies outside the image `{name}`, which has its background there"
            ))
        });
        self.warnings.extend(doubts);
    }

    /// What puts images of different grids on one, as far as it can be told: that on which the mask was drawn.
    fn remedy(&self) -> String {
        let mask = self.inputs.mask.and_then(|path| read_scan(path).ok());
        match mask.and_then(|mask| self.image_of(&mask.forms)) {
            Some(own) => format!("`onto: {}` (the mask lies on that image's grid)", own.name),
            None => "`onto:` and the name of the image on whose grid the mask lies".to_owned(),
        }
    }

    /// An image on whose own grid a mask lies.
    fn image_of(&self, mask: &Forms) -> Option<&ImageFile> {
        let mut forms = self.forms.iter();
        let found = forms.position(|forms| self.fits("", forms, mask).is_ok())?;
        Some(&self.inputs.images[found])
    }

    fn mask(&mut self, path: &Path) -> Result<Volume<u8>, PreprocessError> {
        let (read, noted) = self.read_beside(path)?;
        let mask = read.into_mask(path, self.inputs.mask_rule);
        let mut mask = mask.map_err(|source| self.of_case(source))?;
        self.place(&mut mask, path, noted);
        Ok(mask)
    }

    /// What is wrong with a map of labels. Which case has it matters: the labels of all are declared in one place.
    fn of_case(&self, source: VolumeError) -> PreprocessError {
        match self.inputs.structures() {
            Some(_) if !self.inputs.id.is_empty() => PreprocessError::Labels {
                case: self.inputs.id.to_owned(),
                source,
            },
            _ => source.into(),
        }
    }

    fn region(&mut self, path: &Path) -> Result<Volume<f32>, PreprocessError> {
        let (read, noted) = self.read_beside(path)?;
        let mut region = read.into_image(path)?;
        self.place(&mut region, path, noted);
        if region.voxels.iter().all(|weight| *weight == 0.0) {
            return Err(PreprocessError::EmptyRegion {
                path: path.to_owned(),
            });
        }
        if region.voxels.iter().any(|weight| *weight < 0.0) {
            return Err(PreprocessError::NegativeRegion {
                path: path.to_owned(),
            });
        }
        Ok(region)
    }

    /// A file that must lie on the grid, and what is noted about its place.
    fn read_beside(&self, path: &Path) -> Result<(Scan, Option<String>), PreprocessError> {
        let read = read_scan(path)?;
        let reference = self.reference;
        let scan = (&*reference.path, &self.own);
        let noted = check_pair(scan, (path, &read.forms), self.inputs.grid_tolerance);
        let noted = noted.map_err(|error| match self.image_of(&read.forms) {
            Some(other) => PreprocessError::OnOther {
                mask: path.to_owned(),
                other: other.name.clone(),
                reference: reference.name.clone(),
            },
            None => error,
        })?;
        Ok((read, noted))
    }

    /// Where something is `noted` about a mask's place, its voxels are the scan's from here on.
    fn place<T>(&mut self, mask: &mut Volume<T>, path: &Path, noted: Option<String>) {
        if let Some(noted) = noted {
            mask.affine = self.grid.affine;
            self.warnings
                .push(format!("the mask {}: {noted}", path.display()));
        }
    }
}
