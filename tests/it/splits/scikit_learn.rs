//! Splits against scikit-learn's.

use std::collections::BTreeSet;
use std::fs;
use std::path::PathBuf;

use calvaria::dataset::Case;
use serde::Deserialize;

use super::helpers::*;

#[derive(Deserialize)]
struct Expected {
    stratified_group_kfold: Vec<Grouped>,
    stratified_kfold: Single,
    stratified_shuffle_split: Shuffled,
    leave_one_group_out: LeftOut,
}

#[derive(Deserialize)]
struct Grouped {
    name: String,
    k: usize,
    groups: Vec<usize>,
    strata: Vec<usize>,
    /// By seed, fold and stratum.
    counts: Vec<Vec<Vec<usize>>>,
}

#[derive(Deserialize)]
struct Single {
    k: usize,
    strata: Vec<usize>,
    counts: Vec<Vec<usize>>,
}

#[derive(Deserialize)]
struct Shuffled {
    strata: Vec<usize>,
    drawn: Vec<Held>,
}

#[derive(Deserialize)]
struct Held {
    validation: usize,
    counts: Vec<usize>,
}

#[derive(Deserialize)]
struct LeftOut {
    groups: Vec<String>,
    validation: Vec<Vec<usize>>,
}

pub fn fixture(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/splits")
        .join(name)
}

fn expected() -> Expected {
    serde_json::from_str(&fs::read_to_string(fixture("expected.json")).unwrap()).unwrap()
}

/// The standard deviation, over folds, of the part of a stratum that a fold has: its mean over strata.
fn unevenness(counts: &[Vec<usize>]) -> f64 {
    let folds = counts.len() as f64;
    let strata = counts[0].len();
    let deviations = (0..strata).map(|stratum| {
        let all: usize = counts.iter().map(|fold| fold[stratum]).sum();
        let parts = counts.iter().map(|fold| fold[stratum] as f64 / all as f64);
        let square = |part: f64| (part - 1.0 / folds).powi(2);
        (parts.map(square).sum::<f64>() / folds).sqrt()
    });
    deviations.sum::<f64>() / strata as f64
}

#[test]
fn stratified_groups_are_as_even_as_scikit_learns() {
    for Grouped {
        name,
        k,
        groups,
        strata,
        counts: theirs,
    } in expected().stratified_group_kfold
    {
        let cases = stratified(&strata, &groups);
        let all = theirs[0][0].len();
        let yaml = format!("kfold: {{k: {k}, group: group, stratify: {{column: stratum}}}}");
        let theirs = theirs.iter().map(|seed| unevenness(seed));
        let theirs = theirs.fold(f64::INFINITY, f64::min);
        let ours = (0..10).map(|seed| {
            let folds = split(&yaml).folds(&cases, seed).unwrap();
            let per_fold = folds
                .iter()
                .map(|fold| counts(&cases, &fold.validation, all));
            unevenness(&per_fold.collect::<Vec<_>>())
        });
        let ours = ours.fold(0.0, f64::max);
        println!("{name}: {ours:.5} at worst, scikit-learn {theirs:.5} at best");
        assert!(
            ours <= theirs + 1e-12,
            "{name}: {ours}, scikit-learn {theirs}"
        );
    }
}

#[test]
fn strata_of_single_cases_are_counted_out_as_by_scikit_learn() {
    let expected = expected();
    let Single {
        k,
        strata,
        counts: theirs,
    } = expected.stratified_kfold;
    let cases = stratified(&strata, &strata);
    let yaml = format!("kfold: {{k: {k}, stratify: {{column: stratum}}}}");
    let folds = split(&yaml).folds(&cases, 3).unwrap();
    let ours = folds
        .iter()
        .map(|fold| counts(&cases, &fold.validation, theirs[0].len()));
    let ours: Vec<Vec<usize>> = ours.collect();
    // Which fold has one more is chance.
    let sorted = |folds: &[Vec<usize>], of: &dyn Fn(&Vec<usize>) -> usize| {
        let mut counts: Vec<usize> = folds.iter().map(of).collect();
        counts.sort_unstable();
        counts
    };
    for stratum in 0..theirs[0].len() {
        let of = |counts: &Vec<usize>| counts[stratum];
        assert_eq!(sorted(&ours, &of), sorted(&theirs, &of));
    }
    let size = |counts: &Vec<usize>| counts.iter().sum();
    assert_eq!(sorted(&ours, &size), sorted(&theirs, &size));

    let Shuffled { strata, drawn } = expected.stratified_shuffle_split;
    let cases = stratified(&strata, &strata);
    for Held {
        validation,
        counts: theirs,
    } in drawn
    {
        let yaml = format!("holdout: {{validation: {validation}, stratify: {{column: stratum}}}}");
        let fold = &split(&yaml).folds(&cases, 3).unwrap()[0];
        assert_eq!(counts(&cases, &fold.validation, theirs.len()), theirs);
    }
}

#[test]
fn one_group_is_left_out_as_by_scikit_learn() {
    let LeftOut { groups, validation } = expected().leave_one_group_out;
    let numbered = groups.iter().enumerate();
    let cases: Vec<Case> = numbered
        .map(|(at, group)| case(at, 0, &[("site", group.clone())]))
        .collect();
    let folds = split("leave_one_out: {group: site}")
        .folds(&cases, 0)
        .unwrap();
    let ours: BTreeSet<Vec<String>> = folds.into_iter().map(|fold| fold.validation).collect();
    let id = |at: &usize| cases[*at].id.clone();
    let theirs = validation.iter().map(|fold| fold.iter().map(id).collect());
    assert_eq!(ours, theirs.collect());
}
