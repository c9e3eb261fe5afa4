//! The names of scores.

use crate::metric::{METRICS, Metric};

/// What is to be compared: a metric of one structure, or of all.
#[derive(Clone, Debug)]
pub struct Wanted {
    /// The metric.
    pub metric: &'static Metric,
    /// The structure; none for one mask, or the mean over structures.
    pub structure: Option<String>,
}

impl Wanted {
    /// The score of a name: `dice` or `dice/anterior`.
    ///
    /// # Errors
    ///
    /// The names of metrics that there are.
    pub fn named(name: &str) -> Result<Self, String> {
        let (metric, structure) = match name.split_once('/') {
            Some((metric, structure)) => (metric, Some(structure.to_owned())),
            None => (name, None),
        };
        let found = METRICS.iter().find(|one| one.name == metric);
        let metric = found.ok_or_else(|| {
            let names: Vec<&str> = METRICS.iter().map(|metric| metric.name).collect();
            format!(
                "`{metric}` is not a metric: it must be one of {}, or that of a structure, as in dice/anterior.",
                names.join(", ")
            )
        })?;
        Ok(Self { metric, structure })
    }

    /// Its name, as in [`Self::named`].
    pub fn name(&self) -> String {
        score_name(self.metric, self.structure.as_deref())
    }
}

pub(super) fn score_name(metric: &Metric, structure: Option<&str>) -> String {
    match structure {
        None => metric.name.to_owned(),
        Some(structure) => format!("{}/{structure}", metric.name),
    }
}
