//! Values of files and flags, each laid over those before.

use std::path::{Path, PathBuf};

use serde_json::Value as Schema;
use serde_yaml::Mapping;

use super::diagnostic::{Diagnostic, Origin};
use super::error::ConfigError;
use super::fault::Fault;
use super::merge::{merge, parse_override};
use super::paths::anchor_paths;
use super::source::{self, Origins};
use super::spelling::nearest;

/// Values of several files and flags: later ones win.
pub struct Layers<'a> {
    schema: &'a Schema,
    /// The values so far.
    pub values: Mapping,
    /// Where each of them was set.
    pub origins: Origins,
    /// The files that are being read, each extended by the one before.
    open: Vec<PathBuf>,
}

impl<'a> Layers<'a> {
    /// No values yet; `schema` describes what they may be.
    pub fn new(schema: &'a Schema) -> Self {
        Self {
            schema,
            values: Mapping::new(),
            origins: Origins::new(),
            open: Vec::new(),
        }
    }

    /// Adds the file at `path`, after the files that it extends.
    ///
    /// # Errors
    ///
    /// When a file is missing, is not YAML, or extends itself.
    pub fn add_file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let source = source::read(path, self.schema)?;
        let identity = path.canonicalize().unwrap_or_else(|_| path.to_owned());
        self.open.push(identity);
        for (base, origin) in &source.extends {
            self.check_base(base, origin)?;
            self.add_file(base)?;
        }
        self.open.pop();
        self.add(source.values, source.origins);
        Ok(())
    }

    /// Adds `key=value` from the command line. Paths in it are relative to where it is given.
    ///
    /// # Errors
    ///
    /// When it is not of this form.
    pub fn add_flag(&mut self, flag: &str) -> Result<(), ConfigError> {
        let (mut values, origins) = parse_override(flag)?;
        anchor_paths(&mut values, self.schema, Path::new(""));
        self.add(values, origins);
        Ok(())
    }

    fn add(&mut self, values: Mapping, origins: Origins) {
        merge(
            &mut self.values,
            values,
            &mut self.origins,
            origins,
            self.schema,
        );
    }

    /// Checks that a file can be extended.
    fn check_base(&self, base: &Path, origin: &Origin) -> Result<(), ConfigError> {
        let message = if !base.is_file() {
            missing(base)
        } else if base
            .canonicalize()
            .is_ok_and(|base| self.open.contains(&base))
        {
            format!(
                "{} extends itself, directly or through others",
                base.display()
            )
        } else {
            return Ok(());
        };
        let fault = Fault::new("extends", message);
        Err(Diagnostic::from(fault)
            .with_location("", |_| Some(origin))
            .into())
    }
}

/// The message that there is no such file, and which one was perhaps meant.
fn missing(file: &Path) -> String {
    let name = |path: &Path| {
        path.file_name()
            .map(|name| name.to_string_lossy().into_owned())
    };
    let folder = match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    };
    let beside = std::fs::read_dir(folder).into_iter().flatten().flatten();
    let mut beside: Vec<String> = beside.filter_map(|entry| name(&entry.path())).collect();
    beside.sort();
    let beside: Vec<&str> = beside.iter().map(String::as_str).collect();
    let suggestion = nearest(&name(file).unwrap_or_default(), &beside)
        .map(|name| format!(". Did you mean `{name}`?"))
        .unwrap_or_default();
    format!("there is no file {}{suggestion}", file.display())
}
