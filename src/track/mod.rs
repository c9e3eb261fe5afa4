//! TensorBoard: curves, pictures and hyperparameters.

mod earlier;
mod hparams;
mod logger;
mod preview;
mod tensorboard;

pub use hparams::{Setting, hyperparameters};
pub use logger::TensorBoardLogger;
pub use preview::Preview;
pub use tensorboard::{TensorBoard, TensorBoardError};
