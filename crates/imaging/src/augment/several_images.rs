//! Samples of several images.
