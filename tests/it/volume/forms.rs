//! Scans whose qform and sform differ, or that have neither: what nibabel and SimpleITK make of the same files.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use calvaria::preprocess::{GRID_TOLERANCE, Inputs};
use calvaria::volume::nifti::{Dtype, Forms, Origin, read_scan, write_like};
use calvaria::volume::{Affine, Grid, Volume};
use serde::Deserialize;

use super::reading::{fixture, temporary};

#[derive(Deserialize)]
struct Reference {
    files: BTreeMap<String, OfFile>,
}

#[derive(Deserialize)]
struct OfFile {
    nibabel: Nibabel,
    #[serde(rename = "SimpleITK")]
    itk: Itk,
    voxels_of_brain: usize,
}

#[derive(Deserialize)]
struct Nibabel {
    affine: [[f64; 4]; 4],
}

#[derive(Deserialize)]
struct Itk {
    origin: [f64; 3],
    direction: [f64; 9],
    spacing: [f64; 3],
}

impl Itk {
    /// ITK's axes run to the left and to the back.
    fn affine(&self) -> Affine {
        let sign = [-1.0, -1.0, 1.0];
        let row = |r: usize| -> [f64; 4] {
            std::array::from_fn(|c| match c {
                3 => sign[r] * self.origin[r],
                c => sign[r] * self.direction[3 * r + c] * self.spacing[c],
            })
        };
        Affine([row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]])
    }
}

fn reference() -> BTreeMap<String, OfFile> {
    let text = fs::read_to_string(fixture("forms/forms.json")).unwrap();
    serde_json::from_str::<Reference>(&text).unwrap().files
}

fn scans() -> impl Iterator<Item = (String, OfFile)> {
    let is_scan = |(name, _): &(String, OfFile)| !name.contains("_mask");
    reference().into_iter().filter(is_scan)
}

/// Bytes of the header that place voxels, and that say how they were acquired.
fn placing_bytes(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    let file = flate2::read::GzDecoder::new(fs::File::open(path).unwrap());
    std::io::Read::read_to_end(&mut std::io::BufReader::new(file), &mut bytes).unwrap();
    // pixdim's later numbers and the unit of time are about axes that a volume lacks.
    let places = [39..40, 74..92, 120..124, 132..136, 252..328];
    places
        .into_iter()
        .flat_map(|place| bytes[place].to_vec())
        .collect()
}

#[test]
fn a_scan_lies_where_nibabel_puts_it_and_in_mm_where_itk_does() {
    for (name, expected) in scans() {
        let scan = read_scan(&fixture(&format!("forms/{name}"))).unwrap();
        // nibabel ignores the unit, and centres a scan without forms.
        let affine = match &*name {
            "micrometres.nii.gz" | "metres.nii.gz" => expected.itk.affine(),
            "none.nii.gz" => Affine::diagonal([10.0, 11.0, 12.0], [0.0; 3]),
            _ => Affine(expected.nibabel.affine),
        };
        let offset = scan.volume.grid().largest_offset(&affine);
        assert!(offset < 1e-4, "{name}: {offset} mm");
    }
}

#[test]
fn results_are_placed_by_the_same_bytes_as_their_scan() {
    for (name, _) in scans() {
        let path = fixture(&format!("forms/{name}"));
        let scan = read_scan(&path).unwrap();
        let (_folder, written) = temporary("result.nii.gz");
        let mask = Volume {
            voxels: scan.volume.voxels.mapv(|value| u8::from(value > 500.0)),
            affine: scan.volume.affine,
        };
        write_like(
            &written,
            &mask,
            Dtype::Uint8,
            &Origin::of(&[&path], scan.forms),
        )
        .unwrap();
        assert_eq!(placing_bytes(&written), placing_bytes(&path), "{name}");
    }
}

