//! What is to be found in which images: the keys of an experiment that say it.

use std::sync::Arc;

use burn::tensor::backend::Backend;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Experiment;
use crate::dataset::{Case, DatasetError, LabelOrName, Labels, Regions, Values};
use crate::loss::Loss;
use crate::model::{Channels, Network};
use crate::preprocess::ImageFile;
use crate::settings::{Fault, nearest, repeated, within};
use crate::volume::{Marked, Named, Structures, Undeclared};

/// What becomes of labels that are not declared.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum UndeclaredLabels {
    /// A case that has one is refused.
    #[default]
    Refuse,
    /// They are taken for background.
    Background,
}

impl Experiment {
    /// What is to be found, as the keys `labels`, `regions`, `region_order`, `ignore` and `undeclared` say it.
    ///
    /// # Panics
    ///
    /// If the keys contradict each other, which [`Experiment::validate`] tells.
    pub fn structures(&self) -> Arc<Structures> {
        match self.try_structures() {
            Ok(structures) => Arc::new(structures),
            Err(fault) => panic!("the experiment was not validated: {}", fault.message),
        }
    }

    /// The images of a case, in the order of the network's inputs.
    pub fn image_names(&self) -> Vec<String> {
        match &self.images {
            Some(names) => names.clone(),
            None => vec![ImageFile::ONLY.to_owned()],
        }
    }

    /// The images that a scan must have: those that the network takes, and that onto whose grid they are moved.
    pub fn scan_names(&self) -> Vec<String> {
        let mut names = self.image_names();
        let onto = self.data.masks.onto.iter();
        names.extend(
            onto.filter(|onto| !names.contains(onto))
                .cloned()
                .collect::<Vec<_>>(),
        );
        names
    }

    /// The numbers of images and of outputs of the experiment's network.
    pub fn channels(&self) -> Channels {
        Channels {
            input: self.image_names().len(),
            output: self.structures().outputs(),
        }
    }

    /// The experiment's network with its initial weights.
    pub fn network<B: Backend>(&self, device: &B::Device) -> Network<B> {
        self.model.init_for(self.channels(), self.seed, device)
    }

    /// The experiment with what its data say of images and structures, where it does not say it itself.
    ///
    /// # Errors
    ///
    /// When the data's description cannot be read, or the experiment names images that the data have not.
    pub fn described(&self) -> Result<Self, DatasetError> {
        let mut whole = self.completed()?;
        if let Some(fault) = whole.task_rules().first() {
            return Err(DatasetError::Description(fault.to_string()));
        }
        whole.predict.settle(&whole.structures());
        Ok(whole)
    }

    /// As [`Experiment::described`], or the experiment itself where its data are not there and it tells by itself what is
    /// to be found.
    ///
    /// # Errors
    ///
    /// As [`Experiment::described`], where nothing else tells what is to be found, or what the data say is contradicted.
    pub fn described_if_there(&self) -> Result<Self, DatasetError> {
        use DatasetError::{Description, NoImageOfName};
        self.described().or_else(|why| match self.try_structures() {
            Ok(_) if !matches!(why, Description(_) | NoImageOfName { .. }) => Ok(self.clone()),
            _ => Err(why),
        })
    }

    /// The experiment with what its data say, unchecked.
    fn completed(&self) -> Result<Self, DatasetError> {
        let about = self.data.source.describe()?;
        let mut whole = self.clone();
        if let Some(onto) = &self.data.masks.onto
            && !about.images.contains(onto)
        {
            return Err(DatasetError::Description(format!(
                "onto names the image `{onto}`, and the images are {}",
                about.images.join(", ")
            )));
        }
        if let Some(names) = &self.images {
            let known: Vec<&str> = about.images.iter().map(String::as_str).collect();
            if let Some(wrong) = names.iter().find(|name| !known.contains(&name.as_str())) {
                let meant = nearest(wrong, &known);
                let meant = meant.map_or(String::new(), |name| format!(" (did you mean {name}?)"));
                return Err(DatasetError::NoImageOfName {
                    name: wrong.clone(),
                    known: format!("{}{meant}", known.join(", ")),
                });
            }
        } else if about.images != [ImageFile::ONLY] {
            whole.images = Some(about.images);
        }
        if !self.data.masks.are_chosen() {
            match (&self.labels, &self.regions) {
                (None, None) => {
                    whole.labels = about.labels;
                    whole.regions = about.regions;
                    whole.region_order = self.region_order.clone().or(about.region_order);
                }
                // Regions may name the data's labels.
                (None, Some(_)) if self.names_labels() => whole.labels = about.labels,
                _ => {}
            }
            whole.ignore = self.ignore.or(about.ignore);
        }
        Ok(whole)
    }

