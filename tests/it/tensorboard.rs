//! Event files are what TensorBoard reads.

use std::path::{Path, PathBuf};
use std::process::Command;

use calvaria::track::{Setting, TensorBoard};
use protobuf::Message;
use serde_json::{Value, json};
use tensorboard_proto::event::Event;

use crate::common::{calvaria, killed_run, toy_workplace};

fn event_files(folder: &Path) -> Vec<PathBuf> {
    let mut files: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// CRC-32C bit by bit, as in RFC 3720, and masked as in TensorFlow's record format.
fn masked_crc32c(bytes: &[u8]) -> u32 {
    let mut crc = !0u32;
    for byte in bytes {
        crc ^= u32::from(*byte);
        for _ in 0..8 {
            crc = (crc >> 1) ^ if crc & 1 == 1 { 0x82f6_3b78 } else { 0 };
        }
    }
    (!crc).rotate_right(15).wrapping_add(0xa282_ead8)
}

/// The records of an event file, their lengths and checksums verified.
fn records(path: &Path) -> Vec<Vec<u8>> {
    let bytes = std::fs::read(path).unwrap();
    let mut rest = &bytes[..];
    let mut records = Vec::new();
    let number = |bytes: &[u8]| u32::from_le_bytes(bytes.try_into().unwrap());
    while !rest.is_empty() {
        let length = u64::from_le_bytes(rest[..8].try_into().unwrap()) as usize;
        assert_eq!(number(&rest[8..12]), masked_crc32c(&rest[..8]));
        let data = &rest[12..12 + length];
        assert_eq!(number(&rest[12 + length..16 + length]), masked_crc32c(data));
        records.push(data.to_vec());
        rest = &rest[16 + length..];
    }
    records
}

#[test]
fn records_are_framed_with_length_and_checksums() {
    let folder = tempfile::tempdir().unwrap();
    let mut board = TensorBoard::open(folder.path(), |_, _| true).unwrap();
    board.scalar("loss", 0.25, 3);
    board.flush();
    let [file] = &event_files(folder.path())[..] else {
        panic!("not one file")
    };
    let [version, _start, scalar] = &records(file)[..] else {
        panic!("not three records")
    };
    let contains = |data: &[u8], part: &[u8]| data.windows(part.len()).any(|w| w == part);
    assert!(contains(version, b"brain.Event:2"));
    // Field 2 (step) is the number 3; in the value, field 1 is the tag and field 2 the float 0.25.
    assert!(contains(scalar, &[0x10, 3]));
    assert!(contains(scalar, b"\x0a\x04loss\x15\x00\x00\x80\x3e"));
}

/// Tag and step of each value in a folder's only event file; settings have a step of 0.
fn recorded(folder: &Path) -> Vec<(String, i64)> {
    let [file] = &event_files(folder)[..] else {
        panic!("not one file: {:?}", event_files(folder))
    };
    let values = records(file).into_iter().flat_map(|record| {
        let event = Event::parse_from_bytes(&record).unwrap();
        let values = event.get_summary().get_value().to_vec();
        values
            .into_iter()
            .map(move |value| (value.get_tag().to_owned(), event.get_step()))
    });
    values.collect()
}

#[test]
fn a_session_takes_over_what_is_still_true_of_those_before() {
    let folder = tempfile::tempdir().unwrap();
    let session = |steps: std::ops::RangeInclusive<usize>, last: usize| {
        let mut board = TensorBoard::open(folder.path(), |_, step| step <= last).unwrap();
        board.start_session(
            "group",
            &[("train.epochs".to_owned(), Setting::Number(last as f64))],
        );
        for step in steps {
            board.scalar("loss", step as f32, step);
            board.image("slice", &[0; 3], 1, 1, step);
        }
        board.end_session();
    };
    // Killed after step 5, of which a checkpoint has 3; then made longer.
    session(1..=5, 0);
    session(4..=6, 3);
    session(7..=8, 6);
    let found = recorded(folder.path());
    let of = |tag: &str| -> Vec<i64> {
        let of_tag = found.iter().filter(|(found, _)| found == tag);
        of_tag.map(|(_, step)| *step).collect()
    };
    assert_eq!(of("loss"), [1, 2, 3, 4, 5, 6, 7, 8]);
    assert_eq!(of("slice"), [1, 2, 3, 4, 5, 6, 7, 8]);
    for settings in ["_hparams_/session_start_info", "_hparams_/session_end_info"] {
        assert_eq!(of(settings), [0], "{settings}");
    }
    if let Some(read) = read_by_tensorboard(folder.path()) {
        assert_eq!(
            read["session_start"]["hparams"],
            json!({"train.epochs": 6.0})
        );
        assert_eq!(read["scalars"]["loss"].as_array().unwrap().len(), 8);
    }
    // A run that starts over has nothing of the earlier one.
    session(1..=1, 0);
    assert_eq!(recorded(folder.path()).len(), 4);
}

#[test]
fn a_file_that_was_cut_off_gives_what_is_whole_and_the_later_of_two_records_counts() {
    let folder = tempfile::tempdir().unwrap();
    let all = |_: &str, _| true;
    let mut board = TensorBoard::open(folder.path(), all).unwrap();
    for step in 1..=3 {
        board.scalar("loss", 0.5, step);
    }
    drop(board);
    let [file] = &event_files(folder.path())[..] else {
        panic!("not one file")
    };
    let bytes = std::fs::read(file).unwrap();
    std::fs::write(file, &bytes[..bytes.len() - 5]).unwrap();
    // As earlier versions left it: a second file, which has a step again.
    let other = folder
        .path()
        .join("events.out.tfevents.9999999999.calvaria.1.0");
    std::fs::write(&other, &bytes).unwrap();
    drop(TensorBoard::open(folder.path(), all).unwrap());
    let loss = |step| ("loss".to_owned(), step);
    assert_eq!(recorded(folder.path()), [loss(1), loss(2), loss(3)]);
}

#[test]
fn a_run_that_is_made_longer_shows_its_new_settings_and_each_point_once() {
    let folder = toy_workplace(4);
    let run = |epochs: &str| {
        let mut command = calvaria();
        command.current_dir(folder.path());
        command.args(["run", "toy.yaml", "--device", "cpu", "-q", "--set", epochs]);
        command.assert().success();
    };
    killed_run(
        folder.path(),
        &["--set", "train.epochs=3"],
        "results/toy/seed-7",
    );
    run("train.epochs=3");
    run("train.epochs=5");
    let board = folder.path().join("results/toy/seed-7/tensorboard");
    let found = recorded(&board);
    let unique: std::collections::BTreeSet<_> = found.iter().collect();
    assert_eq!(unique.len(), found.len(), "{found:?}");
    let steps = |tag: &str| found.iter().filter(|(found, _)| found == tag).count();
    assert_eq!(steps("train/step/loss"), 15);
    assert_eq!(steps("validation/epoch/iou"), 5);
    assert_eq!(steps("_hparams_/session_end_info"), 1);
    if let Some(read) = read_by_tensorboard(&board) {
        assert_eq!(read["session_start"]["hparams"]["train.epochs"], 5.0);
        assert_eq!(read["session_end"]["status"], 1);
    }
}

#[test]
fn a_folder_that_cannot_be_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tensorboard");
    std::fs::write(&file, "").unwrap();
    let error = TensorBoard::open(&file, |_, _| true)
        .err()
        .unwrap()
        .to_string();
    assert!(error.contains("tensorboard"), "{error}");
}

