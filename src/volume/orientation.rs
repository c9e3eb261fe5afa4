//! Which way the voxel axes run in the body.

use super::Affine;

/// The anatomical direction in which each voxel axis increases: `R`ight or `L`eft, `A`nterior or
/// `P`osterior, `S`uperior or `I`nferior; `['L', 'A', 'S']` for a scan stored from right to left.
///
/// Each letter pair is used once: for an oblique grid the axes share them out so that the strongest
/// alignment is served first.
pub fn axis_codes(affine: &Affine) -> [char; 3] {
    const POSITIVE: [char; 3] = ['R', 'A', 'S'];
    const NEGATIVE: [char; 3] = ['L', 'P', 'I'];
    let spacing = affine.spacing();
    let cosine = |world: usize, axis: usize| affine.0[world][axis] / spacing[axis];

    let mut pairs: Vec<(usize, usize)> = (0..3)
        .flat_map(|world| (0..3).map(move |axis| (world, axis)))
        .collect();
    pairs.sort_by(|&(w, a), &(v, b)| cosine(v, b).abs().total_cmp(&cosine(w, a).abs()));

    let mut codes = [None; 3];
    let mut taken = [false; 3];
    for (world, axis) in pairs {
        if codes[axis].is_none() && !taken[world] {
            let letters = if cosine(world, axis) < 0.0 {
                NEGATIVE
            } else {
                POSITIVE
            };
            codes[axis] = Some(letters[world]);
            taken[world] = true;
        }
    }
    // Every (world, axis) pair was offered, so no axis is left without a letter.
    codes.map(|code| code.unwrap_or('?'))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_are_named_by_where_they_point() {
        assert_eq!(axis_codes(&Affine::identity()), ['R', 'A', 'S']);
        let las = Affine::diagonal([-1.0, 1.3, 1.3], [80.0, 0.0, 0.0]);
        assert_eq!(axis_codes(&las), ['L', 'A', 'S']);
    }

    #[test]
    fn permuted_and_oblique_axes_share_the_letters_out() {
        // Sagittal slices: voxel x runs to the back, y to the feet, z to the left; tilted by 40
        // degrees, where rounding each axis on its own would name two of them alike.
        let (s, c) = 40f64.to_radians().sin_cos();
        let tilted = Affine([
            [0.0, 0.0, -3.0, 90.0],
            [-c, s, 0.0, 100.0],
            [-s, -c, 0.0, 80.0],
            [0.0, 0.0, 0.0, 1.0],
        ]);
        assert_eq!(axis_codes(&tilted), ['P', 'I', 'L']);
    }
}
