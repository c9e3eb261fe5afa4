//! Lists of transforms.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::drawn::Images;
use super::{DrawnOn, Transform};
use crate::channels::On;
use crate::random;
use crate::settings::{Fault, within};
use crate::volume::Structures;

/// Transforms in the order in which they are drawn and, apart from the spatial ones that come first,
/// applied; beside each one's name may stand the images that it is for, as in `{blur: {}, channels: [flair]}`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Augmentations(pub Vec<On<Transform>>);

impl FromIterator<Transform> for Augmentations {
    /// The transforms, each for all images.
    fn from_iter<I: IntoIterator<Item = Transform>>(transforms: I) -> Self {
        Self(transforms.into_iter().map(On::from).collect())
    }
}

impl Augmentations {
    /// The transforms, whichever images they are for.
    pub fn transforms(&self) -> impl Iterator<Item = &Transform> {
        self.0.iter().map(|on| &on.member)
    }

    /// What is wrong with the transforms that the ranges of their fields do not show.
    pub fn rules(&self) -> Vec<Fault> {
        self.of_each(On::rules)
    }

    /// What is wrong with them for a run that finds `structures` in images called `images`.
    pub fn check(&self, structures: &Structures, images: &[String]) -> Vec<Fault> {
        self.of_each(|on| {
            let mut faults = on.check(images);
            faults.extend(on.member.check(structures));
            faults
        })
    }

    /// What is doubtful about them for a run that finds `structures`, in sentences.
    pub fn notes(&self, structures: &Structures) -> Vec<String> {
        let notes = self.transforms();
        notes
            .flat_map(|transform| transform.notes(structures))
            .collect()
    }

    fn of_each(&self, faults: impl Fn(&On<Transform>) -> Vec<Fault>) -> Vec<Fault> {
        let items = self.0.iter().enumerate();
        items
            .flat_map(|(index, on)| within(&index.to_string(), faults(on)))
            .collect()
    }

    /// Draws the parameters of whatever is to be applied ([`apply`](super::apply)) to the sample of `case` in
    /// `epoch`. `draw_index` distinguishes the samples of one case in an epoch; `images` are what the case's images
    /// are called.
    ///
    /// ```
    /// use calvaria_imaging::augment::Augmentations;
    /// let augment: Augmentations = serde_yaml::from_str("[flip, {blur: {p: 1.0}, channels: [flair]}]")?;
    /// let images = ["t1", "flair"].map(String::from);
    /// let drawn = augment.draw(42, 3, "sub-01", 0, &images);
    /// assert_eq!(drawn, augment.draw(42, 3, "sub-01", 0, &images));
    /// assert_eq!(drawn.last().unwrap().images, [1]);
    /// # Ok::<(), serde_yaml::Error>(())
    /// ```
    pub fn draw(
        &self,
        seed: u64,
        epoch: u64,
        case: &str,
        draw_index: u64,
        images: &[String],
    ) -> Vec<DrawnOn> {
        let draw = |(index, on): (u64, &On<Transform>)| {
            let name = on.member.name();
            let concerned = Images {
                places: on.positions(images),
                all: images.len(),
            };
            let mut rng =
                random::stream(seed, &["augment", case, name], &[epoch, draw_index, index]);
            on.member.draw_on(&concerned, &mut rng)
        };
        (0..).zip(&self.0).flat_map(draw).collect()
    }
}