    /// Every case, in order of its id, with the images and the structures of this experiment.
    ///
    /// # Errors
    ///
    /// When there are none, or one is incomplete; the message names the file and the remedy.
    pub fn cases(&self) -> Result<Vec<Case>, DatasetError> {
        let mut cases = self.data.cases()?;
        let structures = self.structures();
        let names = self.image_names();
        for case in &mut cases {
            if !structures.is_mask() {
                case.mask_rule.marked = Marked::Structures(structures.as_ref().clone());
            }
            case.choose(&names)?;
        }
        Ok(cases)
    }

    /// The default loss for what is to be found, as far as that can be told now.
    pub(super) fn choose_loss(&mut self) {
        let told = match self.tells_structures() {
            true => self.try_structures().ok(),
            false => (self.completed().ok()).and_then(|whole| whole.try_structures().ok()),
        };
        if let Some(structures) = told {
            self.loss = Loss::default_for(&structures);
        }
    }

    /// Whether the experiment itself, not a file of its data, tells what is to be found.
    fn tells_structures(&self) -> bool {
        match (&self.labels, &self.regions) {
            _ if !self.data.source.describes_labels() => true,
            (None, None) => false,
            (None, Some(_)) => !self.names_labels(),
            _ => true,
        }
    }

    /// Whether regions are made of labels by name.
    fn names_labels(&self) -> bool {
        let parts = self
            .regions
            .iter()
            .flat_map(|regions| regions.values())
            .flatten();
        parts
            .into_iter()
            .any(|part| matches!(part, LabelOrName::Name(_)))
    }

    /// Fills in defaults that depend on what is to be found, if the experiment itself tells it.
    pub(super) fn settle(&mut self) {
        if let (true, Ok(structures)) = (self.tells_structures(), self.try_structures()) {
            self.predict.settle(&structures);
        }
    }

