//! Results are never taken for data, wherever they lie.

use std::fs;
use std::path::Path;

use calvaria::dataset::{Bids, Case, Nfbs, Pairs, Source};

use super::helpers::{folder, write};
use crate::common::{TOY_EXPERIMENT, calvaria, toy_dataset};

fn list_cases(folder: &Path) -> Vec<u8> {
    let listed = calvaria()
        .current_dir(folder)
        .args(["list", "cases", "toy.yaml"])
        .assert()
        .success();
    listed.get_output().stdout.clone()
}

#[test]
fn results_below_the_data_leave_the_data_as_they_are() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    toy_dataset(folder, 3);
    let text = TOY_EXPERIMENT.replace("{root: heads}", "{root: .}");
    fs::write(folder.join("toy.yaml"), text).unwrap();
    let cases = list_cases(folder);
    let short = ["--device", "cpu", "-q", "--set", "train.epochs=1"];
    for results in ["results", "sub-01/other/name", "."] {
        for seed in ["7", "8"] {
            calvaria()
                .current_dir(folder)
                .args(["run", "toy.yaml", "--results", results, "--seeds", seed])
                .args(short)
                .assert()
                .success();
            assert_eq!(list_cases(folder), cases, "{results}");
        }
    }
    // What is predicted into a folder of results is no data either.
    toy_dataset(&folder.join("results/predicted"), 1);
    assert_eq!(list_cases(folder), cases);
    let sweep = "{experiment: toy.yaml, space: {loss: {choice: [dice]}}, sampler: grid, \
                 executor: {local: {devices: [cpu]}}}";
    fs::write(folder.join("search.yaml"), sweep).unwrap();
    calvaria()
        .current_dir(folder)
        .args(["sweep", "search.yaml", "--results", ".", "-q"])
        .assert()
        .success();
    assert_eq!(list_cases(folder), cases, "sweep");
}

#[test]
fn what_earlier_versions_left_is_passed_over_by_every_source() {
    let root = folder(&[
        "sub-1/anat/sub-1_T1w.nii",
        "sub-1/anat/sub-1_T1w_brainmask.nii",
    ]);
    let root = root.path();
    let sources = [
        Source::Nfbs(Nfbs {
            root: root.into(),
            images: None,
        }),
        Source::Bids(Bids {
            root: root.into(),
            derivatives: Some(root.into()),
            mask: "brainmask".into(),
            ..Bids::default()
        }),
        Source::Pairs(Pairs {
            root: root.into(),
            image: Some("*/*/{id}_T1w.nii".into()),
            images: None,
            mask: "*/*/{id}_T1w_brainmask.nii".into(),
        }),
    ];
    let cases = || sources.each_ref().map(|source| source.cases().unwrap());
    let before: [Vec<Case>; 3] = cases();
    assert!(before.iter().all(|cases| cases.len() == 1));
    let cached = "sub-1/cache/a-0123456789abcdef";
    for made in [cached, "sub-2"] {
        for file in [
            "image.nii",
            "mask.nii",
            "x_T1w.nii",
            "anat/sub-2_T1w.nii",
            "anat/sub-1_brainmask.nii",
        ] {
            write(root, &format!("{made}/{file}"), "");
        }
    }
    for source in &sources {
        let misled = source.cases().ok().is_none_or(|cases| cases.len() > 1);
        assert!(misled, "this test shows nothing about {}", source.name());
    }
    write(root, &format!("{cached}/case.json"), "{}");
    write(root, "sub-2/config.yaml", "");
    write(root, "sub-2/split.json", "");
    assert_eq!(cases(), before);
}
