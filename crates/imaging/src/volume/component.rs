//! Connected pieces of a mask.

use ndarray::Array3;

/// Keeps the largest piece of `mask` whose voxels touch by their faces; clears the rest. Of two
/// equally large ones the first in index order stays. An empty mask stays empty.
pub fn keep_largest(mask: &mut Array3<u8>) {
    let mut labels = Array3::<u32>::zeros(mask.raw_dim());
    let mut sizes = vec![0_usize];
    let mut open = Vec::new();
    for (start, &inside) in mask.indexed_iter() {
        if inside == 0 || labels[start] != 0 {
            continue;
        }
        let label = sizes.len() as u32;
        let mut size = 0;
        labels[start] = label;
        open.push(start);
        while let Some(at) = open.pop() {
            size += 1;
            for next in neighbours(at) {
                if mask.get(next) > Some(&0) && labels[next] == 0 {
                    labels[next] = label;
                    open.push(next);
                }
            }
        }
        sizes.push(size);
    }
    let mut largest = 0;
    for (label, size) in sizes.iter().enumerate() {
        if *size > sizes[largest] {
            largest = label;
        }
    }
    let largest = largest as u32;
    ndarray::Zip::from(mask)
        .and(&labels)
        .for_each(|voxel, &label| {
            *voxel = u8::from(label == largest && label != 0);
        });
}

// Below 0 wraps to a huge index, which is outside any volume.
fn neighbours((x, y, z): (usize, usize, usize)) -> [(usize, usize, usize); 6] {
    [
        (x.wrapping_sub(1), y, z),
        (x + 1, y, z),
        (x, y.wrapping_sub(1), z),
        (x, y + 1, z),
        (x, y, z.wrapping_sub(1)),
        (x, y, z + 1),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_largest_piece_stays_and_pieces_touch_by_faces() {
        let mut mask = Array3::zeros((5, 5, 5));
        for at in [(0, 0, 0), (0, 0, 1), (0, 1, 1)] {
            mask[at] = 1;
        }
        // Touches the others by an edge only.
        mask[(1, 2, 1)] = 1;
        keep_largest(&mut mask);
        assert_eq!(mask.sum(), 3);
        assert_eq!(mask[(1, 2, 1)], 0);
    }

    #[test]
    fn an_empty_mask_stays_empty() {
        let mut mask = Array3::zeros((3, 1, 2));
        keep_largest(&mut mask);
        assert_eq!(mask.sum(), 0);
    }

    proptest! {
        #[test]
        fn nothing_is_added_and_a_second_time_changes_nothing(bits in prop::collection::vec(0_u8..2, 60)) {
            let before = Array3::from_shape_vec((3, 4, 5), bits).unwrap();
            let mut once = before.clone();
            keep_largest(&mut once);
            prop_assert!(once.iter().zip(&before).all(|(a, b)| a <= b));
            prop_assert_eq!(once.sum() == 0, before.sum() == 0);
            let mut twice = once.clone();
            keep_largest(&mut twice);
            prop_assert_eq!(once, twice);
        }
    }
}
