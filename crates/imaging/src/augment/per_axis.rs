use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// One number for all three axes, or one for each.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "expected a number, or three numbers, one per axis"
)]
#[schemars(inline)]
pub enum PerAxis {
    /// The same for x, y and z.
    All(f64),
    /// For x, y and z.
    Each([f64; 3]),
}

impl PerAxis {
    /// The numbers for x, y and z.
    pub fn get(self) -> [f64; 3] {
        match self {
            Self::All(value) => [value; 3],
            Self::Each(values) => values,
        }
    }
}
