//! By what trials are compared: a metric of each epoch, or a score of the finished run.

use std::borrow::Cow;
use std::ops::Deref;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::layout::Epoch;
use crate::metric::{BatchMetric, Better, METRICS};
use crate::search::Goal;
use crate::search::objective::Counted;
use crate::settings::{Fault, nearest, within};

/// Seconds of training, the epochs' together.
pub const TIME: &str = "time";
/// The most main memory of the process, in MiB.
pub const MEMORY: &str = "memory";

/// A metric by which trials are compared.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "Given")]
pub struct Objective {
    /// Its name.
    pub metric: String,
    /// Whether more of it is better.
    pub goal: Goal,
    /// Which epoch of a run counts.
    pub epoch: Counted,
}

/// A metric by which trials are compared: its name, or a map.
#[derive(Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "must be the name of a metric, or a map such as {metric: validation_iou, goal: maximize}"
)]
#[schemars(rename = "Objective")]
enum Given {
    /// Its name.
    Name(String),
    /// Its name and what of it counts.
    Settings(Settings),
}

#[derive(Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
#[schemars(rename = "ObjectiveSettings")]
struct Settings {
    /// A column of `metrics.csv`, such as `validation_iou`, or of one structure `validation_dice/anterior`. Or a score of the
    /// finished run: a column of `cases.csv`, the mean over the validation cases on the scans' own grids, such as `dice`,
    /// `hd95` or `hd95/anterior`; `time`, the seconds of training; `memory`, the most main memory of the process in MiB.
    metric: String,
    /// Whether more of it is better, which every metric says itself.
    #[serde(default)]
    goal: Option<Goal>,
    /// Which epoch of a run counts. A score of the finished run is of the weights that the run keeps.
    #[serde(default)]
    epoch: Counted,
}

impl From<Given> for Objective {
    fn from(given: Given) -> Self {
        let (metric, goal, epoch) = match given {
            Given::Name(metric) => (metric, None, Counted::default()),
            Given::Settings(of) => (of.metric, of.goal, of.epoch),
        };
        // A wrong name is told of by the rules.
        let known = || Known::of(&metric).map_or(Goal::Maximize, |known| known.goal);
        Self {
            goal: goal.unwrap_or_else(known),
            metric,
            epoch,
        }
    }
}

impl Default for Objective {
    fn default() -> Self {
        Self {
            metric: "validation_iou".into(),
            goal: Goal::Maximize,
            epoch: Counted::Best,
        }
    }
}

/// What can be an objective.
struct Known {
    name: Cow<'static, str>,
    goal: Goal,
    /// Whether each epoch has it, and not the finished run alone.
    of_epochs: bool,
    /// Whether each structure has it as well.
    by_structure: bool,
    unit: &'static str,
}

impl Known {
    fn all() -> Vec<Self> {
        let of_epoch = |name: &'static str| Self {
            name: name.into(),
            goal: match name == "seconds" || name.ends_with("_loss") {
                true => Goal::Minimize,
                false => Goal::Maximize,
            },
            of_epochs: true,
            by_structure: Epoch::BY_STRUCTURE.contains(&name),
            unit: if name == "seconds" { "s" } else { "" },
        };
        let of_cases = METRICS.iter().filter_map(|metric| {
            Some(Self {
                name: metric.name.into(),
                goal: match metric.better {
                    Better::Higher => Goal::Maximize,
                    Better::Lower => Goal::Minimize,
                    Better::Neither => return None,
                },
                of_epochs: false,
                by_structure: true,
                unit: metric.unit,
            })
        });
        let cost = [(TIME, "s"), (MEMORY, "MiB")].map(|(name, unit)| Self {
            name: name.into(),
            goal: Goal::Minimize,
            of_epochs: false,
            by_structure: false,
            unit,
        });
        // A setting, no result.
        let results = Epoch::METRICS
            .into_iter()
            .filter(|name| *name != "learning_rate");
        let of_epochs = results.map(of_epoch);
        let of_batches = BatchMetric::NAMES.iter().map(|name| Self {
            name: BatchMetric::column_of(name).into(),
            goal: Goal::Maximize,
            of_epochs: true,
            by_structure: false,
            unit: "",
        });
        let of_epochs = of_epochs.chain(of_batches);
        of_epochs.chain(of_cases).chain(cost).collect()
    }

    /// What `metric` is, which may be of a structure.
    fn of(metric: &str) -> Option<Self> {
        let (name, structure) = parts(metric);
        let fits = |known: &Self| {
            known.name == name && structure.is_none_or(|of| known.by_structure && !of.is_empty())
        };
        Self::all().into_iter().find(fits)
    }

    /// The names of those that `is` is true of.
    fn names(is: impl Fn(&Self) -> bool) -> Vec<Cow<'static, str>> {
        let all = Self::all().into_iter();
        all.filter(is).map(|known| known.name).collect()
    }
}

/// A metric's name, and the structure it is of.
fn parts(metric: &str) -> (&str, Option<&str>) {
    metric
        .split_once('/')
        .map_or((metric, None), |(of, structure)| (of, Some(structure)))
}

impl Objective {
    /// The metric without its structure, and the structure.
    pub fn parts(&self) -> (&str, Option<&str>) {
        parts(&self.metric)
    }

