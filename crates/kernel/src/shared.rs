//! Memory that parallel tasks share: the output of a kernel, and each thread's scratch buffers.

use std::cell::RefCell;
use std::marker::PhantomData;
use std::mem::MaybeUninit;

/// A vector in which parallel tasks write disjoint parts, every value of it.
///
/// The values start uninitialised, so that a big result is touched once only.
pub(crate) struct SharedOutput<'a> {
    start: *mut f32,
    len: usize,
    lifetime: PhantomData<&'a mut [f32]>,
}

// SAFETY: the type only hands out writes, and callers of those vouch for their disjointness.
unsafe impl Sync for SharedOutput<'_> {}

impl SharedOutput<'_> {
    /// A new vector of `len` values that `fill` writes.
    ///
    /// # Safety
    /// `fill` must write every value.
    pub(crate) unsafe fn collect(len: usize, fill: impl FnOnce(&SharedOutput)) -> Vec<f32> {
        let mut values: Vec<f32> = Vec::with_capacity(len);
        let spare: &mut [MaybeUninit<f32>] = &mut values.spare_capacity_mut()[..len];
        ask_for_huge_pages(spare);
        fill(&SharedOutput {
            start: spare.as_mut_ptr().cast(),
            len,
            lifetime: PhantomData,
        });
        // SAFETY: the caller vouches that all `len` values are written.
        unsafe { values.set_len(len) };
        values
    }

    /// Writes `values` from position `first` on.
    ///
    /// # Safety
    /// No other task may write the same positions.
    ///
    /// # Panics
    /// Panics where a position is outside the vector.
    #[inline]
    pub(crate) unsafe fn write(&self, first: usize, values: &[f32]) {
        let to = self.part(first, values.len());
        // SAFETY: the positions are inside the vector and written by no other task (the caller
        // vouches).
        unsafe { to.copy_from_nonoverlapping(values.as_ptr(), values.len()) };
    }

    /// Asks for the places of the `len` values from position `first` on to be brought to the cache.
    #[inline]
    pub(crate) fn fetch(&self, first: usize, len: usize) {
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            use std::arch::x86_64::{_MM_HINT_ET0, _mm_prefetch};
            let end = self.len.min(first + len);
            for at in (first..end).step_by(16) {
                // SAFETY: a prefetch reads nothing, and the address is inside the vector.
                unsafe { _mm_prefetch::<_MM_HINT_ET0>(self.start.add(at).cast()) };
            }
        }
        #[cfg(not(all(target_arch = "x86_64", not(miri))))]
        let _ = (first, len);
    }

    /// Where the `len` values from position `first` on are to be written; they may be
    /// uninitialised.
    ///
    /// # Panics
    /// Panics where a position is outside the vector.
    #[inline]
    pub(crate) fn part(&self, first: usize, len: usize) -> *mut f32 {
        let end = first.checked_add(len);
        assert!(
            end.is_some_and(|end| end <= self.len),
            "write outside the output"
        );
        self.start.wrapping_add(first)
    }
}

/// Asks the kernel for huge pages, if the allocator has mapped fresh memory for a big vector.
///
/// glibc maps and unmaps what exceeds 32 MiB for every call, and paging such memory in 4 KiB at a
/// time takes as long as a cheap convolution.
pub(crate) fn ask_for_huge_pages(memory: &mut [MaybeUninit<f32>]) {
    #[cfg(all(target_os = "linux", not(miri)))]
    {
        const PAGE: usize = 4096;
        const MADV_HUGEPAGE: std::ffi::c_int = 14;
        unsafe extern "C" {
            fn madvise(
                start: *mut std::ffi::c_void,
                len: usize,
                advice: std::ffi::c_int,
            ) -> std::ffi::c_int;
        }
        let bytes = std::mem::size_of_val(memory);
        if bytes > 32 << 20 {
            let start = memory.as_mut_ptr().cast::<u8>();
            let skip = start.align_offset(PAGE);
            // SAFETY: the pages lie in memory that is ours alone, and the advice changes no
            // values. A refusal does no harm.
            unsafe {
                madvise(
                    start.add(skip).cast(),
                    (bytes - skip) / PAGE * PAGE,
                    MADV_HUGEPAGE,
                )
            };
        }
    }
    let _ = memory;
}

thread_local! {
    static SCRATCH: RefCell<Vec<f32>> = const { RefCell::new(Vec::new()) };
}

/// Runs `task` with this thread's scratch memory: one slice of arbitrary values for each length,
/// at the beginning of a line of the cache.
///
/// The memory stays with the thread, so that it is paged in once and not once per task.
pub(crate) fn with_scratch<const N: usize, R>(
    lengths: [usize; N],
    task: impl FnOnce([&mut [f32]; N]) -> R,
) -> R {
    /// Values in a line of the cache: vectors that begin with one touch no other.
    const LINE: usize = 16;
    SCRATCH.with_borrow_mut(|scratch| {
        let lengths = lengths.map(|len| (len, len.next_multiple_of(LINE)));
        let total = lengths.iter().map(|(_, room)| room).sum::<usize>() + LINE;
        if scratch.len() < total {
            scratch.resize(total, 0.0);
        }
        let skip = scratch.as_ptr().align_offset(LINE * size_of::<f32>());
        let mut rest = &mut scratch[skip.min(LINE)..];
        task(lengths.map(|(len, room)| {
            let (part, tail) = std::mem::take(&mut rest).split_at_mut(room);
            rest = tail;
            &mut part[..len]
        }))
    })
}
