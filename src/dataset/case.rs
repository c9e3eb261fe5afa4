use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use thiserror::Error;

use crate::files::FileError;
use crate::preprocess::{GRID_TOLERANCE, ImageFile};
use crate::volume::MaskRule;

/// A scan, of one image or several, with its mask.
#[derive(Clone, Debug, PartialEq)]
pub struct Case {
    /// The case's name, unique among all cases.
    pub id: String,
    /// Whose head it is: cases of one subject never stand on both sides of a split.
    pub subject: String,
    /// The raw scan's images, at least one, in the order in which the network takes them.
    pub images: Vec<ImageFile>,
    /// The image whose grid all take, which need not be one of them; `None` if they lie on one grid as they are.
    pub onto: Option<ImageFile>,
    /// The mask of the same grid.
    pub mask: PathBuf,
    /// Which voxels of the mask's file are marked.
    pub mask_rule: MaskRule,
    /// How far images, mask and region may lie from the grid of all, in voxels.
    pub grid_tolerance: f64,
    /// A mask or weights on the same grid, known before the prediction, where intensity steps may
    /// look.
    pub region: Option<PathBuf>,
    /// Further facts about the case by name, to group or stratify by.
    pub columns: BTreeMap<String, String>,
}

impl Case {
    /// A case of these files, a subject of its own, whose mask is 0 and one positive value.
    pub fn of_files(id: &str, images: Vec<ImageFile>, mask: impl Into<PathBuf>) -> Self {
        Self {
            id: id.to_owned(),
            subject: id.to_owned(),
            images,
            onto: None,
            mask: mask.into(),
            mask_rule: MaskRule::STRICT,
            grid_tolerance: GRID_TOLERANCE,
            region: None,
            columns: BTreeMap::new(),
        }
    }

    /// Takes the images of these names, in this order.
    ///
    /// # Errors
    ///
    /// When the case has no image of a name.
    pub fn choose(&mut self, names: &[String]) -> Result<(), DatasetError> {
        let chosen = names.iter().map(|name| self.image_of(name).cloned());
        self.images = chosen.collect::<Result<_, _>>()?;
        Ok(())
    }

    /// The image of this name.
    ///
    /// # Errors
    ///
    /// When the case has none.
    pub fn image_of(&self, name: &str) -> Result<&ImageFile, DatasetError> {
        let image = self.images.iter().find(|image| image.name == name);
        image.ok_or_else(|| DatasetError::NoImageOfName {
            name: name.to_owned(),
            known: self.inputs().names().join(", "),
        })
    }

    /// The file of the first image, by which messages call the case.
    ///
    /// # Panics
    ///
    /// If there is no image.
    pub fn image(&self) -> &Path {
        &self.images[0].path
    }
}

