//! Patterns of paths, such as `labelsTr/{id}.nii.gz`.

use std::path::{Path, PathBuf};

use regex::Regex;
use walkdir::WalkDir;

use crate::settings::nearest;

pub(crate) const ID: &str = "id";
pub(crate) const SUBJECT: &str = "subject";
pub(crate) const SESSION: &str = "session";

/// What a pattern may hold in braces, in the order in which an id is made of them.
const NAMES: [&str; 3] = [ID, SUBJECT, SESSION];

/// A file that matches a pattern.
pub(crate) struct Match<'a> {
    /// The file.
    pub path: &'a Path,
    /// Its id, or what makes it up.
    pub id: String,
    /// Whose it is, where the pattern says so.
    pub subject: Option<String>,
    /// The visit, where the pattern says so.
    pub session: Option<String>,
    /// How else subject and session, which make up the id, could be read.
    pub ambiguity: Option<String>,
}

impl Match<'_> {
    pub fn subject(&self) -> &str {
        self.subject.as_ref().unwrap_or(&self.id)
    }

    /// Whether this, a mask of the image's id, fits the image otherwise.
    pub fn may_be_of(&self, image: &Match) -> bool {
        let same_subject = self
            .subject
            .as_deref()
            .is_none_or(|name| name == image.subject());
        let same_session = self.session.is_none() || self.session == image.session;
        // Whichever way it is read, the joined id is the same.
        let fits = self.ambiguity.is_some() || same_subject && same_session;
        fits && self.path != image.path
    }
}

/// A pattern of paths, as regular expressions.
pub(crate) struct Pattern {
    /// The earlier a part, the longer.
    longest: Regex,
    /// The earlier a part, the shorter: where the two read different things, a path is ambiguous.
    shortest: Regex,
}

impl Pattern {
    /// Parses a pattern; what is wrong with it is the end of a sentence.
    pub fn of(text: &str) -> Result<Self, String> {
        if text.starts_with('/') || text.split('/').any(|part| part == "..") {
            return Err(format!(
                "`{text}` must stay below root: no leading / and no .."
            ));
        }
        let (mut longest, mut shortest) = (String::from("^"), String::from("^"));
        let mut rest = text;
        while let Some(at) = rest.find(['{', '*']) {
            let (constant, special) = rest.split_at(at);
            let length = match special.find('}') {
                _ if special.starts_with('*') => 1,
                Some(end) => end + 1,
                None => return Err(format!("`{text}` opens a {{ but never closes it")),
            };
            let (special, after) = special.split_at(length);
            let start = match special {
                "*" => "([^/]*".to_owned(),
                _ => format!("(?<{}>[^/]+", known(text, special)?),
            };
            for (expression, end) in [(&mut longest, ")"), (&mut shortest, "?)")] {
                *expression += &regex::escape(constant);
                *expression += &start;
                *expression += end;
            }
            rest = after;
        }
        for expression in [&mut longest, &mut shortest] {
            *expression += &regex::escape(rest);
            *expression += "$";
        }
        let twice = |_| format!("`{text}` may hold {{id}}, {{subject}} and {{session}} once each");
        let pattern = Self {
            longest: Regex::new(&longest).map_err(twice)?,
            shortest: Regex::new(&shortest).map_err(twice)?,
        };
        if !pattern.holds(ID) && !pattern.holds(SUBJECT) {
            return Err(format!("`{text}` must hold {{id}} or {{subject}}"));
        }
        Ok(pattern)
    }

    pub fn holds(&self, name: &str) -> bool {
        let mut names = self.longest.capture_names().flatten();
        names.any(|held| held == name)
    }

    /// What the pattern reads in the path of a file, if it matches.
    pub fn read<'a>(&self, path: &'a Path, inside: &str) -> Option<Match<'a>> {
        let read = |regex: &Regex| {
            let parts = regex.captures(inside)?;
            Some(NAMES.map(|name| parts.name(name).map(|part| part.as_str().to_owned())))
        };
        let (parts, others) = (read(&self.longest)?, read(&self.shortest)?);
        let is_ambiguous = parts[0].is_none() && parts != others;
        let ambiguity =
            is_ambiguous.then(|| format!("{} or {}", in_words(&others), in_words(&parts)));
        let [id, subject, session] = parts;
        let joined: Vec<&str> = [&subject, &session]
            .into_iter()
            .filter_map(|part| part.as_deref())
            .collect();
        Some(Match {
            path,
            id: id.unwrap_or_else(|| joined.join("_")),
            subject,
            session,
            ambiguity,
        })
    }
}

/// What was read in a path, such as `subject a, session b`.
fn in_words(parts: &[Option<String>; 3]) -> String {
    let named = NAMES.iter().zip(parts);
    let named = named.filter_map(|(name, value)| Some(format!("{name} {}", value.as_ref()?)));
    named.collect::<Vec<_>>().join(", ")
}

/// The name in braces, or what it should be.
fn known<'a>(text: &str, braces: &'a str) -> Result<&'a str, String> {
    let name = braces.trim_start_matches('{').trim_end_matches('}');
    if NAMES.contains(&name) {
        return Ok(name);
    }
    let meant = match name.to_lowercase().as_str() {
        "visit" | "ses" | "timepoint" | "time" | "tp" => Some(SESSION),
        "sub" | "patient" | "participant" | "pat" => Some(SUBJECT),
        "case" | "name" | "case_id" => Some(ID),
        other => nearest(other, &NAMES),
    };
    let meant = meant.map_or(String::new(), |name| format!(" Did you mean {{{name}}}?"));
    Err(format!(
        "`{text}` may hold {{id}}, {{subject}}, {{session}} and *, nothing else in braces.{meant}"
    ))
}

/// The files that match a pattern in which folders may stand before the part with `{id}`, each with its id, in order of
/// their paths; or what is wrong, as the end of a sentence.
pub(crate) fn files_matching(text: &Path) -> Result<Vec<(String, PathBuf)>, String> {
    let text = text.to_string_lossy();
    // The folder before the first part that stands for several names.
    let special = text.find(['{', '*']).unwrap_or(text.len());
    let (folder, rest) = match text[..special].rfind('/') {
        Some(0) => ("/", &text[1..]),
        Some(at) => (&text[..at], &text[at + 1..]),
        None => (".", &text[..]),
    };
    let pattern = Pattern::of(rest)?;
    if !Path::new(folder).is_dir() {
        return Err(format!(
            "`{text}` is of the folder {folder}, which does not exist"
        ));
    }
    let mut found = Vec::new();
    for path in files_in(Path::new(folder))? {
        let inside = path.strip_prefix(folder).unwrap_or(&path).to_owned();
        let parts: Vec<_> = inside.iter().map(|part| part.to_string_lossy()).collect();
        let id = pattern.read(&path, &parts.join("/")).map(|of| of.id);
        found.extend(id.map(|id| (id, path)));
    }
    Ok(found)
}

/// All files of a folder and of those below it, in order; or why there are none.
pub(crate) fn files_in(folder: &Path) -> Result<Vec<PathBuf>, String> {
    let walk = WalkDir::new(folder).follow_links(true).sort_by_file_name();
    let entries = walk
        .into_iter()
        .map(|entry| entry.map_err(|error| error.to_string()));
    let mut files = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type().is_file() {
            files.push(entry.into_path());
        }
    }
    Ok(files)
}
