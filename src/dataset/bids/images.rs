//! The images of a case of a BIDS dataset.

use std::path::Path;

use super::{Bids, Name, tells_scans_apart};
use crate::dataset::DatasetError;
use crate::dataset::files_below::check_there;
use crate::preprocess::ImageFile;
use crate::settings::Fault;

/// What a file's name must have to be one of a case's images.
pub(super) struct Wanted<'a> {
    pub(super) name: &'a str,
    entities: Vec<&'a str>,
    suffix: &'a str,
    /// Whether no other entities may tell it from other scans.
    is_exact: bool,
}

impl<'a> Wanted<'a> {
    /// The images that a dataset's settings name, the first of which makes the cases.
    pub(super) fn of(bids: &'a Bids) -> Vec<Self> {
        let Some(images) = &bids.images else {
            return vec![Self {
                name: ImageFile::ONLY,
                entities: Vec::new(),
                suffix: &bids.suffix,
                is_exact: false,
            }];
        };
        let images = images.iter().map(|(name, text)| {
            let mut entities: Vec<&str> = text.split('_').collect();
            let suffix = entities.pop().unwrap_or_default();
            Self {
                name,
                entities,
                suffix,
                is_exact: true,
            }
        });
        images.collect()
    }

    /// What is wrong with a name's end, such as `ce-gadolinium_T1w`.
    pub(super) fn rules(name: &str, text: &str) -> Option<Fault> {
        let word = |text: &str| !text.is_empty() && text.chars().all(char::is_alphanumeric);
        let entity = |part: &str| {
            part.split_once('-')
                .is_some_and(|(key, value)| word(key) && word(value))
        };
        let is_right = match text.rsplit_once('_') {
            None => word(text),
            Some((entities, suffix)) => word(suffix) && entities.split('_').all(entity),
        };
        (!is_right).then(|| {
            let message = format!(
                "images.{name} must be the end of the files' names: a suffix, such as FLAIR, or entities and a suffix, such \
                 as ce-gadolinium_T1w"
            );
            Fault::new(format!("images.{name}"), message)
        })
    }

    /// Whether a file is this image of some case.
    pub(super) fn is(&self, file: &Name) -> bool {
        let is_named = |entity: &str| self.entities.contains(&entity);
        let is_of_case = |entity: &str| entity.starts_with("ses-") || entity.starts_with("run-");
        let mut entities = file.entities.iter().map(String::as_str);
        file.suffix == self.suffix
            && self
                .entities
                .iter()
                .all(|wanted| file.entities.iter().any(|one| one == wanted))
            && (!self.is_exact
                || entities.all(|one| !tells_scans_apart(one) || is_of_case(one) || is_named(one)))
    }

    /// This image of the case that `first` is the first image of.
    pub(super) fn beside<'f>(
        &self,
        first: &Name,
        files: &[Name<'f>],
    ) -> Result<&'f Path, DatasetError> {
        let of_visit = |file: &&Name| {
            file.entities[0] == first.entities[0]
                && file.value("ses") == first.value("ses")
                && self.is(file)
        };
        let mut found: Vec<&Name<'f>> = files.iter().filter(of_visit).collect();
        let of_run = |file: &&Name<'f>| file.value("run") == first.value("run");
        if found.len() > 1 && found.iter().any(&of_run) {
            found.retain(of_run);
        }
        match found[..] {
            [file] => {
                check_there(file.path)?;
                Ok(file.path)
            }
            [] => Err(DatasetError::NoOtherImage {
                image: first.path.to_owned(),
                name: self.name.to_owned(),
                expected: format!(
                    "one file …_{} of the same subject, session and run",
                    self.text()
                ),
            }),
            _ => Err(DatasetError::SeveralImages {
                image: first.path.to_owned(),
                name: self.name.to_owned(),
                files: found.iter().map(|file| file.path.to_owned()).collect(),
                remedy: "Name the entities that tell them apart, as in `images: {t1c: ce-gadolinium_T1w}`",
            }),
        }
    }

    /// The end of its files' names.
    pub(super) fn text(&self) -> String {
        let parts = self.entities.iter().chain([&self.suffix]);
        parts.copied().collect::<Vec<&str>>().join("_")
    }
}
