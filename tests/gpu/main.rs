//! What needs a GPU, or is built for one: `cargo test --release --features cuda,vulkan --test gpu`.

mod agreement;
#[path = "../it/common/mod.rs"]
mod common;
#[cfg(all(feature = "cuda", target_os = "linux"))]
mod driver;
