//! Panics of the work on a device, as sentences.

use std::cell::Cell;
use std::io::Write;
use std::panic::{AssertUnwindSafe, PanicHookInfo, catch_unwind};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use thiserror::Error;

/// Work ended in a panic: of a GPU's driver, compiler or memory, or by a mistake in this program.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{0}")]
pub struct DevicePanic(String);

/// Runs `work` and turns a panic, on this thread or on one it waits for, into an error with a remedy. If
/// `work` still succeeds, the panic is printed as a warning. With `RUST_BACKTRACE` set, a panic of unknown
/// cause is printed as well.
///
/// The hook for panics is one for the whole process, so other threads that call this wait until `work`
/// has ended.
///
/// # Errors
///
/// When `work` panics.
pub fn catch_device_panic<T>(work: impl FnOnce() -> T) -> Result<T, DevicePanic> {
    let (done, first) = listen(work);
    if let (Some(_), Some(message)) = (&done, &first) {
        // Standard error may be closed, which must not end a run.
        let _ = writeln!(std::io::stderr(), "warning: {}", explain(message));
    }
    done.ok_or_else(|| DevicePanic(explain(&first.unwrap_or_default())))
}

/// As [`catch_device_panic`], but a panic on another thread counts where the work ends well, too.
#[cfg(any(feature = "cuda", feature = "vulkan", test))]
pub(super) fn catch_any_panic<T>(work: impl FnOnce() -> T) -> Result<T, DevicePanic> {
    match listen(work) {
        (Some(done), None) => Ok(done),
        (_, first) => Err(DevicePanic(explain(&first.unwrap_or_default()))),
    }
}

/// The result of `work` unless it panics, and the message of the first panic on any thread meanwhile.
fn listen<T>(work: impl FnOnce() -> T) -> (Option<T>, Option<String>) {
    let _lock = HookLock::take();
    let first = Arc::new(Mutex::new(None));
    let heard = Arc::clone(&first);
    let usual = Arc::new(std::panic::take_hook());
    let backtrace = std::env::var_os("RUST_BACKTRACE").is_some_and(|value| value != "0");
    let show = Arc::clone(&usual);
    std::panic::set_hook(Box::new(move |panic| {
        // Of several panics the first is the cause, the others its consequences.
        let message = text(panic);
        if backtrace && known(&message).is_none() {
            show(panic);
        }
        heard
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .get_or_insert(message);
    }));
    let done = catch_unwind(AssertUnwindSafe(work)).ok();
    std::panic::set_hook(Box::new(move |panic| usual(panic)));
    let first = first.lock().unwrap_or_else(PoisonError::into_inner).take();
    (done, first)
}

/// Held by the outermost work of a thread while the process's hook for panics is its own.
struct HookLock(Option<MutexGuard<'static, ()>>);

static WORK: Mutex<()> = Mutex::new(());

thread_local! {
    static WORKING: Cell<bool> = const { Cell::new(false) };
}

impl HookLock {
    fn take() -> Self {
        let within = WORKING.replace(true);
        Self((!within).then(|| WORK.lock().unwrap_or_else(PoisonError::into_inner)))
    }
}

impl Drop for HookLock {
    fn drop(&mut self) {
        if self.0.is_some() {
            WORKING.set(false);
        }
    }
}

fn text(panic: &PanicHookInfo<'_>) -> String {
    let message = panic
        .payload_as_str()
        .unwrap_or("a panic without a message");
    let place = panic
        .location()
        .map(|place| format!(" ({}:{})", place.file(), place.line()));
    format!("{message}{}", place.unwrap_or_default())
}

/// The sentence for a message of Burn, CubeCL or cudarc.
pub(super) fn explain(message: &str) -> String {
    known(message).map_or_else(
        || {
            let message = shortened(message);
            format!(
                "unexpected error: {message}. Please report it, \
                 with the command and its experiment; RUST_BACKTRACE=1 shows where it happened."
            )
        },
        str::to_owned,
    )
}

/// A message in one line, without traces and sources of kernels.
fn shortened(message: &str) -> String {
    const LONGEST: usize = 200;
    let end = ["Backtrace", "[Source]"];
    let end = end.iter().filter_map(|word| message.find(word)).min();
    let words: Vec<_> = message[..end.unwrap_or(message.len())]
        .split_whitespace()
        .collect();
    let line = words.join(" ");
    match line.char_indices().nth(LONGEST) {
        Some((cut, _)) => format!("{}…", &line[..cut]),
        None => line,
    }
}

fn known(message: &str) -> Option<&'static str> {
    let mentions = |words: &[&str]| words.iter().any(|word| message.contains(word));
    let missing = mentions(&["dynamically load", "shared library"]);
    if mentions(&[
        "OUT_OF_MEMORY",
        "OutOfMemory",
        "out of memory",
        "BufferTooBig",
        "can't allocate buffer",
    ]) {
        Some(
            "the GPU has not enough memory for this. Make train.batch_size smaller \
             (train.accumulate keeps what a step sees), turn on train.checkpointing, or train on \
             pieces (train.patch) or a smaller model.",
        )
    } else if missing && mentions(&["\"cuda\"", "libcuda", "nvcuda"]) {
        Some("no NVIDIA driver was found on this machine (libcuda).")
    } else if missing && mentions(&["nvrtc"]) {
        Some(
            "NVIDIA's run-time compiler was not found (libnvrtc). Install the CUDA toolkit's \
             run-time libraries, or put their folder into LD_LIBRARY_PATH.",
        )
    } else if mentions(&["CUDA installation not found", "open source file"]) {
        Some(
            "CUDA's header files were not found. Install the CUDA toolkit (its folder `include`), \
             or set CUDA_PATH to where it is.",
        )
    } else if mentions(&TOO_OLD) {
        Some(
            "the NVIDIA driver is too old for the CUDA libraries of this machine. Update the \
             driver, or install a toolkit that is not newer than it.",
        )
    } else if mentions(&["CUDA_ERROR_NO_DEVICE"]) {
        Some("the NVIDIA driver finds no GPU (does CUDA_VISIBLE_DEVICES hide it?).")
    } else {
        None
    }
}

