//! The numbers of a step, as burn-train's metrics.

use std::marker::PhantomData;
use std::sync::Arc;

use burn_train::metric::state::{FormatOptions, NumericMetricState};
use burn_train::metric::{
    Adaptor, Metric, MetricAttributes, MetricMetadata, MetricName, Numeric, NumericAttributes,
    NumericEntry, SerializedEntry,
};

use super::segmenter::StepRecord;

/// A number read off a [`StepRecord`].
pub trait StepMetric: Clone + Send + Sync + 'static {
    /// Its name in TensorBoard and on the progress bar.
    const NAME: &'static str;
    /// The direction that is better.
    const HIGHER_IS_BETTER: bool;
    /// Its mean over the step's samples and their structures.
    fn of(record: &StepRecord) -> f64;
}

macro_rules! step_metrics {
    ($($(#[$meta:meta])* $metric:ident $name:literal $better:literal |$record:ident| $value:expr;)+) => {
        $($(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $metric;

        impl StepMetric for $metric {
            const NAME: &'static str = $name;
            const HIGHER_IS_BETTER: bool = $better;
            fn of($record: &StepRecord) -> f64 { $value }
        })+
    };
}

step_metrics! {
    /// The loss.
    LossValue "loss" false |record| record.loss;
    /// IoU of the thresholded prediction.
    Iou "iou" true |record| record.mean(|counts| counts.iou());
    /// IoU on probabilities, as published.
    IouSoft "iou_soft" true |record| record.mean(|counts| counts.iou_soft());
    /// Dice of the thresholded prediction.
    Dice "dice" true |record| record.mean(|counts| counts.dice());
}

/// The running mean of a [`StepMetric`] over an epoch, each sample counting once.
#[derive(Clone)]
pub struct Mean<M> {
    name: MetricName,
    state: NumericMetricState,
    metric: PhantomData<M>,
}

impl<M: StepMetric> Default for Mean<M> {
    fn default() -> Self {
        Self {
            name: Arc::new(M::NAME.to_owned()),
            state: NumericMetricState::default(),
            metric: PhantomData,
        }
    }
}

/// A metric's value for one step and the number of samples behind it.
pub struct Measured<M> {
    value: f64,
    samples: usize,
    metric: PhantomData<M>,
}

impl<M: StepMetric> Adaptor<Measured<M>> for StepRecord {
    fn adapt(&self) -> Measured<M> {
        Measured {
            value: M::of(self),
            samples: self.cases.len(),
            metric: PhantomData,
        }
    }
}

impl<M: StepMetric> Metric for Mean<M> {
    type Input = Measured<M>;

    fn name(&self) -> MetricName {
        Arc::clone(&self.name)
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: None,
            higher_is_better: M::HIGHER_IS_BETTER,
        }
        .into()
    }

    fn update(&mut self, item: &Measured<M>, _metadata: &MetricMetadata) -> SerializedEntry {
        let format = FormatOptions::new(self.name()).precision(4);
        self.state.update(item.value, item.samples, format)
    }

    fn clear(&mut self) {
        self.state.reset();
    }
}

impl<M: StepMetric> Numeric for Mean<M> {
    fn value(&self) -> NumericEntry {
        self.state.current_value()
    }

    fn running_value(&self) -> NumericEntry {
        self.state.running_value()
    }
}
