//! A plain value held against its own schema and rules, wherever it comes from.

use schemars::{JsonSchema, schema_for};
use serde::Serialize;

use super::check::check;
use super::fault::{Fault, Faults};

/// Checks `value` against its own JSON schema, which describes what each field may be, and then against
/// `rules`, which check what a schema cannot.
///
/// # Errors
///
/// Every fault that the schema shows, or else every fault that the rules do.
pub fn validate<T: Serialize + JsonSchema>(
    value: &T,
    rules: impl FnOnce(&T) -> Vec<Fault>,
) -> Result<(), Faults> {
    let mut faults = match serde_yaml::to_value(value) {
        Ok(values) => check(&values, &schema_for!(T).to_value()),
        Err(error) => vec![Fault::new("", error.to_string())],
    };
    if faults.is_empty() {
        faults = rules(value);
    }
    if faults.is_empty() {
        Ok(())
    } else {
        Err(Faults(faults))
    }
}
