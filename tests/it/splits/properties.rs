//! Splits: what every one of them keeps, the messages when one cannot be made, files that define folds,
//! and how all compare with scikit-learn.

use std::collections::{BTreeMap, BTreeSet};

use calvaria::dataset::{Case, Split};
use proptest::prelude::*;

use super::helpers::*;

/// Settings of every member but `file`, which reads back what each of them makes.
pub const SETTINGS: &[&str] = &[
    "holdout",
    "{holdout: {validation: 2}}",
    "{holdout: {validation: 0.4, group: family}}",
    "{holdout: {validation: 0.3, stratify: {column: site}}}",
    "{holdout: {validation: 0.3, stratify: mask_volume}}",
    "{holdout: {validation: 0.4, stratify: {column: site}, group: family}}",
    "kfold",
    "{kfold: {k: 3}}",
    "{kfold: {k: 2, repeats: 3}}",
    "{kfold: {k: 3, group: family}}",
    "{kfold: {k: 3, stratify: {column: site}}}",
    "{kfold: {k: 3, repeats: 2, stratify: mask_volume}}",
    "{kfold: {k: 3, stratify: {column: site}, group: family}}",
    "{kfold: {k: 2, repeats: 2, stratify: mask_volume, group: family}}",
    "leave_one_out",
    "{leave_one_out: {group: family}}",
];
#[test]
fn every_member_is_tested() {
    let tested = SETTINGS.iter().map(|yaml| split(yaml).name());
    let tested: BTreeSet<&str> = tested.chain(["file"]).collect();
    assert_eq!(tested, Split::NAMES.iter().copied().collect());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn every_split_keeps_subjects_and_groups_together(cases in population(), seed: u64) {
        for yaml in SETTINGS {
            let folds = split(yaml).folds(&cases, seed).unwrap();
            for (index, fold) in folds.iter().enumerate() {
                prop_assert_eq!(fold.index, index);
                check_fold(fold, &cases);
                if yaml.contains("group: family") {
                    let families = |ids: &[String]| values(&cases, ids, "family");
                    prop_assert!(families(&fold.train).is_disjoint(&families(&fold.validation)));
                }
            }
        }
    }

    #[test]
    fn each_subject_validates_once_a_repeat(cases in population(), seed: u64) {
        for yaml in SETTINGS {
            let folds = split(yaml).folds(&cases, seed).unwrap();
            let repeats = match split(yaml) {
                Split::Holdout(_) | Split::Predefined(_) => continue,
                Split::LeaveOneOut(_) => 1,
                Split::KFold(kfold) => kfold.repeats,
            };
            let all: BTreeSet<&str> = cases.iter().map(|case| &*case.subject).collect();
            for repeat in folds.chunks(folds.len() / repeats) {
                let expected: BTreeMap<&str, usize> = all.iter().map(|one| (*one, 1)).collect();
                prop_assert_eq!(validations(repeat), expected, "{}", yaml);
            }
        }
    }

    #[test]
    fn neither_the_order_of_the_cases_nor_time_changes_a_split(
        (cases, shuffled) in population().prop_flat_map(|cases| {
            (Just(cases.clone()), Just(cases).prop_shuffle())
        }),
        seed: u64,
    ) {
        for yaml in SETTINGS {
            let folds = split(yaml).folds(&cases, seed).unwrap();
            prop_assert_eq!(split(yaml).folds(&shuffled, seed).unwrap(), folds, "{}", yaml);
        }
    }

    #[test]
    fn folds_that_were_written_down_read_back(cases in population(), seed: u64) {
        for yaml in SETTINGS {
            let folds = split(yaml).folds(&cases, seed).unwrap();
            let group = if yaml.contains("group: family") { ", group: family" } else { "" };
            for (extension, content) in [
                ("json", serde_json::to_string_pretty(&folds).unwrap()),
                ("yaml", serde_yaml::to_string(&folds).unwrap()),
            ] {
                let (_folder, file) = from_file(extension, &content, group);
                prop_assert_eq!(split(&file).folds(&cases, seed + 1).unwrap(), folds.clone());
            }
        }
    }

    #[test]
    fn k_folds_have_equal_numbers_of_subjects(
        sessions in prop::collection::vec(1_usize..4, 2..40),
        k in 2_usize..8,
        seed: u64,
    ) {
        prop_assume!(k <= sessions.len());
        let cases = cases(&sessions);
        let folds = split(&format!("kfold: {{k: {k}}}")).folds(&cases, seed).unwrap();
        prop_assert_eq!(folds.len(), k);
        let sizes: Vec<usize> = folds.iter().map(|fold| subjects(&fold.validation).len()).collect();
        prop_assert!(sizes.iter().max().unwrap() - sizes.iter().min().unwrap() <= 1);
    }

    #[test]
    fn a_holdout_validates_the_number_asked_for(
        sessions in prop::collection::vec(1_usize..4, 2..40),
        amount in prop_oneof![(1_usize..40).prop_map(Ok), (0.01_f64..0.99).prop_map(Err)],
        stratify: bool,
        seed: u64,
    ) {
        let all = sessions.len();
        let expected = match amount {
            Ok(count) => count,
            Err(part) => ((part * all as f64).round() as usize).clamp(1, all - 1),
        };
        prop_assume!(expected < all);
        let amount = amount.map_or_else(|part| part.to_string(), |count| count.to_string());
        let stratify = if stratify { ", stratify: mask_volume" } else { "" };
        let cases = cases(&sessions);
        let split = split(&format!("holdout: {{validation: {amount}{stratify}}}"));
        let folds = split.folds(&cases, seed).unwrap();
        prop_assert_eq!(folds.len(), 1);
        prop_assert_eq!(subjects(&folds[0].validation).len(), expected);
    }

    #[test]
    fn strata_of_single_cases_differ_by_at_most_one_between_folds(
        strata in prop::collection::vec(0_usize..5, 4..60),
        k in 2_usize..8,
        seed: u64,
    ) {
        prop_assume!(k <= strata.len());
        let cases = stratified(&strata, &strata);
        let yaml = format!("kfold: {{k: {k}, repeats: 2, stratify: {{column: stratum}}}}");
        let folds = split(&yaml).folds(&cases, seed).unwrap();
        for repeat in folds.chunks(k) {
            let per_fold = repeat.iter().map(|fold| counts(&cases, &fold.validation, 5));
            let per_fold: Vec<Vec<usize>> = per_fold.collect();
            let spread = |count: &dyn Fn(&Vec<usize>) -> usize| {
                per_fold.iter().map(count).max().unwrap() - per_fold.iter().map(count).min().unwrap()
            };
            for stratum in 0..5 {
                prop_assert!(spread(&|counts| counts[stratum]) <= 1, "{:?}", per_fold);
            }
            prop_assert!(spread(&|counts| counts.iter().sum()) <= 1, "{:?}", per_fold);
        }
    }

    #[test]
    fn a_stratified_holdout_has_every_stratum_in_its_part(
        strata in prop::collection::vec(0_usize..5, 2..60),
        part in 0.05_f64..0.95,
        seed: u64,
    ) {
        let cases = stratified(&strata, &strata);
        let yaml = format!("holdout: {{validation: {part}, stratify: {{column: stratum}}}}");
        let fold = split(&yaml).folds(&cases, seed).unwrap().swap_remove(0);
        let part = fold.validation.len() as f64 / cases.len() as f64;
        let ids: Vec<String> = cases.iter().map(|case| case.id.clone()).collect();
        let all = counts(&cases, &ids, 5);
        for (held, all) in counts(&cases, &fold.validation, 5).into_iter().zip(all) {
            prop_assert!((held as f64 - part * all as f64).abs() < 1.0 + 1e-9, "{held} of {all}");
        }
    }
}

