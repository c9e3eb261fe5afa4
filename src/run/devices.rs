//! Whether several devices can share the work of an experiment.

use burn::backend::Flex;

use crate::experiment::Experiment;

/// Checks that each of a step's batches has a device, that none of the `count` devices is idle, and that the
/// step is the same as on a single device.
pub(super) fn check_sharing(experiment: &Experiment, count: usize) -> Result<(), String> {
    if count < 2 {
        return Ok(());
    }
    let accumulate = experiment.train.accumulate;
    let (model, dropout) = (experiment.model.name(), experiment.model.dropout());
    let network = experiment.network::<Flex>(&Default::default());
    if network.has_running_statistics() {
        return Err(format!(
            "{model} is normalised over batches, and its running statistics are not shared between \
             {count} devices. {ONE_EACH} or train a network with another norm."
        ));
    }
    if dropout > 0.0 {
        return Err(format!(
            "{model} drops activations (dropout: {dropout}), and which ones would depend on which of \
             {count} devices is quicker. {ONE_EACH} or set its dropout to 0."
        ));
    }
    if !accumulate.is_multiple_of(count) {
        return Err(format!(
            "{count} devices share the batches of each step, and train.accumulate, their number, is \
             {accumulate}: make it a multiple of {count}. With train.batch_size made as many times \
             smaller a step still sees as many samples."
        ));
    }
    Ok(())
}

const ONE_EACH: &str = "Give each fold or seed a device of its own (--folds, --seeds, --device),";