/// Cases cannot be found. Every message names the folder or file and the remedy.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// A folder is missing, or is not a folder.
    #[error("there is no folder {}. {remedy}.", folder.display())]
    NoFolder {
        /// The folder.
        folder: PathBuf,
        /// What to set.
        remedy: &'static str,
    },
    /// A folder or link cannot be read.
    #[error(transparent)]
    Unreadable(#[from] FileError),
    /// The data folder holds no case.
    #[error("{} holds no cases: looked for {wanted}, but found {found}. {remedy}.", root.display())]
    NoCases {
        /// The folder.
        root: PathBuf,
        /// What was looked for.
        wanted: String,
        /// What was found instead.
        found: String,
        /// What to set.
        remedy: &'static str,
    },
    /// What the data say of themselves cannot be used.
    #[error("{0}.")]
    Description(String),
    /// An image is asked for that the data have not.
    #[error("`images` names `{name}`, and the data have {known}. Name images that they have.")]
    NoImageOfName {
        /// The name.
        name: String,
        /// The data's images.
        known: String,
    },
    /// A case lacks one of its images.
    #[error(
        "{} has no image `{name}`: expected {expected}. Add it, leave the case out, or choose other `images`.",
        image.display()
    )]
    NoOtherImage {
        /// The case's first image.
        image: PathBuf,
        /// The image that is missing.
        name: String,
        /// Where it should be.
        expected: String,
    },
    /// It is unclear which file is an image of a case.
    #[error("{} has several files for its image `{name}`: {}. {remedy}.", image.display(), listed(files))]
    SeveralImages {
        /// The case's first image.
        image: PathBuf,
        /// The image.
        name: String,
        /// The files.
        files: Vec<PathBuf>,
        /// What would leave one.
        remedy: &'static str,
    },
    /// A scan's mask is not among the derivatives.
    #[error(
        "{} has no mask: looked below {} for {name} in the scan's own space{}. Add the mask, set `derivatives`, or set `skip_without_mask: true`.",
        image.display(), folder.display(), others(*elsewhere)
    )]
    NoMaskBelow {
        /// The scan.
        image: PathBuf,
        /// Where its mask was looked for.
        folder: PathBuf,
        /// The names that its mask could have.
        name: String,
        /// How many masks of it there are in other spaces, or with another `desc` or `label`.
        elsewhere: usize,
    },
    /// A scan has several masks.
    #[error("{} has several masks: {}. {remedy}.", image.display(), listed(masks))]
    SeveralMasks {
        /// The scan.
        image: PathBuf,
        /// Its masks.
        masks: Vec<PathBuf>,
        /// What would leave one.
        remedy: &'static str,
    },
    /// The masks of a dataset are not all of one kind.
    #[error(
        "the masks of {} are of different kinds: {kinds}. Choose one by `desc` or `label` of `bids` (and leave the other scans out with `skip_without_mask: true`), or set `derivatives` to the folder of one pipeline.",
        root.display()
    )]
    MixedMasks {
        /// The dataset's folder.
        root: PathBuf,
        /// Each kind, and who has it.
        kinds: String,
    },
    /// A table's content is wrong.
    #[error("{}, line {line}: {why}", path.display())]
    Table {
        /// The table.
        path: PathBuf,
        /// The line, counted from 1.
        line: usize,
        /// What is wrong with it, and the remedy, in sentences.
        why: String,
    },
    /// A pattern of files is wrong.
    #[error("the pattern {0}.")]
    Pattern(String),
    /// A scan has no mask.
    #[error("{} has no mask: expected {}. Add the mask, or remove the scan.", image.display(), expected.display())]
    NoMask {
        /// The scan.
        image: PathBuf,
        /// Where its mask should be.
        expected: PathBuf,
    },
    /// A mask has no scan.
    #[error("the mask {} has no scan: expected {} beside it. Add the scan, or remove the mask.", mask.display(), expected.display())]
    NoImage {
        /// The mask.
        mask: PathBuf,
        /// Where its scan should be.
        expected: PathBuf,
    },
    /// Which mask of a folder belongs to which scan is unclear.
    #[error(
        "it is unclear which mask belongs to which scan among {}. Keep one scan and one mask in that folder, or name each mask after its scan: head_T1w.nii.gz and head_T1w_brainmask.nii.gz.",
        listed(files)
    )]
    Ambiguous {
        /// The folder's scans and masks.
        files: Vec<PathBuf>,
    },
    /// Two scans would have the same id.
    #[error("{} and {} are both called `{id}`. {remedy}.", first.display(), second.display())]
    DuplicateId {
        /// The id.
        id: String,
        /// One scan.
        first: PathBuf,
        /// The other.
        second: PathBuf,
        /// What would give each its own.
        remedy: &'static str,
    },
}

fn others(elsewhere: usize) -> String {
    match elsewhere {
        0 => String::new(),
        n => format!(" (there are {n} in other spaces or of another kind)"),
    }
}

fn listed(files: &[PathBuf]) -> String {
    let names: Vec<String> = files
        .iter()
        .map(|file| file.display().to_string())
        .collect();
    names.join(", ")
}
