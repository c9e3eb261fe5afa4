//! `calvaria compare` on made-up tables of scores.

use std::fs;
use std::path::Path;

use predicates::prelude::*;
use predicates::str::contains;

use crate::common::calvaria;

/// Writes a run's scores: an IoU, an HD95 and a true volume for each case.
fn write_run(folder: &Path, run: &str, cases: std::ops::Range<usize>, gain: f64) {
    let mut table = String::from("case,iou,hd95,true_volume_ml\n");
    for case in cases {
        let iou = 0.8
            + 0.01 * ((case * 7) % 10) as f64
            + gain
            + 0.0003 * ((case * 5) % 11) as f64 * f64::from(u8::from(gain > 0.0));
        let hd95 = 5.0 - 20.0 * gain + 0.01 * case as f64;
        table += &format!("sub-{case:02},{iou},{hd95},{}\n", 1000 + case);
    }
    let folder = folder.join(run);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("cases.csv"), table).unwrap();
}

fn compare(folder: &Path, arguments: &[&str]) -> assert_cmd::assert::Assert {
    calvaria()
        .current_dir(folder)
        .arg("compare")
        .args(arguments)
        .assert()
}

#[test]
fn one_sentence_says_what_is_better_or_that_the_data_cannot_tell() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "a", 0..25, 0.0);
    write_run(folder.path(), "b", 0..25, 0.012);
    compare(folder.path(), &["a", "b"]).success().stdout(
        contains("b is better than a by 0.0135 iou [0.01").and(contains("p < 0.001, 25 cases.")),
    );
    compare(folder.path(), &["b", "a"])
        .success()
        .stdout(contains("a is worse than b by 0.0135 iou"));
    // Lower distances are better; two comparisons at once are corrected for.
    compare(folder.path(), &["a", "b", "--metrics", "hd95,iou"])
        .success()
        .stdout(
            contains("b is better than a by 0.2400 mm hd95")
                .and(contains("correction for 2 comparisons")),
        );
    compare(folder.path(), &["a", "a"])
        .success()
        .stdout(contains(
            "The data show no significant difference between a and a: +0.0000 iou",
        ));
}

/// Writes a run's HD95 of ten cases.
fn write_distances(folder: &Path, run: &str, hd95: [f64; 10]) {
    let rows = hd95.iter().enumerate();
    let rows: String = rows
        .map(|(case, hd95)| format!("c{case},{hd95}\n"))
        .collect();
    fs::create_dir_all(folder.join(run)).unwrap();
    fs::write(
        folder.join(run).join("cases.csv"),
        format!("case,hd95\n{rows}"),
    )
    .unwrap();
}

#[test]
fn what_neither_run_found_is_no_gain_and_what_one_found_is_the_largest() {
    let folder = tempfile::tempdir().unwrap();
    let base = |case: usize| 4.0 + 0.7 * ((case * 7) % 10) as f64;
    let better = |case: usize| base(case) - 1.0 - 0.01 * case as f64;
    let with = |last: f64, of: &dyn Fn(usize) -> f64| {
        std::array::from_fn(|case| if case == 9 { last } else { of(case) })
    };
    let inf = f64::INFINITY;
    write_distances(folder.path(), "a", with(inf, &base));
    write_distances(folder.path(), "b", with(inf, &better));
    write_distances(folder.path(), "c", with(2.0, &better));
    write_distances(folder.path(), "none", [inf; 10]);
    let sentence = |arguments: [&str; 2]| {
        let all = [arguments[0], arguments[1], "--metrics", "hd95"];
        let output = compare(folder.path(), &all)
            .success()
            .get_output()
            .stdout
            .clone();
        String::from_utf8(output).unwrap()
    };
    let found = sentence(["a", "b"]);
    let expected = "b is better than a in hd95, p = 0.004, 10 cases. hd95 is infinite for 1 of 10 cases in a and for 1 in b";
    assert!(found.contains(expected), "{found}");
    assert!(
        found.contains("Over the other 9 cases: -1.0400 mm hd95 [-1."),
        "{found}"
    );
    let back = sentence(["b", "a"]);
    assert!(
        back.contains("a is worse than b in hd95, p = 0.004, 10 cases."),
        "{back}"
    );
    assert!(
        back.contains("Over the other 9 cases: +1.0400 mm hd95 [+1."),
        "{back}"
    );
    // The structure that only c finds is the largest gain of ten.
    let found = sentence(["a", "c"]);
    assert!(found.contains("c is better than a in hd95, p = 0.002, 10 cases. hd95 is infinite for 1 of 10 cases in a and for 0 in c"), "{found}");
    // No run is better than itself, whatever it did not find.
    for run in ["a", "none"] {
        let found = sentence([run, run]);
        assert!(
            found.contains("no significant difference") && found.contains("p = 1.000"),
            "{found}"
        );
        assert!(
            !found.contains("better") && !found.contains("NaN") && !found.contains("-0.0000"),
            "{found}"
        );
    }
    assert!(sentence(["a", "none"]).contains("none is worse than a in hd95"));
}