    fn try_structures(&self) -> Result<Structures, Fault> {
        let undeclared = match self.undeclared {
            UndeclaredLabels::Refuse => Undeclared::Refused,
            UndeclaredLabels::Background => Undeclared::Background,
        };
        let fault = |key: &'static str| {
            move |why: crate::volume::StructuresError| Fault::new(key, why.to_string())
        };
        match (&self.labels, &self.regions) {
            (None, None) => Ok(Structures::Mask),
            (Some(labels), None) => {
                Structures::labels(&named(labels), self.ignore, undeclared).map_err(fault("labels"))
            }
            (labels, Some(regions)) => {
                let named = self.named_regions(labels.as_ref(), regions)?;
                if let Some(labels) = labels {
                    // What is declared must make sense by itself.
                    let declared: Vec<Named> = self::named(labels);
                    Structures::labels(&declared, self.ignore, undeclared)
                        .map_err(fault("labels"))?;
                }
                let declared: Vec<u16> = labels
                    .iter()
                    .flat_map(|labels| labels.values())
                    .flat_map(Values::list)
                    .collect();
                let order = self.region_order.as_deref();
                let regions = Structures::regions(&named, order, self.ignore, undeclared);
                let regions = regions.map_err(fault("regions"))?;
                Ok(regions.with_declared(&declared))
            }
        }
    }

    /// The regions' labels; names stand for those of `labels`, which then declares all there are.
    fn named_regions(
        &self,
        labels: Option<&Labels>,
        regions: &Regions,
    ) -> Result<Vec<Named>, Fault> {
        let declared: Vec<u16> = labels
            .iter()
            .flat_map(|labels| labels.values())
            .flat_map(Values::list)
            .collect();
        let known: Vec<&str> = labels
            .iter()
            .flat_map(|labels| labels.keys())
            .map(String::as_str)
            .collect();
        let mut named = Vec::new();
        for (name, parts) in regions.iter() {
            let fault = |why: String| Fault::new(format!("regions.{name}"), why);
            let mut own = Vec::new();
            for part in parts {
                match part {
                    LabelOrName::Label(label) if labels.is_some() && !declared.contains(label) => {
                        return Err(fault(format!(
                            "the region `{name}` has the label {label}, which `labels` does not declare: {}",
                            known.join(", ")
                        )));
                    }
                    LabelOrName::Label(label) => own.push(*label),
                    LabelOrName::Name(of) => {
                        let Some(values) = labels.and_then(|labels| labels.get(of)) else {
                            let meant = nearest(of, &known);
                            let meant = meant
                                .map_or(String::new(), |name| format!(" (did you mean {name}?)"));
                            let there = match known.is_empty() {
                                true => {
                                    "there are no `labels`; declare it there, or write its number"
                                        .to_owned()
                                }
                                false => format!("`labels` has {}", known.join(", ")),
                            };
                            return Err(fault(format!(
                                "the region `{name}` names the unknown label `{of}`: {there}{meant}"
                            )));
                        };
                        own.extend(values.list());
                    }
                }
            }
            named.push((name.clone(), own));
        }
        Ok(named)
    }

    /// The images that the network sees, if they can be told now.
    fn known_images(&self) -> Option<Vec<String>> {
        match &self.images {
            Some(names) => Some(names.clone()),
            None => Some(self.data.source.describe().ok()?.images),
        }
    }

    /// What is wrong with the keys that say what is to be found in which images.
    pub(super) fn task_rules(&self) -> Vec<Fault> {
        let told = self.tells_structures().then(|| self.try_structures().err());
        let mut faults: Vec<Fault> = told.flatten().into_iter().collect();
        let is_mask = self.labels.is_none() && self.regions.is_none();
        if self.regions.is_none() && self.region_order.is_some() && self.tells_structures() {
            let message = "region_order says how regions are written: declare `regions`";
            faults.push(Fault::new("region_order", message));
        }
        if is_mask && self.tells_structures() {
            if self.ignore.is_some() {
                let message = "ignore needs names for what is not ignored: declare `labels`, as in {lesion: 1}, or `regions`, as in \
                     {lesion: [1]}";
                faults.push(Fault::new("ignore", message));
            }
            if self.undeclared != UndeclaredLabels::default() {
                let message = "undeclared tells what becomes of labels that `labels` or `regions` do not name: declare one of \
                     them";
                faults.push(Fault::new("undeclared", message));
            }
        }
        if !is_mask && self.data.masks.are_chosen() {
            let key = if self.data.masks.label.is_some() {
                "label"
            } else {
                "threshold"
            };
            let message = format!(
                "{key} makes one mask of each file, and `labels` and `regions` name structures in it: leave one of them out"
            );
            faults.push(Fault::new(format!("data.{key}"), message));
        }
        if let (true, Ok(structures)) = (self.tells_structures(), self.try_structures()) {
            faults.extend(within("predict", self.predict.rules(&structures)));
            faults.extend(within("loss", self.loss.check(&structures)));
            // A description that cannot be read is told when the cases are looked for.
            if let Some(names) = self.known_images() {
                faults.extend(within("preprocess", self.preprocess.check(&names)));
                faults.extend(within("augment", self.augment.check(&structures, &names)));
            }
        }
        if let Some(wrong) = self
            .known_images()
            .and_then(|names| names.into_iter().find(|name| !is_name(name)))
        {
            let message = format!(
                "`{wrong}` cannot be an image's name: use letters, digits, spaces, - and _. Rename it in the data's source or \
                 its dataset.json"
            );
            faults.push(Fault::new("images", message));
        }
        if let Some(names) = &self.images {
            if names.is_empty() {
                faults.push(Fault::new("images", "images must name at least one image"));
            }
            if let Some(name) = repeated(names) {
                faults.push(Fault::new("images", format!("images names {name} twice")));
            }
        }
        faults
    }
}

