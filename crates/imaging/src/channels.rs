//! Which of a run's images a member of a family is for: `channels: [flair]` beside the member's name.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator};
use serde::de::{DeserializeOwned, Error};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::{Value as Json, json};
use serde_yaml::Value;

use crate::settings::{At, Fault, nearest, within};

/// The key that stands beside a member's name.
pub const CHANNELS: &str = "channels";

/// What is said of the key in a schema.
const ABOUT: &str = "The images that it is for, by their names; all of them by default.";

/// A member of a family that may be for some of a run's images alone, as in
/// `{zscore: {over: foreground}, channels: [flair]}`.
///
/// In YAML it is the member itself, with the key beside the member's name or without it.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct On<T> {
    /// What is done.
    #[serde(flatten)]
    pub member: T,
    /// The names of the images to which it is done, each once; by default all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub channels: Option<Vec<String>>,
}

/// A family whose members may be for some images alone.
pub trait Selective: Serialize + DeserializeOwned + JsonSchema {
    /// The member's name, as written in YAML.
    fn name(&self) -> &'static str;

    /// Every member with its defaults.
    fn defaults() -> Vec<Self>;

    /// What is wrong with the member's values that the ranges of its fields do not show.
    fn rules(&self) -> Vec<Fault>;

    /// The reason why the member cannot be limited to some images, if there is one. It ends a sentence that begins with the
    /// member's name: `moves all images alike`.
    fn concerns_all(&self) -> Option<&'static str>;
}

impl<T> From<T> for On<T> {
    /// The member for all images.
    fn from(member: T) -> Self {
        Self {
            member,
            channels: None,
        }
    }
}

impl<T: Selective> On<T> {
    /// What is wrong with it, whatever the run's images are called.
    pub fn rules(&self) -> Vec<Fault> {
        let mut faults = self.member.rules();
        let Some(channels) = &self.channels else {
            return faults;
        };
        let name = self.member.name();
        if let Some(why) = self.member.concerns_all() {
            let message = format!("`{CHANNELS}` cannot stand beside {name}, which {why}");
            faults.push(Fault {
                at: At::Key,
                ..Fault::new(CHANNELS, message)
            });
        }
        if channels.is_empty() {
            let message = format!(
                "{CHANNELS} must name at least one image; leave the key out for all of them"
            );
            faults.push(Fault::new(CHANNELS, message));
        }
        let repeated = channels
            .iter()
            .enumerate()
            .filter(|(at, channel)| channels[..*at].contains(channel));
        faults.extend(repeated.map(|(at, channel)| {
            Fault::new(
                format!("{CHANNELS}.{at}"),
                format!("{CHANNELS} names `{channel}` twice"),
            )
        }));
        faults
    }

    /// The names that none of the run's `images` has, each with the nearest one.
    pub fn check(&self, images: &[String]) -> Vec<Fault> {
        let channels = self.channels.iter().flatten().enumerate();
        let unknown = channels.filter(|(_, channel)| !images.contains(channel));
        let fault = |(at, channel): (usize, &String)| {
            let message = unknown_name("image", channel, images);
            Fault::new(at.to_string(), message)
        };
        within(CHANNELS, unknown.map(fault).collect())
    }

    /// The positions among the run's `images` of those that it is for, in the order of the images. Names that
    /// [`On::check`] refuses have none.
    pub fn positions(&self, images: &[String]) -> Vec<usize> {
        let concerned = |image: &String| {
            self.channels
                .as_ref()
                .is_none_or(|channels| channels.contains(image))
        };
        (0..images.len())
            .filter(|&at| concerned(&images[at]))
            .collect()
    }
}

/// That no `thing` is called `wrong`, which one may be meant, and what they are called.
pub fn unknown_name(thing: &str, wrong: &str, known: &[String]) -> String {
    let known: Vec<&str> = known.iter().map(String::as_str).collect();
    let meant = nearest(wrong, &known)
        .map(|name| format!(" Did you mean `{name}`?"))
        .unwrap_or_default();
    format!(
        "no {thing} is called `{wrong}`.{meant} The {thing}s are {}",
        known.join(", ")
    )
}

impl<'de, T: Selective> Deserialize<'de> for On<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut member = Value::deserialize(deserializer)?;
        let channels = match &mut member {
            Value::Mapping(map) => map.remove(CHANNELS),
            _ => None,
        };
        Ok(Self {
            member: serde_yaml::from_value(member).map_err(D::Error::custom)?,
            channels: channels
                .map(serde_yaml::from_value)
                .transpose()
                .map_err(D::Error::custom)?
                .flatten(),
        })
    }
}

