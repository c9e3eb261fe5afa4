//! Why devices cannot be used.

use thiserror::Error;

use super::{DeviceName, DevicePanic};

/// The devices that were asked for cannot be used.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum DeviceError {
    /// One of them does not exist or does not work.
    #[error("the device {device} cannot be used: {why}")]
    Unusable {
        /// Its name.
        device: DeviceName,
        /// Why, and what to do, in sentences.
        why: String,
    },
    /// Several are named for work that is not shared.
    #[error(
        "--device names {count} devices, and this command uses one; only `run` shares its work."
    )]
    TooMany {
        /// How many.
        count: usize,
    },
    /// None is named.
    #[error("no device was named to run on.")]
    None,
    /// They are of different kinds.
    #[error("{first} and {other} cannot share a run: name GPUs of one kind")]
    Mixed {
        /// The first.
        first: DeviceName,
        /// One of another kind.
        other: DeviceName,
    },
    /// One does not compute in the precision wanted.
    #[error("{0}")]
    Precision(String),
    /// One failed.
    #[error(transparent)]
    Panic(#[from] DevicePanic),
}

impl DeviceError {
    /// Whether the choice of devices is at fault, rather than their work.
    pub fn is_input(&self) -> bool {
        !matches!(self, Self::Panic(_))
    }
}
