//! Jobs on a real cluster: `tests/slurm/run.sh` starts one on this machine and runs these tests. Without a cluster
//! each reports that and does nothing.

#[path = "../it/common/mod.rs"]
mod common;
mod executor;
mod sweep;

use std::process::Command;

/// Whether there is a cluster to test on.
fn cluster() -> bool {
    let there = std::env::var_os("CALVARIA_SLURM").is_some_and(|value| value == "1");
    if !there {
        eprintln!(
            "not run: CALVARIA_SLURM is not 1; tests/slurm/run.sh starts a cluster and sets it"
        );
    }
    there
}

/// What a program of Slurm prints.
fn slurm(program: &str, arguments: &[&str]) -> String {
    let output = Command::new(program).args(arguments).output().unwrap();
    assert!(
        output.status.success(),
        "{program} {arguments:?}: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}
