//! Command lines as a shell reads them.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};

/// The word as a POSIX shell must see it to read it as one word; none if it holds a NUL.
pub fn quote(word: &OsStr) -> Option<OsString> {
    let quoted = shlex::bytes::try_quote(word.as_bytes()).ok()?;
    Some(OsString::from_vec(quoted.into_owned()))
}

/// A command line, every word quoted where it must be; none if one holds a NUL.
pub fn quote_command(words: &[OsString]) -> Option<OsString> {
    let quoted = shlex::bytes::try_join(words.iter().map(|word| word.as_bytes())).ok()?;
    Some(OsString::from_vec(quoted))
}
