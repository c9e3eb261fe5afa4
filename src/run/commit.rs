//! Which commit the program was built from.

use std::path::Path;
use std::process::Command;
use std::sync::OnceLock;

use super::sources::fingerprint;

/// The commit that the program was built from, with `-dirty` after it if files of the checkout have changed
/// since, or `unknown`.
///
/// A program that is built for others gets its commit from the environment variable `CALVARIA_COMMIT`. A
/// program that is run where it was built asks the checkout, if that still holds the sources that it was built
/// from.
pub(super) fn commit() -> &'static str {
    static COMMIT: OnceLock<String> = OnceLock::new();
    COMMIT.get_or_init(|| match option_env!("CALVARIA_COMMIT") {
        Some(commit) => commit.to_owned(),
        None => of_checkout(Path::new(env!("CARGO_MANIFEST_DIR"))).unwrap_or("unknown".into()),
    })
}

fn of_checkout(root: &Path) -> Option<String> {
    let built_from = env!("CALVARIA_SOURCES");
    if !root.join(".git").exists() || fingerprint(root).ok()?.to_string() != built_from {
        return None;
    }
    let output = Command::new("git")
        .arg("-C")
        .arg(root)
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .output()
        .ok()?;
    let commit = String::from_utf8(output.stdout).ok()?;
    output.status.success().then(|| commit.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_that_are_not_those_of_the_build_give_no_commit() {
        let folder = tempfile::tempdir().unwrap();
        for part in [".git", "crates", "src"] {
            std::fs::create_dir(folder.path().join(part)).unwrap();
        }
        for file in ["Cargo.toml", "Cargo.lock", "build.rs", "src/lib.rs"] {
            std::fs::write(folder.path().join(file), "other").unwrap();
        }
        let before = fingerprint(folder.path()).unwrap();
        assert_eq!(of_checkout(folder.path()), None);
        std::fs::write(folder.path().join("src/.lib.rs.swp"), "an editor's").unwrap();
        assert_eq!(fingerprint(folder.path()).unwrap(), before);
        std::fs::write(folder.path().join("src/lib.rs"), "changed").unwrap();
        assert_ne!(fingerprint(folder.path()).unwrap(), before);
    }
}
