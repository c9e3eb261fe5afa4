use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::files_below::{check_there, files_below, nifti_stem};
use super::{ByName, Case, CaseSource, DatasetError, Description, empty_path};
use crate::preprocess::ImageFile;
use crate::settings::Fault;

/// A folder laid out like the Neurofeedback Skull-stripped repository (Puccio et al. 2016): for each
/// subject a folder with the raw scan, the brain cut out of it and the brain's mask.
///
/// Every `.nii` or `.nii.gz` file below `root` is taken by its name: `_brainmask.` makes it a mask,
/// `_brain.` the cut-out brain, which is not used, and anything else a scan. A scan and a mask alone
/// in their folder belong together; of several, `scan_brainmask.nii.gz` belongs to `scan.nii.gz`.
/// Files and folders whose name starts with a dot are passed over.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Nfbs {
    /// The folder that holds the subjects' folders.
    #[schemars(extend("format" = "path"))]
    pub root: PathBuf,
    /// The images of a case, where there are several: a name for each, and the end of its files' names, as in
    /// {t1: T1w, t2: T2w} for `scan_T1w.nii.gz` and `scan_T2w.nii.gz` in one folder. Masks are those of the first.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub images: Option<ByName<String>>,
}

const REMEDY: &str = "Set `root` to the folder that holds the subjects' folders";

impl CaseSource for Nfbs {
    fn cases(&self) -> Result<Vec<Case>, DatasetError> {
        let files = files_below(&self.root, REMEDY)?;
        let mut folders: BTreeMap<&Path, Scans> = BTreeMap::new();
        for file in files.iter().filter_map(|path| NiftiFile::new(path)) {
            let scans = folders.entry(file.folder).or_default();
            match file.kind {
                Kind::Image if self.is_other_image(&file.scan) => {}
                Kind::Image => scans.images.push(file),
                Kind::Mask => scans.masks.push(file),
                Kind::Brain => scans.brains += 1,
            }
        }
        let mut cases: BTreeMap<String, Case> = BTreeMap::new();
        for scans in folders.values() {
            for (image, mask) in scans.pairs()? {
                let case = self.case(image, mask)?;
                for file in &case.images {
                    check_there(&file.path)?;
                }
                check_there(&case.mask)?;
                match cases.entry(case.id.clone()) {
                    Entry::Vacant(place) => place.insert(case),
                    Entry::Occupied(place) => {
                        return Err(DatasetError::DuplicateId {
                            id: case.id.clone(),
                            first: place.get().image().to_owned(),
                            second: case.image().to_owned(),
                            remedy: "Rename one of them: a case is known by its scan's file name",
                        });
                    }
                };
            }
        }
        if cases.is_empty() {
            let brains: usize = folders.values().map(|scans| scans.brains).sum();
            return Err(DatasetError::NoCases {
                root: self.root.clone(),
                wanted: "scans (.nii or .nii.gz) beside their masks (…_brainmask.nii or .nii.gz), there and in all folders below".into(),
                found: match (files.len(), brains) {
                    (0, _) => "no files".into(),
                    (files, 0) => format!("{files} other files"),
                    (_, brains) => format!("only cut-out brains ({brains} times …_brain.nii)"),
                },
                remedy: REMEDY,
            });
        }
        Ok(cases.into_values().collect())
    }

    fn describe(&self) -> Result<Description, DatasetError> {
        Ok(match &self.images {
            None => Description::default(),
            Some(images) => Description::of_images(images.keys().map(String::as_str)),
        })
    }

    fn rules(&self) -> Vec<Fault> {
        let message = "root must name the folder that holds the subjects' folders";
        let mut faults = empty_path("root", &self.root, message);
        let no_end =
            |images: &ByName<String>| images.is_empty() || images.values().any(String::is_empty);
        if self.images.as_ref().is_some_and(no_end) {
            let message = "images must name images and the ends of their files' names, as in {t1: T1w, t2: T2w}";
            faults.push(Fault::new("images", message));
        }
        faults
    }
}

impl Nfbs {
    /// The ends of the images' names, each with the image's.
    fn ends(&self) -> impl Iterator<Item = (&str, &str)> {
        let images = self.images.iter().flat_map(|images| images.iter());
        images.map(|(name, end)| (name.as_str(), end.as_str()))
    }

    /// Whether a scan of this name is not the first image of its case.
    fn is_other_image(&self, scan: &str) -> bool {
        let mut others = self.ends().skip(1);
        others.any(|(_, end)| {
            scan.strip_suffix(end)
                .is_some_and(|rest| rest.ends_with('_'))
        })
    }