#[test]
fn a_mask_drawn_in_itk_fits_its_scan_by_the_form_that_itk_took() {
    for (name, expected) in scans() {
        let at = |end: &str| fixture(&format!("forms/{}", name.replace(".nii.gz", end)));
        let (image, mask) = (at(".nii.gz"), at("_mask.nii.gz"));
        let inputs = Inputs {
            mask: Some(&mask),
            ..Inputs::scan(&image, None)
        };
        let loaded = inputs.read().unwrap();
        let found = loaded.case.mask.as_ref().unwrap();
        let apart = found.grid().largest_offset(&loaded.case.grid().affine);
        assert!(apart <= 1e-3, "{name}: {apart} mm");
        let voxels = found.voxels.iter().filter(|voxel| **voxel != 0).count();
        assert_eq!(voxels, expected.voxels_of_brain, "{name}");
        let warning = loaded.warnings.join("; ");
        let by = match &*name {
            "both12.nii.gz" | "both14.nii.gz" | "mirrored12.nii.gz" => {
                "agrees with the scan's qform, not with its sform"
            }
            "none.nii.gz" => "agrees with the scan's voxel sizes as ITK takes them",
            _ => continue,
        };
        assert!(warning.contains(by), "{name}: {warning}");
    }
}

#[test]
fn contradictory_headers_are_warned_of_once() {
    for (name, parts) in [
        (
            "both12.nii.gz",
            &["two forms place the same voxel up to"][..],
        ),
        ("none.nii.gz", &["neither sform nor qform"]),
        (
            "pixdim_changed.nii.gz",
            &["voxel sizes are 20.000 x 22.000 x 24.000 mm"],
        ),
        ("micrometres.nii.gz", &["unit is micrometres"]),
        ("metres.nii.gz", &["unit is metres"]),
        ("same11.nii.gz", &[]),
        ("same44.nii.gz", &[]),
        ("q1s0.nii.gz", &[]),
    ] {
        let warnings = read_scan(&fixture(&format!("forms/{name}")))
            .unwrap()
            .warnings();
        assert_eq!(warnings.len(), parts.len(), "{name}: {warnings:?}");
        for (warning, part) in warnings.iter().zip(parts) {
            assert!(warning.contains(part), "{name}: {warning}");
        }
    }
}

#[test]
fn a_mask_of_another_place_is_refused_though_the_forms_differ() {
    let scan = read_scan(&fixture("forms/both12.nii.gz")).unwrap();
    let mut grid = scan.volume.grid();
    grid.affine.0[2][3] += 5.0;
    assert!(
        scan.forms
            .fits("the scan", &Forms::of(&grid), GRID_TOLERANCE)
            .is_err()
    );
    grid.shape[0] -= 1;
    let why = scan
        .forms
        .fits("the scan", &Forms::of(&grid), GRID_TOLERANCE)
        .unwrap_err();
    assert!(why.contains("shape"), "{why}");
}

#[test]
fn a_scan_that_is_moved_takes_both_of_its_forms_along() {
    let scan = read_scan(&fixture("forms/both14.nii.gz")).unwrap();
    let box_of_it = scan.volume.cut([2, -1, 3], [5, 6, 7], 0.0);
    let moved = scan.forms.moved_to(&box_of_it.grid());
    let corner = |forms: &Forms, voxel: [f64; 3]| -> Vec<[f64; 3]> {
        let readings = forms.readings().into_iter();
        readings.map(|(_, affine)| affine.apply(voxel)).collect()
    };
    let (before, after) = (
        corner(&scan.forms, [2.0, -1.0, 3.0]),
        corner(&moved, [0.0; 3]),
    );
    assert_eq!(before.len(), 2);
    for (a, b) in before.iter().flatten().zip(after.iter().flatten()) {
        assert!((a - b).abs() < 1e-4, "{before:?} {after:?}");
    }
    // Without forms there is nothing to take along: the grid's own place is written.
    let bare = read_scan(&fixture("forms/none.nii.gz")).unwrap();
    let grid = Grid::centred_on_world([4, 5, 6], [2.0; 3]);
    assert_eq!(bare.forms.moved_to(&grid), Forms::of(&grid));
}
