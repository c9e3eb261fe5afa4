//! Paired comparisons against scipy's.

use std::collections::BTreeMap;

use calvaria::statistics::{Paired, holm, wilcoxon, wilcoxon_greater};
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

/// SciPy's p of differences, with ties, zeros and few pairs; "nan" where it has none.
#[derive(Deserialize)]
struct Wilcoxon {
    cases: BTreeMap<String, WilcoxonCase>,
}

#[derive(Deserialize)]
struct WilcoxonCase {
    first: Vec<f64>,
    second: Vec<f64>,
    p: serde_json::Value,
    p_by_normal_approximation: serde_json::Value,
    p_greater: serde_json::Value,
    p_less: serde_json::Value,
}

fn wilcoxon_cases() -> BTreeMap<String, WilcoxonCase> {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/tests/fixtures/statistics/wilcoxon.json"
    );
    let text = std::fs::read_to_string(path).unwrap();
    serde_json::from_str::<Wilcoxon>(&text).unwrap().cases
}

#[test]
fn p_is_scipys_with_ties_and_zeros_for_any_number_of_pairs() {
    let (mut compared, mut exact) = (0, 0);
    for (name, case) in wilcoxon_cases() {
        let [there, back] = [
            Paired::of(&case.first, &case.second, 1),
            Paired::of(&case.second, &case.first, 1),
        ];
        assert_eq!(there.p, back.p, "{name}");
        assert_eq!(there.tendency, -back.tendency, "{name}");
        let Some(p) = case.p.as_f64() else {
            assert_eq!(there.p, 1.0, "{name}: nothing differs");
            continue;
        };
        assert!(
            (there.p / p - 1.0).abs() < 1e-9,
            "{name}: {} not {p}",
            there.p
        );
        compared += 1;
        exact += usize::from(case.p != case.p_by_normal_approximation);
    }
    assert!(compared > 25 && exact > 10, "{compared}, {exact}");
}

#[test]
fn the_one_sided_test_with_split_zeros_is_scipys() {
    for (name, case) in wilcoxon_cases() {
        let pairs = case.first.iter().zip(&case.second);
        let differences: Vec<f64> = pairs.map(|(a, b)| b - a).collect();
        let mirrored: Vec<f64> = differences.iter().map(|d| -d).collect();
        for (ours, theirs) in [
            (wilcoxon_greater(&differences), &case.p_greater),
            (wilcoxon_greater(&mirrored), &case.p_less),
        ] {
            let p = theirs.as_f64().unwrap();
            assert!((ours / p - 1.0).abs() < 1e-9, "{name}: {ours} not {p}");
        }
    }
    assert_eq!(wilcoxon_greater(&[]), 1.0);
    assert_eq!(wilcoxon_greater(&[f64::INFINITY; 3]), 0.125);
}

#[test]
fn infinite_scores_count_by_their_rank_and_two_of_them_are_a_tie() {
    let inf = f64::INFINITY;
    let first = [3.0, 4.0, 5.0, 6.0, 7.0, inf, inf, 2.0];
    let second = [2.0, 2.9, 3.8, 4.7, 5.6, inf, 1.0, inf];
    let paired = Paired::of(&first, &second, 1);
    assert_eq!((paired.pairs, paired.finite), (8, 5));
    // As with a difference of 0 and the two largest ones.
    let ranked = [-1.0, -1.1, -1.2, -1.3, -1.4, 0.0, -9.0, 9.0];
    assert_eq!(paired.p, wilcoxon(&ranked));
    assert!((paired.mean + 1.2).abs() < 1e-12 && (paired.median + 1.2).abs() < 1e-12);
    let mirrored = Paired::of(&second, &first, 1);
    assert_eq!(
        (paired.p, paired.tendency),
        (mirrored.p, -mirrored.tendency)
    );
    for (a, b) in [(0, 1), (1, 0)] {
        assert!((paired.interval[a] + mirrored.interval[b]).abs() < 1e-12);
    }
    let itself = Paired::of(&first, &first, 1);
    assert_eq!((itself.p, itself.tendency, itself.mean), (1.0, 0.0, 0.0));
    let nothing = Paired::of(&[inf; 9], &[inf; 9], 1);
    assert!(nothing.p == 1.0 && nothing.finite == 0 && nothing.mean.is_nan());
}

#[test]
fn nothing_differs_between_equal_scores() {
    assert_eq!(wilcoxon(&[0.0; 9]), 1.0);
    assert_eq!(wilcoxon(&[]), 1.0);
}
