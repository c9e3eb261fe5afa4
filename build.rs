//! Tells the program which commit it is built from, for `environment.json`.

use std::process::Command;

fn main() {
    for changed in [".git/HEAD", ".git/index", "src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={changed}");
    }
    let commit = Command::new("git")
        .args(["describe", "--always", "--dirty", "--abbrev=12"])
        .output()
        .ok()
        .filter(|output| output.status.success())
        .and_then(|output| String::from_utf8(output.stdout).ok())
        .unwrap_or_else(|| "unknown".into());
    println!("cargo::rustc-env=CALVARIA_COMMIT={}", commit.trim());
}
