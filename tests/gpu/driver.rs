//! The program with CUDA on a driver that is made here (`fixtures/cuda/driver.c`), without a GPU: its messages
//! where something is missing, and that NVIDIA's compiler takes the kernels of training.
//!
//! The latter wants NVIDIA's run-time compiler and headers, which come from PyPI as well:
//!
//!     pip install nvidia-cuda-nvrtc nvidia-cuda-runtime nvidia-cuda-cccl
//!     export CALVARIA_CUDA=…/site-packages/nvidia/cu13
//!
//! Kernels do nothing on that driver, so no number that comes out means anything.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use assert_cmd::Command;
use predicates::prelude::*;
use predicates::str::contains;

use crate::common::{calvaria, repository};

/// A folder with the driver in it.
fn driver() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
    let status = std::process::Command::new(compiler)
        .args(["-shared", "-fPIC", "-O1", "-o"])
        .arg(folder.path().join("libcuda.so"))
        .arg(repository("tests/fixtures/cuda/driver.c"))
        .status()
        .unwrap();
    assert!(status.success());
    folder
}

/// The program with that driver, and caches of its own.
fn program(driver: &Path) -> Command {
    let mut command = calvaria();
    command
        .env("LD_LIBRARY_PATH", driver)
        .env("XDG_CACHE_HOME", driver)
        .env("XDG_RUNTIME_DIR", driver)
        // Which of several kernels is fastest cannot be measured here.
        .env("CUBECL_AUTOTUNE_LEVEL", "minimal")
        .env_remove("CUDA_PATH")
        .env_remove("RUST_BACKTRACE");
    command
}

/// The same, with NVIDIA's compiler and headers; none where there are none.
fn with_compiler(driver: &Path) -> Option<Command> {
    let Some(cuda) = std::env::var_os("CALVARIA_CUDA").map(PathBuf::from) else {
        println!(
            "not run: CALVARIA_CUDA does not name a folder with NVIDIA's compiler and headers"
        );
        return None;
    };
    // The compiler is asked for by a name without a version.
    let library = driver.join("libnvrtc.so");
    if !library.exists() {
        let found = std::fs::read_dir(cuda.join("lib")).unwrap();
        let mut found = found.map(|entry| entry.unwrap().path());
        let versioned = found.find(|path| path.to_string_lossy().contains("libnvrtc.so"));
        std::os::unix::fs::symlink(versioned.unwrap(), library).unwrap();
    }
    let mut command = program(driver);
    let libraries = format!("{}:{}", driver.display(), cuda.join("lib").display());
    command
        .env("LD_LIBRARY_PATH", libraries)
        .env("CUDA_PATH", cuda);
    Some(command)
}

fn refused(command: &mut Command, sentence: &str) {
    command
        .args(["run", "experiments/quickstart.yaml", "--device", "cuda:0"])
        .assert()
        .code(2)
        .stderr(contains(sentence).and(contains("panicked").not()))
        .stderr(contains("--device cpu always can"));
}

#[test]
fn what_is_missing_is_said_with_what_to_do() {
    let driver = driver();
    refused(
        program(driver.path()).env("DRIVER_INIT", "100"),
        "finds no GPU",
    );
    refused(
        program(driver.path()).env("DRIVER_COUNT", "0"),
        "finds no GPU",
    );
    refused(
        program(driver.path()).env("DRIVER_INIT", "803"),
        "driver is too old",
    );
    for (key, value, sentence) in [
        ("DRIVER_LOAD", "222", "driver is too old"),
        ("CUDA_PATH", "/nowhere", "header files were not found"),
    ] {
        if let Some(mut command) = with_compiler(driver.path()) {
            refused(command.env(key, value), sentence);
        }
    }
}

#[test]
fn a_gpu_without_a_compiler_is_refused_by_name_and_passed_over_by_auto() {
    let installed = std::process::Command::new("ldconfig").arg("-p").output();
    if installed.is_ok_and(|found| String::from_utf8_lossy(&found.stdout).contains("libnvrtc")) {
        println!("not run: this machine has NVIDIA's compiler");
        return;
    }
    let driver = driver();
    // The headers are looked for first.
    let program = || {
        let mut command = program(driver.path());
        command.env("CUDA_PATH", driver.path());
        command
    };
    refused(&mut program(), "(libnvrtc)");
    program()
        .arg("devices")
        .assert()
        .success()
        .stdout(contains("cannot be used: NVIDIA's run-time compiler"));
    program()
        .args(["bench", "experiments/quickstart.yaml", "--device", "auto"])
        .args(["--size", "16,16,16", "--steps", "1"])
        .assert()
        .success()
        .stdout(contains("on cpu"))
        .stderr(
            contains("cuda:0 exists but cannot be used: NVIDIA's").and(contains("panicked").not()),
        );
}

#[test]
fn a_gpu_that_is_not_among_them_is_refused() {
    let driver = driver();
    program(driver.path())
        .env("DRIVER_COUNT", "2")
        .args(["run", "experiments/quickstart.yaml", "--device", "cuda:5"])
        .assert()
        .code(2)
        .stderr(contains("there are 2, cuda:0 to cuda:1"));
}

#[test]
fn gpus_are_listed_with_their_memory_and_capability() {
    let driver = driver();
    program(driver.path())
        .env("DRIVER_COUNT", "2")
        .arg("devices")
        .assert()
        .success()
        .stdout(contains("cuda:1"))
        .stdout(contains(
            "GPU that is not there, 16 GiB, compute capability 9.0",
        ));
}

#[test]
fn too_little_memory_is_said_with_what_to_do() {
    let driver = driver();
    let Some(mut command) = with_compiler(driver.path()) else {
        return;
    };
    command
        .env("DRIVER_MEMORY", "50000000")
        .args(["bench", "experiments/quickstart.yaml", "--device", "cuda:0"])
        .args(["--size", "256,256,256", "--steps", "1"])
        .assert()
        .code(1)
        .stderr(contains("train.batch_size").and(contains("panicked").not()));
}

#[test]
fn nvidias_compiler_takes_the_kernels_of_training_in_either_precision() {
    let driver = driver();
    for precision in ["f32", "bf16"] {
        let Some(mut command) = with_compiler(driver.path()) else {
            return;
        };
        let kernels = driver.path().join(precision);
        command
            .env("DRIVER_KERNELS", &kernels)
            .args(["bench", "experiments/quickstart.yaml", "--device", "cuda:0"])
            .args(["--size", "16,16,16", "--steps", "1"])
            .args(["--set", "model={unet: {filters: 8, levels: 2}}"])
            .args(["--set", &format!("train.precision={precision}")])
            .assert()
            .success()
            .stderr("")
            .stdout(contains(format!("in {precision}, on cuda:0")));
        let names = std::fs::read_to_string(&kernels).unwrap();
        let names: BTreeSet<&str> = names.lines().collect();
        println!("{precision}: {} kernels", names.len());
        assert!(names.len() > 20, "{names:?}");
    }
}
