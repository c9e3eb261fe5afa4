//! The files that the program is built from. Also a part of build.rs.

use std::hash::{DefaultHasher, Hasher};
use std::io;
use std::path::{Path, PathBuf};

/// The files that the package in `root` is built from, in order. What editors leave beside them is none of
/// them.
pub fn files(root: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = ["Cargo.lock", "Cargo.toml", "build.rs"]
        .map(|name| root.join(name))
        .to_vec();
    for folder in ["src", "crates"] {
        find(&root.join(folder), &mut found)?;
    }
    found.sort();
    Ok(found)
}

fn find(folder: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in folder.read_dir()? {
        let path = entry?.path();
        let extension = path.extension().unwrap_or_default();
        if path.is_dir() {
            find(&path, found)?;
        } else if ["css", "js", "rs", "sh", "toml", "ttf"]
            .iter()
            .any(|known| extension == *known)
        {
            found.push(path);
        }
    }
    Ok(())
}

/// A number that changes with the name or content of any of these files.
pub fn fingerprint(root: &Path) -> io::Result<u64> {
    let mut hasher = DefaultHasher::new();
    for file in files(root)? {
        let name = file.strip_prefix(root).unwrap_or(&file);
        hasher.write(name.to_string_lossy().as_bytes());
        hasher.write(&std::fs::read(&file)?);
    }
    Ok(hasher.finish())
}
