//! What makes losses, models, augmentations, … pluggable: an enum of small config structs.

use schemars::{Schema, json_schema};

/// Declares a family: an enum with one member per line, each a config struct in its own file.
///
/// In YAML a member is a one-key map (`{dice: {smooth: 1.0}}`) or, where its defaults do, its bare
/// name (`dice`). The member's struct brings its own fields, defaults and `validate`.
///
/// The enum gets `NAMES`, `name()`, `validate()`, `Serialize`, `Deserialize` and `JsonSchema`. The schema
/// is what `calvaria list` prints: a member's line in the enum says what it is, its struct's comment how
/// it is defined and, in a last paragraph that starts with `Reference:`, where it comes from; the
/// fields' comments, defaults and `#[schemars(range(…))]` say what may be set.
#[macro_export]
macro_rules! family {
    ($(#[doc = $doc:literal])* $vis:vis enum $family:ident { $($(#[doc = $member_doc:literal])* $name:literal => $variant:ident($member:ty),)+ }) => {
        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        $vis enum $family {
            $($(#[doc = $member_doc])* $variant($member),)+
        }

        impl $family {
            /// The members' names, as written in YAML.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The member's name, as written in YAML.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$variant(_) => $name,)+ }
            }

            /// Every member with its defaults, for listings and for tests over the whole family.
            pub fn defaults() -> Vec<Self> {
                vec![$(Self::$variant(<$member>::default())),+]
            }

            /// Checks the member's values.
            ///
            /// # Errors
            ///
            /// A sentence that names the field and its allowed range.
            pub fn validate(&self) -> Result<(), String> {
                match self { $(Self::$variant(member) => member.validate().map_err(|why| format!("{}: {why}", $name)),)+ }
            }
        }

        impl schemars::JsonSchema for $family {
            fn schema_name() -> std::borrow::Cow<'static, str> {
                stringify!($family).into()
            }

            fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
                let members = [$(
                    $crate::settings::family::member_schema(
                        $name,
                        concat!($($member_doc),*).trim(),
                        generator.subschema_for::<$member>(),
                    ),
                )+];
                schemars::json_schema!({
                    "description": concat!($($doc),*).trim(),
                    "oneOf": members.concat(),
                })
            }
        }

        impl serde::Serialize for $family {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                use serde::ser::SerializeMap;
                let mut map = serializer.serialize_map(Some(1))?;
                match self { $(Self::$variant(member) => map.serialize_entry($name, member)?,)+ }
                map.end()
            }
        }

        impl<'de> serde::Deserialize<'de> for $family {
            fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct MemberVisitor;
                impl<'de> serde::de::Visitor<'de> for MemberVisitor {
                    type Value = $family;

                    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                        write!(f, "one of {}, as a name or a one-key map", $family::NAMES.join(", "))
                    }

                    fn visit_str<E: serde::de::Error>(self, name: &str) -> Result<Self::Value, E> {
                        match name {
                            $($name => Ok($family::$variant(<$member>::default())),)+
                            _ => Err(E::unknown_variant(name, $family::NAMES)),
                        }
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        use serde::de::Error;
                        let Some(name) = map.next_key::<String>()? else {
                            return Err(A::Error::invalid_length(0, &self));
                        };
                        let member = match name.as_str() {
                            $($name => $family::$variant(map.next_value::<Option<$member>>()?.unwrap_or_default()),)+
                            _ => return Err(A::Error::unknown_variant(&name, $family::NAMES)),
                        };
                        match map.next_key::<String>()? {
                            None => Ok(member),
                            Some(second) => Err(A::Error::custom(format!(
                                "`{name}` and `{second}` stand in one map: a member is one key; write a list item for each"
                            ))),
                        }
                    }
                }
                deserializer.deserialize_any(MemberVisitor)
            }
        }
    };
}

/// The ways to write a member: its bare name, and a map of its name to its settings or to nothing.
#[doc(hidden)]
pub fn member_schema(name: &str, description: &str, settings: Schema) -> Vec<Schema> {
    vec![
        json_schema!({ "const": name, "description": description }),
        json_schema!({
            "type": "object",
            "description": description,
            "properties": { name: settings },
            "required": [name],
            "additionalProperties": false,
        }),
        json_schema!({
            "type": "object",
            "description": description,
            "properties": { name: { "type": "null" } },
            "required": [name],
            "additionalProperties": false,
        }),
    ]
}

#[cfg(test)]
mod tests {
    use schemars::JsonSchema;
    use serde::{Deserialize, Serialize};

    #[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
    #[serde(default, deny_unknown_fields)]
    pub struct Blur {
        sigma: f64,
    }

    impl Default for Blur {
        fn default() -> Self {
            Self { sigma: 1.0 }
        }
    }

    impl Blur {
        fn validate(&self) -> Result<(), String> {
            if self.sigma > 0.0 {
                Ok(())
            } else {
                Err("sigma must be above 0".into())
            }
        }
    }

    crate::family! {
        /// A family for the test.
        pub enum Filter {
            /// A blur.
            "blur" => Blur(Blur),
        }
    }

    fn parse(yaml: &str) -> Result<Filter, String> {
        serde_yaml::from_str(yaml).map_err(|e| e.to_string())
    }

    #[test]
    fn a_member_is_a_name_or_a_one_key_map() {
        assert_eq!(parse("blur"), parse("{blur: {sigma: 1.0}}"));
        assert_eq!(parse("blur"), parse("{blur: }"));
        assert_eq!(
            parse("{blur: {sigma: 2.0}}"),
            Ok(Filter::Blur(Blur { sigma: 2.0 }))
        );
    }

    #[test]
    fn unknown_names_and_fields_are_refused_with_what_is_allowed() {
        assert!(parse("blurr").unwrap_err().contains("expected `blur`"));
        assert!(
            parse("{blur: {sigm: 2.0}}")
                .unwrap_err()
                .contains("expected `sigma`")
        );
        assert!(
            parse("{blur: {}, sharpen: {}}")
                .unwrap_err()
                .contains("one key")
        );
    }

    #[test]
    fn what_is_written_reads_back() {
        let filter = Filter::Blur(Blur { sigma: 3.5 });
        assert_eq!(filter.name(), Filter::NAMES[0]);
        assert_eq!(Filter::defaults().len(), Filter::NAMES.len());
        assert_eq!(parse(&serde_yaml::to_string(&filter).unwrap()), Ok(filter));
    }

    #[test]
    fn validation_names_the_member_and_the_field() {
        let why = Filter::Blur(Blur { sigma: -1.0 }).validate().unwrap_err();
        assert_eq!(why, "blur: sigma must be above 0");
    }
}
