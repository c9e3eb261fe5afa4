//! Navigation in a JSON schema: what a key's value may be.

use serde_json::Value as Schema;
use serde_yaml::{Mapping, Value};

/// A JSON schema, and a place in it.
#[derive(Clone, Copy)]
pub struct Shape<'a> {
    root: &'a Schema,
    /// The schema of the value at this place.
    pub schema: &'a Schema,
}

impl<'a> Shape<'a> {
    /// The schema of a whole document.
    pub fn of(root: &'a Schema) -> Self {
        Self { root, schema: root }
    }

    /// The shape of a part whose schema stands in the same document.
    pub fn at(self, schema: &'a Schema) -> Self {
        Self { schema, ..self }
    }

    /// What this refers to, if it does.
    pub fn referred(self) -> Option<Self> {
        let to = self.schema.get("$ref")?.as_str()?;
        Some(self.at(self.root.pointer(to.strip_prefix('#')?)?))
    }

    /// The forms of a value that has several.
    pub fn forms(self) -> Option<&'a [Schema]> {
        let forms = self
            .schema
            .get("oneOf")
            .or_else(|| self.schema.get("anyOf"))?;
        forms.as_array().map(Vec::as_slice)
    }

    /// The members and their settings, if this is a family.
    pub fn members(self) -> Option<Vec<(&'a str, Self)>> {
        let forms = self.schema.get("oneOf")?.as_array()?;
        let found: Vec<(&str, Self)> = forms
            .iter()
            .filter_map(member_of_form)
            .filter(|(_, settings)| settings.get("type") != Some(&Schema::from("null")))
            .map(|(name, settings)| (name, self.at(settings)))
            .collect();
        (!found.is_empty()).then_some(found)
    }

    /// The keys that may stand beside a member's name in this family, and their values: whatever may stand beside any
    /// member. Which of them may not stand beside the one that is there is for its rules to say.
    pub fn beside(self) -> Vec<(&'a str, Self)> {
        let mut found: Vec<(&str, Self)> = Vec::new();
        for form in self.forms().into_iter().flatten() {
            let (Some((member, _)), Some(properties)) = (
                member_of_form(form),
                form.get("properties").and_then(Schema::as_object),
            ) else {
                continue;
            };
            for (name, value) in properties.iter().filter(|(name, _)| *name != member) {
                if !found.iter().any(|(known, _)| known == name) {
                    found.push((name, self.at(value)));
                }
            }
        }
        found
    }

    /// The names of this family's members, known or not, among the keys of `map`.
    pub fn members_in(self, map: &Mapping) -> Vec<&str> {
        let beside = self.beside();
        let is_member = |key: &&str| !beside.iter().any(|(name, _)| name == key);
        map.keys()
            .filter_map(Value::as_str)
            .filter(is_member)
            .collect()
    }

    /// The family, if this is one: a value that is one of several members.
    pub fn family(self) -> Option<Self> {
        self.alternatives().find(|shape| shape.members().is_some())
    }

    /// Whether the value is a map whose names the user chooses.
    pub fn has_free_names(self) -> bool {
        self.alternatives().any(|shape| {
            let of_names = shape.schema.get("additionalProperties");
            of_names.is_some_and(Schema::is_object) && shape.schema.get("properties").is_none()
        })
    }

    /// Whether the value is a path.
    pub fn is_path(self) -> bool {
        let path = Some(&Schema::from("path"));
        self.alternatives()
            .any(|shape| shape.schema.get("format") == path)
    }

    /// The value at this key of a map, or the settings of this member of a family.
    pub fn property(self, name: &str) -> Option<Self> {
        let of = |shape: Self| {
            let property = shape.schema.get("properties")?.get(name)?;
            (property.get("type") != Some(&Schema::from("null"))).then_some(shape.at(property))
        };
        self.alternatives().find_map(of)
    }

    /// Each item of a list.
    pub fn items(self) -> Option<Self> {
        self.alternatives()
            .find_map(|shape| Some(shape.at(shape.schema.get("items")?)))
    }

    /// This, what it refers to, and each of its forms.
    fn alternatives(self) -> Box<dyn Iterator<Item = Self> + 'a> {
        let forms = self.forms().into_iter().flatten();
        let others = forms.map(move |form| self.at(form)).chain(self.referred());
        Box::new(std::iter::once(self).chain(others.flat_map(Self::alternatives)))
    }
}

/// The member that one form of a family is for, with its settings: the key that cannot be left out.
fn member_of_form(form: &Schema) -> Option<(&str, &Schema)> {
    let properties = form.get("properties")?.as_object()?;
    let (name, settings) = match properties.len() {
        1 => properties.iter().next()?,
        _ => match &form.get("required")?.as_array()?[..] {
            [name] => properties.get_key_value(name.as_str()?)?,
            _ => return None,
        },
    };
    Some((name, settings))
}
