//! The few vector operations that the kernels need, for each instruction set.

/// A vector of `f32` lanes.
///
/// # Safety
/// Every method is unsafe for the same reason: the CPU must have the instruction set that the
/// type stands for ([`Isa::available`]), and a pointer must be valid for `LANES` values.
pub(crate) trait Simd: Copy {
    /// Values in one vector.
    const LANES: usize;
    /// All lanes `value`.
    unsafe fn splat(value: f32) -> Self;
    /// The `LANES` values at `from`, at any alignment.
    unsafe fn load(from: *const f32) -> Self;
    /// Writes the lanes to `to`, at any alignment.
    unsafe fn store(self, to: *mut f32);
    /// `self + other`, lane by lane.
    unsafe fn add(self, other: Self) -> Self;
    /// `self - other`, lane by lane.
    unsafe fn sub(self, other: Self) -> Self;
    /// `self * factor`, lane by lane.
    unsafe fn mul(self, factor: Self) -> Self;
    /// `self * factor + addend`, lane by lane.
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self;
    /// Writes the columns of a square of `LANES` x `LANES` values (the first ones of the first
    /// `LANES` of `rows`) to `to`, `stride` apart, one after the other: where they overlap, the later one
    /// stays.
    unsafe fn transpose(rows: &[*const f32; MAX_LANES], to: *mut f32, stride: usize);
    /// The sum of the lanes.
    unsafe fn sum(self) -> f32;
    /// The sum of the lanes of each of four vectors.
    #[inline(always)]
    unsafe fn sum4(four: [Self; 4]) -> [f32; 4] {
        // SAFETY: as for this function.
        unsafe { [four[0].sum(), four[1].sum(), four[2].sum(), four[3].sum()] }
    }
}

/// The most lanes that any [`Simd`] type has; buffers are padded to a multiple of it.
pub(crate) const MAX_LANES: usize = 16;

/// Asks for `len` values from `start` on, as far as there are any, to be brought to the cache.
///
/// The hardware foresees long streams by itself, but not that a box continues in another plane.
pub(crate) fn prefetch(values: &[f32], start: usize, len: usize) {
    #[cfg(all(target_arch = "x86_64", not(miri)))]
    {
        use std::arch::x86_64::{_MM_HINT_T0, _mm_prefetch};
        let end = values.len().min(start + len);
        for at in (start..end).step_by(16) {
            // SAFETY: a prefetch reads nothing, and the address is inside the slice.
            unsafe { _mm_prefetch::<_MM_HINT_T0>(values.as_ptr().add(at).cast()) };
        }
    }
    #[cfg(not(all(target_arch = "x86_64", not(miri))))]
    let _ = (values, start, len);
}

/// An instruction set that the kernels are compiled for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Isa {
    /// 16 lanes, 32 registers.
    #[cfg(target_arch = "x86_64")]
    Avx512,
    /// 8 lanes, 16 registers.
    #[cfg(target_arch = "x86_64")]
    Avx2,
    /// Plain Rust on arrays, which the compiler vectorises for the baseline target.
    Portable,
}

impl Isa {
    /// Every instruction set that this CPU has, the fastest first.
    pub(crate) fn available() -> Vec<Isa> {
        #[allow(unused_mut)]
        let mut found = Vec::new();
        #[cfg(all(target_arch = "x86_64", not(miri)))]
        {
            if is_x86_feature_detected!("avx512f") {
                found.push(Isa::Avx512);
            }
            if is_x86_feature_detected!("avx2") && is_x86_feature_detected!("fma") {
                found.push(Isa::Avx2);
            }
        }
        found.push(Isa::Portable);
        found
    }

    /// The fastest instruction set of this CPU, or the one that `CALVARIA_INSTRUCTIONS` names
    /// (avx512, avx2 or portable) if this CPU has it.
    pub(crate) fn detect() -> Isa {
        static BEST: std::sync::OnceLock<Isa> = std::sync::OnceLock::new();
        *BEST.get_or_init(|| {
            let asked = std::env::var("CALVARIA_INSTRUCTIONS").unwrap_or_default();
            let available = Isa::available();
            let named = available.iter().find(|isa| isa.name() == asked);
            *named.unwrap_or(&available[0])
        })
    }

