//! The colours of structures.

use super::drawing::Colour;

/// How many structures have colours of their own.
pub const STRUCTURE_COLOURS: usize = 20;

/// Okabe and Ito's eight, with white for their black, which is not seen on a scan; then twelve that keep away from
/// those before them for readers with full colour vision, protanopia and deuteranopia alike. Each of the twelve is the
/// colour of a lattice (steps of 15) whose smallest distance in CIELAB to all before it, over the three ways of seeing,
/// is largest; colours that look grey were left out.
///
/// References: Okabe and Ito, Color Universal Design, 2008; Machado, Oliveira and Fernandes, A physiologically-based
/// model for simulation of color vision deficiency, IEEE TVCG, 2009.
const COLOURS: [Colour; STRUCTURE_COLOURS] = [
    (230, 159, 0),
    (86, 180, 233),
    (0, 158, 115),
    (240, 228, 66),
    (0, 114, 178),
    (213, 94, 0),
    (204, 121, 167),
    (255, 255, 255),
    (105, 0, 255),
    (210, 255, 165),
    (75, 120, 255),
    (120, 90, 45),
    (165, 180, 105),
    (210, 210, 180),
    (165, 225, 255),
    (210, 225, 105),
    (60, 150, 240),
    (90, 90, 120),
    (105, 60, 195),
    (255, 105, 75),
];

/// The colour of a structure, as red, green and blue: the same in every picture of a run. After
/// [`STRUCTURE_COLOURS`] structures the colours start over.
pub fn structure_colour(structure: usize) -> (u8, u8, u8) {
    COLOURS[structure % COLOURS.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    type Matrix = [[f64; 3]; 3];

    /// What a reader sees of linear red, green and blue: everything, without red cones, without green ones (Machado et
    /// al., severity 1).
    const SIGHT: [Matrix; 3] = [
        [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
        [
            [0.152286, 1.052583, -0.204868],
            [0.114503, 0.786281, 0.099216],
            [-0.003882, -0.048116, 1.051998],
        ],
        [
            [0.367322, 0.860646, -0.227968],
            [0.280085, 0.672501, 0.047413],
            [-0.011820, 0.042940, 0.968881],
        ],
    ];

    /// Linear sRGB to XYZ, each divided by that of white (IEC 61966-2-1, D65).
    const XYZ: Matrix = [
        [
            0.4124564 / 0.95047,
            0.3575761 / 0.95047,
            0.1804375 / 0.95047,
        ],
        [0.2126729, 0.7151522, 0.0721750],
        [
            0.0193339 / 1.08883,
            0.1191920 / 1.08883,
            0.9503041 / 1.08883,
        ],
    ];

    fn times(matrix: &Matrix, v: [f64; 3]) -> [f64; 3] {
        matrix.map(|row| row.iter().zip(v).map(|(m, v)| m * v).sum())
    }

    fn lab((red, green, blue): Colour, sight: &Matrix) -> [f64; 3] {
        let linear = [red, green, blue].map(|value| match f64::from(value) / 255.0 {
            value if value <= 0.04045 => value / 12.92,
            value => ((value + 0.055) / 1.055).powf(2.4),
        });
        let seen = times(sight, linear).map(|value| value.clamp(0.0, 1.0));
        let [x, y, z] = times(&XYZ, seen).map(|t| match t {
            t if t > 216.0 / 24389.0 => t.cbrt(),
            t => (24389.0 / 27.0 * t + 16.0) / 116.0,
        });
        [116.0 * y - 16.0, 500.0 * (x - y), 200.0 * (y - z)]
    }

    /// The smallest distance between two of these colours, over all ways of seeing.
    fn closest(colours: &[Colour]) -> f64 {
        let mut closest = f64::INFINITY;
        for sight in &SIGHT {
            let seen: Vec<_> = colours.iter().map(|colour| lab(*colour, sight)).collect();
            for (at, a) in seen.iter().enumerate() {
                for b in &seen[..at] {
                    let squared = a.iter().zip(b).map(|(a, b)| (a - b).powi(2));
                    closest = closest.min(squared.sum::<f64>().sqrt());
                }
            }
        }
        closest
    }

    /// Two colours 2.3 apart in CIELAB are just told apart side by side; as thin lines they need several times that.
    #[test]
    fn colour_blind_readers_tell_structures_apart() {
        assert!(closest(&COLOURS[..8]) > 17.0, "{}", closest(&COLOURS[..8]));
        assert!(closest(&COLOURS) > 15.5, "{}", closest(&COLOURS));
        // Red and green of one lightness are what such readers confuse.
        assert!(closest(&[(200, 80, 80), (120, 130, 60)]) < 15.5);
    }
}
