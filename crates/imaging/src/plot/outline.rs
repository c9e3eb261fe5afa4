//! Outlines of masks.

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2};

use super::drawing::Point;

/// The closed lines around all voxels inside, in voxels with (0, 0) at the slice's lower left corner.
/// They run through the middle of each edge between inside and outside, which cuts the corners off
/// the steps of voxels.
pub(super) fn outlines(mask: &ArrayView2<'_, u8>) -> Vec<Vec<Point>> {
    let (across, up) = mask.dim();
    // A rim of outside voxels closes outlines at the slice's edge.
    let inside = Array2::from_shape_fn((across + 2, up + 2), |(x, y)| {
        let within = (1..=across).contains(&x) && (1..=up).contains(&y);
        within && mask[[x - 1, y - 1]] > 0
    });
    let mut next = BTreeMap::new();
    for ((x, y), corner) in inside.indexed_iter() {
        if x > across || y > up {
            continue;
        }
        // The four voxels around a corner, counterclockwise, and the edges' middles between them,
        // in half voxels.
        let around = [
            *corner,
            inside[[x + 1, y]],
            inside[[x + 1, y + 1]],
            inside[[x, y + 1]],
        ];
        let middles = [
            (2 * x + 1, 2 * y),
            (2 * x + 2, 2 * y + 1),
            (2 * x + 1, 2 * y + 2),
            (2 * x, 2 * y + 1),
        ];
        // A line enters where outside is followed by inside, and leaves where inside ends.
        for start in (0..4).filter(|&i| !around[i] && around[(i + 1) % 4]) {
            let end = (1..4)
                .map(|n| (start + n) % 4)
                .find(|&i| !around[(i + 1) % 4]);
            // `start` itself is outside, so there is an end.
            next.insert(middles[start], middles[end.unwrap_or(start)]);
        }
    }
    let place = |(x, y): (usize, usize)| (x as f64 / 2.0 - 0.5, y as f64 / 2.0 - 0.5);
    let mut lines = Vec::new();
    while let Some((first, mut at)) = next.pop_first() {
        let mut line = vec![place(first)];
        while at != first {
            line.push(place(at));
            match next.remove(&at) {
                Some(following) => at = following,
                None => break,
            }
        }
        line.push(place(first));
        lines.push(line);
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn an_outline_is_closed_and_surrounds_what_is_inside() {
        let square = Array2::from_elem((3, 3), 1);
        let lines = outlines(&square.view());
        assert_eq!(lines.len(), 1);
        assert_eq!(lines[0].first(), lines[0].last());
        // 9 voxels less four corners of 1/8 voxel.
        assert_eq!(area(&lines[0]).abs(), 8.5);
    }

    #[test]
    fn holes_and_islands_have_outlines_of_their_own() {
        let mut ring = Array2::from_elem((5, 5), 1);
        ring[[2, 2]] = 0;
        assert_eq!(outlines(&ring.view()).len(), 2);
        let diagonal = array![[1, 0], [0, 1]];
        assert_eq!(outlines(&diagonal.view()).len(), 2);
        assert!(outlines(&Array2::zeros((4, 4)).view()).is_empty());
    }

    fn area(line: &[Point]) -> f64 {
        line.windows(2)
            .map(|p| p[0].0 * p[1].1 - p[1].0 * p[0].1)
            .sum::<f64>()
            / 2.0
    }
}
