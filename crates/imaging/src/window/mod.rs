//! Windows over an image: a network that sees pieces is shown every part of an image, and what it says of each voxel is
//! the weighted mean over the pieces that hold it.

mod blend;
mod place;

pub use blend::slide;
pub use place::Windows;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::settings::Fault;

/// How much of an image the network sees at once.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected auto, whole or a window, as in {size: [96, 96, 96]}"
)]
#[schemars(inline)]
pub enum View {
    /// In words.
    Named(NamedView),
    /// A window that slides over the image.
    Window(Window),
}

/// How much of an image the network sees at once, in words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum NamedView {
    /// What it saw in training: windows of the patch's size where it was trained on patches, the whole image otherwise. A
    /// whole image that does not fit into memory is seen in windows as large as fit.
    Auto,
    /// The whole image.
    Whole,
}

impl Default for View {
    fn default() -> Self {
        Self::Named(NamedView::Auto)
    }
}

/// A window that slides over an image. Where the image is smaller than the window, it is filled up on both sides with its
/// lowest value, as patches are.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Window {
    /// Voxels along each axis; by default those of the patches that the network is trained on.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(extend("default" = null))]
    pub size: Option<[usize; 3]>,
    /// The part of a window that it shares, along an axis, with the next one; more where the windows do not fit otherwise.
    #[schemars(range(min = 0.0), extend("exclusiveMaximum" = 1.0))]
    pub overlap: f64,
    /// How much each voxel of a window counts.
    pub weights: Weights,
    /// Whose rules for places and weights.
    pub like: Like,
}

/// How much each voxel of a window counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Weights {
    /// More in the middle, by a Gaussian of an eighth of the window.
    Gaussian,
    /// The same everywhere.
    Uniform,
}

/// Whose rules for the windows' places and weights.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
#[schemars(inline)]
pub enum Like {
    /// nnU-Net's: windows at even distances; the Gaussian's middle is a voxel.
    Nnunet,
    /// MONAI's: windows at the distance that the overlap gives, the last moved back into the image; the Gaussian's middle is
    /// the window's, and no weight is below a thousandth.
    Monai,
}

impl Default for Window {
    fn default() -> Self {
        Self {
            size: None,
            overlap: 0.5,
            weights: Weights::Gaussian,
            like: Like::Nnunet,
        }
    }
}

impl Window {
    /// A window of this size.
    pub fn of(size: [usize; 3]) -> Self {
        Self {
            size: Some(size),
            ..Self::default()
        }
    }

    /// This window; where it has no size, of size `size`.
    #[must_use]
    pub fn sized(mut self, size: Option<[usize; 3]>) -> Self {
        self.size = self.size.or(size);
        self
    }
}

impl View {
    /// The window, if the network is trained on patches of the size `patch` and does not see whole images. A window of a
    /// [`View::Window`] without a size has the patch's.
    pub fn window(&self, patch: Option<[usize; 3]>) -> Option<Window> {
        match self {
            Self::Named(NamedView::Whole) => None,
            Self::Named(NamedView::Auto) => patch.map(Window::of),
            Self::Window(window) => Some(window.clone().sized(patch)),
        }
    }

    /// What is wrong with the values that the ranges of the fields do not show, for a network that is trained on patches of
    /// the size `patch`.
    pub fn rules(&self, patch: Option<[usize; 3]>) -> Vec<Fault> {
        let Self::Window(window) = self else {
            return Vec::new();
        };
        match window.size.or(patch) {
            None => vec![Fault::new(
                "window.size",
                "window needs a size, because the network is trained on whole images: window: {size: [96, 96, 96]}",
            )],
            Some(size) if size.contains(&0) => vec![Fault::new(
                "window.size",
                "size must be at least 1 along each axis",
            )],
            Some(_) => Vec::new(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_network_sees_is_read_from_words_or_a_window() {
        let view = |yaml: &str| serde_yaml::from_str::<View>(yaml);
        let patch = Some([32, 48, 32]);
        assert_eq!(view("auto").unwrap(), View::default());
        assert_eq!(view("whole").unwrap().window(patch), None);
        assert_eq!(view("auto").unwrap().window(None), None);
        let window = view("{overlap: 0.25}").unwrap().window(patch).unwrap();
        assert_eq!((window.size, window.overlap), (patch, 0.25));
        let why = view("patches").unwrap_err().to_string();
        assert!(why.contains("auto, whole or a window"), "{why}");
        let without_size = view("{overlap: 0.25}").unwrap().rules(None);
        assert!(without_size[0].message.contains("needs a size"));
    }
}
