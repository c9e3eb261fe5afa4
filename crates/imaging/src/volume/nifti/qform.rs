//! The qform: an affine without shear as a quaternion, voxel sizes and a handedness.

use crate::volume::Affine;

/// The affine of a quaternion (its last three parts), voxel sizes, handedness (1 or -1) and the
/// position of the first voxel; `epsilon` is the rounding of the numbers in the file.
pub(super) fn decode(
    [b, c, d]: [f64; 3],
    sizes: [f64; 3],
    handedness: f64,
    origin: [f64; 3],
    epsilon: f64,
) -> Affine {
    let square = 1.0 - (b * b + c * c + d * d);
    // Within rounding of 0 it is a half turn, as in nibabel.
    let a = if square.abs() < 3.0 * epsilon {
        0.0
    } else {
        square.max(0.0).sqrt()
    };
    let norm = (a * a + b * b + c * c + d * d).sqrt();
    let [a, b, c, d] = [a, b, c, d].map(|part| part / norm);
    let rotation = [
        [
            a * a + b * b - c * c - d * d,
            2.0 * (b * c - a * d),
            2.0 * (b * d + a * c),
        ],
        [
            2.0 * (b * c + a * d),
            a * a + c * c - b * b - d * d,
            2.0 * (c * d - a * b),
        ],
        [
            2.0 * (b * d - a * c),
            2.0 * (c * d + a * b),
            a * a + d * d - b * b - c * c,
        ],
    ];
    let row = |r: usize| {
        let [x, y, z]: [f64; 3] = rotation[r];
        [
            x * sizes[0],
            y * sizes[1],
            z * sizes[2] * handedness,
            origin[r],
        ]
    };
    Affine([row(0), row(1), row(2), [0.0, 0.0, 0.0, 1.0]])
}

/// The qform's quaternion (b, c, d) and its handedness, or `None` for a sheared affine, which no
/// qform can express.
pub(super) fn encode(affine: &Affine) -> Option<([f64; 3], f64)> {
    let spacing = affine.spacing();
    let mut r: [[f64; 3]; 3] =
        std::array::from_fn(|row| std::array::from_fn(|c| affine.0[row][c] / spacing[c]));
    let dot = |a: usize, b: usize| (0..3).map(|row| r[row][a] * r[row][b]).sum::<f64>();
    if [(0, 1), (0, 2), (1, 2)]
        .iter()
        .any(|&(a, b)| dot(a, b).abs() > 1e-5)
    {
        return None;
    }
    let minor = |a: usize, b: usize| r[1][a] * r[2][b] - r[1][b] * r[2][a];
    let determinant = r[0][0] * minor(1, 2) - r[0][1] * minor(0, 2) + r[0][2] * minor(0, 1);
    let qfac = if determinant < 0.0 { -1.0 } else { 1.0 };
    for row in &mut r {
        row[2] *= qfac;
    }
    // Shepperd's method: divide by the largest of the four parts. The real part a is then made
    // positive, because the file holds the other three alone.
    let trace = r[0][0] + r[1][1] + r[2][2];
    let squares = [trace, r[0][0], r[1][1], r[2][2]];
    let largest = (1..4).fold(
        0,
        |best, i| if squares[i] > squares[best] { i } else { best },
    );
    let parts = match largest {
        0 => [
            1.0 + trace,
            r[2][1] - r[1][2],
            r[0][2] - r[2][0],
            r[1][0] - r[0][1],
        ],
        1 => [
            r[2][1] - r[1][2],
            1.0 + 2.0 * r[0][0] - trace,
            r[0][1] + r[1][0],
            r[0][2] + r[2][0],
        ],
        2 => [
            r[0][2] - r[2][0],
            r[0][1] + r[1][0],
            1.0 + 2.0 * r[1][1] - trace,
            r[1][2] + r[2][1],
        ],
        _ => [
            r[1][0] - r[0][1],
            r[0][2] + r[2][0],
            r[1][2] + r[2][1],
            1.0 + 2.0 * r[2][2] - trace,
        ],
    };
    let norm = parts.iter().map(|part| part * part).sum::<f64>().sqrt();
    let sign = if parts[0] < 0.0 { -1.0 } else { 1.0 };
    let [_, b, c, d] = parts.map(|part| sign * part / norm);
    Some(([b, c, d], qfac))
}
