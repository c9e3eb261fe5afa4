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
pub trait Quantity: Clone + Send + Sync + 'static {
    /// Its name in TensorBoard and on the progress bar.
    const NAME: &'static str;
    /// Which way is better.
    const HIGHER_IS_BETTER: bool;
    /// Its mean over the step's samples.
    fn of(record: &StepRecord) -> f64;
}

macro_rules! quantities {
    ($($(#[$meta:meta])* $quantity:ident $name:literal $better:literal |$record:ident| $value:expr;)+) => {
        $($(#[$meta])*
        #[derive(Clone, Debug)]
        pub struct $quantity;

        impl Quantity for $quantity {
            const NAME: &'static str = $name;
            const HIGHER_IS_BETTER: bool = $better;
            fn of($record: &StepRecord) -> f64 { $value }
        })+
    };
}

quantities! {
    /// The loss.
    LossValue "loss" false |record| record.loss;
    /// IoU of the thresholded prediction.
    Iou "iou" true |record| record.mean(|counts| counts.iou());
    /// IoU on probabilities, as published.
    IouSoft "iou_soft" true |record| record.mean(|counts| counts.iou_soft());
    /// Dice of the thresholded prediction.
    Dice "dice" true |record| record.mean(|counts| counts.dice());
}

/// The running mean of a [`Quantity`] over an epoch, each sample counting once.
#[derive(Clone)]
pub struct Mean<Q> {
    name: MetricName,
    state: NumericMetricState,
    quantity: PhantomData<Q>,
}

impl<Q: Quantity> Default for Mean<Q> {
    fn default() -> Self {
        Self {
            name: Arc::new(Q::NAME.to_owned()),
            state: NumericMetricState::default(),
            quantity: PhantomData,
        }
    }
}

/// A quantity's value for one step and the number of samples behind it.
pub struct Measured<Q> {
    value: f64,
    samples: usize,
    quantity: PhantomData<Q>,
}

impl<Q: Quantity> Adaptor<Measured<Q>> for StepRecord {
    fn adapt(&self) -> Measured<Q> {
        Measured {
            value: Q::of(self),
            samples: self.cases.len(),
            quantity: PhantomData,
        }
    }
}

impl<Q: Quantity> Metric for Mean<Q> {
    type Input = Measured<Q>;

    fn name(&self) -> MetricName {
        Arc::clone(&self.name)
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: None,
            higher_is_better: Q::HIGHER_IS_BETTER,
        }
        .into()
    }

    fn update(&mut self, item: &Measured<Q>, _metadata: &MetricMetadata) -> SerializedEntry {
        let format = FormatOptions::new(self.name()).precision(4);
        self.state.update(item.value, item.samples, format)
    }

    fn clear(&mut self) {
        self.state.reset();
    }
}

impl<Q: Quantity> Numeric for Mean<Q> {
    fn value(&self) -> NumericEntry {
        self.state.current_value()
    }

    fn running_value(&self) -> NumericEntry {
        self.state.running_value()
    }
}
