//! Parts of a file's voxels.

use std::fs;

use calvaria::volume::nifti::{Dtype, Encoding, Pieces, read_image, write_image};
use calvaria::volume::{Affine, Region, Volume};
use ndarray::{Array3, s};

const SHAPE: [usize; 3] = [7, 5, 6];

fn volume() -> Volume<f32> {
    Volume {
        voxels: Array3::from_shape_fn(SHAPE, |(x, y, z)| (x * 30 + y * 6 + z) as f32),
        affine: Affine::diagonal([1.0, 2.0, 1.5], [-3.0, 4.0, 0.0]),
    }
}

#[test]
fn any_part_of_a_file_is_that_part_of_the_whole() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("image.nii");
    let scaled = Encoding {
        slope: 0.5,
        inter: -3.0,
        ..Dtype::Int16.into()
    };
    for encoding in [Dtype::Float32.into(), Dtype::Uint8.into(), scaled] {
        write_image(&path, &volume(), encoding).unwrap();
        let whole = read_image(&path).unwrap();
        let mut pieces = Pieces::open(&path).unwrap();
        assert_eq!(pieces.grid(), whole.grid());
        for (start, shape) in [
            ([0; 3], SHAPE),
            ([0; 3], [1; 3]),
            ([6, 4, 5], [1; 3]),
            ([2, 1, 3], [4, 3, 2]),
            ([3, 0, 0], [1, 5, 6]),
        ] {
            let region = Region { start, shape };
            let [x, y, z] = region.end();
            let [i, j, k] = start;
            let part = whole.voxels.slice(s![i..x, j..y, k..z]);
            assert_eq!(pieces.read(region).unwrap(), part, "{region:?}");
        }
    }
}

#[test]
fn what_cannot_be_read_in_pieces_is_refused_with_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let (plain, packed) = (folder.path().join("a.nii"), folder.path().join("b.nii.gz"));
    write_image(&packed, &volume(), Dtype::Uint8).unwrap();
    let message = Pieces::open(&packed).unwrap_err().to_string();
    assert!(message.contains("b.nii.gz"), "{message}");

    write_image(&plain, &volume(), Dtype::Uint8).unwrap();
    let bytes = fs::read(&plain).unwrap();
    fs::write(&plain, &bytes[..bytes.len() - 10]).unwrap();
    let mut pieces = Pieces::open(&plain).unwrap();
    let message = pieces.read(Region::whole(SHAPE)).unwrap_err().to_string();
    assert!(message.contains("a.nii"), "{message}");
    fs::write(&plain, &bytes[..100]).unwrap();
    let message = Pieces::open(&plain).unwrap_err().to_string();
    assert!(message.contains("ends within the header"), "{message}");
    fs::remove_file(&plain).unwrap();
    let message = Pieces::open(&plain).unwrap_err().to_string();
    assert!(message.contains("cannot open"), "{message}");
}