#[test]
fn what_stands_twice_or_is_no_number_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "a", 0..5, 0.0);
    compare(folder.path(), &["a", "a", "--metrics", "iou,hd95,iou"])
        .code(2)
        .stderr(contains("--metrics names iou twice"));
    let table = folder.path().join("a/cases.csv");
    fs::write(&table, "case,iou\nsub-00,NaN\n").unwrap();
    compare(folder.path(), &["a", "a"])
        .code(2)
        .stderr(contains("iou of case sub-00 is not a number in a"));
}

#[test]
fn an_experiment_is_the_mean_of_its_seeds_and_all_of_its_folds() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "a/seed-1/fold-0", 0..6, 0.0);
    write_run(folder.path(), "a/seed-1/fold-1", 6..12, 0.0);
    for (seed, gain) in [("b/seed-1", 0.02), ("b/seed-2", 0.04)] {
        write_run(folder.path(), seed, 0..12, gain);
    }
    compare(folder.path(), &["a", "b"])
        .success()
        .stdout(contains("b is better than a by 0.03").and(contains("12 cases")));
}

#[test]
fn scores_against_other_masks_of_the_same_volume_are_warned_of() {
    let folder = tempfile::tempdir().unwrap();
    for (run, digest) in [("a", "1"), ("b", "2"), ("c", "1")] {
        write_run(folder.path(), run, 0..6, 0.0);
        let inputs =
            format!("{{\"inputs\": {{\"sub-00\": {{\"image\": \"0\", \"mask\": \"{digest}\"}}}}}}");
        fs::write(folder.path().join(run).join("environment.json"), inputs).unwrap();
    }
    let other = compare(folder.path(), &["a", "b"]).success();
    let warning = String::from_utf8_lossy(&other.get_output().stderr).into_owned();
    assert!(warning.contains("1 cases, such as sub-00"), "{warning}");
    let same = compare(folder.path(), &["a", "c"]).success();
    assert!(same.get_output().stderr.is_empty());
}

#[test]
fn what_cannot_be_paired_is_refused_with_the_reason() {
    let folder = tempfile::tempdir().unwrap();
    write_run(folder.path(), "a", 0..5, 0.0);
    write_run(folder.path(), "fewer", 1..5, 0.0);
    compare(folder.path(), &["a", "fewer"])
        .code(2)
        .stderr(contains("different cases").and(contains("only a has sub-00")));
    write_run(folder.path(), "moved", 0..5, 0.0);
    let table = folder.path().join("moved/cases.csv");
    let text = fs::read_to_string(&table).unwrap().replace("1003", "1004");
    fs::write(&table, text).unwrap();
    compare(folder.path(), &["a", "moved"])
        .code(2)
        .stderr(contains("sub-03").and(contains("different grids")));
    fs::create_dir(folder.path().join("empty")).unwrap();
    for nothing in ["empty", "nowhere"] {
        compare(folder.path(), &["a", nothing])
            .code(2)
            .stderr(contains(nothing).and(contains("no finished run")));
    }
    compare(folder.path(), &["a", "a", "--metrics", "iuo"])
        .code(2)
        .stderr(contains("iou, iou_soft"));
    compare(folder.path(), &["a", "a", "--metrics", "assd"])
        .code(2)
        .stderr(contains("no metric `assd`"));
    fs::write(&table, "case,iou,true_volume_ml\nsub-00,good,1000\n").unwrap();
    compare(folder.path(), &["a", "moved"])
        .code(2)
        .stderr(contains("`good` in column iou"));
    compare(folder.path(), &["a"]).code(2);
}
