//! Every family, for listings and for tests over all of them.

use crate::augment::Transform;
use crate::dataset::{Source, Split};
use crate::jobs::Executor;
use crate::loss::Loss;
use crate::metric::BatchMetric;
use crate::model::Model;
use crate::optimizer::Optimizer;
use crate::preprocess::Step;
use crate::schedule::Schedule;
use crate::search::{Pruner, Sampler};
use crate::settings::Family;

/// Every family whose members can be named in an experiment or a sweep.
pub const FAMILIES: [Family; 12] = [
    Transform::FAMILY,
    BatchMetric::FAMILY,
    Executor::FAMILY,
    Loss::FAMILY,
    Model::FAMILY,
    Optimizer::FAMILY,
    Step::FAMILY,
    Pruner::FAMILY,
    Sampler::FAMILY,
    Schedule::FAMILY,
    Source::FAMILY,
    Split::FAMILY,
];
