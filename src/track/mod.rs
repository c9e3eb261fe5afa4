//! What a run leaves behind while it works: TensorBoard events, the table of epochs, progress.

mod history;
mod hparams;
mod logger;
mod preview;
mod progress;
mod tensorboard;

pub use history::{Epoch, HistoryError, read_history, write_history};
pub use hparams::{Setting, hyperparameters};
pub use logger::TensorBoardLogger;
pub use preview::Preview;
pub use progress::{Console, Verbosity, duration};
pub use tensorboard::{TensorBoard, TensorBoardError};
