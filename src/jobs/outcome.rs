//! How jobs end.

use std::fmt;
use std::io::{Read, Seek, SeekFrom};
use std::os::unix::process::ExitStatusExt;
use std::path::Path;
use std::process::ExitStatus;

use rustix::process::Signal;
use serde::{Deserialize, Serialize};

use super::INTERRUPTED;

/// How much of a log is quoted: this many lines, and no more than this many bytes.
const TAIL_LINES: usize = 20;
const TAIL_BYTES: u64 = 4096;

/// How a job ended.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Outcome {
    /// Its program succeeded.
    Finished,
    /// It was stopped, by the pool or from outside, and can be resumed.
    Stopped,
    /// It failed by itself.
    Failed(Failure),
}

impl fmt::Display for Outcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Finished => f.write_str("finished"),
            Self::Stopped => f.write_str("stopped"),
            Self::Failed(failure) => write!(f, "failed: {}", failure.cause),
        }
    }
}

/// Why a job failed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Failure {
    /// In a few words: the exit code, the signal, Slurm's state.
    pub cause: String,
    /// The last lines of its log.
    pub tail: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.cause)?;
        if self.tail.is_empty() {
            f.write_str("; its log is empty")
        } else {
            write!(f, "; the end of its log:\n{}", self.tail)
        }
    }
}

impl Failure {
    /// A failure with the last lines of the log, from byte `from` on.
    pub(super) fn new(cause: String, log: &Path, from: u64) -> Self {
        Self {
            cause,
            tail: tail(log, from),
        }
    }
}

/// An exit status in words.
pub(super) fn cause(status: ExitStatus) -> String {
    match (status.code(), status.signal()) {
        (Some(code), _) => format!("exit code {code}"),
        (None, Some(9)) => {
            "killed by signal 9 (SIGKILL), as the system does where memory runs out".into()
        }
        (None, _) => format!("killed by {}", status.to_string().replace(": ", " ")),
    }
}

/// Whether a program ended because it was asked to: by its own exit code for that, or by the signal itself
/// where that came before the program could handle it.
pub(super) fn was_interrupted(status: ExitStatus) -> bool {
    let (interrupt, terminate) = (Signal::INT.as_raw(), Signal::TERM.as_raw());
    status.code() == Some(INTERRUPTED.into())
        || status
            .signal()
            .is_some_and(|signal| signal == interrupt || signal == terminate)
}

/// The status that a shell reports as this number.
pub(super) fn status_of_shell(number: i32) -> ExitStatus {
    ExitStatus::from_raw(if number > 128 {
        number - 128
    } else {
        number << 8
    })
}

/// The last lines of a log from byte `from` on; empty if it cannot be read.
pub(super) fn tail(log: &Path, from: u64) -> String {
    let read = || -> std::io::Result<String> {
        let mut file = std::fs::File::open(log)?;
        let length = file.metadata()?.len();
        let start = from.min(length).max(length.saturating_sub(TAIL_BYTES));
        file.seek(SeekFrom::Start(start))?;
        let mut bytes = Vec::new();
        file.take(TAIL_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    let text = read().unwrap_or_default();
    let lines: Vec<&str> = text.trim_end().lines().collect();
    lines[lines.len().saturating_sub(TAIL_LINES)..].join("\n")
}

/// How long a log is now, so that its tail can leave out earlier lines.
pub(super) fn length(log: &Path) -> u64 {
    std::fs::metadata(log).map_or(0, |metadata| metadata.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn statuses_read_as_words() {
        assert_eq!(cause(status_of_shell(2)), "exit code 2");
        assert_eq!(
            cause(status_of_shell(128 + 11)),
            "killed by signal 11 (SIGSEGV)"
        );
        assert!(cause(status_of_shell(137)).contains("memory"));
    }

    #[test]
    fn what_was_told_to_end_is_told_apart_from_what_failed() {
        for number in [130, 143] {
            assert!(was_interrupted(status_of_shell(number)), "{number}");
        }
        assert!(was_interrupted(ExitStatus::from_raw(130 << 8)));
        for number in [0, 1, 2, 137] {
            assert!(!was_interrupted(status_of_shell(number)), "{number}");
        }
    }

    #[test]
    fn a_tail_is_the_last_lines_of_this_start() {
        let folder = tempfile::tempdir().unwrap();
        let log = folder.path().join("log.txt");
        std::fs::write(&log, "before\nnow\n").unwrap();
        assert_eq!(tail(&log, 7), "now");
        let many: String = (0..1000).map(|line| format!("line {line}\n")).collect();
        std::fs::write(&log, many).unwrap();
        assert!(tail(&log, 0).starts_with("line 980\n") && tail(&log, 0).ends_with("line 999"));
        std::fs::write(&log, "x".repeat(9000)).unwrap();
        assert_eq!(tail(&log, 0).len(), 4096);
        assert_eq!(tail(&folder.path().join("none"), 0), "");
    }
}
