//! What was drawn, and how it is applied.

use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::spatial::{self, Frame, Spatial};
use super::{Augmentation, Drawn, Piece, Sample, Sharing, chance};
use crate::volume::{Grid, Region};

/// Declares [`Drawn`], and how each member of [`Transform`](super::Transform) becomes one.
macro_rules! drawn {
    ($($member:ident,)+) => {
        /// What a transform has drawn: for one image, or for all.
        #[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
        #[serde(rename_all = "snake_case")]
        pub enum Drawn {
            $(
                #[doc = concat!("What [`", stringify!($member), "`] draws.")]
                $member(<$member as Augmentation>::Params),
            )+
        }

        impl Transform {
            /// Draws whether it acts, and the parameters, for a sample of one image; `None` leaves it as it is.
            pub fn draw(&self, rng: &mut ChaCha8Rng) -> Option<Drawn> {
                let drawn = self.draw_on(&drawn::Images::one(), rng);
                drawn.into_iter().next().map(|one| one.drawn)
            }

            /// Draws whether it acts on a sample, and the parameters for its `images`.
            fn draw_on(&self, images: &drawn::Images, rng: &mut ChaCha8Rng) -> Vec<DrawnOn> {
                match self {
                    $(Self::$member(transform) => images.draw(transform, Drawn::$member, rng),)+
                }
            }
        }

        impl Drawn {
            fn change(&self) -> &dyn Change {
                match self { $(Self::$member(params) => params,)+ }
            }
        }
    };
}

/// What a transform has drawn, and for which images.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DrawnOn {
    /// What was drawn.
    #[serde(flatten)]
    pub drawn: Drawn,
    /// The places of the images that it is for, counted from 0; none for all of the sample's images.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<usize>,
}

impl From<Drawn> for DrawnOn {
    /// For all images.
    fn from(drawn: Drawn) -> Self {
        Self {
            drawn,
            images: Vec::new(),
        }
    }
}

/// The images that a transform is for.
pub(super) struct Images {
    /// Their places among the sample's.
    pub(super) places: Vec<usize>,
    /// How many the sample has.
    pub(super) all: usize,
}

impl Images {
    /// A sample of one image.
    pub(super) fn one() -> Self {
        Self {
            places: vec![0],
            all: 1,
        }
    }

    /// Draws whether `transform` acts, and for which images what.
    pub(super) fn draw<T: Augmentation>(
        &self,
        transform: &T,
        drawn: impl Fn(T::Params) -> Drawn,
        rng: &mut ChaCha8Rng,
    ) -> Vec<DrawnOn> {
        let shared = rng.clone();
        // The generator has as many streams as there can be images, and the first one is shared.
        let own = |place: usize| {
            let mut own = shared.clone();
            own.set_stream(place as u64 + 1);
            own
        };
        if transform.probability().is_some_and(|p| !chance(p, rng)) {
            return Vec::new();
        }
        let Some(first) = transform.draw(rng) else {
            return Vec::new();
        };
        let on = |params, images: &[usize]| DrawnOn {
            drawn: drawn(params),
            images: match images.len() == self.all {
                true => Vec::new(),
                false => images.to_vec(),
            },
        };
        let Sharing::Each { p } = transform.sharing() else {
            return vec![on(first, &self.places)];
        };
        let of_image = |&place: &usize| {
            let mut rng = own(place);
            if p < 1.0 && !chance(p, &mut rng) {
                return None;
            }
            let params = match place {
                0 => first.clone(),
                _ => transform.draw_further(&first, &mut rng)?,
            };
            Some(on(params, &[place]))
        };
        self.places.iter().filter_map(of_image).collect()
    }
}

impl Drawn {
    /// Changes all images of `sample`, or moves its voxels. The shape stays as it is, but for a crop.
    pub fn apply(&self, sample: &mut Sample) {
        apply(&[self.clone().into()], sample);
    }

    /// What moves voxels, if this does.
    fn spatial(&self) -> Option<&dyn Spatial> {
        self.change().spatial()
    }
}

impl DrawnOn {
    /// Whether it is for the image at `place`.
    pub fn is_for(&self, place: usize) -> bool {
        self.images.is_empty() || self.images.contains(&place)
    }

    /// Changes the intensities of the images that it is for.
    fn change(&self, sample: &mut Sample) {
        let spacing = sample.spacing();
        for (place, image) in sample.images.iter_mut().enumerate() {
            if self.is_for(place) {
                self.drawn.change().apply(image, spacing);
            }
        }
    }
}

/// Changes `sample` by all of `drawn`: first what moves voxels, as one resampling composed in the order
/// given, then what changes intensities, in the order given (see the module's conventions). A
/// [`CropParams`](super::CropParams) at the end limits the work to its own voxels.
pub fn apply(drawn: &[DrawnOn], sample: &mut Sample) {
    let frame = Frame::whole(sample.grid());
    apply_in(drawn, sample, &frame);
}

/// The voxels of a sample on `grid` that [`apply`] looks at.
pub fn reach(drawn: &[DrawnOn], grid: &Grid) -> Region {
    spatial::reach(drawn.iter().filter_map(|one| one.drawn.spatial()), grid)
}

/// What [`apply`] makes, to the last bit, of the sample that `piece` is of, if it holds the sample's [`reach`].
pub fn apply_to_piece(drawn: &[DrawnOn], piece: Piece) -> Sample {
    let Piece {
        mut sample,
        start,
        grid,
        lowest,
    } = piece;
    let frame = Frame {
        grid,
        start,
        lowest: Some(&lowest),
    };
    apply_in(drawn, &mut sample, &frame);
    sample
}

fn apply_in(drawn: &[DrawnOn], sample: &mut Sample, frame: &Frame) {
    let spatial = drawn.iter().filter_map(|one| one.drawn.spatial());
    spatial::resample(spatial, sample, frame);
    for one in drawn.iter().filter(|one| one.drawn.spatial().is_none()) {
        one.change(sample);
    }
}
