//! Keeping memory between the steps of training.

/// Makes the allocator keep what is freed instead of giving it back to the system.
///
/// A step of training frees and allocates the same large tensors again and again. glibc gives tensors
/// above 32 MiB back at once, and fresh memory is paged in 4 KiB at a time, which takes as long as a
/// cheap operation. Other allocators are left alone. To be called once, when the program starts.
pub fn keep_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    {
        use std::ffi::c_int;
        // From malloc.h.
        const M_TRIM_THRESHOLD: c_int = -1;
        const M_MMAP_MAX: c_int = -4;
        unsafe extern "C" {
            fn mallopt(parameter: c_int, value: c_int) -> c_int;
        }
        // SAFETY: glibc's own function, which takes any two numbers; a refusal does no harm.
        unsafe {
            mallopt(M_MMAP_MAX, 0);
            // No threshold at all: the largest number would be 2 GiB, less than a large step takes.
            mallopt(M_TRIM_THRESHOLD, -1);
        }
    }
}
