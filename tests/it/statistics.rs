//! Paired comparisons against scipy's.

use std::collections::BTreeMap;

use calvaria::statistics::{Paired, holm, wilcoxon};
use serde::Deserialize;

#[derive(Deserialize)]
struct Expected {
    pairs: BTreeMap<String, Pair>,
    holm: Vec<f64>,
    bootstrap_better: [f64; 2],
}

#[derive(Deserialize)]
struct Pair {
    a: Vec<f64>,
    b: Vec<f64>,
    mean: f64,
    median: f64,
    wilcoxon: f64,
}

fn expected() -> Expected {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/statistics/expected.json"
    );
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

#[test]
fn differences_and_p_are_scipys() {
    for (name, pair) in expected().pairs {
        let ours = Paired::of(&pair.a, &pair.b, 1);
        assert_eq!(ours.pairs, pair.a.len());
        assert!((ours.mean - pair.mean).abs() < 1e-12, "{name}: {ours:?}");
        assert!(
            (ours.median - pair.median).abs() < 1e-12,
            "{name}: {ours:?}"
        );
        let relative = ours.p / pair.wilcoxon - 1.0;
        assert!(
            relative.abs() < 1e-9,
            "{name}: {} not {}",
            ours.p,
            pair.wilcoxon
        );
    }
}

#[test]
fn the_bootstrap_interval_is_scipys_and_depends_on_the_seed_alone() {
    let expected = expected();
    let pair = &expected.pairs["better"];
    let [low, high] = Paired::of(&pair.a, &pair.b, 1).interval;
    let [their_low, their_high] = expected.bootstrap_better;
    // 10,000 resamples leave some 2 % of the width open.
    let tolerance = 0.03 * (their_high - their_low);
    assert!((low - their_low).abs() < tolerance, "{low} not {their_low}");
    assert!(
        (high - their_high).abs() < tolerance,
        "{high} not {their_high}"
    );
    let interval = |seed| Paired::of(&pair.a, &pair.b, seed).interval;
    assert_eq!(interval(1), interval(1));
    assert_ne!(interval(1), interval(2));
}

#[test]
fn holm_raises_p_as_statsmodels_does() {
    let expected = expected();
    let mut names: Vec<&String> = expected.pairs.keys().collect();
    let order = ["two", "small", "better", "same", "ties", "large", "zeros"];
    names.sort_by_key(|name| order.iter().position(|o| o == name));
    let p: Vec<f64> = names
        .iter()
        .map(|name| expected.pairs[*name].wilcoxon)
        .collect();
    for (ours, theirs) in holm(&p).iter().zip(expected.holm) {
        assert!((ours - theirs).abs() < 1e-12, "{ours} not {theirs}");
    }
    assert_eq!(holm(&[]), Vec::<f64>::new());
}

#[test]
fn nothing_differs_between_equal_scores() {
    assert_eq!(wilcoxon(&[0.0; 9]), 1.0);
    assert_eq!(wilcoxon(&[]), 1.0);
}
