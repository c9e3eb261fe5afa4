//! The scans that the command line names.

use std::path::{Path, PathBuf};

use crate::cli::CliError;
use crate::dataset::scans::{BIDS_SUFFIX, by_id, in_folder, matching};
use crate::preprocess::ImageFile;
use crate::settings::nearest;

/// The scans that an argument stands for, each with the images `names`: a file, all files of a folder or of a pattern; for a
/// run with several images `t1=FILE,flair=FILE`, in any order, or patterns with `{id}` in the place of the files.
pub(super) fn of(argument: &Path, names: &[String]) -> Result<Vec<Vec<ImageFile>>, CliError> {
    let [name] = names else {
        return of_several(argument, names);
    };
    // `t1=FILE` may be written, and may be a file's name.
    let named = argument
        .to_str()
        .and_then(|text| text.strip_prefix(name.as_str())?.strip_prefix('='));
    let path = named
        .filter(|_| !argument.exists())
        .map_or(argument, Path::new);
    let found = match path {
        path if path.is_dir() => in_folder(path),
        path if !path.exists() && path.to_string_lossy().contains(['*', '?', '{']) => {
            matching(path)
        }
        path => return Ok(vec![vec![ImageFile::new(name, path)]]),
    };
    let found = found.map_err(CliError::input)?;
    if found.is_empty() {
        return Err(CliError::input(format!(
            "{} has no scans: looked for names that end in .nii or .nii.gz, and in BIDS datasets for *_{BIDS_SUFFIX}",
            path.display()
        )));
    }
    Ok(found
        .into_iter()
        .map(|path| vec![ImageFile::new(name, path)])
        .collect())
}

fn of_several(argument: &Path, names: &[String]) -> Result<Vec<Vec<ImageFile>>, CliError> {
    let scan = images(argument, names)?;
    let texts: Vec<String> = scan
        .iter()
        .map(|image| image.path.to_string_lossy().into_owned())
        .collect();
    if !texts.iter().any(|text| text.contains("{id}")) {
        return Ok(vec![scan]);
    }
    let patterns: Vec<PathBuf> = scan.iter().map(|image| image.path.clone()).collect();
    let cases = by_id(&patterns).map_err(CliError::input)?;
    Ok(cases
        .into_iter()
        .map(|files| {
            let files = names.iter().zip(files);
            files
                .map(|(name, path)| ImageFile::new(name, path))
                .collect()
        })
        .collect())
}

/// The images of a scan as it stands on the command line: `t1=FILE,flair=FILE`, in any order.
fn images(scan: &Path, names: &[String]) -> Result<Vec<ImageFile>, CliError> {
    let wanted: Vec<String> = names.iter().map(|name| format!("{name}=FILE")).collect();
    let wanted = wanted.join(",");
    let refuse = |why: String| {
        CliError::input(format!(
            "{}: {why}. A scan of this run is written as {wanted}",
            scan.display()
        ))
    };
    let text = scan
        .to_str()
        .ok_or_else(|| refuse("it is not text".into()))?;
    let known: Vec<&str> = names.iter().map(String::as_str).collect();
    let mut found: Vec<(&str, String)> = Vec::new();
    for part in text.split(',') {
        let named = part
            .split_once('=')
            .filter(|(name, _)| !name.contains(['/', '.']));
        match (named, found.last_mut()) {
            (Some((name, path)), _) if known.contains(&name) => found.push((name, path.to_owned())),
            (Some((name, _)), _) => {
                let meant = nearest(name, &known);
                let meant = meant.map_or(String::new(), |name| format!(" (did you mean {name}?)"));
                return Err(refuse(format!("the run has no image `{name}`{meant}")));
            }
            // A comma within a path does not part images.
            (None, Some((_, path))) => {
                *path += ",";
                *path += part;
            }
            (None, None) => {
                let count = names.len();
                return Err(refuse(format!(
                    "the run sees {count} images, and this names one file"
                )));
            }
        }
    }
    let order = names.iter().map(|name| {
        let mut files = found.iter().filter(|(of, _)| of == name);
        match (files.next(), files.next()) {
            (Some((_, path)), None) if !path.is_empty() => Ok(ImageFile::new(name, path)),
            (Some(_), Some(_)) => Err(refuse(format!("it names `{name}` twice"))),
            _ => Err(refuse(format!("the image `{name}` is missing"))),
        }
    });
    order.collect()
}
