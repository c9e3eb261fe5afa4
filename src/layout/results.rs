//! The folder under which runs are kept, and how its folders are told from data.

use std::path::Path;

use super::bids::is_predictions;
use super::{RunFolder, SweepFolder};
use crate::files::{FileError, create_folder, write_atomic};
use crate::preprocess::cache::is_cached_case;

/// The file that says that calvaria made a folder for results.
const MARKER: &str = ".calvaria-results";

/// Makes the folder `path` for results, if it is not there. One that is made here, or empty, is marked as the
/// program's own; one that holds other files stays as it is.
///
/// # Errors
///
/// When the folder cannot be created or written to.
pub fn make_results(path: &Path) -> Result<(), FileError> {
    create_folder(path)?;
    let is_empty = |mut entries: std::fs::ReadDir| entries.next().is_none();
    if path.read_dir().is_ok_and(is_empty) {
        write_atomic(&path.join(MARKER), |out| {
            writeln!(
                out,
                "calvaria keeps results here. Nothing in this folder is taken for data."
            )
        })?;
    }
    Ok(())
}

/// Whether a folder holds what the program made: results, predictions in BIDS, a run, a sweep, or a cached case. Its files
/// are never data.
pub fn is_results(folder: &Path) -> bool {
    let (run, sweep) = (RunFolder::new(folder), SweepFolder::new(folder));
    let is_run = || {
        let others = [run.split(), run.environment()];
        run.config().is_file() && others.iter().any(|file| file.is_file())
    };
    folder.join(MARKER).is_file()
        || is_predictions(folder)
        || is_run()
        || sweep.record().is_file()
        || is_cached_case(folder)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_made_for_results_is_marked_and_one_with_other_files_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let results = folder.path().join("a/results");
        make_results(&results).unwrap();
        make_results(&results).unwrap();
        assert!(is_results(&results));
        make_results(&folder.path().join("a")).unwrap();
        assert!(!is_results(&folder.path().join("a")));
        let empty = folder.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        assert!(!is_results(&empty));
        make_results(&empty).unwrap();
        assert!(is_results(&empty));
    }

    #[test]
    fn what_earlier_versions_made_is_known_by_its_files() {
        for (files, is) in [
            (&["config.yaml", "split.json"][..], true),
            (&["config.yaml", "environment.json"], true),
            (&["study.jsonl"], true),
            (&["config.yaml"], false),
            (&["split.json"], false),
            (&["case.json"], false),
        ] {
            let folder = tempfile::tempdir().unwrap();
            for file in files {
                std::fs::write(folder.path().join(file), "").unwrap();
            }
            assert_eq!(is_results(folder.path()), is, "{files:?}");
        }
        let cache = tempfile::tempdir().unwrap();
        let case = cache.path().join("sub-01-0123456789abcdef");
        std::fs::create_dir(&case).unwrap();
        assert!(!is_results(&case), "a folder of data may have such a name");
        std::fs::write(case.join("case.json"), "{}").unwrap();
        assert!(is_results(&case));
    }
}
