//! Event files are what TensorBoard reads.

use std::path::{Path, PathBuf};
use std::process::Command;

use calvaria::track::{Setting, TensorBoard};
use serde_json::{Value, json};

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
    let mut board = TensorBoard::new(folder.path()).unwrap();
    board.scalar("loss", 0.25, 3);
    board.flush();
    let [file] = &event_files(folder.path())[..] else {
        panic!("not one file")
    };
    let [version, scalar] = &records(file)[..] else {
        panic!("not two records")
    };
    let contains = |data: &[u8], part: &[u8]| data.windows(part.len()).any(|w| w == part);
    assert!(contains(version, b"brain.Event:2"));
    // Field 2 (step) is the number 3; in the value, field 1 is the tag and field 2 the float 0.25.
    assert!(contains(scalar, &[0x10, 3]));
    assert!(contains(scalar, b"\x0a\x04loss\x15\x00\x00\x80\x3e"));
}

#[test]
fn sessions_of_one_second_have_files_of_their_own() {
    let folder = tempfile::tempdir().unwrap();
    let boards: Vec<_> = (0..3)
        .map(|step| {
            let mut board = TensorBoard::new(folder.path()).unwrap();
            board.scalar("loss", 0.5, step);
            board
        })
        .collect();
    drop(boards);
    let files = event_files(folder.path());
    assert_eq!(files.len(), 3);
    assert!(
        files.iter().all(|file| records(file).len() == 2),
        "dropping writes what is left"
    );
}

#[test]
fn a_folder_that_cannot_be_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tensorboard");
    std::fs::write(&file, "").unwrap();
    let error = TensorBoard::new(&file).err().unwrap().to_string();
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
    let mut first = TensorBoard::new(folder.path()).unwrap();
    first.scalar("train/step/loss", 0.5, 1);
    first.scalar("train/step/loss", f32::NAN, 2);
    first.scalar("train/step/loss", f32::INFINITY, 3);
    first.image("validation/sub-01", &rgb, 3, 2, 3);
    drop(first);
    let mut resumed = TensorBoard::new(folder.path()).unwrap();
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
        let mut board = TensorBoard::new(folder.path()).unwrap();
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
