//! Commands that a page shows, with what they print: run again, and compared.
//!
//! A page is Markdown. In its blocks of the kind `console` a line that begins with `$ ` is a command, and the lines after
//! it are what it printed. Commands that only read results are repeated; those that need scans, or hours, are not.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use thiserror::Error;

use crate::files::{FileError, read_text, write_atomic};
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
    #[error(
        "{}, line {line}: `{command}` is no whole command: a quotation mark is missing, or what comes after a backslash.",
        page.display()
    )]
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
    /// A command stands where it is not repeated.
    #[error(
        "{}, line {line}: a command outside a block is not repeated. Let the block begin with ```console at the line's start, and \
         the command with `$ `.",
        page.display()
    )]
    Outside {
        /// The page.
        page: PathBuf,
        /// The command's line.
        line: usize,
    },
    /// Two commands draw one figure.
    #[error("{}, line {line}: {} is drawn by another command as well. Give it another name.", page.display(), figure.display())]
    Twice {
        /// The page.
        page: PathBuf,
        /// The second command's line.
        line: usize,
        /// The figure.
        figure: PathBuf,
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
    /// Something else.
    Differs {
        /// What it prints, if that differs.
        prints: Option<String>,
        /// The figure that looks otherwise, or is missing.
        draws: Option<PathBuf>,
    },
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
/// Repeats the commands of a page in the current folder with `program`, this one. With `write`, the page and its figures are
/// brought up to date where they differ.
///
/// # Errors
///
/// When the page or a command cannot be read, or something cannot be written.
pub fn repeat(page: &Path, program: &Path, write: bool) -> Result<Repeated, TranscriptError> {
    let text = read_text(page)?;
    let mut all = commands(page, &text)?;
    let (mut runs, mut figures) = (BTreeSet::new(), BTreeSet::new());
    for shown in &mut all {
        let words = shlex::split(&shown.command).ok_or_else(|| TranscriptError::Command {
            page: page.to_owned(),
            line: shown.line,
            command: shown.command.clone(),
        })?;
        let Some(words) = repeatable(&words) else {
            continue;
        };
        let command = Repeatable::of(words);
        if let Some(figure) = &command.figure
            && !figures.insert(figure.clone())
        {
            return Err(TranscriptError::Twice {
                page: page.to_owned(),
                line: shown.line,
                figure: figure.clone(),
            });
        }
        let folders = command.words.iter().filter(|word| Path::new(word).is_dir());
        let read = folders.flat_map(|of| runs_below(Path::new(of), RunFolder::metrics));
        let finished = read.filter(|run| run.summary().is_file());
        runs.extend(finished.map(|run| run.path().to_owned()));
        shown.now = command.again(program, &shown.output, write)?;
    }
    if write {
        update(page, &text, &all)?;
    }
    Ok(Repeated { shown: all, runs })
}

/// The arguments of a command that is repeated.
fn repeatable(words: &[String]) -> Option<&[String]> {
    let (program, arguments) = words.split_first()?;
    let of = arguments.first()?;
    (program == "calvaria" && REPEATED.contains(&of.as_str())).then_some(arguments)
}

/// A block of code: the character of its fence, and how long that is.
#[derive(Clone, Copy, PartialEq, Eq)]
struct Fence(char, usize);

impl Fence {
    /// The fence that begins or ends with this line, and what is written after it.
    fn of(line: &str) -> Option<(Self, &str)> {
        let character = line.chars().next().filter(|of| ['`', '~'].contains(of))?;
        let rest = line.trim_start_matches(character);
        let length = line.len() - rest.len();
        (length >= 3).then(|| (Self(character, length), rest.trim()))
    }

    /// Whether the line ends the block.
    fn ends(self, line: &str) -> bool {
        Self::of(line).is_some_and(|(of, rest)| of.0 == self.0 && of.1 >= self.1 && rest.is_empty())
    }
}

/// The commands in the blocks of a page, none of them repeated yet.
fn commands(page: &Path, text: &str) -> Result<Vec<Shown>, TranscriptError> {
    let mut all: Vec<Shown> = Vec::new();
    // The fence, its line, whether it is a console's, and how many commands there were before.
    let mut block: Option<(Fence, usize, bool, usize)> = None;
    let mut is_continued = false;
    for (line, content) in (1..).zip(text.lines()) {
        let Some((fence, _, is_console, before)) = block else {
            match Fence::of(content) {
                Some((fence, about)) => {
                    let is_console = about.split_whitespace().next() == Some("console");
                    block = Some((fence, line, is_console, all.len()));
                }
                None if content.contains("$ calvaria") => {
                    return Err(TranscriptError::Outside {
                        page: page.to_owned(),
                        line,
                    });
                }
                None => {}
            }
            continue;
        };
        if fence.ends(content) {
            if let (true, Some(last)) = (is_continued, all.last()) {
                return Err(TranscriptError::Command {
                    page: page.to_owned(),
                    line: last.line,
                    command: last.command.clone(),
                });
            }
            block = None;
        } else if !is_console {
            continue;
        } else if is_continued {
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
        } else if all.len() > before
            && let Some(last) = all.last_mut()
        {
            last.output += content;
            last.output.push('\n');
        }
    }
    match block {
        None => Ok(all),
        Some((_, line, ..)) => Err(TranscriptError::Open {
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

/// A command that is repeated.
struct Repeatable {
    /// Its arguments; in the place of the figure stands what comes before it, such as `--output=`.
    words: Vec<String>,
    /// The figure that it draws, and its place among the arguments.
    figure: Option<PathBuf>,
    place: usize,
}

impl Repeatable {
    fn of(words: &[String]) -> Self {
        let mut words = words.to_vec();
        for place in 0..words.len() {
            let word = words[place].clone();
            if ["-o", "--output"].contains(&word.as_str()) && place + 1 < words.len() {
                let figure = std::mem::take(&mut words[place + 1]);
                return Self {
                    words,
                    figure: Some(figure.into()),
                    place: place + 1,
                };
            }
            let forms = ["--output=", "-o=", "-o"];
            if let Some(form) = forms.into_iter().find(|form| word.starts_with(form)) {
                words[place] = form.to_owned();
                return Self {
                    words,
                    figure: Some(word[form.len()..].into()),
                    place,
                };
            }
        }
        Self {
            words,
            figure: None,
            place: 0,
        }
    }

    /// Runs it. A figure is drawn elsewhere, and takes its place only with `write`.
    fn again(&self, program: &Path, output: &str, write: bool) -> Result<Now, TranscriptError> {
        let folder = tempfile::tempdir().map_err(|source| FileError {
            action: "create a folder in",
            path: std::env::temp_dir(),
            remedy: "Make room there, or set TMPDIR to another folder.",
            source,
        })?;
        let name = self.figure.as_ref().and_then(|figure| figure.file_name());
        let drawn = folder.path().join(name.unwrap_or_default());
        let mut words = self.words.clone();
        if self.figure.is_some() {
            words[self.place] += &drawn.to_string_lossy();
        }
        let done = Command::new(program).args(&words).output();
        let done = done.map_err(|source| TranscriptError::Program {
            program: program.to_owned(),
            source,
        })?;
        let printed = [done.stderr, done.stdout].concat();
        let mut printed = String::from_utf8_lossy(&printed).into_owned();
        if let Some(figure) = &self.figure {
            printed = printed.replace(&*drawn.to_string_lossy(), &figure.to_string_lossy());
        }
        if !done.status.success() {
            return Ok(Now::Fails(printed));
        }
        let mut draws = None;
        if let Some(figure) = &self.figure {
            let Ok(new) = std::fs::read(&drawn) else {
                return Ok(Now::Fails("it draws no figure.\n".into()));
            };
            if std::fs::read(figure).ok().as_ref() != Some(&new) {
                if write {
                    write_atomic(figure, |out| out.write_all(&new))?;
                }
                draws = Some(figure.clone());
            }
        }
        let prints = (printed != output).then_some(printed);
        Ok(match (&prints, &draws) {
            (None, None) => Now::Same,
            _ => Now::Differs { prints, draws },
        })
    }
}

/// Writes what the commands print now into the page. Its other lines stay as they are, their ends included.
fn update(page: &Path, text: &str, all: &[Shown]) -> Result<(), TranscriptError> {
    let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
    let mut is_changed = false;
    // From the end, so that lines before stay where they are.
    for shown in all.iter().rev() {
        let Now::Differs {
            prints: Some(now), ..
        } = &shown.now
        else {
            continue;
        };
        is_changed = true;
        let mut first = shown.line;
        while lines[first - 1].trim_end().ends_with('\\') {
            first += 1;
        }
        let end = match lines[first - 1].ends_with("\r\n") {
            true => "\r\n",
            false => "\n",
        };
        let last = first + shown.output.lines().count();
        let new: Vec<String> = now.lines().map(|line| format!("{line}{end}")).collect();
        lines.splice(first..last, new);
    }
    if is_changed {
        write_atomic(page, |out| out.write_all(lines.concat().as_bytes()))?;
    }
    Ok(())
}