#[test]
fn another_seed_makes_other_folds_and_so_does_another_repeat() {
    let cases = cases(&[1; 12]);
    let cases: Vec<Case> = cases
        .into_iter()
        .enumerate()
        .map(|(at, mut case)| {
            case.columns.insert("family".into(), format!("F{}", at / 2));
            case.columns.insert("site".into(), (at % 2).to_string());
            case
        })
        .collect();
    for yaml in SETTINGS {
        let by_seed = |seed| split(yaml).folds(&cases, seed).unwrap();
        let different = (0..10).map(|seed| format!("{:?}", by_seed(seed)));
        let different = different.collect::<BTreeSet<_>>().len();
        if yaml.contains("leave_one_out") {
            assert_eq!(different, 1, "{yaml} draws nothing");
        } else {
            // There are few ways to even out six families.
            let least = if yaml.contains("stratify") { 2 } else { 6 };
            assert!(different >= least, "{yaml}: {different} splits by 10 seeds");
        }
    }
    let folds = split("{kfold: {k: 2, repeats: 8}}")
        .folds(&cases, 1)
        .unwrap();
    let different: BTreeSet<_> = folds.iter().map(|fold| &fold.validation).collect();
    assert!(different.len() > 8, "{}", different.len());
}

#[test]
fn each_subject_is_as_likely_to_validate_as_any_other() {
    let cases = stratified(&[0, 0, 0, 0, 0, 1, 1, 1, 1, 1], &[0; 10]);
    for yaml in [
        "holdout: {validation: 2}",
        "holdout: {validation: 2, stratify: {column: stratum}}",
        "kfold: {k: 5, stratify: {column: stratum}}",
    ] {
        let mut times = [0_i32; 10];
        for seed in 0..2000 {
            let fold = &split(yaml).folds(&cases, seed).unwrap()[0];
            for (case, times) in cases.iter().zip(&mut times) {
                *times += i32::from(fold.validation.contains(&case.id));
            }
        }
        // Four standard deviations of a binomial with probability 1 in 5.
        let even = times.iter().all(|count| (count - 400).abs() < 72);
        assert!(even, "{yaml}: {times:?}");
    }
}

