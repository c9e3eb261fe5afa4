//! Operations that Burn 0.21 lacks in three dimensions, composed from those it has.

mod pool;
mod upsample;

pub use pool::max_pool3d;
pub use upsample::upsample_trilinear;