impl<T: Selective> JsonSchema for On<T> {
    fn schema_name() -> Cow<'static, str> {
        format!("{}OnImages", T::schema_name()).into()
    }

    /// The family's, with the key beside each member that can be for some images alone.
    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let selective: Vec<&str> = T::defaults()
            .iter()
            .filter(|member| member.concerns_all().is_none())
            .map(T::name)
            .collect();
        let mut schema = T::json_schema(generator);
        let forms = schema.get_mut("oneOf").and_then(Json::as_array_mut);
        for form in forms.into_iter().flatten() {
            if let Some(properties) = form.get_mut("properties").and_then(Json::as_object_mut)
                && properties.keys().any(|name| selective.contains(&&**name))
            {
                let channels = json!({
                    "description": ABOUT,
                    "type": "array",
                    "items": {"type": "string"},
                    "minItems": 1,
                    "uniqueItems": true,
                });
                properties.insert(CHANNELS.to_owned(), channels);
            }
        }
        schema
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The test's family.
    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(untagged, deny_unknown_fields)]
    enum Work {
        Polish { polish: Grain },
        Saw { saw: Grain },
    }

    #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(deny_unknown_fields)]
    struct Grain {
        size: f64,
    }

    impl Work {
        fn polish() -> Self {
            let polish = Grain::default();
            Self::Polish { polish }
        }

        fn saw() -> Self {
            let saw = Grain::default();
            Self::Saw { saw }
        }
    }

    impl Selective for Work {
        fn name(&self) -> &'static str {
            match self {
                Self::Polish { .. } => "polish",
                Self::Saw { .. } => "saw",
            }
        }

        fn defaults() -> Vec<Self> {
            vec![Self::polish(), Self::saw()]
        }

        fn rules(&self) -> Vec<Fault> {
            Vec::new()
        }

        fn concerns_all(&self) -> Option<&'static str> {
            matches!(self, Self::Saw { .. }).then_some("cuts all images alike")
        }
    }

    fn names(names: &[&str]) -> Vec<String> {
        names.iter().map(|&name| name.to_owned()).collect()
    }

    #[test]
    fn what_is_read_is_written_again_with_the_key_and_without() {
        for yaml in [
            "polish:\n  size: 2.0\n",
            "polish:\n  size: 2.0\nchannels:\n- flair\n- t1\n",
        ] {
            let read: On<Work> = serde_yaml::from_str(yaml).unwrap();
            assert_eq!(serde_yaml::to_string(&read).unwrap(), yaml);
        }
        assert!(serde_yaml::from_str::<On<Work>>("{polish: {size: 1}, chanels: [t1]}").is_err());
    }

    #[test]
    fn names_become_positions_in_the_order_of_the_images() {
        let images = names(&["t1", "t2", "flair"]);
        let mut work = On::from(Work::polish());
        assert_eq!(work.positions(&images), [0, 1, 2]);
        work.channels = Some(names(&["flair", "t1"]));
        assert_eq!(work.positions(&images), [0, 2]);
        assert_eq!(work.check(&images), []);
    }

    #[test]
    fn a_name_that_no_image_has_is_refused_with_the_nearest() {
        let images = names(&["t1", "t2", "flair"]);
        let mut work = On::from(Work::polish());
        work.channels = Some(names(&["t1", "flare"]));
        let message =
            "no image is called `flare`. Did you mean `flair`? The images are t1, t2, flair";
        assert_eq!(work.check(&images), [Fault::new("channels.1", message)]);
    }

    #[test]
    fn a_member_for_all_images_takes_no_channels_and_no_image_stands_twice() {
        let faults = |member: Work, channels: &[&str]| {
            let channels = Some(names(channels));
            let faults = On { member, channels }.rules();
            let messages = faults.into_iter().map(|fault| fault.message);
            messages.collect::<Vec<_>>().join("; ")
        };
        let saw = faults(Work::saw(), &["t1"]);
        assert_eq!(
            saw,
            "`channels` cannot stand beside saw, which cuts all images alike"
        );
        let polish = |channels: &[&str]| faults(Work::polish(), channels);
        assert_eq!(polish(&["t1", "t2"]), "");
        assert!(polish(&[]).contains("at least one image"));
        assert_eq!(polish(&["t1", "t1"]), "channels names `t1` twice");
    }
}
