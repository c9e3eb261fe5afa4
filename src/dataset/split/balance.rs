//! Evening out how many cases of each stratum the sides of a split have.
//!
//! Of each unit the number of cases in each stratum is known, and in all as the last. What is made
//! small is the sum, over sides and strata, of the weighted square of how many cases a side has beyond
//! its share.

/// The weight of the number of all cases, against at least 1 of a stratum: it only decides where strata
/// leave it open.
const ALL: f64 = 1e-6;

/// Changes below this are rounding.
const LEAST: f64 = 1e-9;

/// The most rounds through all pairs. A handful does; the limit only keeps rounding from going in
/// circles.
const ROUNDS: usize = 100;

/// Deals units to `k` sides of equal shares: greedily, largest unit first, then by moves and swaps.
/// Among equals, the first in `order` goes first. Given k units or more, every side gets one, since
/// nothing costs less than to join an empty side.
pub(super) fn deal(counts: &[Vec<f64>], order: &[usize], k: usize) -> Vec<Vec<usize>> {
    let total = totals(counts);
    let all = total[total.len() - 1];
    // In parts of a stratum, so that rare strata weigh as much as others.
    let mut weights: Vec<f64> = total.iter().map(|part| (all / part).powi(2)).collect();
    weights[total.len() - 1] = ALL;
    let mut order = order.to_vec();
    let size = |unit: usize| counts[unit][total.len() - 1];
    order.sort_by(|&a, &b| size(b).total_cmp(&size(a)));
    let mut sides = Sides {
        counts,
        weights,
        // The shares are equal, so that only differences between sides matter.
        excess: vec![vec![0.0; total.len()]; k],
        of: vec![0; counts.len()],
    };
    for &unit in &order {
        let cost = |side: &usize| {
            let terms = sides.excess[*side].iter().zip(&counts[unit]);
            let terms = terms.zip(&sides.weights);
            terms
                .map(|((have, more), weight)| weight * have * more)
                .sum::<f64>()
        };
        let best = (0..k).min_by(|a, b| cost(a).total_cmp(&cost(b)));
        sides.put(unit, best.unwrap_or(0));
    }
    sides.even_out(&order, true);
    sides.units(&order)
}

/// The `number` of units that validate: the first in `order`, swapped for others until the strata
/// have their shares.
pub(super) fn hold_out(counts: &[Vec<f64>], order: &[usize], number: usize) -> Vec<usize> {
    let total = totals(counts);
    let mut weights = vec![1.0; total.len()];
    weights[total.len() - 1] = ALL;
    let part = number as f64 / counts.len() as f64;
    let share = |part: f64| total.iter().map(|all| -part * all).collect();
    let mut sides = Sides {
        counts,
        weights,
        excess: vec![share(part), share(1.0 - part)],
        of: vec![0; counts.len()],
    };
    for (place, &unit) in order.iter().enumerate() {
        sides.put(unit, usize::from(place >= number));
    }
    sides.even_out(order, false);
    sides.units(order).swap_remove(0)
}

fn totals(counts: &[Vec<f64>]) -> Vec<f64> {
    let strata = 0..counts.first().map_or(0, Vec::len);
    strata
        .map(|stratum| counts.iter().map(|unit| unit[stratum]).sum())
        .collect()
}

struct Sides<'a> {
    counts: &'a [Vec<f64>],
    weights: Vec<f64>,
    /// Of each side, how many cases of each stratum it has beyond its share.
    excess: Vec<Vec<f64>>,
    /// The side of each unit.
    of: Vec<usize>,
}

impl Sides<'_> {
    fn put(&mut self, unit: usize, side: usize) {
        self.of[unit] = side;
        for (have, more) in self.excess[side].iter_mut().zip(&self.counts[unit]) {
            *have += more;
        }
    }

    fn change(&mut self, unit: usize, side: usize) {
        for (have, less) in self.excess[self.of[unit]]
            .iter_mut()
            .zip(&self.counts[unit])
        {
            *have -= less;
        }
        self.put(unit, side);
    }

    /// Whether it evens the sides out when `unit` goes to `side` and `back` comes from there.
    fn evens(&self, unit: usize, side: usize, back: Option<usize>) -> bool {
        let (from, to) = (&self.excess[self.of[unit]], &self.excess[side]);
        let strata = 0..self.weights.len();
        let terms = strata.map(|s| {
            let moved = self.counts[unit][s] - back.map_or(0.0, |back| self.counts[back][s]);
            2.0 * self.weights[s] * moved * (to[s] - from[s] + moved)
        });
        terms.sum::<f64>() < -LEAST
    }

    /// Swaps pairs of units, and with `moves` moves single ones, while that evens the sides out.
    fn even_out(&mut self, order: &[usize], moves: bool) {
        for _ in 0..ROUNDS {
            let mut evened = false;
            for (place, &unit) in order.iter().enumerate() {
                if moves {
                    for side in 0..self.excess.len() {
                        if side != self.of[unit] && self.evens(unit, side, None) {
                            self.change(unit, side);
                            evened = true;
                        }
                    }
                }
                for &other in &order[..place] {
                    let (from, to) = (self.of[unit], self.of[other]);
                    if from != to && self.evens(unit, to, Some(other)) {
                        self.change(unit, to);
                        self.change(other, from);
                        evened = true;
                    }
                }
            }
            if !evened {
                return;
            }
        }
    }

    /// The units of each side, in `order`.
    fn units(&self, order: &[usize]) -> Vec<Vec<usize>> {
        let mut units = vec![Vec::new(); self.excess.len()];
        for &unit in order {
            units[self.of[unit]].push(unit);
        }
        units
    }
}
