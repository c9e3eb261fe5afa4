//! Connected pieces of a mask.

use ndarray::{Array3, ArrayView3};

/// Which voxels touch.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Touch {
    /// Those that share a face.
    Faces,
    /// Those that share a corner as well.
    Corners,
}

/// Keeps the largest piece of `mask`, whose voxels touch by their faces; clears the rest. Of two equally large ones the first in index order stays. An empty
/// mask stays empty.
pub fn keep_largest(mask: &mut Array3<u8>) {
    let pieces = Pieces::of(mask.view(), Touch::Faces, |voxel| voxel != 0);
    // The first of equal ones: a later one must be larger.
    let mut largest = None;
    for (piece, size) in pieces.sizes() {
        if largest.is_none_or(|(_, most)| size > most) {
            largest = Some((piece, size));
        }
    }
    pieces.set(mask, 1, |piece| largest.is_some_and(|(of, _)| of == piece));
    pieces.set(mask, 0, |piece| largest.is_none_or(|(of, _)| of != piece));
}

/// Clears every piece of `mask`, whose voxels touch by their faces, of fewer than `least` voxels.
pub fn drop_small(mask: &mut Array3<u8>, least: usize) {
    let pieces = Pieces::of(mask.view(), Touch::Faces, |voxel| voxel != 0);
    pieces.set(mask, 0, |piece| pieces.voxels[piece] < least);
}

/// Fills the holes of `mask` with ones: the pieces of its background that do not touch the volume's faces.
pub fn fill_holes(mask: &mut Array3<u8>) {
    let pieces = Pieces::of(mask.view(), Touch::Faces, |voxel| voxel == 0);
    let outside = pieces.at_faces(mask.dim());
    pieces.set(mask, 1, |piece| !outside[piece]);
}

/// The pieces of `mask`, whose voxels touch by their corners at least: how many there are, and how many have a voxel of
/// `other`.
pub(crate) fn pieces_met(mask: ArrayView3<'_, u8>, other: ArrayView3<'_, u8>) -> [usize; 2] {
    let pieces = Pieces::of(mask, Touch::Corners, |voxel| voxel != 0);
    let (_, ny, _) = mask.dim();
    let mut met = vec![false; pieces.runs.len()];
    for (run, piece) in pieces.runs.iter().zip(&pieces.piece) {
        let row = other.slice(ndarray::s![run.row / ny, run.row % ny, run.start..run.end]);
        met[*piece] |= row.iter().any(|voxel| *voxel != 0);
    }
    [
        pieces.sizes().count(),
        met.into_iter().filter(|met| *met).count(),
    ]
}

/// Voxels of a row, along the last axis, that lie side by side in a piece.
struct Run {
    /// Counted over the first two axes.
    row: usize,
    start: usize,
    end: usize,
}

/// The pieces of a mask.
struct Pieces {
    runs: Vec<Run>,
    /// The piece that each run belongs to: its first run in index order.
    piece: Vec<usize>,
    /// The voxels of each piece, at its first run.
    voxels: Vec<usize>,
}

impl Pieces {
    /// Those of the voxels that are `inside`.
    fn of(mask: ArrayView3<'_, u8>, touch: Touch, inside: impl Fn(u8) -> bool) -> Self {
        let (_, ny, _) = mask.dim();
        let mut runs: Vec<Run> = Vec::new();
        // The first run of each row, and of the one behind the last.
        let mut first = Vec::new();
        for (row, voxels) in mask.rows().into_iter().enumerate() {
            first.push(runs.len());
            let mut start = None;
            for (at, voxel) in voxels.iter().enumerate() {
                match (inside(*voxel), start) {
                    (true, None) => start = Some(at),
                    (false, Some(from)) => {
                        runs.push(Run {
                            row,
                            start: from,
                            end: at,
                        });
                        start = None;
                    }
                    _ => {}
                }
            }
            let end = voxels.len();
            runs.extend(start.map(|start| Run { row, start, end }));
        }
        first.push(runs.len());
        let mut parent: Vec<usize> = (0..runs.len()).collect();
        for row in 0..first.len() - 1 {
            let (has_left, has_right) = (!row.is_multiple_of(ny), !(row + 1).is_multiple_of(ny));
            let above = row.checked_sub(ny);
            let diagonal = above.filter(|_| touch == Touch::Corners);
            let before = [
                has_left.then(|| row - 1),
                above,
                diagonal.filter(|_| has_left).map(|above| above - 1),
                diagonal.filter(|_| has_right).map(|above| above + 1),
            ];
            // A run that ends where another begins shares a corner with it.
            let reach = usize::from(touch == Touch::Corners);
            for other in before.into_iter().flatten() {
                let (mut a, mut b) = (first[row], first[other]);
                while a < first[row + 1] && b < first[other + 1] {
                    let meet = |one: &Run, other: &Run| one.start < other.end + reach;
                    if meet(&runs[a], &runs[b]) && meet(&runs[b], &runs[a]) {
                        join(&mut parent, a, b);
                    }
                    match runs[a].end < runs[b].end {
                        true => a += 1,
                        false => b += 1,
                    }
                }
            }
        }
        let mut voxels = vec![0; runs.len()];
        for (at, run) in runs.iter().enumerate() {
            let piece = root(&mut parent, at);
            parent[at] = piece;
            voxels[piece] += run.end - run.start;
        }
        Self {
            runs,
            piece: parent,
            voxels,
        }
    }

    /// Each piece with its number of voxels, in index order.
    fn sizes(&self) -> impl Iterator<Item = (usize, usize)> {
        let pieces = self.piece.iter().enumerate();
        let firsts = pieces.filter(|(run, piece)| run == *piece);
        firsts.map(|(piece, _)| (piece, self.voxels[piece]))
    }

