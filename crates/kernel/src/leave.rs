//! The end of a program that has used a GPU.

/// Ends the process with this exit code, without what C libraries have asked to be done at the end.
///
/// A device's own thread may still be in its driver or compiler when the program has nothing left to do, and what
/// they tear down at the end is then taken away under it: the process dies of a segmentation fault instead of
/// ending with its exit code.
#[cfg(unix)]
pub fn leave(code: u8) -> ! {
    use std::io::Write;
    unsafe extern "C" {
        fn _exit(code: std::ffi::c_int) -> !;
    }
    // What cannot be written now could not be written later.
    let _ = (std::io::stdout().flush(), std::io::stderr().flush());
    // SAFETY: POSIX's own function, which takes any number and returns to nobody.
    unsafe { _exit(code.into()) }
}
