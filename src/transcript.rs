//! Commands that a page shows, with what they print: run again, and compared.
//!
//! A page is Markdown. In its blocks of the kind `console` a line that begins with `$ ` is a command, and the lines after
//! it are what it printed. Commands that only read results are repeated; those that need scans, or hours, are not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

use crate::files::{FileError, read_bytes, read_text, write_atomic};
use crate::layout::{RunFolder, runs_below};

/// Commands of the program that are repeated.
const REPEATED: [&str; 3] = ["summary", "compare", "plot"];

/// A page's commands cannot be repeated.
#[derive(Debug, Error)]
pub enum TranscriptError {
    /// A file cannot be read or written.
    #[error(transparent)]
    File(#[from] FileError),
    /// A command cannot be read.
    #[error("{}, line {line}: `{command}` is no command: a quotation mark is missing.", page.display())]
    Command {
        /// The page.
        page: PathBuf,
        /// Its line, counted from 1.
        line: usize,
        /// The command.
        command: String,
    },
    /// A block has no end.
    #[error("{}, line {line}: the block has no end. Close it with a line of ```.", page.display())]
    Open {
        /// The page.
        page: PathBuf,
        /// The line where the block begins.
        line: usize,
    },
    /// The program could not be started again.
    #[error("cannot start {}: {source}.", program.display())]
    Program {
        /// The program.
        program: PathBuf,
        /// Why not.
        source: std::io::Error,
    },
}

/// A command of a page, and what came of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Shown {
    /// Its line in the page, counted from 1.
    pub line: usize,
    /// The command, without its `$`.
    pub command: String,
    /// What the page says that it prints.
    pub output: String,
    /// What it does now.
    pub now: Now,
}

/// What a command does now.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Now {
    /// What the page shows.
    Same,
    /// It prints something else.
    Prints(String),
    /// It draws something else into this file, or the file is missing.
    Draws(PathBuf),
    /// It fails, with this message.
    Fails(String),
    /// It was not repeated.
    NotRepeated,
}

/// A page whose commands were repeated.
#[derive(Clone, Debug)]
pub struct Repeated {
    /// Its commands, in order.
    pub shown: Vec<Shown>,
    /// The runs that they read.
    pub runs: BTreeSet<PathBuf>,
}

/// Repeats the commands of a page in the current folder by this program of ours. With `write`, the page and its figures are brought up to date
/// where they differ.
///
/// # Errors
///
/// When the page or a command cannot be read, or something cannot be written.
pub fn repeat(page: &Path, program: &Path, write: bool) -> Result<Repeated, TranscriptError> {
    let text = read_text(page)?;
    let mut blocks = commands(page, &text)?;
    let mut runs = BTreeSet::new();
    for shown in &mut blocks {
        let words = shlex::split(&shown.command).ok_or_else(|| TranscriptError::Command {
            page: page.to_owned(),
            line: shown.line,
            command: shown.command.clone(),
        })?;
        let Some(words) = repeatable(&words) else {
            continue;
        };
        let folders = words.iter().filter(|word| Path::new(word).is_dir());
        let read = folders.flat_map(|of| runs_below(Path::new(of), RunFolder::summary));
        runs.extend(read.map(|run| run.path().to_owned()));
        shown.now = again(program, words, &shown.output, write)?;
    }
    if write {
        update(page, &text, &blocks)?;
    }
    Ok(Repeated {
        shown: blocks,
        runs,
    })
}

/// The arguments of a command that is repeated.
fn repeatable(words: &[String]) -> Option<&[String]> {
    let (program, arguments) = words.split_first()?;
    let of = arguments.first()?;
    (program == "calvaria" && REPEATED.contains(&of.as_str())).then_some(arguments)
}

