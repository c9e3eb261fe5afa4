//! TensorBoard: curves, pictures, hyperparameters and the table of epochs.

mod history;
mod hparams;
mod logger;
mod preview;
mod tensorboard;

pub use history::{Epoch, HistoryError, read_history, write_history};
pub use hparams::{Setting, hyperparameters};
pub use logger::TensorBoardLogger;
pub use preview::Preview;
pub use tensorboard::{TensorBoard, TensorBoardError};