/// What TensorBoard reads from `folder`; `None`, with the reason printed, where it is not installed.
fn read_by_tensorboard(folder: &Path) -> Option<Value> {
    let Ok(python) = std::env::var("CALVARIA_TENSORBOARD_PYTHON") else {
        eprintln!("skipped: CALVARIA_TENSORBOARD_PYTHON does not name a Python with tensorboard");
        return None;
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/check_tensorboard.py");
    let output = Command::new(&python)
        .arg(script)
        .arg(folder)
        .output()
        .unwrap();
    if output.status.code() == Some(77) {
        eprintln!("skipped: {python} has no package tensorboard");
        return None;
    }
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn tensorboard_reads_scalars_and_pictures_of_several_sessions() {
    let folder = tempfile::tempdir().unwrap();
    // 3 pixels wide and 2 high, each pixel of another colour.
    let rgb: Vec<u8> = (0..18).map(|n| n * 14).collect();
    let mut first = TensorBoard::open(folder.path(), |_, _| true).unwrap();
    first.scalar("train/step/loss", 0.5, 1);
    first.scalar("train/step/loss", f32::NAN, 2);
    first.scalar("train/step/loss", f32::INFINITY, 3);
    first.image("validation/sub-01", &rgb, 3, 2, 3);
    drop(first);
    let mut resumed = TensorBoard::open(folder.path(), |_, _| true).unwrap();
    resumed.scalar("train/step/loss", 0.125, 4);
    resumed.scalar("validation/epoch/iou", 0.875, 3_000_000_000);
    drop(resumed);

    let Some(read) = read_by_tensorboard(folder.path()) else {
        return;
    };
    let curve = |tag: &str| -> Vec<Value> {
        let events = read["scalars"][tag].as_array().unwrap();
        events
            .iter()
            .map(|event| json!([event[0], event[1]]))
            .collect()
    };
    let losses = [
        json!([1, 0.5]),
        json!([2, "nan"]),
        json!([3, "inf"]),
        json!([4, 0.125]),
    ];
    assert_eq!(curve("train/step/loss"), losses);
    assert_eq!(
        curve("validation/epoch/iou"),
        [json!([3_000_000_000u64, 0.875])]
    );
    let wall_time = read["scalars"]["train/step/loss"][0][2].as_f64().unwrap();
    let now = std::time::SystemTime::UNIX_EPOCH
        .elapsed()
        .unwrap()
        .as_secs_f64();
    assert!((now - wall_time).abs() < 60.0);

    let picture = &read["images"]["validation/sub-01"][0];
    assert_eq!(picture["step"], 3);
    assert_eq!(picture["size"], json!([3, 2]));
    assert_eq!(picture["png_size"], json!([3, 2]));
    let hex = picture["png"].as_str().unwrap();
    let png: Vec<u8> = (0..hex.len() / 2)
        .map(|n| u8::from_str_radix(&hex[2 * n..2 * n + 2], 16).unwrap())
        .collect();
    assert_eq!(
        image::load_from_memory(&png)
            .unwrap()
            .into_rgb8()
            .into_raw(),
        rgb
    );
}

#[test]
fn tensorboard_reads_a_run_s_settings_and_that_it_finished() {
    let folder = tempfile::tempdir().unwrap();
    let settings = [
        ("loss".to_owned(), Setting::Text("dice".into())),
        ("train.epochs".to_owned(), Setting::Number(8.0)),
        ("train.checkpointing".to_owned(), Setting::Switch(true)),
    ];
    let begin = || {
        let mut board = TensorBoard::open(folder.path(), |_, _| true).unwrap();
        board.start_session("sweep/trial-0001", &settings);
        board.text("config", "```yaml\nname: ä\n```");
        board
    };
    drop(begin());
    let Some(read) = read_by_tensorboard(folder.path()) else {
        return;
    };
    let hparams = json!({"loss": "dice", "train.epochs": 8.0, "train.checkpointing": true});
    assert_eq!(read["session_start"]["hparams"], hparams);
    assert_eq!(read["session_start"]["group_name"], "sweep/trial-0001");
    assert_eq!(read["session_end"], Value::Null);
    assert_eq!(read["texts"]["config"][0], "```yaml\nname: ä\n```");

    // A resumed session writes it again and ends.
    begin().end_session();
    let read = read_by_tensorboard(folder.path()).unwrap();
    assert_eq!(read["session_start"]["hparams"], hparams);
    // 1 is STATUS_SUCCESS in TensorBoard's api.proto.
    assert_eq!(read["session_end"]["status"], 1);
    let end = read["session_end"]["end_time_secs"].as_f64().unwrap();
    assert!(end >= read["session_start"]["start_time_secs"].as_f64().unwrap());
}
