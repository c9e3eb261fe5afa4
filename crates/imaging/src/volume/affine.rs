//! The affine map from voxel indices to world positions.

/// Maps a voxel index to a world position in mm (RAS+: x to the right, y to the front, z to the
/// top). A 4x4 matrix in row-major order whose last row is `0 0 0 1`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Affine(pub [[f64; 4]; 4]);

impl Affine {
    /// The map that leaves every point where it is.
    pub const fn identity() -> Self {
        Self::diagonal([1.0; 3], [0.0; 3])
    }

    /// Axes along the world's, `spacing` mm apart, with voxel (0, 0, 0) at `origin`.
    pub const fn diagonal(spacing: [f64; 3], origin: [f64; 3]) -> Self {
        Self([
            [spacing[0], 0.0, 0.0, origin[0]],
            [0.0, spacing[1], 0.0, origin[1]],
            [0.0, 0.0, spacing[2], origin[2]],
            [0.0, 0.0, 0.0, 1.0],
        ])
    }

    /// Where `point` is mapped to.
    pub fn apply(&self, point: [f64; 3]) -> [f64; 3] {
        let row = |r: usize| {
            let m = &self.0[r];
            m[0] * point[0] + m[1] * point[1] + m[2] * point[2] + m[3]
        };
        [row(0), row(1), row(2)]
    }

    /// The map that applies `other` first, then `self` (the matrix product `self * other`).
    pub fn mul(&self, other: &Self) -> Self {
        let cell = |r: usize, c: usize| (0..4).map(|k| self.0[r][k] * other.0[k][c]).sum();
        Self(std::array::from_fn(|r| std::array::from_fn(|c| cell(r, c))))
    }

    /// The map back, or `None` where there is none: axes that are zero, parallel or not finite.
    pub fn inverse(&self) -> Option<Self> {
        let m = &self.0;
        // Cofactors with cyclic indices carry their own sign.
        let cofactor = |r: usize, c: usize| {
            let (r1, r2) = ((r + 1) % 3, (r + 2) % 3);
            let (c1, c2) = ((c + 1) % 3, (c + 2) % 3);
            m[r1][c1] * m[r2][c2] - m[r1][c2] * m[r2][c1]
        };
        let determinant: f64 = (0..3).map(|c| m[0][c] * cofactor(0, c)).sum();
        let scale: f64 = self.spacing().iter().product();
        let invertible = determinant.abs() > 1e-9 * scale;
        if !invertible || !m.as_flattened().iter().all(|value| value.is_finite()) {
            return None;
        }
        let mut inverse = Self::identity();
        for r in 0..3 {
            for c in 0..3 {
                inverse.0[r][c] = cofactor(c, r) / determinant;
            }
            inverse.0[r][3] = -(0..3).map(|c| inverse.0[r][c] * m[c][3]).sum::<f64>();
        }
        Some(inverse)
    }

    /// Distance between neighbouring voxels along each axis, in mm (the columns' lengths).
    pub fn spacing(&self) -> [f64; 3] {
        std::array::from_fn(|c| (0..3).map(|r| self.0[r][c].powi(2)).sum::<f64>().sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const OBLIQUE: Affine = Affine([
        [-1.8, 0.3, 0.2, 70.0],
        [0.4, 1.2, -0.5, -31.0],
        [0.1, 0.6, 2.5, 12.0],
        [0.0, 0.0, 0.0, 1.0],
    ]);

    #[test]
    fn the_inverse_undoes_the_map() {
        let inverse = OBLIQUE.inverse().unwrap();
        let back = inverse.apply(OBLIQUE.apply([3.0, -7.0, 11.0]));
        for (b, expected) in back.iter().zip([3.0, -7.0, 11.0]) {
            assert!((b - expected).abs() < 1e-12);
        }
    }

    #[test]
    fn a_product_applies_the_right_factor_first() {
        let shrink = Affine::diagonal([0.5; 3], [1.0, 2.0, 3.0]);
        let (once, twice) = (
            OBLIQUE.mul(&shrink),
            OBLIQUE.apply(shrink.apply([4.0, 5.0, 6.0])),
        );
        for (a, b) in once.apply([4.0, 5.0, 6.0]).iter().zip(twice) {
            assert!((a - b).abs() < 1e-12);
        }
    }

    #[test]
    fn a_flat_or_infinite_affine_has_no_inverse() {
        assert_eq!(Affine::diagonal([1.0, 0.0, 1.0], [0.0; 3]).inverse(), None);
        assert_eq!(
            Affine::diagonal([1.0, f64::NAN, 1.0], [0.0; 3]).inverse(),
            None
        );
        assert_eq!(
            Affine::diagonal([1.0; 3], [f64::INFINITY, 0.0, 0.0]).inverse(),
            None
        );
        let mut parallel = OBLIQUE;
        for row in &mut parallel.0 {
            row[1] = 2.0 * row[0];
        }
        assert_eq!(parallel.inverse(), None);
    }

    #[test]
    fn tiny_voxels_are_still_invertible() {
        assert!(Affine::diagonal([1e-4; 3], [0.0; 3]).inverse().is_some());
    }
}
