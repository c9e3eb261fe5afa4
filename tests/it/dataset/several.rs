//! Cases of several images and structures: from every source, in the formats that others defined.

use std::path::Path;

use calvaria::dataset::{Case, Data, DatasetError, Source};
use calvaria::experiment::Experiment;

use super::helpers::{folder, write};

fn source(root: &Path, yaml: &str) -> Source {
    serde_yaml::from_str(&yaml.replace("ROOT", &root.display().to_string())).unwrap()
}

fn experiment(root: &Path, data: &str, more: &str) -> Experiment {
    let data: Data =
        serde_yaml::from_str(&data.replace("ROOT", &root.display().to_string())).unwrap();
    let mut experiment: Experiment = serde_yaml::from_str(&format!(
        "{{name: t, loss: dice, data: {{table: {{path: x}}}}, {more}}}"
    ))
    .unwrap();
    experiment.data = data;
    experiment
}

/// Each case's id, and the name, file and number of each of its images.
fn listed(root: &Path, cases: &[Case]) -> Vec<String> {
    let image = |image: &calvaria::preprocess::ImageFile| {
        let file = image.path.strip_prefix(root).unwrap().display().to_string();
        let volume = image
            .volume
            .map_or(String::new(), |volume| format!("[{volume}]"));
        format!("{}={file}{volume}", image.name)
    };
    let of = |case: &Case| {
        let images: Vec<String> = case.images.iter().map(image).collect();
        format!("{}: {}", case.id, images.join(" "))
    };
    cases.iter().map(of).collect()
}

fn why(cases: Result<Vec<Case>, DatasetError>, root: &Path) -> String {
    cases
        .unwrap_err()
        .to_string()
        .replace(&format!("{}/", root.display()), "")
}

const BRATS: &str = r#"{
  "channel_names": {"0": "T1", "1": "FLAIR"},
  "labels": {"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4},
  "regions_class_order": [1, 2, 3],
  "numTraining": 2, "file_ending": ".nii.gz"
}"#;

fn brats() -> tempfile::TempDir {
    let root = folder(&[
        "imagesTr/b_0000.nii.gz",
        "imagesTr/b_0001.nii.gz",
        "imagesTr/a_0000.nii.gz",
        "imagesTr/a_0001.nii.gz",
        "labelsTr/a.nii.gz",
        "labelsTr/b.nii.gz",
    ]);
    write(root.path(), "dataset.json", BRATS);
    root
}

#[test]
fn a_raw_dataset_of_nnunet_tells_its_images_regions_order_and_ignored_label() {
    let root = brats();
    let yaml = "{nnunet: {root: ROOT}}";
    let described = experiment(root.path(), yaml, "").described().unwrap();
    assert_eq!(described.image_names(), ["T1", "FLAIR"]);
    let structures = described.structures();
    assert_eq!(structures.names(), ["whole", "core", "enhancing"]);
    assert!(!structures.is_exclusive() && structures.has_ignored());
    let written: Vec<u16> = (0..3)
        .map(|s| structures.value_of(structures.written(s)))
        .collect();
    assert_eq!(written, [1, 2, 3]);
    assert_eq!(described.ignore, Some(4));
    let cases = described.cases().unwrap();
    assert_eq!(
        listed(root.path(), &cases),
        [
            "a: T1=imagesTr/a_0000.nii.gz FLAIR=imagesTr/a_0001.nii.gz",
            "b: T1=imagesTr/b_0000.nii.gz FLAIR=imagesTr/b_0001.nii.gz"
        ]
    );
    // What the experiment says itself wins.
    let own = experiment(
        root.path(),
        yaml,
        "labels: {tumour: [1, 2, 3]}, ignore: 4, images: [FLAIR]",
    );
    let own = own.described().unwrap();
    assert_eq!(own.structures().names(), ["tumour"]);
    assert_eq!(
        listed(root.path(), &own.cases().unwrap())[0],
        "a: FLAIR=imagesTr/a_0001.nii.gz"
    );
}

#[test]
fn nnunets_exclusive_labels_are_in_the_order_of_its_outputs() {
    let root = brats();
    let labels = BRATS.replace(
        r#"{"background": 0, "whole": [1, 2, 3], "core": [2, 3], "enhancing": 3, "ignore": 4}"#,
        r#"{"background": 0, "posterior": 2, "anterior": 1}"#,
    );
    write(root.path(), "dataset.json", &labels);
    let described = experiment(root.path(), "{nnunet: {root: ROOT}}", "")
        .described()
        .unwrap();
    assert_eq!(described.structures().names(), ["anterior", "posterior"]);
    assert!(described.structures().is_exclusive());
}