    /// Whether each epoch has it, and not the finished run alone.
    pub fn is_of_epochs(&self) -> bool {
        Known::of(&self.metric).is_none_or(|known| known.of_epochs)
    }

    /// Its name with its unit.
    pub fn label(&self) -> String {
        match Known::of(&self.metric).map_or("", |known| known.unit) {
            "" => self.metric.clone(),
            unit => format!("{} in {unit}", self.metric),
        }
    }

    /// What is wrong with the values that the schema does not show.
    fn rules(&self) -> Vec<Fault> {
        let metric = &self.metric;
        let Some(known) = Known::of(metric) else {
            return vec![Fault::new("metric", unknown(metric))];
        };
        let mut faults = Vec::new();
        if known.goal != self.goal {
            let (word, less) = match known.goal {
                Goal::Maximize => ("maximize", "more"),
                Goal::Minimize => ("minimize", "less"),
            };
            faults.push(Fault::new(
                "goal",
                format!("goal must be {word}: {less} of {metric} is better. It can be left out"),
            ));
        }
        if !known.of_epochs && self.epoch == Counted::Last {
            let best = "of the best epoch's weights, which the run keeps";
            faults.push(Fault::new(
                "epoch",
                format!("{metric} is a score of the finished run, {best}. Remove the key, or choose a metric of metrics.csv"),
            ));
        }
        faults
    }
}

/// Why a name is not a metric's.
fn unknown(metric: &str) -> String {
    let (_, structure) = parts(metric);
    let names = |of_epochs: bool| {
        let names = Known::names(|known| {
            known.of_epochs == of_epochs && (structure.is_none() || known.by_structure)
        });
        let whole = |name: Cow<str>| match structure {
            Some(_) => format!("{name}/NAME"),
            None => name.into_owned(),
        };
        names.into_iter().map(whole).collect::<Vec<_>>()
    };
    let (of_epochs, of_runs) = (names(true), names(false));
    let all: Vec<String> = (of_epochs.iter().chain(&of_runs))
        .map(|name| name.replace("NAME", structure.unwrap_or_default()))
        .collect();
    let all: Vec<&str> = all.iter().map(String::as_str).collect();
    // `dice/` lacks the structure's name, and is as near to itself as can be.
    let hint = nearest(metric, &all).filter(|name| *name != metric);
    let hint = hint.map_or_else(String::new, |name| format!(" Did you mean `{name}`?"));
    let of = if structure.is_some() {
        " of a structure"
    } else {
        ""
    };
    format!(
        "metric is `{metric}`, which is not a metric{of}.{hint} Allowed: {}; and of the finished run, on the scans' own \
         grids: {}",
        of_epochs.join(", "),
        of_runs.join(", ")
    )
}

/// What is optimised: one metric, or two. With two there is no best trial but a Pareto front.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "OneOrTwo", into = "OneOrTwo")]
pub struct Objectives(Vec<Objective>);

/// One metric, or a list of at most two.
#[derive(Serialize, Deserialize, JsonSchema)]
#[serde(
    untagged,
    expecting = "must be a metric, or a list of two such as [dice, time]"
)]
#[schemars(rename = "Objectives")]
enum OneOrTwo {
    /// One metric.
    One(Objective),
    /// At most two.
    Two(#[schemars(length(min = 1, max = 2))] Vec<Objective>),
}

impl From<OneOrTwo> for Objectives {
    fn from(given: OneOrTwo) -> Self {
        match given {
            OneOrTwo::One(one) => Self(vec![one]),
            OneOrTwo::Two(list) => Self(list),
        }
    }
}

impl From<Objectives> for OneOrTwo {
    fn from(Objectives(mut list): Objectives) -> Self {
        match list.len() {
            1 => Self::One(list.remove(0)),
            _ => Self::Two(list),
        }
    }
}

impl Default for Objectives {
    fn default() -> Self {
        Self(vec![Objective::default()])
    }
}

impl Deref for Objectives {
    type Target = [Objective];

    fn deref(&self) -> &[Objective] {
        &self.0
    }
}

impl Objectives {
    /// The only one; none if there are two.
    pub fn single(&self) -> Option<&Objective> {
        match self.0.as_slice() {
            [one] => Some(one),
            _ => None,
        }
    }

    /// What is looked at while a run trains: the first objective that each epoch has, else the validation IoU.
    pub fn watched(&self) -> Objective {
        let of_epochs = self.iter().find(|one| one.is_of_epochs());
        of_epochs.cloned().unwrap_or_default()
    }

    /// Their names, human-readable.
    pub fn names(&self) -> String {
        let names: Vec<String> = self.iter().map(|one| one.metric.clone()).collect();
        names.join(" and ")
    }

    /// What is wrong with the values that the schema does not show.
    pub fn rules(&self) -> Vec<Fault> {
        if let [first, second] = self.0.as_slice()
            && first.metric == second.metric
        {
            let message = format!("objective names {} twice", first.metric);
            return vec![Fault::new("", message)];
        }
        match self.0.as_slice() {
            [one] => one.rules(),
            several => (several.iter().enumerate())
                .flat_map(|(at, one)| within(&at.to_string(), one.rules()))
                .collect(),
        }
    }
}