/// Messages of libraries that are newer than the driver.
const TOO_OLD: [&str; 4] = [
    "UNSUPPORTED_PTX_VERSION",
    "Missing symbol",
    "SYSTEM_DRIVER_MISMATCH",
    "INSUFFICIENT_DRIVER",
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_and_a_panic_told() {
        assert_eq!(catch_device_panic(|| 8), Ok(8));
        let failed = catch_device_panic(|| panic!("CUDA_ERROR_OUT_OF_MEMORY, \"out of memory\""));
        let failed: Result<(), DevicePanic> = failed;
        assert!(failed.unwrap_err().to_string().contains("train.batch_size"));
    }

    #[test]
    fn a_panic_elsewhere_counts_where_it_should() {
        let work = || std::thread::spawn(|| panic!("libcuda")).join().is_err();
        assert_eq!(catch_device_panic(work), Ok(true));
        let failed = catch_any_panic(work).unwrap_err().to_string();
        assert!(failed.contains("libcuda"), "{failed}");
        assert_eq!(catch_any_panic(|| 8), Ok(8));
    }

    #[test]
    fn of_several_panics_the_first_is_told() {
        let failed = catch_device_panic(|| {
            let other = std::thread::spawn(|| panic!("the cause")).join();
            other.expect("the consequence")
        });
        let failed: Result<(), DevicePanic> = failed;
        let failed = failed.unwrap_err().to_string();
        assert!(
            failed.contains("the cause") && failed.contains("panic.rs"),
            "{failed}"
        );
    }

    // What cudarc 0.19 and CubeCL 0.10 say.
    #[test]
    fn what_the_libraries_say_becomes_what_to_do() {
        let pairs = [
            (
                "Unable to dynamically load the \"cuda\" shared library - searched for library names: [\"cuda\", \"nvcuda\"]",
                "no NVIDIA driver",
            ),
            (
                "Unable to dynamically load the \"nvrtc\" shared library - searched for library names: [\"nvrtc\"]",
                "libnvrtc",
            ),
            (
                "called `Result::unwrap()` on an `Err` value: DriverError(CUDA_ERROR_UNSUPPORTED_PTX_VERSION, \"the provided PTX was compiled with an unsupported toolchain.\")",
                "too old",
            ),
            ("Missing symbol cuCtxCreate_v4: dlsym failed", "too old"),
            (
                "called `Result::unwrap()` on an `Err` value: can't allocate buffer of size: 8589934592",
                "not enough memory",
            ),
            ("\n        CUDA installation not found.", "CUDA_PATH"),
            (
                "Caused by:\n  [Compilation Error]\n    default_program(1): catastrophic error: cannot open source file \"cuda_runtime.h\"",
                "CUDA_PATH",
            ),
            (
                "An error happened\nCaused by:\n  a reason\nBacktrace:\n main",
                "An error happened Caused by: a reason. Please report",
            ),
        ];
        for (message, wanted) in pairs {
            assert!(
                explain(message).contains(wanted),
                "{message}: {}",
                explain(message)
            );
        }
    }
}