    /// Which pieces touch the faces of a volume of this shape.
    fn at_faces(&self, (nx, ny, nz): (usize, usize, usize)) -> Vec<bool> {
        let mut at_faces = vec![false; self.runs.len()];
        for (run, piece) in self.runs.iter().zip(&self.piece) {
            let (x, y) = (run.row / ny, run.row % ny);
            at_faces[*piece] |=
                x == 0 || x + 1 == nx || y == 0 || y + 1 == ny || run.start == 0 || run.end == nz;
        }
        at_faces
    }

    /// Gives the voxels of the pieces that are `meant` a value.
    fn set(&self, mask: &mut Array3<u8>, value: u8, meant: impl Fn(usize) -> bool) {
        let (_, ny, _) = mask.dim();
        for (run, piece) in self.runs.iter().zip(&self.piece) {
            if meant(*piece) {
                let (x, y) = (run.row / ny, run.row % ny);
                mask.slice_mut(ndarray::s![x, y, run.start..run.end])
                    .fill(value);
            }
        }
    }
}

/// The first run of the piece that a run belongs to, so far.
fn root(parent: &mut [usize], mut run: usize) -> usize {
    while parent[run] != run {
        parent[run] = parent[parent[run]];
        run = parent[run];
    }
    run
}

/// Makes the pieces of two runs one, known by its first run.
fn join(parent: &mut [usize], a: usize, b: usize) {
    let (a, b) = (root(parent, a), root(parent, b));
    let (first, second) = (a.min(b), a.max(b));
    parent[second] = first;
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

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

    /// The piece of each voxel by flooding, to hold the runs against.
    fn flooded(mask: &Array3<u8>, inside: u8, touch: Touch) -> Array3<usize> {
        let mut pieces = Array3::zeros(mask.dim());
        let mut count = 0;
        for (start, voxel) in mask.indexed_iter() {
            if *voxel != inside || pieces[start] != 0 {
                continue;
            }
            count += 1;
            let mut open = vec![start];
            pieces[start] = count;
            while let Some((x, y, z)) = open.pop() {
                for step in 0..27_usize {
                    let step = [step / 9, step / 3 % 3, step % 3];
                    let axes = step.iter().filter(|along| **along != 1).count();
                    if axes == 0 || (touch == Touch::Faces && axes > 1) {
                        continue;
                    }
                    // Below 0 wraps to a huge index, which is outside any volume.
                    let next = |at: usize, along: usize| (at + along).wrapping_sub(1);
                    let next = (next(x, step[0]), next(y, step[1]), next(z, step[2]));
                    if mask.get(next) == Some(&inside) && pieces[next] == 0 {
                        pieces[next] = count;
                        open.push(next);
                    }
                }
            }
        }
        pieces
    }

    #[test]
    fn holes_are_filled_and_bays_are_not() {
        let mut mask = Array3::ones((5, 5, 5));
        mask[(2, 2, 2)] = 0;
        // A bay reaches the face.
        for z in 3..5 {
            mask[(1, 1, z)] = 0;
        }
        fill_holes(&mut mask);
        assert_eq!(mask.sum(), 125 - 2);
        assert_eq!(mask[(2, 2, 2)], 1);
    }

    proptest! {
        #[test]
        fn pieces_are_those_of_a_flood(bits in prop::collection::vec(0_u8..2, 5 * 4 * 6), least in 0_usize..9) {
            let mask = Array3::from_shape_vec((5, 4, 6), bits).unwrap();
            let pieces = flooded(&mask, 1, Touch::Faces);
            let size = |piece: usize| pieces.iter().filter(|of| **of == piece).count();
            let mut large = mask.clone();
            drop_small(&mut large, least);
            let mut largest = mask.clone();
            keep_largest(&mut largest);
            let most = (1..=*pieces.iter().max().unwrap()).map(size).max().unwrap_or(0);
            let first = (1..).find(|piece| most == 0 || size(*piece) == most).unwrap();
            for (at, piece) in pieces.indexed_iter() {
                prop_assert_eq!(large[at] == 1, *piece != 0 && size(*piece) >= least);
                prop_assert_eq!(largest[at] == 1, *piece == first);
            }
            let background = flooded(&mask, 0, Touch::Faces);
            let open: Vec<usize> = (background.indexed_iter())
                .filter(|((x, y, z), _)| [*x, 4 - x, *y, 3 - y, *z, 5 - z].contains(&0))
                .map(|(_, piece)| *piece)
                .collect();
            let mut filled = mask.clone();
            fill_holes(&mut filled);
            for (at, piece) in background.indexed_iter() {
                prop_assert_eq!(filled[at] == 0, *piece != 0 && open.contains(piece));
            }
        }

        #[test]
        fn pieces_that_meet_another_mask_are_counted(
            bits in prop::collection::vec(prop_oneof![3 => Just(0_u8), 1 => Just(1)], 5 * 4 * 6),
            others in prop::collection::vec(prop_oneof![5 => Just(0_u8), 1 => Just(1)], 5 * 4 * 6),
        ) {
            let mask = Array3::from_shape_vec((5, 4, 6), bits).unwrap();
            let other = Array3::from_shape_vec((5, 4, 6), others).unwrap();
            let pieces = flooded(&mask, 1, Touch::Corners);
            let all: BTreeSet<usize> = pieces.iter().copied().filter(|piece| *piece != 0).collect();
            let met = all.iter().filter(|piece| {
                let mut voxels = pieces.iter().zip(&other);
                voxels.any(|(of, other)| of == *piece && *other != 0)
            });
            prop_assert_eq!(pieces_met(mask.view(), other.view()), [all.len(), met.count()]);
        }

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
