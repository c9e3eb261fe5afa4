//! Splits: what every one of them keeps, and how they compare with scikit-learn's.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::PathBuf;
use std::sync::LazyLock;

use calvaria::dataset::{Case, Fold, Split};
use calvaria::volume::nifti::write_mask;
use calvaria::volume::{Affine, Volume};
use ndarray::Array3;
use proptest::prelude::*;
use serde::Deserialize;

/// Settings of every member but `file`, which reads back what each of them makes.
const SETTINGS: &[&str] = &[
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

/// Masks of 1 to 60 voxels of 1 mm, so of 0.001 to 0.06 mL.
static MASKS: LazyLock<tempfile::TempDir> = LazyLock::new(|| {
    let folder = tempfile::tempdir().unwrap();
    for marked in 1..=60 {
        let voxels =
            Array3::from_shape_fn((4, 4, 4), |(x, y, z)| u8::from(16 * x + 4 * y + z < marked));
        let affine = Affine::diagonal([1.0; 3], [0.0; 3]);
        let mask = Volume { voxels, affine };
        write_mask(&folder.path().join(format!("{marked}.nii")), &mask).unwrap();
    }
    folder
});

fn mask_of(marked: usize) -> PathBuf {
    MASKS.path().join(format!("{marked}.nii"))
}

fn case(subject: usize, session: usize, columns: &[(&str, String)]) -> Case {
    let columns = columns.iter().cloned();
    Case {
        id: format!("sub-{subject:03}_ses-{session}"),
        subject: format!("sub-{subject:03}"),
        image: PathBuf::new(),
        mask: mask_of(1 + (subject * 7 + session * 11) % 60),
        region: None,
        columns: columns
            .map(|(name, value)| (name.to_owned(), value))
            .collect(),
    }
}

/// Cases of as many subjects as there are numbers, each with that many sessions.
fn cases(sessions: &[usize]) -> Vec<Case> {
    let numbered = sessions.iter().enumerate();
    numbered
        .flat_map(|(subject, &count)| (0..count).map(move |session| case(subject, session, &[])))
        .collect()
}

/// A case a subject, in these strata and groups.
fn stratified(strata: &[usize], groups: &[usize]) -> Vec<Case> {
    let both = strata.iter().zip(groups).enumerate();
    both.map(|(subject, (stratum, group))| {
        let columns = [
            ("stratum", stratum.to_string()),
            ("group", group.to_string()),
        ];
        case(subject, 0, &columns)
    })
    .collect()
}

/// Cases of subjects with a number of sessions, a family, and a site that may change. Six subjects of
/// three families are always there.
fn population() -> impl Strategy<Value = Vec<Case>> {
    let subject = (1_usize..4, 0_usize..8, 0_usize..4);
    prop::collection::vec(subject, 6..30).prop_map(|subjects| {
        let numbered = subjects.into_iter().enumerate();
        let cases = numbered.flat_map(|(subject, (sessions, family, site))| {
            let family = if subject < 6 { subject % 3 } else { family };
            (0..sessions).map(move |session| {
                let site = format!("site-{}", (site + session / 2) % 4);
                let columns = [("family", format!("F{family}")), ("site", site)];
                case(subject, session, &columns)
            })
        });
        cases.collect()
    })
}

fn split(yaml: &str) -> Split {
    let split: Split = serde_yaml::from_str(yaml).unwrap();
    split.validate().unwrap();
    split
}

fn why(yaml: &str, cases: &[Case]) -> String {
    split(yaml).folds(cases, 1).unwrap_err().to_string()
}

fn subjects(ids: &[String]) -> BTreeSet<&str> {
    ids.iter().map(|id| id.split('_').next().unwrap()).collect()
}

/// The values of a column that these cases have.
fn values<'a>(cases: &'a [Case], ids: &[String], column: &str) -> BTreeSet<&'a str> {
    let cases = cases.iter().filter(|case| ids.contains(&case.id));
    cases.map(|case| &*case.columns[column]).collect()
}

/// How many of these cases are in each of `strata` strata, the column `stratum` naming a case's.
fn counts(cases: &[Case], ids: &[String], strata: usize) -> Vec<usize> {
    let mut counts = vec![0; strata];
    for case in cases.iter().filter(|case| ids.contains(&case.id)) {
        counts[case.columns["stratum"].parse::<usize>().unwrap()] += 1;
    }
    counts
}