/// Whether an image can be told by this name on plots and on the command line.
fn is_name(name: &str) -> bool {
    let other = ['/', ',', ';', '=', '"', '\'', '\n', '\r', '\t'];
    !name.is_empty() && name.trim() == name && !name.contains(other)
}

fn named(labels: &Labels) -> Vec<Named> {
    let pairs = labels.iter();
    pairs
        .map(|(name, values)| (name.clone(), values.list()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn experiment(yaml: &str) -> Experiment {
        let text = format!(
            "{{name: test, data: {{pairs: {{root: x, image: 'i/{{id}}.nii', mask: 'm/{{id}}.nii'}}}}, {yaml}}}"
        );
        serde_yaml::from_str(&text).unwrap()
    }

    fn faults(yaml: &str) -> String {
        let faults = experiment(yaml).task_rules();
        let told: Vec<String> = faults.into_iter().map(|fault| fault.message).collect();
        told.join("\n")
    }

    #[test]
    fn labels_keep_the_order_in_which_they_are_written() {
        let structures = experiment("labels: {zebra: 3, ant: [1, 2]}").structures();
        assert_eq!(structures.names(), ["zebra", "ant"]);
        assert!(structures.is_exclusive());
    }

    #[test]
    fn regions_may_name_labels() {
        let by_name = experiment(
            "labels: {necrosis: 1, oedema: 2}, regions: {whole: [oedema, necrosis], core: [necrosis]}",
        );
        let by_number = experiment("regions: {whole: [2, 1], core: [1]}");
        assert_eq!(by_name.structures(), by_number.structures());
        let why = faults("labels: {necrosis: 1}, regions: {whole: [necrosiss]}");
        assert!(
            why.contains("unknown label `necrosiss`") && why.contains("did you mean necrosis?"),
            "{why}"
        );
        let why = faults("labels: {necrosis: 1}, regions: {whole: [1, 7]}");
        assert!(
            why.contains("label 7, which `labels` does not declare"),
            "{why}"
        );
    }

    #[test]
    fn an_experiment_that_needs_data_which_are_not_there_says_so() {
        let yaml = "{name: t, data: {decathlon: {root: /nowhere}}, regions: {whole: [head]}}";
        let experiment: Experiment = serde_yaml::from_str(yaml).unwrap();
        let why = experiment.described_if_there().unwrap_err().to_string();
        assert!(why.contains("/nowhere/dataset.json"), "{why}");
        let own = yaml.replace("[head]", "[1]");
        let experiment: Experiment = serde_yaml::from_str(&own).unwrap();
        assert_eq!(
            experiment
                .described_if_there()
                .unwrap()
                .structures()
                .names(),
            ["whole"]
        );
    }

    #[test]
    fn what_the_data_contradict_is_told_though_it_could_be_without_them() {
        let root = concat!(env!("CARGO_MANIFEST_DIR"), "/experiments/data/hippocampus");
        for (wrong, says) in [
            (
                "predict: {fill_holes: [anteriorr]}",
                "did you mean anterior?",
            ),
            ("images: [t1]", "t1"),
        ] {
            let yaml = format!("{{name: t, data: {{decathlon: {{root: {root}}}}}, {wrong}}}");
            let experiment: Experiment = serde_yaml::from_str(&yaml).unwrap();
            let why = experiment.described_if_there().unwrap_err().to_string();
            assert!(why.contains(says), "{why}");
        }
    }

    #[test]
    fn keys_that_contradict_each_other_are_told() {
        for (yaml, says) in [
            ("ignore: 255", "ignore needs names"),
            ("undeclared: background", "undeclared tells"),
            ("region_order: [1]", "declare `regions`"),
            ("labels: {a: 1}, ignore: 1", "the label 1 is ignored"),
            ("labels: {a: 1, b: 1}", "stands twice"),
            ("images: []", "at least one image"),
            ("images: [t1, t1]", "t1 twice"),
        ] {
            let why = faults(yaml);
            assert!(why.contains(says), "{yaml}: {why}");
        }
    }
}
