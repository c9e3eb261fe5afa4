//! Navigation in a JSON schema: what a key's value may be.

use serde_json::Value as Schema;

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
            .filter_map(|form| form.get("properties")?.as_object())
            .filter(|properties| properties.len() == 1)
            .filter_map(|properties| properties.iter().next())
            .filter(|(_, settings)| settings.get("type") != Some(&Schema::from("null")))
            .map(|(name, settings)| (name.as_str(), self.at(settings)))
            .collect();
        (!found.is_empty()).then_some(found)
    }

    /// Whether this is a family: a value that is one of several members.
    pub fn is_family(self) -> bool {
        self.alternatives().any(|shape| shape.members().is_some())
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