/// The commands in the blocks of a page, none of them repeated yet.
fn commands(page: &Path, text: &str) -> Result<Vec<Shown>, TranscriptError> {
    let mut all: Vec<Shown> = Vec::new();
    let (mut block, mut is_continued) = (None, false);
    for (line, content) in (1..).zip(text.lines()) {
        match block {
            None if content.trim_end() == "```console" => block = Some((line, all.len())),
            None => {}
            Some(_) if content.trim_end() == "```" => block = None,
            Some((_, first)) => {
                if is_continued {
                    if let Some(last) = all.last_mut() {
                        is_continued = continues(&mut last.command, content);
                    }
                } else if let Some(command) = content.strip_prefix("$ ") {
                    let mut shown = Shown {
                        line,
                        command: String::new(),
                        output: String::new(),
                        now: Now::NotRepeated,
                    };
                    is_continued = continues(&mut shown.command, command);
                    all.push(shown);
                } else if all.len() > first
                    && let Some(last) = all.last_mut()
                {
                    last.output += content;
                    last.output.push('\n');
                }
            }
        }
    }
    match block {
        None => Ok(all),
        Some((line, _)) => Err(TranscriptError::Open {
            page: page.to_owned(),
            line,
        }),
    }
}

/// Adds a line to a command; whether the command continues on the next one.
fn continues(command: &mut String, line: &str) -> bool {
    let (part, continues) = match line.strip_suffix('\\') {
        Some(part) => (part, true),
        None => (line, false),
    };
    if !command.is_empty() {
        command.push(' ');
    }
    *command += part.trim();
    continues
}

/// Runs the program with these arguments. A figure is drawn elsewhere, and takes its place only with `write`.
fn again(
    program: &Path,
    words: &[String],
    output: &str,
    write: bool,
) -> Result<Now, TranscriptError> {
    let folder = tempfile::tempdir().map_err(|source| FileError {
        action: "create a folder in",
        path: std::env::temp_dir(),
        remedy: "Make room there, or set TMPDIR to another folder.",
        source,
    })?;
    let is_out = |word: &String| ["-o", "--out"].contains(&word.as_str());
    let out = words.iter().position(is_out).map(|at| at + 1);
    let figure = out.and_then(|at| Some((at, Path::new(words.get(at)?))));
    let drawn = figure.map_or_else(PathBuf::new, |(_, figure)| {
        folder.path().join(figure.file_name().unwrap_or_default())
    });
    let mut arguments: Vec<PathBuf> = words.iter().map(PathBuf::from).collect();
    if let Some((at, _)) = figure {
        arguments[at].clone_from(&drawn);
    }
    let done = Command::new(program).args(arguments).output();
    let done = done.map_err(|source| TranscriptError::Program {
        program: program.to_owned(),
        source,
    })?;
    let printed = [done.stderr, done.stdout].concat();
    let mut printed = String::from_utf8_lossy(&printed).into_owned();
    if let Some((_, figure)) = figure {
        printed = printed.replace(&drawn.display().to_string(), &figure.display().to_string());
    }
    if !done.status.success() {
        return Ok(Now::Fails(printed));
    }
    let mut now = match printed == output {
        true => Now::Same,
        false => Now::Prints(printed),
    };
    if let Some((_, figure)) = figure {
        let new = read_bytes(&drawn)?;
        if std::fs::read(figure).ok().as_ref() != Some(&new) {
            if write {
                write_atomic(figure, |out| out.write_all(&new))?;
            }
            if now == Now::Same {
                now = Now::Draws(figure.to_owned());
            }
        }
    }
    Ok(now)
}

/// Writes what the commands print now into the page.
fn update(page: &Path, text: &str, blocks: &[Shown]) -> Result<(), TranscriptError> {
    let mut lines: Vec<&str> = text.lines().collect();
    // From the end, so that lines before stay where they are.
    for shown in blocks.iter().rev() {
        let Now::Prints(now) = &shown.now else {
            continue;
        };
        let mut first = shown.line;
        while lines[first - 1].ends_with('\\') {
            first += 1;
        }
        let last = first + shown.output.lines().count();
        lines.splice(first..last, now.lines());
    }
    let new = lines.join("\n") + "\n";
    if new != text {
        write_atomic(page, |out| out.write_all(new.as_bytes()))?;
    }
    Ok(())
}