#[test]
fn what_an_nnunet_dataset_lacks_is_named() {
    let root = brats();
    let cases = || source(root.path(), "{nnunet: {root: ROOT}}").cases();
    std::fs::remove_file(root.path().join("imagesTr/b_0001.nii.gz")).unwrap();
    let message = why(cases(), root.path());
    assert!(message.contains("imagesTr/b_0001.nii.gz"), "{message}");
    write(root.path(), "imagesTr/b_0001.nii.gz", "");
    std::fs::remove_file(root.path().join("labelsTr/a.nii.gz")).unwrap();
    let message = why(cases(), root.path());
    assert!(
        message.contains("imagesTr/a_0000.nii.gz has no mask: expected labelsTr/a.nii.gz"),
        "{message}"
    );
    write(
        root.path(),
        "dataset.json",
        &BRATS.replace(".nii.gz", ".png"),
    );
    assert!(why(cases(), root.path()).contains("`.png`, and only NIfTI is read"));
    write(
        root.path(),
        "dataset.json",
        &BRATS.replace("\"0\": \"T1\"", "\"2\": \"T1\""),
    );
    assert!(why(cases(), root.path()).contains("number the images from 0"));
    write(root.path(), "dataset.json", "{");
    assert!(why(cases(), root.path()).contains("dataset.json"));
}

#[test]
fn a_task_of_the_decathlon_has_its_images_in_one_file() {
    let root = folder(&["imagesTr/x.nii.gz", "labelsTr/x.nii.gz"]);
    let json = r#"{"modality": {"0": "T2", "1": "ADC"}, "labels": {"0": "background", "2": "TZ", "1": "PZ"},
        "training": [{"image": "./imagesTr/x.nii.gz", "label": "./labelsTr/x.nii.gz"}]}"#;
    write(root.path(), "dataset.json", json);
    let described = experiment(root.path(), "{decathlon: {root: ROOT}}", "")
        .described()
        .unwrap();
    assert_eq!(described.structures().names(), ["PZ", "TZ"]);
    let cases = described.cases().unwrap();
    assert_eq!(
        listed(root.path(), &cases),
        ["x: T2=imagesTr/x.nii.gz[0] ADC=imagesTr/x.nii.gz[1]"]
    );
    write(
        root.path(),
        "dataset.json",
        &json.replace(r#", "1": "ADC""#, ""),
    );
    let one = experiment(root.path(), "{decathlon: {root: ROOT}}", "")
        .described()
        .unwrap();
    assert_eq!(
        listed(root.path(), &one.cases().unwrap()),
        ["x: T2=imagesTr/x.nii.gz"]
    );
}

#[test]
fn pairs_name_each_image_by_a_pattern() {
    let root = folder(&[
        "i/a_0000.nii",
        "i/a_0001.nii",
        "i/b_0000.nii",
        "i/b_0001.nii",
        "l/a.nii",
        "l/b.nii",
    ]);
    let yaml = "{pairs: {root: ROOT, images: {t1: 'i/{id}_0000.nii', flair: 'i/{id}_0001.nii'}, mask: 'l/{id}.nii'}}";
    let cases = || source(root.path(), yaml).cases();
    assert_eq!(
        listed(root.path(), &cases().unwrap()),
        [
            "a: t1=i/a_0000.nii flair=i/a_0001.nii",
            "b: t1=i/b_0000.nii flair=i/b_0001.nii"
        ]
    );
    std::fs::remove_file(root.path().join("i/b_0001.nii")).unwrap();
    let message = why(cases(), root.path());
    assert!(
        message.contains("i/b_0000.nii has no image `flair`: expected i/b_0001.nii"),
        "{message}"
    );
}

#[test]
fn a_case_that_lacks_its_first_image_is_told_too() {
    let root = folder(&[
        "i/a_0000.nii",
        "i/a_0001.nii",
        "i/b_0001.nii",
        "l/a.nii",
        "l/b.nii",
    ]);
    let yaml = "{pairs: {root: ROOT, images: {t1: 'i/{id}_0000.nii', flair: 'i/{id}_0001.nii'}, mask: 'l/{id}.nii'}}";
    let message = why(source(root.path(), yaml).cases(), root.path());
    assert!(
        message.contains("i/b_0001.nii has no image `t1`: expected i/b_0000.nii"),
        "{message}"
    );
}

#[test]
fn images_whose_names_the_first_pattern_matches_too_are_no_cases() {
    let root = folder(&["a.nii", "a_flair.nii", "a_mask.nii"]);
    let yaml = "{pairs: {root: ROOT, images: {t1: '{id}.nii', flair: '{id}_flair.nii'}, mask: '{id}_mask.nii'}}";
    let cases = source(root.path(), yaml).cases().unwrap();
    assert_eq!(
        listed(root.path(), &cases),
        ["a: t1=a.nii flair=a_flair.nii"]
    );
}

