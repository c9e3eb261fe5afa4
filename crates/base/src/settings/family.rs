//! What makes losses, models, augmentations, … pluggable: a family is a list of its members, and a member
//! is one file and one line in that list.

use schemars::generate::SchemaSettings;
use schemars::{JsonSchema, Schema, json_schema};
use serde_json::Value as Json;
use serde_yaml::{Error, Value};

use super::fault::Faults;

/// Declares a family: one line for each member, which lies in a file of its own beside the declaration.
///
/// ```text
/// family! {
///     /// A loss.
///     pub enum Loss: LossTerm, listed as "losses" {
///         /// Binary cross-entropy.
///         "bce" => bce::Bce,
///         /// One minus the soft Dice coefficient.
///         "dice" => dice::Dice,
///     }
/// }
/// ```
///
/// `Loss` becomes an enum of `Bce(Bce)` and `Dice(Dice)`, from the files `bce.rs` and `dice.rs`, whose public
/// items appear beside it. `LossTerm` is the family's contract: the trait by which each member defines what it
/// does. It must have
///
/// ```text
/// /// What is wrong with the values that the ranges of the fields do not show.
/// fn rules(&self) -> Vec<Fault> {
///     Vec::new()
/// }
/// ```
///
/// In YAML a member is a one-key map (`{dice: {smooth: 1.0}}`) or, where its defaults do, its bare name
/// (`dice`). The member's struct brings its fields, their defaults and their ranges
/// (`#[schemars(range(…))]`), which are what its values are checked against.
///
/// The enum gets `NAMES`, `name()`, `defaults()`, `rules()`, `validate()`, `FAMILY` (for listings and for tests
/// over all families), `Serialize`, `Deserialize` and `JsonSchema`. The schema is what `calvaria list` prints:
/// a member's line describes what it is, its struct's comment how it is defined and, in a last paragraph that
/// starts with `Reference:`, where it comes from; the fields' comments, defaults and ranges describe what may
/// be set.
///
/// Below the declaration, two more macros can be used in the same file:
///
/// - `with_member!(loss, term => term.forward(x, y))` does the same with whichever member `loss` is;
/// - `for_members!(networks!)` calls the macro `networks!` with all members' types, for enums that go along
///   with the family's.
#[macro_export]
macro_rules! family {
    (
        $(#[doc = $doc:literal])*
        $vis:vis enum $family:ident: $contract:ident, listed as $plural:literal {
            $($(#[doc = $member_doc:literal])* $name:literal => $module_vis:vis $module:ident::$member:ident,)+
        }
    ) => {
        $($module_vis mod $module;)+
        $($vis use $module::*;)+

        $(#[doc = $doc])*
        #[derive(Clone, Debug, PartialEq)]
        $vis enum $family {
            $($(#[doc = $member_doc])* $member($member),)+
        }

        /// Does the same with whichever member a value is.
        #[allow(unused_macros)]
        macro_rules! with_member {
            ($value:expr, $bound:ident => $work:expr) => {
                match $value { $($family::$member($bound) => $work,)+ }
            };
        }

        /// Calls a macro with all members' types.
        #[allow(unused_macros)]
        macro_rules! for_members {
            ($macro:ident!) => { $macro! { $($member,)+ } };
        }

        impl $family {
            /// The members' names, as written in YAML.
            pub const NAMES: &'static [&'static str] = &[$($name),+];

            /// The family for listings and for tests over all families.
            pub const FAMILY: $crate::settings::Family = $crate::settings::Family {
                plural: $plural,
                names: Self::NAMES,
                schema: $crate::settings::family::inlined_schema::<Self>,
                defaults: || Self::defaults().iter().map(serde_yaml::to_value).collect(),
                read: |value| serde_yaml::from_value(value).map(|member: Self| member.validate()),
            };

            /// The member's name, as written in YAML.
            pub fn name(&self) -> &'static str {
                match self { $(Self::$member(_) => $name,)+ }
            }

            /// Every member with its defaults.
            pub fn defaults() -> Vec<Self> {
                vec![$(Self::$member(<$member>::default())),+]
            }

            /// What is wrong with the member's values that the ranges of its fields do not show.
            pub fn rules(&self) -> Vec<$crate::settings::Fault> {
                let faults = match self { $(Self::$member(member) => <$member as $contract>::rules(member),)+ };
                $crate::settings::within(self.name(), faults)
            }

            /// Checks the member's values.
            ///
            /// # Errors
            ///
            /// Each field that is wrong, and what it may be.
            pub fn validate(&self) -> Result<(), $crate::settings::Faults> {
                $crate::settings::validate(self, Self::rules)
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
                match self { $(Self::$member(member) => map.serialize_entry($name, member)?,)+ }
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
                            $($name => Ok($family::$member(<$member>::default())),)+
                            _ => Err(E::unknown_variant(name, $family::NAMES)),
                        }
                    }

                    fn visit_map<A: serde::de::MapAccess<'de>>(self, mut map: A) -> Result<Self::Value, A::Error> {
                        use serde::de::Error;
                        let Some(name) = map.next_key::<String>()? else {
                            return Err(A::Error::invalid_length(0, &self));
                        };
                        let member = match name.as_str() {
                            $($name => $family::$member(map.next_value::<Option<$member>>()?.unwrap_or_default()),)+
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

/// A family without its type: what listings and tests ask of every one.
pub struct Family {
    /// What its members are called together, as in `calvaria list losses`.
    pub plural: &'static str,
    /// The members' names, as written in YAML.
    pub names: &'static [&'static str],
    /// The JSON schema of a member, with all that it refers to in place.
    pub schema: fn() -> Json,
    /// Every member with its defaults, as written in YAML.
    pub defaults: fn() -> Result<Vec<Value>, Error>,
    /// Reads a member, and checks its values if it can be read.
    pub read: fn(Value) -> Result<Result<(), Faults>, Error>,
}

/// The JSON schema of a `T`, with all that it refers to in place.
#[doc(hidden)]
pub fn inlined_schema<T: JsonSchema>() -> Json {
    let settings = SchemaSettings::default().with(|settings| settings.inline_subschemas = true);
    settings
        .into_generator()
        .into_root_schema_for::<T>()
        .to_value()
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
    use crate::settings::{Fault, Faults};

    /// The contract of the test's family.
    pub trait FilterKernel {
        /// What the middle of three samples becomes.
        fn apply(&self, samples: [f64; 3]) -> f64;

        /// What is wrong with the values that the ranges of the fields do not show.
        fn rules(&self) -> Vec<Fault> {
            Vec::new()
        }
    }

    // `sharpen` is this line and its file, and every test below holds for it.
    crate::family! {
        /// A filter.
        pub enum Filter: FilterKernel, listed as "filters" {
            /// The weighted mean of a sample and its neighbours.
            "blur" => blur::Blur,
            /// The opposite.
            "sharpen" => sharpen::Sharpen,
        }
    }

    macro_rules! names_of_types {
        ($($member:ident,)+) => { [$(stringify!($member)),+] };
    }

    fn parse(yaml: &str) -> Result<Filter, String> {
        serde_yaml::from_str(yaml).map_err(|e| e.to_string())
    }

    #[test]
    fn a_member_is_one_file_and_one_line() {
        assert_eq!(Filter::NAMES, ["blur", "sharpen"]);
        assert_eq!(for_members!(names_of_types!), ["Blur", "Sharpen"]);
        for (member, name) in Filter::defaults().iter().zip(Filter::NAMES) {
            assert_eq!(member.name(), *name);
            assert_eq!(parse(name), Ok(member.clone()));
            assert_eq!(member.validate(), Ok(()));
            let flat = with_member!(member, filter => filter.apply([2.0; 3]));
            assert_eq!(flat, 2.0, "{name}");
        }
        let listed = Filter::FAMILY.describe().unwrap();
        assert!(listed.contains("# How much sharper. (at least 0)\n  amount: 0.5\n"));
    }

    #[test]
    fn a_member_is_written_as_a_name_or_a_one_key_map() {
        for name in Filter::NAMES {
            assert_eq!(parse(name), parse(&format!("{{{name}: {{}}}}")));
            assert_eq!(parse(name), parse(&format!("{{{name}: }}")));
        }
        let blur = parse("{blur: {weights: [1.0, 2.0]}}");
        assert_eq!(
            blur,
            Ok(Filter::Blur(Blur {
                weights: [1.0, 2.0]
            }))
        );
    }

    #[test]
    fn unknown_names_and_fields_are_refused_with_what_is_allowed() {
        assert!(parse("blurr").unwrap_err().contains("expected `blur`"));
        let why = parse("{blur: {weigths: 2.0}}").unwrap_err();
        assert!(why.contains("expected `weights`"), "{why}");
        let why = parse("{blur: {}, sharpen: {}}").unwrap_err();
        assert!(why.contains("one key"), "{why}");
    }

    #[test]
    fn what_is_written_reads_back() {
        let filter = Filter::Blur(Blur {
            weights: [3.5, 0.0],
        });
        assert_eq!(parse(&serde_yaml::to_string(&filter).unwrap()), Ok(filter));
    }

    #[test]
    fn a_value_outside_the_range_of_its_field_is_refused_wherever_it_comes_from() {
        let Faults(faults) = Filter::Blur(Blur {
            weights: [1.0, -1.0],
        })
        .validate()
        .unwrap_err();
        let message = "item 2 of weights must be at least 0, not -1.0";
        assert_eq!(faults, [Fault::new("blur.weights.1", message)]);
        let infinite = Filter::Blur(Blur {
            weights: [f64::INFINITY, 1.0],
        });
        assert_eq!(infinite.validate().unwrap_err().0[0].path, "blur.weights.0");
    }

    #[test]
    fn rules_over_several_fields_name_the_member() {
        let Faults(faults) = Filter::Blur(Blur { weights: [0.0; 2] })
            .validate()
            .unwrap_err();
        assert_eq!(
            faults,
            [Fault::new("blur.weights", "weights must not all be 0")]
        );
    }
}