/// Every case once, nobody on both sides, both sides sorted and not empty.
fn check_fold(fold: &Fold, cases: &[Case]) {
    let all: BTreeSet<&String> = fold.train.iter().chain(&fold.validation).collect();
    assert_eq!(all, cases.iter().map(|case| &case.id).collect());
    assert_eq!(fold.train.len() + fold.validation.len(), cases.len());
    assert!(subjects(&fold.train).is_disjoint(&subjects(&fold.validation)));
    assert!(fold.train.is_sorted() && fold.validation.is_sorted());
    assert!(!fold.train.is_empty() && !fold.validation.is_empty());
}

/// How often each subject validates.
fn validations(folds: &[Fold]) -> BTreeMap<&str, usize> {
    let mut times = BTreeMap::new();
    for fold in folds {
        for subject in subjects(&fold.validation) {
            *times.entry(subject).or_default() += 1;
        }
    }
    times
}

/// Writes `content` to a file that ends so, and a `file` split that reads it.
fn from_file(ending: &str, content: &str, settings: &str) -> (tempfile::TempDir, String) {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join(format!("folds.{ending}"));
    fs::write(&path, content).unwrap();
    let yaml = format!("{{file: {{path: {}{settings}}}}}", path.display());
    (folder, yaml)
}

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
            for (ending, content) in [
                ("json", serde_json::to_string_pretty(&folds).unwrap()),
                ("yaml", serde_yaml::to_string(&folds).unwrap()),
            ] {
                let (_folder, file) = from_file(ending, &content, group);
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

fn fixture(name: &str) -> PathBuf {
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

#[test]
fn nnu_nets_file_is_read() {
    let cases = cases(&[1; 12]);
    let yaml = format!("file: {{path: {}}}", fixture("splits_final.json").display());
    let folds = split(&yaml).folds(&cases, 0).unwrap();
    assert_eq!(folds.len(), 5);
    folds.iter().for_each(|fold| check_fold(fold, &cases));
    assert!(validations(&folds).values().all(|times| *times == 1));
    assert_eq!(folds[0].train[..2], ["sub-001_ses-0", "sub-002_ses-0"]);
}

#[test]
fn a_table_gives_each_case_a_fold_or_a_side() {
    let cases = cases(&[1; 3]);
    let ids = |numbers: &[usize]| -> Vec<String> {
        numbers
            .iter()
            .map(|&number| cases[number].id.clone())
            .collect()
    };
    let table = "id,age,fold\nsub-000_ses-0,7,1\nsub-001_ses-0,,0\nsub-002_ses-0,8,1\n";
    let (_folder, yaml) = from_file("csv", table, "");
    let folds = split(&yaml).folds(&cases, 0).unwrap();
    assert_eq!(folds.len(), 2);
    assert_eq!(
        (&folds[0].train, &folds[0].validation),
        (&ids(&[0, 2]), &ids(&[1]))
    );
    assert_eq!(
        (&folds[1].train, &folds[1].validation),
        (&ids(&[1]), &ids(&[0, 2]))
    );

    let table = "side\tid\ntrain\tsub-002_ses-0\nval\tsub-001_ses-0\nvalidation\tsub-000_ses-0\n";
    let (_folder, yaml) = from_file("tsv", table, "");
    let folds = split(&yaml).folds(&cases, 0).unwrap();
    assert_eq!(folds.len(), 1);
    assert_eq!(
        (&folds[0].train, &folds[0].validation),
        (&ids(&[2]), &ids(&[0, 1]))
    );
}

#[test]
fn a_fold_may_leave_cases_out_where_that_is_said() {
    let cases = cases(&[1; 4]);
    let fold = r#"{"index": 3, "train": ["sub-000_ses-0"], "validation": ["sub-002_ses-0"]}"#;
    let (_folder, yaml) = from_file("json", fold, ", skip_unlisted: true");
    let folds = split(&yaml).folds(&cases, 0).unwrap();
    assert_eq!((folds.len(), folds[0].index), (1, 0));
    let (_folder, yaml) = from_file("json", fold, "");
    let said = why(&yaml, &cases);
    assert!(
        said.contains("folds.json: fold 0 leaves out 2 of 4 cases: sub-001_ses-0, sub-003_ses-0.")
            && said.contains("skip_unlisted: true"),
        "{said}"
    );
}

#[test]
fn a_wrong_file_is_told_what_is_wrong() {
    let mut cases = cases(&[2, 1, 1]);
    for (case, family) in cases.iter_mut().zip(["A", "A", "B", "A"]) {
        case.columns.insert("family".into(), family.into());
    }
    let (a, b, c, d) = (&cases[0].id, &cases[1].id, &cases[2].id, &cases[3].id);
    let fold = |train: &str, val: &str| format!("[{{train: [{train}], val: [{val}]}}]");
    let good = format!("{{train: [{a}, {b}], val: [{c}, {d}]}}");
    for (ending, content, settings, said) in [
        (
            "yaml",
            fold(&format!("{a}, {c}"), &format!("{b}, {d}")),
            "",
            "folds.yaml: subject sub-000 stands on both sides of fold 0: case sub-000_ses-0 trains, case sub-000_ses-1 validates",
        ),
        (
            "yaml",
            fold(&format!("{a}, {b}, {c}"), &format!("{c}, {d}")),
            "",
            "subject sub-001 stands on both sides of fold 0",
        ),
        (
            "yaml",
            good.clone(),
            ", group: family",
            "`family` A stands on both sides of fold 0: case sub-000_ses-1 trains, case sub-002_ses-0 validates",
        ),
        (
            "yaml",
            good.clone(),
            ", group: famly",
            "Did you mean `family`?",
        ),
        (
            "yaml",
            fold("sub-000-ses-0", c),
            "",
            "fold 0 names case `sub-000-ses-0`, which is not among the data's 4 cases. Did you mean `sub-000_ses-0`?",
        ),
        (
            "yaml",
            fold(&format!("{a}, {a}"), c),
            "",
            "names case `sub-000_ses-0` twice",
        ),
        (
            "yaml",
            fold(&format!("{a}, {b}, {c}, {d}"), ""),
            "",
            "fold 0 has no case to validate on",
        ),
        (
            "yaml",
            fold("", &format!("{a}, {b}, {c}, {d}")),
            "",
            "fold 0 has no case to train on",
        ),
        ("yaml", "[]".into(), "", "there is no fold in it"),
        (
            "yaml",
            String::new(),
            "",
            "Write a fold, or a list of folds",
        ),
        (
            "yaml",
            "{train: [x], vall: [y]}".into(),
            "",
            "unknown field `vall`",
        ),
        (
            "yaml",
            "{train: [x]}".into(),
            "",
            "missing field `validation`",
        ),
        (
            "yaml",
            "{train: [1], val: [2]}".into(),
            "",
            "in quotes where they are digits",
        ),
        (
            "yaml",
            format!("[{good}, {{index: 0, {}]", &good[1..]),
            "",
            "the fold at place 1 (counted from 0) has the index 0",
        ),
        ("json", "{\"train\": [".into(), "", "line 1 column"),
        ("csv", format!("id,fold\n{a},0\n{b},x\n"), "", "line: 3"),
        (
            "csv",
            format!("id,fold\n{a},0\n{b},\n"),
            "",
            "the row of case `sub-000_ses-1` does not fit",
        ),
        (
            "csv",
            format!("id,fold,side\n{a},0,\n{b},,train\n"),
            "",
            "the row of case `sub-000_ses-1`",
        ),
        (
            "csv",
            format!("id,fold\n{a},0\n{b},0\n{c},2\n{d},2\n"),
            "",
            "fold 1 has no case to validate on",
        ),
        (
            "csv",
            format!("id,fold\n{a},4000000000\n{b},1\n"),
            "",
            "fold",
        ),
        (
            "csv",
            format!("case,fold\n{a},0\n"),
            "",
            "Write a header with `id`",
        ),
        (
            "csv",
            format!("id,side\n{a},test\n"),
            "",
            "`train` or `validation`",
        ),
    ] {
        let (_folder, yaml) = from_file(ending, &content, settings);
        let why = why(&yaml, &cases);
        assert!(why.contains(said), "{content}: {why}");
    }
    let why = why("file: {path: no/such.json}", &cases);
    assert!(why.contains("cannot read no/such.json"), "{why}");
}

#[test]
fn a_column_or_mask_that_is_missing_is_named() {
    let mut cases = cases(&[1; 6]);
    let said = why("kfold: {k: 2, group: family}", &cases);
    assert!(
        said.contains("case sub-000_ses-0 has no value in the column `family`")
            && said.contains("no columns"),
        "{said}"
    );
    for case in &mut cases[..5] {
        case.columns.insert("site".into(), "Lyon".into());
    }
    for yaml in [
        "kfold: {k: 2, stratify: {column: site}}",
        "holdout: {stratify: {column: site}}",
        "leave_one_out: {group: site}",
    ] {
        let said = why(yaml, &cases);
        assert!(said.contains("case sub-005_ses-0"), "{yaml}: {said}");
    }
    cases[3].mask = "no/mask.nii".into();
    for yaml in [
        "kfold: {k: 2, stratify: mask_volume}",
        "holdout: {stratify: mask_volume}",
    ] {
        let said = why(yaml, &cases);
        assert!(said.contains("no/mask.nii"), "{yaml}: {said}");
    }
}

#[test]
fn too_few_subjects_are_an_error_with_the_numbers() {
    let said = why("kfold", &cases(&[2; 4]));
    assert!(
        said.contains("cannot make 5 folds") && said.contains("(subjects: 4, cases: 8)"),
        "{said}"
    );
    let said = why("holdout: {validation: 4}", &cases(&[1; 4]));
    assert!(
        said.contains("cannot hold out 4") && said.contains("(subjects: 4, cases: 4)"),
        "{said}"
    );
    assert!(why("holdout", &cases(&[3])).contains("cannot hold out 1"));
    assert!(why("holdout", &[]).contains("(subjects: 0, cases: 0)"));
    assert!(why("leave_one_out", &cases(&[3])).contains("cannot leave one out"));
    let one_site = stratified(&[0; 6], &[0; 6]);
    for yaml in [
        "holdout: {group: group}",
        "kfold: {k: 2, group: group, stratify: mask_volume}",
        "leave_one_out: {group: group}",
    ] {
        let said = why(yaml, &one_site);
        assert!(
            said.contains("too few groups by `group`")
                && said.contains("(groups by `group`: 1, cases: 6)"),
            "{said}"
        );
    }
}

#[test]
fn values_out_of_range_are_refused() {
    let refused = |yaml: &str| -> String {
        let split: Split = serde_yaml::from_str(yaml).unwrap();
        split.validate().unwrap_err()
    };
    for wrong in ["0", "0.0", "1.0", "1.5", "-3", ".nan"] {
        let why = refused(&format!("holdout: {{validation: {wrong}}}"));
        assert!(why.starts_with("holdout: validation is"), "{why}");
    }
    assert!(refused("kfold: {k: 1}").contains("k is 1"));
    assert!(refused("kfold: {repeats: 0}").contains("repeats is 0"));
    assert!(refused("kfold: {group: ''}").contains("group must name a column"));
    assert!(refused("holdout: {stratify: {column: ''}}").contains("stratify.column must"));
    assert!(refused("leave_one_out: {group: ''}").contains("group must name a column"));
    assert!(refused("file").contains("path must name a file"));
    assert!(refused("file: {path: folds.txt}").contains("ends in one of .json"));

    let unread = |yaml: &str| serde_yaml::from_str::<Split>(yaml).unwrap_err().to_string();
    assert!(unread("holdout: {validation: some}").contains("whole number of subjects"));
    for wrong in ["volume", "{colum: site}", "{column: site, bins: 3}"] {
        let why = unread(&format!("kfold: {{stratify: {wrong}}}"));
        assert!(
            why.contains("`mask_volume`, or a column as in `{column: site}`"),
            "{why}"
        );
    }
    assert!(unread("file: {}").contains("missing field `path`"));
}

#[test]
fn splits_read_back_from_yaml() {
    for written in SETTINGS
        .iter()
        .copied()
        .chain(["{file: {path: a.json, group: family}}"])
    {
        let split = split(written);
        let yaml = serde_yaml::to_string(&split).unwrap();
        assert_eq!(serde_yaml::from_str::<Split>(&yaml).unwrap(), split);
    }
}
