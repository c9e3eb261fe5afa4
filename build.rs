//! Gives the program a record of what it is built from, for `environment.json`: a fingerprint of its sources,
//! by which it knows whether a checkout is the one that it came from, and Burn's version.
//!
//! Nothing here depends on git, so that a commit does not build anything again.

use std::path::Path;

#[path = "src/run/sources.rs"]
mod sources;

fn main() -> std::io::Result<()> {
    // Asked for now: clones that share a target folder, or have a copy of one, share this script's program.
    let root = std::env::var_os("CARGO_MANIFEST_DIR").unwrap_or_default();
    let root = Path::new(&root);
    for file in sources::files(root)? {
        // From the package's root: clones that share a target folder share this script's output, too.
        let file = file.strip_prefix(root).unwrap_or(&file);
        println!("cargo::rerun-if-changed={}", file.display());
    }
    let fingerprint = sources::fingerprint(root)?;
    println!("cargo::rustc-env=CALVARIA_SOURCES={fingerprint}");
    let lock = std::fs::read_to_string(root.join("Cargo.lock"))?;
    let burn = lock.split("[[package]]").find_map(|package| {
        let value = |key: &str| {
            let line = package.lines().find_map(|line| line.strip_prefix(key))?;
            line.strip_prefix(" = \"")?.strip_suffix('"')
        };
        (value("name") == Some("burn")).then(|| value("version"))?
    });
    println!(
        "cargo::rustc-env=CALVARIA_BURN={}",
        burn.unwrap_or("unknown")
    );
    Ok(())
}
