/// A box of a grid's voxels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Region {
    /// Its first voxel.
    pub start: [usize; 3],
    /// Number of voxels along the three axes.
    pub shape: [usize; 3],
}

impl Region {
    /// All voxels of a grid of this shape.
    pub fn whole(shape: [usize; 3]) -> Self {
        Self {
            start: [0; 3],
            shape,
        }
    }

    /// The voxel behind its last one, along each axis.
    pub fn end(&self) -> [usize; 3] {
        [0, 1, 2].map(|axis| self.start[axis] + self.shape[axis])
    }
}