#[test]
fn the_split_of_a_seed_never_changes() {
    // Pinned: a new version of the shuffle would silently change every stored result.
    let validated = |yaml: &str, count: usize| -> Vec<Vec<usize>> {
        let folds = split(yaml).folds(&cases(&vec![1; count]), 42).unwrap();
        let number = |id: &String| id[4..7].parse().unwrap();
        let validated = folds.iter().map(|fold| fold.validation.iter().map(number));
        validated.map(Iterator::collect).collect()
    };
    let first = [vec![1, 3], vec![0, 2], vec![4, 5, 6]];
    assert_eq!(validated("kfold: {k: 3}", 7), first);
    assert_eq!(validated("kfold: {k: 3, repeats: 2}", 7)[..3], first);
    assert_eq!(validated("holdout: {validation: 3}", 10), [vec![0, 3, 8]]);
}

#[test]
fn groups_that_share_a_subject_are_one() {
    let at = |subject, session, scanner: &str| {
        case(subject, session, &[("scanner", scanner.to_owned())])
    };
    let cases = [
        at(0, 0, "A"),
        at(1, 0, "B"),
        at(2, 0, "A"),
        at(2, 1, "B"),
        at(3, 0, "C"),
        at(4, 0, "C"),
    ];
    let folds = split("leave_one_out: {group: scanner}")
        .folds(&cases, 0)
        .unwrap();
    let validated: Vec<_> = folds.iter().map(|fold| fold.validation.len()).collect();
    assert_eq!(validated, [4, 2]);
}

#[test]
fn every_fold_has_small_and_large_masks() {
    // 30 cases in 5 folds of 6: six bins, and one case of each in every fold.
    let mut cases = cases(&[1; 30]);
    for (at, case) in cases.iter_mut().enumerate() {
        case.mask = mask_of(1 + at * 17 % 30);
    }
    let bins = |ids: &[String]| -> BTreeSet<usize> {
        let cases = cases.iter().filter(|case| ids.contains(&case.id));
        let marked = cases.map(|case| case.mask.file_stem().unwrap().to_str().unwrap());
        marked
            .map(|marked| (marked.parse::<usize>().unwrap() - 1) / 5)
            .collect()
    };
    for seed in 0..5 {
        let folds = split("kfold: {stratify: mask_volume}")
            .folds(&cases, seed)
            .unwrap();
        assert!(folds.iter().all(|fold| bins(&fold.validation).len() == 6));
        let held = split("holdout: {validation: 6, stratify: mask_volume}");
        let fold = &held.folds(&cases, seed).unwrap()[0];
        assert_eq!(bins(&fold.validation).len(), 6);
    }
}
