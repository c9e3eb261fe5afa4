//! What devices are called.

use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

/// A device: `cpu`, `cuda:1`, `vulkan:0`. Without a number the first one is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum DeviceName {
    /// The processor, with all its threads.
    Cpu,
    /// An NVIDIA GPU by the number that CUDA gives it.
    Cuda(usize),
    /// A GPU of any maker by its number among those that Vulkan knows.
    Vulkan(usize),
}

/// What may be written, for messages.
const ALLOWED: &str = "cpu, cuda, cuda:1, …, vulkan, vulkan:1, …";

impl DeviceName {
    /// `cpu`, `cuda` or `vulkan`.
    pub fn kind(self) -> &'static str {
        match self {
            Self::Cpu => "cpu",
            Self::Cuda(_) => "cuda",
            Self::Vulkan(_) => "vulkan",
        }
    }

    /// Its number among the devices of its kind; the processor has none.
    pub fn index(self) -> Option<usize> {
        match self {
            Self::Cpu => None,
            Self::Cuda(index) | Self::Vulkan(index) => Some(index),
        }
    }
}

impl FromStr for DeviceName {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (kind, index) = match text.split_once(':') {
            Some((kind, index)) => (kind, Some(index)),
            None => (text, None),
        };
        let number = || {
            let index = index.unwrap_or("0");
            let wrong = |_| format!("`{index}` is not the number of a GPU, as in {kind}:0");
            index.parse().map_err(wrong)
        };
        match (kind, index) {
            ("cpu", None) => Ok(Self::Cpu),
            ("cuda", _) => number().map(Self::Cuda),
            ("vulkan", _) => number().map(Self::Vulkan),
            _ => Err(format!("device `{text}` is unknown; allowed: {ALLOWED}")),
        }
    }
}

impl fmt::Display for DeviceName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(index) => write!(f, "cuda:{index}"),
            Self::Vulkan(index) => write!(f, "vulkan:{index}"),
        }
    }
}

impl Serialize for DeviceName {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for DeviceName {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

impl JsonSchema for DeviceName {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "DeviceName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "description": "A device: cpu, cuda:1, vulkan:0.",
            "type": "string",
            "pattern": "^(cpu|(cuda|vulkan)(:[0-9]+)?)$",
        })
    }
}

/// What is asked for: `auto`, or devices of one kind to share the work.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DeviceChoice {
    /// A GPU where there is one, otherwise the processor.
    Auto,
    /// These.
    Named(Vec<DeviceName>),
}

impl DeviceChoice {
    /// Checks that `devices` can share the work: each once, all of one kind.
    ///
    /// # Errors
    ///
    /// A sentence that names the one that cannot.
    pub fn check(devices: &[DeviceName]) -> Result<(), String> {
        let Some(first) = devices.first() else {
            return Ok(());
        };
        for (at, device) in devices.iter().enumerate() {
            if devices[..at].contains(device) {
                return Err(format!("{device} is named twice"));
            }
            if device.kind() != first.kind() {
                return Err(format!(
                    "{first} and {device} cannot share a run: name GPUs of one kind"
                ));
            }
        }
        Ok(())
    }
}

impl FromStr for DeviceChoice {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if text == "auto" {
            return Ok(Self::Auto);
        }
        let names: Result<Vec<DeviceName>, String> = text.split(',').map(str::parse).collect();
        let names = names.map_err(|why| why.replace("allowed: ", "allowed: auto, "))?;
        Self::check(&names)?;
        Ok(Self::Named(names))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_are_named_with_an_optional_index() {
        use DeviceName::{Cpu, Cuda, Vulkan};
        let named = |names: &[DeviceName]| Ok(DeviceChoice::Named(names.to_vec()));
        assert_eq!("auto".parse(), Ok(DeviceChoice::Auto));
        assert_eq!("cpu".parse(), named(&[Cpu]));
        assert_eq!("cuda".parse(), named(&[Cuda(0)]));
        assert_eq!("cuda:3".parse(), named(&[Cuda(3)]));
        assert_eq!("cuda:1,cuda:0".parse(), named(&[Cuda(1), Cuda(0)]));
        assert_eq!("vulkan:2".parse(), named(&[Vulkan(2)]));
        let wrong = [
            "gpu",
            "cuda:x",
            "cuda:-1",
            "cpu:0",
            "auto:1",
            "",
            "cuda:0,auto",
            "cuda:0,cuda:0",
            "cuda,cuda:0",
            "cuda:0,vulkan:0",
            "cpu,cpu",
        ];
        for wrong in wrong {
            assert!(wrong.parse::<DeviceChoice>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn names_are_written_as_they_are_read() {
        for name in ["cpu", "cuda:0", "cuda:12", "vulkan:1"] {
            assert_eq!(name.parse::<DeviceName>().unwrap().to_string(), name);
        }
    }
}