    /// Its human-readable name.
    pub(crate) fn name(self) -> &'static str {
        match self {
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => "avx512",
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => "avx2",
            Isa::Portable => "portable",
        }
    }
}

/// Calls a generic function for an instruction set, in a function that is compiled for it.
macro_rules! dispatch {
    ($isa:expr, $function:ident($($argument:ident: $type:ty),*)) => {{
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx512f")]
        unsafe fn avx512($($argument: $type),*) {
            // SAFETY: as for this function.
            unsafe { $function::<std::arch::x86_64::__m512>($($argument),*) }
        }
        #[cfg(target_arch = "x86_64")]
        #[target_feature(enable = "avx2,fma")]
        unsafe fn avx2($($argument: $type),*) {
            // SAFETY: as for this function.
            unsafe { $function::<std::arch::x86_64::__m256>($($argument),*) }
        }
        match $isa {
            // SAFETY: this variant exists on a CPU with AVX-512F only; lengths are asserted above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx512 => unsafe { avx512($($argument),*) },
            // SAFETY: this variant exists on a CPU with AVX2 and FMA only; lengths as above.
            #[cfg(target_arch = "x86_64")]
            Isa::Avx2 => unsafe { avx2($($argument),*) },
            // SAFETY: plain Rust needs no special CPU; lengths as above.
            Isa::Portable => unsafe { $function::<[f32; 4]>($($argument),*) },
        }
    }};
}
pub(crate) use dispatch;

#[cfg(target_arch = "x86_64")]
mod x86 {
    use super::{MAX_LANES, Simd};
    use std::arch::x86_64::*;