    fn case(&self, image: &NiftiFile, mask: &NiftiFile) -> Result<Case, DatasetError> {
        let mut case = image.case(mask);
        let mut ends = self.ends();
        let Some((first, first_end)) = ends.next() else {
            return Ok(case);
        };
        case.images[0].name = first.to_owned();
        let stem = image.scan.strip_suffix(first_end);
        for (name, end) in ends {
            let file = |extension: &str| {
                image
                    .folder
                    .join(format!("{}{end}{extension}", stem.unwrap_or_default()))
            };
            let there = [".nii.gz", ".nii"]
                .map(file)
                .into_iter()
                .find(|path| path.exists());
            match there.filter(|_| stem.is_some()) {
                Some(path) => case.images.push(ImageFile::new(name, path)),
                None => {
                    return Err(DatasetError::NoOtherImage {
                        image: image.path.to_owned(),
                        name: name.to_owned(),
                        expected: format!(
                            "a file …{end}.nii.gz beside it, called like …{first_end}.nii.gz"
                        ),
                    });
                }
            }
        }
        Ok(case)
    }
}

enum Kind {
    Image,
    Mask,
    Brain,
}

struct NiftiFile<'a> {
    path: &'a Path,
    folder: &'a Path,
    kind: Kind,
    /// The name of the scan that the file is, or belongs to, without its extension.
    scan: String,
    /// `.nii` or `.nii.gz`.
    extension: &'static str,
}

impl<'a> NiftiFile<'a> {
    fn new(path: &'a Path) -> Option<Self> {
        let name = path.file_name()?.to_string_lossy();
        let (stem, extension) = nifti_stem(path)?;
        let (kind, scan) = if let Some((scan, _)) = name.split_once("_brainmask.") {
            (Kind::Mask, scan)
        } else if let Some((scan, _)) = name.split_once("_brain.") {
            (Kind::Brain, scan)
        } else {
            (Kind::Image, stem.as_str())
        };
        Some(Self {
            path,
            folder: path.parent()?,
            kind,
            scan: scan.to_owned(),
            extension,
        })
    }

    /// Another file of the same scan.
    fn sibling(&self, suffix: &str) -> PathBuf {
        self.folder
            .join(format!("{}{suffix}{}", self.scan, self.extension))
    }

    fn case(&self, mask: &Self) -> Case {
        let id = self.scan.strip_suffix("_T1w").unwrap_or(&self.scan);
        // BIDS names start with the subject; other names are taken to be one subject each.
        let subject = match id.split_once('_') {
            Some((subject, _)) if subject.starts_with("sub-") => subject,
            _ => id,
        };
        Case {
            subject: subject.to_owned(),
            ..Case::of_files(id, vec![ImageFile::only(self.path)], mask.path)
        }
    }
}

/// What one folder holds.
#[derive(Default)]
struct Scans<'a> {
    images: Vec<NiftiFile<'a>>,
    masks: Vec<NiftiFile<'a>>,
    brains: usize,
}

impl<'a> Scans<'a> {
    /// Each scan with its mask.
    fn pairs(&self) -> Result<Vec<(&NiftiFile<'a>, &NiftiFile<'a>)>, DatasetError> {
        if let ([image], [mask]) = (&self.images[..], &self.masks[..]) {
            return Ok(vec![(image, mask)]);
        }
        let mut by_name: BTreeMap<&str, (Vec<_>, Vec<_>)> = BTreeMap::new();
        for image in &self.images {
            by_name.entry(&image.scan).or_default().0.push(image);
        }
        for mask in &self.masks {
            by_name.entry(&mask.scan).or_default().1.push(mask);
        }
        let none_fits = by_name
            .values()
            .all(|(images, masks)| images.is_empty() || masks.is_empty());
        if none_fits && !self.images.is_empty() && !self.masks.is_empty() {
            return Err(self.ambiguous());
        }
        by_name
            .values()
            .map(|(images, masks)| match (&images[..], &masks[..]) {
                (&[image], &[mask]) => Ok((image, mask)),
                (&[image], []) => Err(DatasetError::NoMask {
                    image: image.path.to_owned(),
                    expected: image.sibling("_brainmask"),
                }),
                ([], &[mask]) => Err(DatasetError::NoImage {
                    mask: mask.path.to_owned(),
                    expected: mask.sibling(""),
                }),
                _ => Err(self.ambiguous()),
            })
            .collect()
    }

    fn ambiguous(&self) -> DatasetError {
        let files = self.images.iter().chain(&self.masks);
        DatasetError::Ambiguous {
            files: files.map(|file| file.path.to_owned()).collect(),
        }
    }
}
