//! Views: what of the records of a dataset one consumer may see.
//!
//! **Nothing leaves the hub but through a view.** It grants fields of the record itself; it may put a mask on a granted field,
//! and it may have a condition in CEL that a record must meet to be seen at all. Whatever cannot be decided is not shown: a
//! condition that is undecided withholds the record, a value that its mask does not fit is left out.
//!
//! A view is compiled once for a version of an agreement and one of a schema. Where it has no condition, showing a record
//! takes one pass over its bytes and no parse.

mod mask;
mod projection;

use ldop_dictionary::Dictionary;
use ldop_types::{Mask, Sensitivity, Text};
use ring::hmac;

pub use projection::NotAnObject;

use self::{mask::Masking, projection::Projection};
use crate::{
    document::Parser,
    schema::{CompiledSchema, RowCondition},
};

/// What a view is made of. Names are those of properties of the record itself.
#[derive(Debug, Clone, Copy)]
pub struct Grant<'a> {
    /// Fields that are shown.
    pub granted_fields: &'a [String],
    /// Masks on some of them.
    pub masks: &'a [(String, Mask)],
    /// A condition in CEL on granted or key fields; empty: every record is shown.
    pub row_condition: &'a str,
    /// The key fields of the dataset.
    pub key_fields: &'a [String],
}

/// Why a grant does not fit a schema.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Misfit {
    /// Where, such as `granted_fields[3]`, `masks[0]` or `row_condition`.
    pub field: String,
    /// What is wrong, and what is expected.
    pub message: Text,
}

/// A compiled view.
#[derive(Debug)]
pub struct View {
    projection: Projection,
    condition: Option<RowCondition>,
}

impl Grant<'_> {
    /// Everything in which the grant does not fit the schema.
    #[must_use]
    pub fn misfits(&self, schema: &CompiledSchema, dictionary: &Dictionary) -> Vec<Misfit> {
        let mut misfits = Vec::new();
        for (at, name) in self.granted_fields.iter().enumerate() {
            if !schema.top_level_fields().iter().any(|field| field.name == *name) {
                let message =
                    Text::new("cần: một trường ở tầng đầu của lược đồ", "expected a top-level field of the schema");
                misfits.push(Misfit { field: format!("granted_fields[{at}]"), message });
            }
        }
        for (at, (name, mask)) in self.masks.iter().enumerate() {
            if let Some(message) = schema.unfit_mask(name, *mask) {
                misfits.push(Misfit { field: format!("masks[{at}]"), message });
            }
        }
        let condition = self.condition(schema, dictionary).err().unwrap_or_default();
        misfits.extend(condition.into_iter().map(|message| Misfit { field: "row_condition".to_owned(), message }));
        misfits
    }

    /// How personal the most personal field is that it shows; one that a mask drops is not shown.
    #[must_use]
    pub fn most_sensitive(&self, schema: &CompiledSchema) -> Sensitivity {
        let is_dropped = |name: &String| self.masks.iter().any(|(field, mask)| field == name && *mask == Mask::Dropped);
        let shown = |name: &String| self.granted_fields.contains(name) && !is_dropped(name);
        let fields = schema.top_level_fields().iter().filter(|field| shown(&field.name));
        fields.map(|field| field.sensitivity).max().unwrap_or_default()
    }

    /// The view, with its [`condition`](Self::condition). `hash_key` makes the keyed hashes; it must be the agreement's own.
    /// Granted fields that no record has are passed over.
    #[must_use]
    pub fn view(&self, condition: Option<RowCondition>, hash_key: &[u8]) -> View {
        let mask_of = |name: &str| self.masks.iter().find(|(field, _)| field == name).map(|(_, mask)| *mask);
        let fields = self.granted_fields.iter().map(|name| (name.as_str(), mask_of(name)));
        let masking = Masking { key: hmac::Key::new(hmac::HMAC_SHA256, hash_key) };
        View { projection: Projection::new(fields, masking), condition }
    }

    /// Compiles the condition; none where the grant has none. It is of this schema: of records of another, it may withhold what
    /// it need not.
    ///
    /// # Errors
    ///
    /// What is wrong with it: nothing may be shown without it.
    pub fn condition(
        &self,
        schema: &CompiledSchema,
        dictionary: &Dictionary,
    ) -> Result<Option<RowCondition>, Vec<Text>> {
        if self.row_condition.is_empty() {
            return Ok(None);
        }
        let condition = schema.row_condition(self.row_condition, dictionary)?;
        let is_readable =
            |name: &str| self.granted_fields.iter().chain(self.key_fields).any(|readable| readable == name);
        let strange: Vec<Text> = condition
            .reads()
            .filter(|name| !is_readable(name))
            .map(|name| {
                Text::new(
                    format!("`{name}` không phải trường được cấp hay trường khóa"),
                    format!("`{name}` is neither a granted field nor a key field"),
                )
            })
            .collect();
        if strange.is_empty() { Ok(Some(condition)) } else { Err(strange) }
    }
}

impl View {
    /// Whether some records are withheld.
    #[must_use]
    pub fn has_condition(&self) -> bool {
        self.condition.is_some()
    }

    /// Whether anything is shown of a record.
    ///
    /// # Errors
    ///
    /// [`NotAnObject`].
    pub fn is_shown(&self, parser: &mut Parser, payload: &[u8]) -> Result<bool, NotAnObject> {
        let Some(condition) = &self.condition else { return Ok(true) };
        let document = parser.parse(payload).map_err(|_| NotAnObject)?;
        Ok(condition.holds(&document))
    }

    /// Appends what is shown of a record to `out`; false, and nothing appended, where the record is withheld.
    ///
    /// # Errors
    ///
    /// [`NotAnObject`]; `out` may then hold a part, which the caller discards.
    pub fn show(&self, parser: &mut Parser, payload: &[u8], out: &mut Vec<u8>) -> Result<bool, NotAnObject> {
        if !self.is_shown(parser, payload)? {
            return Ok(false);
        }
        self.projection.apply(payload, out)?;
        Ok(true)
    }
}