    impl Simd for __m512 {
        const LANES: usize = 16;
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe { _mm512_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller has checked for AVX-512F and vouches for 16 values.
            unsafe { _mm512_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller has checked for AVX-512F and vouches for 16 values.
            unsafe { _mm512_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe { _mm512_add_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe { _mm512_sub_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn mul(self, factor: Self) -> Self {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe { _mm512_mul_ps(self, factor) }
        }
        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe { _mm512_fmadd_ps(self, factor, addend) }
        }
        #[inline(always)]
        unsafe fn transpose(rows: &[*const f32; MAX_LANES], to: *mut f32, stride: usize) {
            // SAFETY: the caller has checked for AVX-512F and vouches for the rows and `to`.
            unsafe {
                // Squares of 4x4 in each quarter of the vectors, then the quarters.
                let mut v = [_mm512_setzero_ps(); 16];
                for i in 0..4 {
                    let [a, b, c, d] = [0, 1, 2, 3].map(|j| _mm512_loadu_ps(rows[i * 4 + j]));
                    let pair = |lo: __m512, hi: __m512| {
                        let (lo, hi) = (_mm512_castps_pd(lo), _mm512_castps_pd(hi));
                        [
                            _mm512_castpd_ps(_mm512_unpacklo_pd(lo, hi)),
                            _mm512_castpd_ps(_mm512_unpackhi_pd(lo, hi)),
                        ]
                    };
                    let low = pair(_mm512_unpacklo_ps(a, b), _mm512_unpacklo_ps(c, d));
                    let high = pair(_mm512_unpackhi_ps(a, b), _mm512_unpackhi_ps(c, d));
                    [v[i * 4], v[i * 4 + 1]] = low;
                    [v[i * 4 + 2], v[i * 4 + 3]] = high;
                }
                let mut columns = v;
                for j in 0..4 {
                    let [a, b, c, d] = [v[j], v[4 + j], v[8 + j], v[12 + j]];
                    let ab = _mm512_shuffle_f32x4::<0b01_00_01_00>(a, b);
                    let cd = _mm512_shuffle_f32x4::<0b01_00_01_00>(c, d);
                    columns[j] = _mm512_shuffle_f32x4::<0b10_00_10_00>(ab, cd);
                    columns[4 + j] = _mm512_shuffle_f32x4::<0b11_01_11_01>(ab, cd);
                    let ab = _mm512_shuffle_f32x4::<0b11_10_11_10>(a, b);
                    let cd = _mm512_shuffle_f32x4::<0b11_10_11_10>(c, d);
                    columns[8 + j] = _mm512_shuffle_f32x4::<0b10_00_10_00>(ab, cd);
                    columns[12 + j] = _mm512_shuffle_f32x4::<0b11_01_11_01>(ab, cd);
                }
                for (j, column) in columns.into_iter().enumerate() {
                    _mm512_storeu_ps(to.add(j * stride), column);
                }
            }
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            // SAFETY: the caller has checked for AVX-512F.
            unsafe { _mm512_reduce_add_ps(self) }
        }
        #[inline(always)]
        unsafe fn sum4([a, b, c, d]: [Self; 4]) -> [f32; 4] {
            // Interleaves the vectors as it adds: a third of the work of four separate sums.
            // SAFETY: the caller has checked for AVX-512F.
            unsafe {
                let ab = _mm512_add_ps(_mm512_unpacklo_ps(a, b), _mm512_unpackhi_ps(a, b));
                let cd = _mm512_add_ps(_mm512_unpacklo_ps(c, d), _mm512_unpackhi_ps(c, d));
                let (ab, cd) = (_mm512_castps_pd(ab), _mm512_castps_pd(cd));
                let abcd = _mm512_add_ps(
                    _mm512_castpd_ps(_mm512_unpacklo_pd(ab, cd)),
                    _mm512_castpd_ps(_mm512_unpackhi_pd(ab, cd)),
                );
                let half = _mm512_shuffle_f32x4::<0b01_00_11_10>(abcd, abcd);
                let half = _mm512_castps512_ps256(_mm512_add_ps(abcd, half));
                let sums = _mm_add_ps(
                    _mm256_castps256_ps128(half),
                    _mm256_extractf128_ps::<1>(half),
                );
                let mut out = [0.0; 4];
                _mm_storeu_ps(out.as_mut_ptr(), sums);
                out
            }
        }
    }

    impl Simd for __m256 {
        const LANES: usize = 8;
        #[inline(always)]
        unsafe fn splat(value: f32) -> Self {
            // SAFETY: the caller has checked for AVX2 and FMA.
            unsafe { _mm256_set1_ps(value) }
        }
        #[inline(always)]
        unsafe fn load(from: *const f32) -> Self {
            // SAFETY: the caller has checked for AVX2 and FMA and vouches for 8 values.
            unsafe { _mm256_loadu_ps(from) }
        }
        #[inline(always)]
        unsafe fn store(self, to: *mut f32) {
            // SAFETY: the caller has checked for AVX2 and FMA and vouches for 8 values.
            unsafe { _mm256_storeu_ps(to, self) }
        }
        #[inline(always)]
        unsafe fn add(self, other: Self) -> Self {
            // SAFETY: the caller has checked for AVX2 and FMA.
            unsafe { _mm256_add_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn sub(self, other: Self) -> Self {
            // SAFETY: the caller has checked for AVX2 and FMA.
            unsafe { _mm256_sub_ps(self, other) }
        }
        #[inline(always)]
        unsafe fn mul(self, factor: Self) -> Self {
            // SAFETY: the caller has checked for AVX2 and FMA.
            unsafe { _mm256_mul_ps(self, factor) }
        }
        #[inline(always)]
        unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
            // SAFETY: the caller has checked for AVX2 and FMA.
            unsafe { _mm256_fmadd_ps(self, factor, addend) }
        }
        #[inline(always)]
        unsafe fn transpose(rows: &[*const f32; MAX_LANES], to: *mut f32, stride: usize) {
            // SAFETY: the caller has checked for AVX2 and FMA and vouches for the rows and `to`.
            unsafe {
                // Squares of 4x4 in each half of the vectors, then the halves.
                let mut v = [_mm256_setzero_ps(); 8];
                for i in 0..2 {
                    let [a, b, c, d] = [0, 1, 2, 3].map(|j| _mm256_loadu_ps(rows[i * 4 + j]));
                    let (ab, cd) = (_mm256_unpacklo_ps(a, b), _mm256_unpacklo_ps(c, d));
                    v[i * 4] = _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd);
                    v[i * 4 + 1] = _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd);
                    let (ab, cd) = (_mm256_unpackhi_ps(a, b), _mm256_unpackhi_ps(c, d));
                    v[i * 4 + 2] = _mm256_shuffle_ps::<0b01_00_01_00>(ab, cd);
                    v[i * 4 + 3] = _mm256_shuffle_ps::<0b11_10_11_10>(ab, cd);
                }
                for j in 0..4 {
                    let low = _mm256_permute2f128_ps::<0x20>(v[j], v[4 + j]);
                    _mm256_storeu_ps(to.add(j * stride), low);
                }
                for j in 0..4 {
                    let high = _mm256_permute2f128_ps::<0x31>(v[j], v[4 + j]);
                    _mm256_storeu_ps(to.add((4 + j) * stride), high);
                }
            }
        }
        #[inline(always)]
        unsafe fn sum(self) -> f32 {
            // SAFETY: the caller has checked for AVX2 and FMA.
            unsafe {
                let four = _mm_add_ps(
                    _mm256_castps256_ps128(self),
                    _mm256_extractf128_ps::<1>(self),
                );
                let two = _mm_add_ps(four, _mm_movehl_ps(four, four));
                _mm_cvtss_f32(_mm_add_ss(two, _mm_movehdup_ps(two)))
            }
        }
    }
}

/// Four lanes in plain Rust: one SSE or NEON register.
impl Simd for [f32; 4] {
    const LANES: usize = 4;
    #[inline(always)]
    unsafe fn splat(value: f32) -> Self {
        [value; 4]
    }
    #[inline(always)]
    unsafe fn load(from: *const f32) -> Self {
        // SAFETY: the caller vouches for 4 values.
        unsafe { from.cast::<[f32; 4]>().read_unaligned() }
    }
    #[inline(always)]
    unsafe fn store(self, to: *mut f32) {
        // SAFETY: the caller vouches for 4 values.
        unsafe { to.cast::<[f32; 4]>().write_unaligned(self) }
    }
    #[inline(always)]
    unsafe fn add(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] + other[i])
    }
    #[inline(always)]
    unsafe fn sub(self, other: Self) -> Self {
        std::array::from_fn(|i| self[i] - other[i])
    }
    #[inline(always)]
    unsafe fn mul(self, factor: Self) -> Self {
        std::array::from_fn(|i| self[i] * factor[i])
    }
    #[inline(always)]
    unsafe fn mul_add(self, factor: Self, addend: Self) -> Self {
        let mut out = addend;
        for i in 0..4 {
            // `f32::mul_add` is a slow library call where the baseline target has no FMA.
            out[i] = if cfg!(any(target_arch = "aarch64", target_feature = "fma")) {
                self[i].mul_add(factor[i], addend[i])
            } else {
                self[i] * factor[i] + addend[i]
            };
        }
        out
    }
    #[inline(always)]
    unsafe fn transpose(rows: &[*const f32; MAX_LANES], to: *mut f32, stride: usize) {
        for j in 0..4 {
            // SAFETY: the caller vouches for the rows and `to`.
            unsafe {
                let column = [0, 1, 2, 3].map(|i| *rows[i].add(j));
                column.store(to.add(j * stride));
            }
        }
    }
    #[inline(always)]
    unsafe fn sum(self) -> f32 {
        (self[0] + self[2]) + (self[1] + self[3])
    }
}
