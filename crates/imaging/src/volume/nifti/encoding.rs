//! How a file stores intensities.

use std::fmt;
use std::str::FromStr;

use super::Stored;

/// The type of a number in a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dtype {
    /// Whole numbers from 0 to 255.
    Uint8,
    /// Whole numbers from -128 to 127.
    Int8,
    /// Whole numbers from 0 to 65535.
    Uint16,
    /// Whole numbers from -32768 to 32767.
    Int16,
    /// Whole numbers from 0 to 2^32 - 1.
    Uint32,
    /// Whole numbers from -2^31 to 2^31 - 1.
    Int32,
    /// Whole numbers from 0 to 2^64 - 1.
    Uint64,
    /// Whole numbers from -2^63 to 2^63 - 1.
    Int64,
    /// Single precision, which voxels have in memory.
    Float32,
    /// Double precision.
    Float64,
}

impl Dtype {
    /// All types, in the order of their listing.
    pub const ALL: [Self; 10] = [
        Self::Uint8,
        Self::Int8,
        Self::Uint16,
        Self::Int16,
        Self::Uint32,
        Self::Int32,
        Self::Uint64,
        Self::Int64,
        Self::Float32,
        Self::Float64,
    ];

    /// Bytes of one number.
    pub(super) fn size(self) -> usize {
        match self {
            Self::Uint8 | Self::Int8 => 1,
            Self::Uint16 | Self::Int16 => 2,
            Self::Uint32 | Self::Int32 | Self::Float32 => 4,
            Self::Uint64 | Self::Int64 | Self::Float64 => 8,
        }
    }
}

impl fmt::Display for Dtype {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Uint8 => "uint8",
            Self::Int8 => "int8",
            Self::Uint16 => "uint16",
            Self::Int16 => "int16",
            Self::Uint32 => "uint32",
            Self::Int32 => "int32",
            Self::Uint64 => "uint64",
            Self::Int64 => "int64",
            Self::Float32 => "float32",
            Self::Float64 => "float64",
        })
    }
}

impl FromStr for Dtype {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, String> {
        let names = || Self::ALL.map(|dtype| dtype.to_string());
        Self::ALL
            .into_iter()
            .find(|dtype| dtype.to_string() == name)
            .ok_or_else(|| format!("allowed: {}", names().join(", ")))
    }
}

/// How a file stores intensities: the intensity is `stored * slope + inter`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Encoding {
    /// The type of the stored numbers. Where it holds whole numbers only, what is written is
    /// rounded and clamped.
    pub dtype: Dtype,
    /// What stored numbers are multiplied by.
    pub slope: f64,
    /// What is added then.
    pub inter: f64,
}

impl From<Dtype> for Encoding {
    fn from(dtype: Dtype) -> Self {
        Self {
            dtype,
            slope: 1.0,
            inter: 0.0,
        }
    }
}

impl Encoding {
    /// The intensity that a file holds in place of `value`.
    pub fn stored(&self, value: f64) -> f64 {
        let Self { slope, inter, .. } = self.in_single_precision();
        let number = (value - inter) / slope;
        macro_rules! whole {
            ($number:ty) => {
                (number.round() as $number) as f64
            };
        }
        let number = match self.dtype {
            Dtype::Uint8 => whole!(u8),
            Dtype::Int8 => whole!(i8),
            Dtype::Uint16 => whole!(u16),
            Dtype::Int16 => whole!(i16),
            Dtype::Uint32 => whole!(u32),
            Dtype::Int32 => whole!(i32),
            Dtype::Uint64 => whole!(u64),
            Dtype::Int64 => whole!(i64),
            Dtype::Float32 => f64::from(number as f32),
            Dtype::Float64 => number,
        };
        number * slope + inter
    }

    /// As NIfTI-1's header can express it; without a scaling that it cannot.
    pub(super) fn in_single_precision(&self) -> Self {
        let [slope, inter] = [self.slope, self.inter].map(|value| f64::from(value as f32));
        let (slope, inter) = match slope.is_normal() && inter.is_finite() {
            true => (slope, inter),
            false => (1.0, 0.0),
        };
        Self {
            slope,
            inter,
            ..*self
        }
    }

    /// Puts the numbers that store `values` into `bytes`. A cast from float to integer keeps within the integer's range.
    pub(super) fn put<T: Stored>(&self, values: &[T], bytes: &mut [u8]) {
        let is_plain = self.slope == 1.0 && self.inter == 0.0;
        if is_plain
            && self.dtype == Dtype::Uint8
            && let Some(values) = T::as_bytes(values)
        {
            bytes.copy_from_slice(values);
            return;
        }
        let stored = |value: T| match is_plain {
            true => value.into(),
            false => (value.into() - self.inter) / self.slope,
        };
        macro_rules! put {
            ($number:ty, $of:expr) => {
                for (place, value) in bytes.as_chunks_mut().0.iter_mut().zip(values) {
                    let number: $number = $of(stored(*value));
                    *place = number.to_le_bytes();
                }
            };
        }
        // Mostly numbers are whole; rounding takes longer.
        macro_rules! whole {
            ($number:ty) => {{
                let is_whole = |value: &T| stored(*value) == (stored(*value) as $number) as f64;
                let mut are_whole = true;
                for value in values {
                    are_whole &= is_whole(value);
                }
                match are_whole {
                    true => put!($number, |value: f64| value as $number),
                    false => put!($number, |value: f64| value.round() as $number),
                }
            }};
        }
        match self.dtype {
            Dtype::Uint8 => whole!(u8),
            Dtype::Int8 => whole!(i8),
            Dtype::Uint16 => whole!(u16),
            Dtype::Int16 => whole!(i16),
            Dtype::Uint32 => whole!(u32),
            Dtype::Int32 => whole!(i32),
            Dtype::Uint64 => whole!(u64),
            Dtype::Int64 => whole!(i64),
            Dtype::Float32 => put!(f32, |value: f64| value as f32),
            Dtype::Float64 => put!(f64, |value: f64| value),
        }
    }
}