#[test]
fn a_table_has_a_column_for_each_image() {
    let root = folder(&["1.nii", "2.nii", "m.nii"]);
    write(
        root.path(),
        "cases.csv",
        "id,t1_file,mask,flair_file,site\na,1.nii,m.nii,2.nii,X\n",
    );
    let yaml = "{table: {path: ROOT/cases.csv, images: {t1: t1_file, flair: flair_file}}}";
    let cases = source(root.path(), yaml).cases().unwrap();
    assert_eq!(listed(root.path(), &cases), ["a: t1=1.nii flair=2.nii"]);
    assert_eq!(cases[0].columns.keys().collect::<Vec<_>>(), ["site"]);
    write(root.path(), "cases.csv", "id,t1_file,mask\na,1.nii,m.nii\n");
    let message = why(source(root.path(), yaml).cases(), root.path());
    assert!(
        message.contains("no column `flair_file`")
            && message.contains("id, t1_file, flair_file and mask"),
        "{message}"
    );
}

#[test]
fn bids_names_images_by_the_ends_of_their_names() {
    let root = folder(&[
        "sub-1/ses-a/anat/sub-1_ses-a_T1w.nii.gz",
        "sub-1/ses-a/anat/sub-1_ses-a_ce-gd_T1w.nii.gz",
        "sub-1/ses-a/anat/sub-1_ses-a_run-1_FLAIR.nii.gz",
        "derivatives/x/sub-1/ses-a/anat/sub-1_ses-a_desc-lesion_mask.nii.gz",
    ]);
    let yaml = "{bids: {root: ROOT, images: {t1: T1w, t1c: ce-gd_T1w, flair: FLAIR}}}";
    let cases = || source(root.path(), yaml).cases();
    assert_eq!(
        listed(root.path(), &cases().unwrap()),
        [
            "sub-1_ses-a: t1=sub-1/ses-a/anat/sub-1_ses-a_T1w.nii.gz t1c=sub-1/ses-a/anat/sub-1_ses-a_ce-gd_T1w.nii.gz \
          flair=sub-1/ses-a/anat/sub-1_ses-a_run-1_FLAIR.nii.gz"
        ]
    );
    write(
        root.path(),
        "sub-1/ses-a/anat/sub-1_ses-a_run-2_FLAIR.nii.gz",
        "",
    );
    let message = why(cases(), root.path());
    assert!(
        message.contains("several files for its image `flair`"),
        "{message}"
    );
    for run in [1, 2] {
        std::fs::remove_file(root.path().join(format!(
            "sub-1/ses-a/anat/sub-1_ses-a_run-{run}_FLAIR.nii.gz"
        )))
        .unwrap();
    }
    let message = why(cases(), root.path());
    assert!(
        message.contains("no image `flair`: expected one file …_FLAIR"),
        "{message}"
    );
}

#[test]
fn nfbs_names_images_by_the_ends_of_their_names() {
    let root = folder(&[
        "s/s_T1w.nii.gz",
        "s/s_T2w.nii.gz",
        "s/s_T1w_brainmask.nii.gz",
    ]);
    let yaml = "{nfbs: {root: ROOT, images: {t1: T1w, t2: T2w}}}";
    let cases = source(root.path(), yaml).cases().unwrap();
    assert_eq!(
        listed(root.path(), &cases),
        ["s: t1=s/s_T1w.nii.gz t2=s/s_T2w.nii.gz"]
    );
    std::fs::remove_file(root.path().join("s/s_T2w.nii.gz")).unwrap();
    let message = why(source(root.path(), yaml).cases(), root.path());
    assert!(message.contains("no image `t2`"), "{message}");
}

#[test]
fn images_are_chosen_by_name_and_unknown_names_are_told() {
    let root = brats();
    let chosen = |names: &str| {
        experiment(
            root.path(),
            "{nnunet: {root: ROOT}}",
            &format!("images: {names}"),
        )
        .described()
    };
    let turned = chosen("[FLAIR, T1]").unwrap();
    assert_eq!(
        listed(root.path(), &turned.cases().unwrap())[0],
        "a: FLAIR=imagesTr/a_0001.nii.gz T1=imagesTr/a_0000.nii.gz"
    );
    let message = chosen("[FLAIRR]").unwrap_err().to_string();
    assert!(
        message.contains("`FLAIRR`") && message.contains("did you mean FLAIR?"),
        "{message}"
    );
}

/// The 24 hippocampi of the repository.
#[test]
fn the_shipped_hippocampi_are_read_as_the_decathlon_has_them() {
    let root = crate::common::repository("experiments/data/hippocampus");
    let described = experiment(&root, "{decathlon: {root: ROOT}}", "")
        .described()
        .unwrap();
    let cases = described.cases().unwrap();
    assert_eq!(cases.len(), 24);
    let case = cases[0].inputs().read().unwrap().case;
    let mask = case.mask.unwrap();
    let found: Vec<bool> = (0..=3)
        .map(|class| mask.voxels.iter().any(|voxel| *voxel == class))
        .collect();
    assert_eq!(found, [true, true, true, false]);
    assert_eq!(case.images[0].shape(), mask.shape());
}
