//! The pages and plots of runs that find several structures, from what such runs leave.

use std::fs;
use std::path::Path;

use calvaria::evaluate::Segmented;
use calvaria::experiment::Experiment;
use calvaria::layout::{CaseScores, Epoch, RunFolder, StructureEpoch};
use calvaria::metric::{Evaluation, by_structure};
use calvaria::report::{Finished, Highlight, draw_run, write_experiment, write_run};
use calvaria::volume::{Affine, Structures, Volume};
use ndarray::Array3;

use crate::common::toy_workplace;

fn experiment(folder: &Path, labels: &str) -> Experiment {
    let file = folder.join("toy.yaml");
    let text = fs::read_to_string(&file).unwrap();
    let text = text.replace("bce", "cross_entropy");
    fs::write(&file, format!("{text}{labels}\n")).unwrap();
    calvaria::load(&file, &[]).unwrap().experiment
}

fn class_map(shift: usize) -> Volume<u8> {
    let voxels = Array3::from_shape_fn((20, 20, 20), |(x, y, z)| match (x, y + shift, z) {
        (5..=14, 5..=9, 6..=13) => 1,
        (5..=14, 10..=15, 6..=13) => 2,
        _ => 0,
    });
    let affine = Affine::identity();
    Volume { voxels, affine }
}

fn epochs(structures: &Structures) -> Vec<Epoch> {
    let epoch = |epoch: usize| Epoch {
        epoch,
        learning_rate: 0.01,
        train_loss: 1.0 / epoch as f64,
        train_iou: 0.4,
        train_iou_soft: 0.4,
        validation_loss: 1.1 / epoch as f64,
        validation_iou: 0.7 - 0.4 / epoch as f64,
        validation_iou_soft: 0.4,
        validation_dice: 0.8 - 0.4 / epoch as f64,
        seconds: 2.0,
        metrics: Vec::new(),
        structures: (structures.names().into_iter().enumerate())
            .map(|(at, name)| StructureEpoch {
                name: name.to_owned(),
                iou: 0.65 + 0.1 * at as f64 - 0.4 / epoch as f64,
                dice: 0.75 + 0.1 * at as f64 - 0.4 / epoch as f64,
            })
            .collect(),
    };
    (1..=5).map(epoch).collect()
}

/// What a finished run of two structures leaves in `folder`.
fn run(folder: &Path, experiment: &Experiment) {
    let structures = experiment.structures();
    let files = RunFolder::new(folder);
    fs::create_dir_all(folder).unwrap();
    fs::write(files.config(), serde_yaml_of(experiment)).unwrap();
    fs::write(files.environment(), "{\"sessions\": [], \"inputs\": {}}").unwrap();
    files.write_metrics(&epochs(&structures)).unwrap();
    let truth = class_map(0);
    let scores = |case: usize| {
        let scores = by_structure(
            &class_map(case),
            &truth,
            &structures,
            None,
            &Evaluation::default(),
        );
        CaseScores::of_structures(format!("sub-{case:02}"), &structures, scores)
    };
    let cases: Vec<CaseScores> = [1, 0, 3, 2].map(scores).into();
    files.write_cases(&cases).unwrap();
    let image = Volume {
        voxels: Array3::from_shape_fn((20, 20, 20), |(x, y, z)| (x + 2 * y + z) as f32),
        affine: Affine::identity(),
    };
    let highlight = |label, case: usize| Highlight {
        label,
        scores: scores(case),
        segmented: Segmented {
            image: image.clone(),
            truth: truth.clone(),
            prediction: class_map(case),
        },
    };
    let highlights = [
        highlight("best", 0),
        highlight("median", 1),
        highlight("worst", 3),
    ];
    draw_run(folder, experiment, &cases, &highlights).unwrap();
}

fn serde_yaml_of(experiment: &Experiment) -> String {
    calvaria::settings::to_yaml(experiment).unwrap()
}

#[test]
fn a_run_of_several_structures_shows_each_of_them() {
    let workplace = toy_workplace(2);
    let experiment = experiment(workplace.path(), "labels: {front: 1, back: 2}");
    let folder = workplace.path().join("results/toy/seed-7");
    run(&folder, &experiment);
    write_run(
        &folder,
        &experiment,
        &[("validation IoU".into(), "0.6".into())],
    )
    .unwrap();
    let page = fs::read_to_string(folder.join("report.html")).unwrap();
    for says in [
        "<h2>Structures</h2>",
        "<h2>Worst cases of each structure</h2>",
        "<th>hd95 (mm)</th>",
        "<td>front</td>",
        "Dice of each structure in the validation cases",
        "The best validation case by the mean IoU of its structures, sub-00",
        "The worst validation case by the mean IoU of its structures, sub-03",
        "Means over the structures of each case",
    ] {
        assert!(page.contains(says), "{says} is missing");
    }
    assert!(
        !page.contains("<td>mean</td>"),
        "the table of cases has one row a case"
    );
    assert_eq!(
        page.matches("<figure>").count(),
        8,
        "five plots and three overlays"
    );
    let plot = |name: &str| fs::read_to_string(folder.join("plots").join(name)).unwrap();
    for (name, texts) in [
        (
            "validation_iou.svg",
            &["mean of 2 structures", "front", "back"][..],
        ),
        ("structures.svg", &["front", "back", "Dice (line: median)"]),
        ("overlay_worst.svg", &["true", "predicted", "front", "back"]),
    ] {
        for text in texts {
            assert!(
                plot(name).contains(&format!("\n{text}\n")),
                "{text} in {name}"
            );
        }
    }
    // What the page is made from is what stands in the tables.
    let read = RunFolder::new(&folder).read_cases().unwrap();
    assert_eq!(read[0].structures[1].name, "back");
    assert_eq!(
        RunFolder::new(&folder).read_metrics().unwrap()[4].metric("validation_iou/back"),
        Some(0.67)
    );
}

#[test]
fn an_experiment_of_several_runs_shows_each_structure_over_all_of_them() {
    let workplace = toy_workplace(2);
    let experiment = experiment(workplace.path(), "labels: {front: 1, back: 2}");
    let home = workplace.path().join("results/toy");
    let runs: Vec<Finished> = ["seed-1/fold-0", "seed-1/fold-1"]
        .map(|variant| {
            run(&home.join(variant), &experiment);
            Finished {
                variant: variant.into(),
                folder: home.join(variant),
                summary: vec![("validation IoU".into(), "0.6".into())],
            }
        })
        .into();
    write_experiment(&home, &experiment, &runs, Vec::new()).unwrap();
    let page = fs::read_to_string(home.join("report.html")).unwrap();
    for says in [
        "<h2>Structures</h2>",
        "<td>back</td>",
        "Validation IoU of each structure, mean over the runs",
    ] {
        assert!(page.contains(says), "{says} is missing");
    }
    let svg = fs::read_to_string(home.join("plots/validation_iou_structures.svg")).unwrap();
    assert!(svg.contains("\nmean of 2 structures\n"));
    let svg = fs::read_to_string(home.join("plots/validation_iou.svg")).unwrap();
    assert!(svg.contains("\nmean of 2\n"), "the mean of the runs");
}
