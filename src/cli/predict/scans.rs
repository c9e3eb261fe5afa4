//! The scans that the command line names.

use std::path::{Path, PathBuf};

use crate::cli::CliError;
use crate::dataset::scans::{BIDS_SUFFIX, by_id, in_folder, matching};
use crate::experiment::Experiment;
use crate::preprocess::ImageFile;
use crate::settings::nearest;
use crate::volume::nifti::count_volumes;

/// A scan that an argument stands for: its images, and the one whose grid they take where they lie on different ones.
pub(super) type Named = (Vec<ImageFile>, Option<ImageFile>);

/// The scans that an argument stands for, with the images of this experiment: a file, all files of a folder or of a
/// pattern, of several images all in one 4-D file; or `t1=FILE,flair=FILE`, in any order, or patterns with `{id}` in the
/// place of the files.
pub(super) fn of(argument: &Path, experiment: &Experiment) -> Result<Vec<Named>, CliError> {
    let (seen, onto) = (experiment.image_names().len(), &experiment.data.masks.onto);
    let names = experiment.scan_names();
    let scans = match &names[..] {
        [name] => of_one(argument, name)?,
        _ => of_several(argument, &names)?,
    };
    let named = |mut images: Vec<ImageFile>| {
        let is_onto = |image: &&ImageFile| Some(&image.name) == onto.as_ref();
        let onto = images.iter().find(is_onto).cloned();
        images.truncate(seen);
        (images, onto)
    };
    Ok(scans.into_iter().map(named).collect())
}

fn of_one(argument: &Path, name: &str) -> Result<Vec<Vec<ImageFile>>, CliError> {
    // `t1=FILE` may be written, and may be a file's name.
    let named = argument
        .to_str()
        .and_then(|text| text.strip_prefix(name)?.strip_prefix('='));
    let path = named
        .filter(|_| !argument.exists())
        .map_or(argument, Path::new);
    let (path, volume) = place(path)?;
    let image = |path| ImageFile {
        volume,
        ..ImageFile::new(name, path)
    };
    Ok(files(path)?
        .into_iter()
        .map(|path| vec![image(path)])
        .collect())
}

/// A file, or all of a folder or of a pattern.
fn files(path: &Path) -> Result<Vec<PathBuf>, CliError> {
    let found = match path {
        path if path.is_dir() => in_folder(path),
        path if !path.exists() && path.to_string_lossy().contains(['*', '?', '{']) => {
            matching(path)
        }
        path => return Ok(vec![path.to_owned()]),
    };
    let found = found.map_err(CliError::input)?;
    if found.is_empty() {
        return Err(CliError::input(format!(
            "{} has no scans: looked for names that end in .nii or .nii.gz, and in BIDS datasets for *_{BIDS_SUFFIX}",
            path.display()
        )));
    }
    Ok(found)
}

/// A file and the place of one of its volumes, as in `scan.nii.gz@1`.
fn place(path: &Path) -> Result<(&Path, Option<usize>), CliError> {
    let parts = path.to_str().and_then(|text| text.rsplit_once('@'));
    let Some((file, at)) = parts.filter(|_| !path.exists()) else {
        return Ok((path, None));
    };
    match at.parse() {
        Ok(at) => Ok((Path::new(file), Some(at))),
        Err(_) if Path::new(file).exists() => Err(CliError::input(format!(
            "{}: after the @ stands the place of a volume in {file}, a whole number from 0 on",
            path.display()
        ))),
        Err(_) => Ok((path, None)),
    }
}

fn of_several(argument: &Path, names: &[String]) -> Result<Vec<Vec<ImageFile>>, CliError> {
    if argument.exists() || !argument.to_string_lossy().contains('=') {
        let files = files(argument)?.into_iter();
        return files.map(|path| volumes(path, names)).collect();
    }
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
            let files = scan.iter().zip(files);
            files
                .map(|(image, path)| ImageFile {
                    path,
                    ..image.clone()
                })
                .collect()
        })
        .collect())
}

/// The images of a scan in one 4-D file, in the run's order.
fn volumes(path: PathBuf, names: &[String]) -> Result<Vec<ImageFile>, CliError> {
    let wanted = names.len();
    // A file that cannot be read does not stop the others: that is told when its turn comes.
    if let Ok(count) = count_volumes(&path)
        && count != wanted
    {
        let named: Vec<String> = names.iter().map(|name| format!("{name}=FILE")).collect();
        return Err(CliError::input(format!(
            "{} holds {}, and a scan of this run has {wanted}. Write a scan as {}, where a volume of a 4-D file is \
             FILE@PLACE, from FILE@0 on",
            path.display(),
            match count {
                1 => "one image".to_owned(),
                count => format!("{count} volumes"),
            },
            named.join(",")
        )));
    }
    let images = names.iter().enumerate();
    Ok(images
        .map(|(at, name)| ImageFile {
            volume: Some(at),
            ..ImageFile::new(name, &path)
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
                    "a scan of this run has {count} images, and this names one file"
                )));
            }
        }
    }
    let order = names.iter().map(|name| {
        let mut files = found.iter().filter(|(of, _)| of == name);
        match (files.next(), files.next()) {
            (Some((_, path)), None) if !path.is_empty() => {
                let (path, volume) = place(Path::new(path))?;
                Ok(ImageFile {
                    volume,
                    ..ImageFile::new(name, path)
                })
            }
            (Some(_), Some(_)) => Err(refuse(format!("it names `{name}` twice"))),
            _ => Err(refuse(format!("the image `{name}` is missing"))),
        }
    });
    order.collect()
}
