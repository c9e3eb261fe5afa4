//! Cached cases that are read in pieces.

use std::fs::{self, File};
use std::path::Path;
use std::time::{Duration, SystemTime};

use calvaria::preprocess::cache::{Cache, CachedCase, PiecewiseCase, VoxelOf};
use calvaria::preprocess::{GRID_TOLERANCE, ImageFile, Inputs, Pipeline};
use calvaria::volume::nifti::{Dtype, write_image, write_mask};
use calvaria::volume::{MaskRule, Region};

use crate::common::ball;

fn cached(folder: &Path) -> CachedCase {
    let case = ball([0.0; 3]);
    let [image, mask] = ["scan.nii", "mask.nii"].map(|name| folder.join(name));
    write_image(&image, &case.images[0], Dtype::Int16).unwrap();
    write_mask(&mask, case.mask.as_ref().unwrap()).unwrap();
    let inputs = Inputs {
        id: "case",
        images: vec![ImageFile::only(&image)].into(),
        onto: None,
        mask: Some(&mask),
        mask_rule: &MaskRule::STRICT,
        region: None,
        grid_tolerance: GRID_TOLERANCE,
    };
    let cache = Cache::new(folder.join("cache"));
    cache.prepare(&inputs, &Pipeline::default()).unwrap().files
}

/// Sets when a file was written.
fn date(path: &Path, written: SystemTime) {
    let file = File::options().append(true).open(path).unwrap();
    file.set_modified(written).unwrap();
}

fn an_hour_ago() -> SystemTime {
    SystemTime::now() - Duration::from_secs(3600)
}

#[test]
fn what_is_known_of_a_case_is_what_its_volumes_hold() {
    let folder = tempfile::tempdir().unwrap();
    let files = cached(folder.path());
    let whole = files.load().unwrap();
    let (image, mask) = (&whole.images[0], &whole.mask.unwrap().voxels);
    let mut open = PiecewiseCase::new(files).open().unwrap();
    assert_eq!(open.grid(), image.grid());
    let lowest = image.voxels.iter().copied().fold(f32::INFINITY, f32::min);
    assert_eq!(open.lowest(), [lowest]);
    let region = Region::whole(image.shape());
    assert_eq!(open.images(region).unwrap()[0], image.voxels);
    assert_eq!(open.mask(region).unwrap().as_ref(), Some(mask));

    for wanted in [0, 1] {
        let voxels = mask.indexed_iter().filter(|(_, class)| **class == wanted);
        let places: Vec<_> = voxels.map(|((x, y, z), _)| [x, y, z]).collect();
        assert_eq!(open.counts()[usize::from(wanted)], places.len() as u64);
        let mut find = |nth: usize| {
            let classes = std::array::from_fn(|class| class == usize::from(wanted));
            let nth = nth as u64;
            open.find(&VoxelOf { classes, nth }).unwrap()
        };
        for nth in (0..places.len()).step_by(997).chain([places.len() - 1]) {
            assert_eq!(find(nth), Some(places[nth]));
        }
        assert_eq!(find(places.len()), None);
    }
}

#[test]
fn a_case_that_changes_while_it_is_used_is_refused_and_one_that_is_restored_is_not() {
    let folder = tempfile::tempdir().unwrap();
    let files = cached(folder.path());
    let paths = [files.images[0].clone(), files.mask.clone().unwrap()];
    paths.iter().for_each(|path| date(path, an_hour_ago()));
    let case = PiecewiseCase::new(files);
    case.open().unwrap();
    for path in &paths {
        let bytes = fs::read(path).unwrap();
        let refusal = || case.open().unwrap_err().to_string();
        let mut changed = bytes.clone();
        *changed.last_mut().unwrap() ^= 1;
        fs::write(path, changed).unwrap();
        assert!(refusal().contains("not what was stored"), "{}", refusal());
        fs::write(path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(refusal().contains("not what was stored"), "{}", refusal());
        fs::write(path, &bytes[..10]).unwrap();
        assert!(refusal().contains(path.to_str().unwrap()), "{}", refusal());
        fs::remove_file(path).unwrap();
        assert!(refusal().contains("cannot open"), "{}", refusal());
        fs::write(path, bytes).unwrap();
        case.open().unwrap();
    }
}

#[test]
fn a_case_is_read_from_end_to_end_once_unless_it_was_written_just_now() {
    let folder = tempfile::tempdir().unwrap();
    let files = cached(folder.path());
    let path = files.images[0].clone();
    let spoil = |written| {
        let mut bytes = fs::read(&path).unwrap();
        *bytes.last_mut().unwrap() ^= 1;
        fs::write(&path, bytes).unwrap();
        date(&path, written);
    };
    // A test may be slow: what is written in a minute is not older than that.
    let (long_ago, now) = (an_hour_ago(), SystemTime::now() + Duration::from_secs(60));
    date(files.mask.as_deref().unwrap(), long_ago);
    date(&path, long_ago);
    let case = PiecewiseCase::new(files);
    case.open().unwrap();
    spoil(long_ago);
    assert!(case.open().is_ok(), "nothing shows that it was written");
    spoil(now);
    assert!(case.open().is_ok(), "it is whole again");
    spoil(now);
    assert!(
        case.open().is_err(),
        "the time of a second write may be the first's"
    );
}
