//! Progress: a bar on a terminal, one line per epoch, and `log.txt`.

use std::collections::HashMap;
use std::fs::{File, OpenOptions};
use std::io::{IsTerminal, Write};
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use burn_train::metric::{MetricDefinition, MetricId};
use burn_train::renderer::{
    EvaluationName, EvaluationProgress, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining, ProgressType, TrainingProgress,
};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::files::FileError;
use crate::sync::lock;

/// How much is printed during the work.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub enum Verbosity {
    /// Only results and errors.
    Quiet,
    /// One line per epoch.
    #[default]
    Normal,
    /// One line per step, and details that are otherwise only recorded.
    Verbose,
}

/// Shows progress and keeps `log.txt`. Clones share one bar and one file.
#[derive(Clone)]
pub struct Console {
    bar: ProgressBar,
    log: Arc<Mutex<Option<File>>>,
    names: HashMap<MetricId, String>,
    shown: HashMap<String, f64>,
    done: usize,
    spoke: Instant,
    verbosity: Verbosity,
}

impl Console {
    /// A bar on standard error if that is a terminal, lines otherwise; with [`Verbosity::Quiet`] nothing.
    /// The bar's colours respect `NO_COLOR`.
    pub fn new(verbosity: Verbosity) -> Self {
        let target = if verbosity == Verbosity::Quiet || !std::io::stderr().is_terminal() {
            ProgressDrawTarget::hidden()
        } else {
            ProgressDrawTarget::stderr()
        };
        Self {
            bar: ProgressBar::with_draw_target(Some(0), target),
            log: Arc::default(),
            names: HashMap::new(),
            shown: HashMap::new(),
            done: 0,
            spoke: Instant::now(),
            verbosity,
        }
    }

    /// Also appends all lines to `path` from now on.
    ///
    /// # Errors
    ///
    /// When the file cannot be opened for writing.
    pub fn log_to(&self, path: &Path) -> Result<(), FileError> {
        let file = OpenOptions::new()
            .create(true)
            .append(true)
            .open(path)
            .map_err(|source| FileError {
                action: "write",
                path: path.to_owned(),
                remedy: "Check that the folder is writable.",
                source,
            })?;
        *lock(&self.log) = Some(file);
        Ok(())
    }

    /// Ends the log.
    pub fn end_log(&self) {
        *lock(&self.log) = None;
    }

    /// Writes a line to the log only.
    pub fn log(&self, line: &str) {
        if let Some(file) = &mut *lock(&self.log) {
            // A log that cannot be written must not end a run that can.
            let _ = writeln!(file, "{line}");
        }
    }

    /// Prints a line: above the bar on a terminal, and in the log.
    pub fn say(&self, line: &str) {
        self.log(line);
        if self.verbosity == Verbosity::Quiet {
            return;
        }
        if self.bar.is_hidden() {
            // Standard error may be closed, which must not end a run.
            let _ = writeln!(std::io::stderr(), "{line}");
        } else {
            self.bar.println(line);
        }
    }

    /// Prints a warning, also in quiet mode.
    pub fn warn(&self, warning: &str) {
        let line = format!("warning: {warning}");
        self.log(&line);
        self.bar.suspend(|| {
            // Standard error may be closed, which must not end a run.
            let _ = writeln!(std::io::stderr(), "{line}");
        });
    }

    /// Prints a line if verbose output is wanted.
    pub fn detail(&self, line: impl FnOnce() -> String) {
        if self.verbosity == Verbosity::Verbose {
            self.say(&line());
        }
    }

    /// Starts the bar over `total` pieces of work; `done` of them are finished.
    pub fn start(&mut self, what: &str, total: usize, done: usize) {
        self.done = done;
        self.spoke = Instant::now();
        self.bar.reset();
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        // The time left is estimated from the work of this session only.
        self.bar.reset_eta();
        // The template is a constant, so it always parses; plain bars are the fallback.
        let style = ProgressStyle::with_template("{bar:30.cyan/blue} {msg}  {eta} left")
            .unwrap_or_else(|_| ProgressStyle::default_bar());
        self.bar.set_style(style);
        self.bar.set_message(what.to_owned());
    }

    /// Moves the bar by one piece of work.
    pub fn step(&mut self, message: String) {
        self.done += 1;
        self.bar.set_message(message);
        self.bar.set_position(self.done as u64);
    }

    /// Without a bar: prints a line, at most one in ten seconds.
    pub fn now_and_then(&mut self, line: &str) {
        if self.bar.is_hidden() && self.spoke.elapsed() > Duration::from_secs(10) {
            self.spoke = Instant::now();
            self.say(line);
        }
    }

    /// Takes the bar off the screen.
    pub fn finish(&self) {
        self.bar.finish_and_clear();
    }

    fn keep(&mut self, state: MetricState) {
        if let MetricState::Numeric(entry, value) = state
            && let Some(name) = self.names.get(&entry.metric_id)
        {
            self.shown.insert(name.clone(), value.current());
        }
    }
}

impl MetricsRendererTraining for Console {
    fn update_train(&mut self, state: MetricState) {
        self.keep(state);
    }

    // The bar shows training; validation is in the line of the epoch.
    fn update_valid(&mut self, _state: MetricState) {}

    fn render_train(&mut self, item: TrainingProgress, _indicators: Vec<ProgressType>) {
        let value = |name: &str| self.shown.get(name).copied().unwrap_or(f64::NAN);
        let message = format!(
            "epoch {}/{}  loss {:.4}  IoU {:.3}",
            item.global_progress.items_processed,
            item.global_progress.items_total,
            value("loss"),
            value("iou"),
        );
        self.step(message);
    }

    fn render_valid(&mut self, item: TrainingProgress, _indicators: Vec<ProgressType>) {
        self.bar.set_message(format!(
            "epoch {}/{}  validating",
            item.global_progress.items_processed, item.global_progress.items_total
        ));
    }
}

impl MetricsRendererEvaluation for Console {
    fn update_test(&mut self, _name: EvaluationName, _state: MetricState) {}

    fn render_test(&mut self, _item: EvaluationProgress, _indicators: Vec<ProgressType>) {}
}

impl MetricsRenderer for Console {
    fn manual_close(&mut self) {}

    fn register_metric(&mut self, definition: MetricDefinition) {
        self.names.insert(definition.metric_id, definition.name);
    }
}

/// A human-readable duration: `8.2 s`, `3 min 05 s`, `2 h 04 min`.
pub fn duration(time: Duration) -> String {
    let seconds = time.as_secs_f64();
    let whole = seconds.round() as u64;
    match whole {
        0..60 => format!("{seconds:.1} s"),
        60..3600 => format!("{} min {:02} s", whole / 60, whole % 60),
        _ => format!("{} h {:02} min", whole / 3600, whole % 3600 / 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_read_well() {
        let read = |seconds| duration(Duration::from_secs_f64(seconds));
        assert_eq!(read(8.24), "8.2 s");
        assert_eq!(read(185.0), "3 min 05 s");
        assert_eq!(read(7440.0), "2 h 04 min");
    }

    #[test]
    fn what_is_said_is_also_logged() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("log.txt");
        let console = Console::new(Verbosity::Quiet);
        console.log_to(&path).unwrap();
        console.say("epoch 1");
        console.clone().say("epoch 2");
        assert_eq!(
            std::fs::read_to_string(&path).unwrap(),
            "epoch 1\nepoch 2\n"
        );
    }
}
