//! Where the voxels of a volume lie, and the grids that volumes are moved onto.

use super::Affine;

/// A regular grid of voxels in the world: how many along each axis, and where they lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Number of voxels along the three axes.
    pub shape: [usize; 3],
    /// Voxel index to world position in mm.
    pub affine: Affine,
}

impl Grid {
    /// The published article's grid: axes along the world's, `spacing` mm apart, the first voxel's
    /// centre at `-shape * spacing / 2`.
    ///
    /// It lies half a voxel off a grid that is symmetric about the world's origin: the last voxel's
    /// centre is at `shape * spacing / 2 - spacing`.
    pub fn centred_on_world(shape: [usize; 3], spacing: [f64; 3]) -> Self {
        let origin = std::array::from_fn(|a| -(shape[a] as f64) * spacing[a] / 2.0);
        Self {
            shape,
            affine: Affine::diagonal(spacing, origin),
        }
    }

    /// Axes along the world's, `spacing` mm apart, around the point `centre` (mm).
    pub fn centred_on(centre: [f64; 3], shape: [usize; 3], spacing: [f64; 3]) -> Self {
        let origin =
            std::array::from_fn(|a| centre[a] - spacing[a] * (shape[a] as f64 - 1.0) / 2.0);
        Self {
            shape,
            affine: Affine::diagonal(spacing, origin),
        }
    }

    /// The smallest grid with axes along the world's, `spacing` mm apart and with the same centre,
    /// whose voxels cover all of `other`'s (voxels taken as boxes, not as points).
    pub fn covering(other: &Self, spacing: [f64; 3]) -> Self {
        let shape = std::array::from_fn(|a| {
            // Half the extent along a world axis is the sum of what each voxel axis adds to it.
            let extent: f64 = (0..3)
                .map(|c| other.affine.0[a][c].abs() * other.shape[c] as f64)
                .sum();
            // A sliver of 0.001 voxel, as float32 headers leave, needs no voxel of its own.
            ((extent / spacing[a] - 1e-3).ceil() as usize).max(1)
        });
        Self::centred_on(other.centre(), shape, spacing)
    }

    /// The point in the middle of the grid, in mm.
    pub fn centre(&self) -> [f64; 3] {
        let middle = self.shape.map(|n| (n as f64 - 1.0) / 2.0);
        self.affine.apply(middle)
    }

    /// The largest distance in mm between where this grid and `other` put the same voxel, if both
    /// have this grid's shape; infinite where an affine is not finite.
    pub fn largest_offset(&self, other: &Affine) -> f64 {
        // The difference of two affine maps is largest at a corner.
        let corner = |bits: usize| -> [f64; 3] {
            std::array::from_fn(|a| {
                if bits >> a & 1 == 1 {
                    self.shape[a].saturating_sub(1) as f64
                } else {
                    0.0
                }
            })
        };
        let distance = |point: [f64; 3]| -> f64 {
            let (here, there) = (self.affine.apply(point), other.apply(point));
            (0..3)
                .map(|a| (here[a] - there[a]).powi(2))
                .sum::<f64>()
                .sqrt()
        };
        let distances = (0..8).map(|bits| distance(corner(bits)));
        distances.fold(0.0, |largest, distance| {
            if distance.is_nan() {
                f64::INFINITY
            } else {
                distance.max(largest)
            }
        })
    }

    /// Number of voxels.
    pub fn len(&self) -> usize {
        self.shape.iter().product()
    }

    /// Whether the grid has no voxel.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Volume of one voxel in millilitres.
    pub fn voxel_volume_ml(&self) -> f64 {
        let m = &self.affine.0;
        let minor = |a: usize, b: usize| m[1][a] * m[2][b] - m[1][b] * m[2][a];
        let determinant = m[0][0] * minor(1, 2) - m[0][1] * minor(0, 2) + m[0][2] * minor(0, 1);
        determinant.abs() / 1000.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn oblique() -> Grid {
        let (s, c) = 30f64.to_radians().sin_cos();
        let affine = Affine([
            [-c, 1.5 * s, 0.0, 40.0],
            [s, 1.5 * c, 0.0, -70.0],
            [0.0, 0.0, 3.0, -20.0],
            [0.0, 0.0, 0.0, 1.0],
        ]);
        Grid {
            shape: [60, 80, 30],
            affine,
        }
    }

    #[test]
    fn the_published_grid_starts_at_half_its_extent() {
        let grid = Grid::centred_on_world([96, 128, 160], [2.0; 3]);
        assert_eq!(
            grid.affine,
            Affine::diagonal([2.0; 3], [-96.0, -128.0, -160.0])
        );
    }

    #[test]
    fn a_covering_grid_is_the_smallest_that_holds_every_voxel() {
        let (source, spacing) = (oblique(), [2.0, 2.0, 2.5]);
        let grid = Grid::covering(&source, spacing);
        let to_grid = grid.affine.inverse().unwrap();
        let (mut low, mut high) = ([f64::MAX; 3], [f64::MIN; 3]);
        for bits in 0..8usize {
            let n = source.shape;
            let corner = std::array::from_fn(|a| (bits >> a & 1) as f64 * n[a] as f64 - 0.5);
            let at = to_grid.apply(source.affine.apply(corner));
            for a in 0..3 {
                (low[a], high[a]) = (low[a].min(at[a]), high[a].max(at[a]));
            }
        }
        for a in 0..3 {
            let (before, after) = (low[a] + 0.5, grid.shape[a] as f64 - 0.5 - high[a]);
            assert!((before - after).abs() < 1e-9, "axis {a} is not centred");
            assert!(
                (-1e-3..0.5).contains(&before),
                "axis {a}: {before} voxels to spare"
            );
        }
    }

    #[test]
    fn covering_with_the_same_spacing_keeps_the_grid() {
        let grid = Grid {
            shape: [5, 6, 7],
            affine: Affine::diagonal([1.3333334; 3], [3.0, -2.0, 1.0]),
        };
        let same = Grid::covering(&grid, grid.affine.spacing());
        assert_eq!(same.shape, grid.shape);
        assert!(grid.largest_offset(&same.affine) < 1e-9);
    }

    #[test]
    fn float32_voxel_sizes_add_no_plane() {
        let third = f64::from(4f32 / 3.0);
        let grid = Grid {
            shape: [192; 3],
            affine: Affine::diagonal([third; 3], [0.0; 3]),
        };
        assert!(third * 192.0 > 256.0);
        assert_eq!(Grid::covering(&grid, [2.0; 3]).shape, [128; 3]);
    }

    #[test]
    fn the_offset_of_two_grids_is_found_at_the_far_corner() {
        let grid = Grid {
            shape: [11, 11, 11],
            affine: Affine::identity(),
        };
        let stretched = Affine::diagonal([1.0, 1.0, 1.01], [0.0; 3]);
        assert!((grid.largest_offset(&stretched) - 0.1).abs() < 1e-12);
        let nowhere = Affine::diagonal([1.0; 3], [0.0, f64::NAN, 0.0]);
        assert_eq!(grid.largest_offset(&nowhere), f64::INFINITY);
    }

    #[test]
    fn a_voxel_of_an_oblique_grid_has_its_spacings_product_as_volume() {
        assert!((oblique().voxel_volume_ml() - 0.0045).abs() < 1e-12);
    }
}
