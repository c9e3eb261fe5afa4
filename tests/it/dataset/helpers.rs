//! Data folders to find cases in.

use std::fs;
use std::path::Path;

use calvaria::dataset::{Case, Source};

/// A data folder with empty files of these names.
pub fn folder(files: &[&str]) -> tempfile::TempDir {
    let root = tempfile::tempdir().unwrap();
    for file in files {
        write(root.path(), file, "");
    }
    root
}

pub fn write(root: &Path, file: &str, text: &str) {
    let path = root.join(file);
    fs::create_dir_all(path.parent().unwrap()).unwrap();
    fs::write(path, text).unwrap();
}

/// Id, subject and mask (relative to the folder) of every case.
pub fn listed(root: &Path, cases: &[Case]) -> Vec<[String; 3]> {
    let inside = |path: &Path| path.strip_prefix(root).unwrap().display().to_string();
    let of = |case: &Case| [case.id.clone(), case.subject.clone(), inside(&case.mask)];
    cases.iter().map(of).collect()
}

/// The error message of a source, with paths relative to the folder.
pub fn error_message(root: &Path, source: Source) -> String {
    let why = source.cases().unwrap_err().to_string();
    why.replace(&format!("{}/", root.display()), "")
}
