//! Two objectives at once. A point is a trial's two losses, both to be minimised.

/// A trial's two losses. They may be infinite and are never NaN.
pub type Point = [f64; 2];

/// In the place of a reference that would be 0.
const LEAST: f64 = 1e-12;

/// Whether `a` is at least as good as `b` in both, and better in one.
fn dominates(a: Point, b: Point) -> bool {
    a != b && a[0] <= b[0] && a[1] <= b[1]
}

fn lexicographic(a: &Point, b: &Point) -> std::cmp::Ordering {
    // A zero has no sign here.
    let [a, b] = [a, b].map(|point| point.map(|loss| loss + 0.0));
    a[0].total_cmp(&b[0]).then(a[1].total_cmp(&b[1]))
}

/// The front of each point: 0 on the Pareto front, where no other point is at least as good in both losses and better
/// in one; 1 if only points of front 0 are; and so on.
///
/// Reference: Deb et al., A fast and elitist multiobjective genetic algorithm: NSGA-II, IEEE Transactions on Evolutionary
/// Computation 6, 2002.
pub fn fronts(points: &[Point]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..points.len()).collect();
    order.sort_by(|a, b| lexicographic(&points[*a], &points[*b]));
    let mut fronts = vec![0; points.len()];
    // What dominates a point comes before it.
    for (at, &index) in order.iter().enumerate() {
        let better = order[..at]
            .iter()
            .filter(|other| dominates(points[**other], points[index]));
        fronts[index] = better.map(|other| fronts[*other] + 1).max().unwrap_or(0);
    }
    fronts
}

/// The area that points dominate up to `reference`.
pub fn hypervolume(points: &[Point], reference: Point) -> f64 {
    let mut inside: Vec<Point> = (points.iter().copied())
        .filter(|point| point[0] < reference[0] && point[1] < reference[1])
        .collect();
    inside.sort_by(lexicographic);
    let (mut area, mut height) = (0.0, reference[1]);
    for [x, y] in inside {
        if y < height {
            area += (reference[0] - x) * (height - y);
            height = y;
        }
    }
    area
}

/// The indices of the best `count` points: whole fronts, the first one first; of the front that does not fit as a
/// whole those that together dominate the largest area, chosen one after the other.
///
/// Reference: Ozaki et al., Multiobjective Tree-Structured Parzen Estimator, JAIR 73, 2022; details as in Optuna 5's
/// `TPESampler`.
pub fn best(points: &[Point], count: usize) -> Vec<usize> {
    let fronts = fronts(points);
    let mut chosen: Vec<usize> = Vec::new();
    for front in 0.. {
        let members: Vec<usize> = (0..points.len())
            .filter(|index| fronts[*index] == front)
            .collect();
        let room = count.saturating_sub(chosen.len());
        if members.is_empty() || room == 0 {
            break;
        }
        match members.len() <= room {
            true => chosen.extend(members),
            false => chosen.extend(widest(points, &members, room)),
        }
    }
    chosen
}

/// Of the members of a front, `count` that together dominate a large area: each in turn the one that adds most to those
/// before it. The reference lies a tenth beyond the worst of each loss.
///
/// Reference: Guerreiro, Fonseca and Paquete, Greedy Hypervolume Subset Selection in Low Dimensions, Evolutionary
/// Computation 24, 2016.
fn widest(points: &[Point], members: &[usize], count: usize) -> Vec<usize> {
    let mut distinct: Vec<usize> = members.to_vec();
    distinct.sort_by(|a, b| lexicographic(&points[*a], &points[*b]).then(a.cmp(b)));
    distinct.dedup_by(|later, first| points[*later] == points[*first]);
    if distinct.len() < count {
        let repeated = members.iter().filter(|index| !distinct.contains(index));
        let fill: Vec<usize> = repeated.take(count - distinct.len()).copied().collect();
        return distinct.into_iter().chain(fill).collect();
    }
    let reference = [0, 1].map(|axis| beyond(members.iter().map(|index| points[*index][axis])));
    if distinct.len() == count || reference.iter().any(|bound| !bound.is_finite()) {
        distinct.truncate(count);
        return distinct;
    }
    // The corner up to which each point adds an area.
    let mut left: Vec<(usize, Point)> = distinct.iter().map(|index| (*index, reference)).collect();
    let mut chosen = Vec::with_capacity(count);
    while chosen.len() < count {
        let area = |(index, corner): &(usize, Point)| {
            (corner[0] - points[*index][0]) * (corner[1] - points[*index][1])
        };
        let mut most = 0;
        for at in 1..left.len() {
            if area(&left[at]) > area(&left[most]) {
                most = at;
            }
        }
        let (index, _) = left.remove(most);
        chosen.push(index);
        for (at, (_, corner)) in left.iter_mut().enumerate() {
            let axis = usize::from(at >= most);
            corner[axis] = corner[axis].min(points[index][axis]);
        }
    }
    chosen
}

/// A bound a tenth beyond the worst of these losses.
fn beyond(losses: impl Iterator<Item = f64>) -> f64 {
    let worst = losses.fold(f64::NEG_INFINITY, f64::max);
    match (1.1 * worst).max(0.9 * worst) {
        0.0 => LEAST,
        bound => bound,
    }
}
