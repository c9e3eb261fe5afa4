//! From the voxels of a moved sample back to where they come from.

use super::Lattice;
use crate::volume::{Affine, Grid, Region};

/// The grid of the moved sample, and the map from its voxels to positions in the sample before, in voxels.
pub struct Map {
    grid: Grid,
    /// The inverse of each change, in order. They are applied from the last to the first.
    steps: Vec<Step>,
}

/// A part of the map, from the voxels after some changes to those before.
pub(super) enum Step {
    Affine(Affine),
    /// Adds the displacement at the voxel.
    Elastic(Lattice),
}

impl Map {
    /// Nothing has moved yet.
    pub(super) fn new(grid: Grid) -> Self {
        Self {
            grid,
            steps: Vec::new(),
        }
    }

    /// The grid after all changes so far.
    pub(in crate::augment) fn grid(&self) -> &Grid {
        &self.grid
    }

    /// The parts of the map, in the order of the changes.
    pub(super) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// A change on the grid: `back` is the position before, in voxels, of each voxel after.
    pub(in crate::augment) fn affine(&mut self, back: Affine) {
        match self.steps.last_mut() {
            Some(Step::Affine(before)) => *before = before.mul(&back),
            _ => self.steps.push(Step::Affine(back)),
        }
    }

    /// A change on the grid: each voxel comes from where the displacement leads.
    pub(in crate::augment) fn elastic(&mut self, displacement: Lattice) {
        self.steps.push(Step::Elastic(displacement));
    }

    /// Switches to the grid of `shape` voxels whose first voxel is now voxel `start`.
    pub(in crate::augment) fn window(&mut self, start: [isize; 3], shape: [usize; 3]) {
        let to_grid = Affine::diagonal([1.0; 3], start.map(|n| n as f64));
        self.grid = Grid {
            shape,
            affine: self.grid.affine.mul(&to_grid),
        };
        self.affine(to_grid);
    }

    /// Whether every voxel stays and none comes or goes.
    pub(super) fn is_identity(&self) -> bool {
        self.steps.is_empty()
    }

    /// The voxels of the sample before, `shape` of them along each axis, that are looked at: a box that holds them all,
    /// and one more on each side for what is rounded.
    pub(super) fn reach(&self, shape: [usize; 3]) -> Region {
        let mut corners = Corners::of(self.grid.shape);
        for step in self.steps.iter().rev() {
            match step {
                Step::Affine(affine) => corners = corners.moved(affine),
                Step::Elastic(lattice) => corners = corners.widened(lattice.range()),
            }
        }
        // The voxels around a position are two. What lies wholly outside comes from nowhere, but no box is empty.
        let start =
            [0, 1, 2].map(|a| ((corners.low[a] - 1.0) as usize).min(shape[a].saturating_sub(1)));
        let end = [0, 1, 2].map(|a| ((corners.high[a] + 3.0) as usize).min(shape[a]));
        Region {
            start,
            shape: [0, 1, 2].map(|a| end[a].saturating_sub(start[a]).max(1)),
        }
    }

    /// Where the voxels along each axis come from, if all come from voxels along the same axis.
    pub(super) fn whole_voxels(&self) -> Option<[Line; 3]> {
        let affine = match &self.steps[..] {
            [] => Affine::identity(),
            [Step::Affine(affine)] => *affine,
            _ => return None,
        };
        let line = |axis: usize| {
            let row = affine.0[axis];
            let straight = (0..3).all(|a| {
                if a == axis {
                    row[a].abs() == 1.0
                } else {
                    row[a] == 0.0
                }
            });
            (straight && row[3].fract() == 0.0).then_some(Line {
                mirrored: row[axis] < 0.0,
                first: row[3] as isize,
            })
        };
        Some([line(0)?, line(1)?, line(2)?])
    }
}

/// Where the voxels along an axis come from.
#[derive(Clone, Copy)]
pub(super) struct Line {
    /// Whether they run the other way.
    pub(super) mirrored: bool,
    /// Where the first comes from.
    pub(super) first: isize,
}

impl Line {
    /// The same, as counted from voxel `start` on.
    pub(super) fn from(self, start: usize) -> Self {
        let first = self.first.saturating_sub(start as isize);
        Self { first, ..self }
    }
}

/// Positions between two corners.
#[derive(Clone, Copy)]
struct Corners {
    low: [f64; 3],
    high: [f64; 3],
}

impl Corners {
    /// The positions of a grid's voxels.
    fn of(shape: [usize; 3]) -> Self {
        Self {
            low: [0.0; 3],
            high: shape.map(|n| n as f64 - 1.0),
        }
    }

    /// The box around where `affine` leads.
    fn moved(self, affine: &Affine) -> Self {
        let mut moved = Self {
            low: [0, 1, 2].map(|row| affine.0[row][3]),
            high: [0, 1, 2].map(|row| affine.0[row][3]),
        };
        for row in 0..3 {
            for axis in 0..3 {
                let ends = [self.low[axis], self.high[axis]].map(|at| affine.0[row][axis] * at);
                moved.low[row] += ends[0].min(ends[1]);
                moved.high[row] += ends[0].max(ends[1]);
            }
        }
        moved
    }

    /// The box around what is displaced by something from `least` to `most`.
    fn widened(self, [least, most]: [[f32; 3]; 2]) -> Self {
        Self {
            low: [0, 1, 2].map(|axis| self.low[axis] + f64::from(least[axis])),
            high: [0, 1, 2].map(|axis| self.high[axis] + f64::from(most[axis])),
        }
    }
}
