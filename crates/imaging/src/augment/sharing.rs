//! How the images of a sample come by the parameters of a transform.

/// How the images of a sample come by what is drawn, once a transform acts on the sample.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Sharing {
    /// All have the same.
    Alike,
    /// Each has its own: that of the first image is what a sample of one image would have, that of another depends
    /// on its place among the images.
    Each {
        /// How likely an image gets any, drawn for each image.
        p: f64,
    },
}

/// By default every image is changed once a transform acts.
pub(super) const EVERY_IMAGE: f64 = 1.0;

/// Whether a probability for each image is the default, which is not written.
pub(super) fn is_every_image(p: &f64) -> bool {
    *p == EVERY_IMAGE
}
