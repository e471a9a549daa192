//! Infers a first draft of a schema from sample records: which fields there are, and which elements they could be.
//!
//! An element is proposed for its names - Vietnamese, English, technical, synonyms - and for the values that pass its
//! check. Values stay here: what is told are names of fields, counts and rules. A name that looks like a value, as where
//! an object is used as a map, is not told either.

mod names;
mod rank;
mod sample;

use std::path::Path;

use ldop_dictionary::{Dictionary, ValueType};
use ldop_types::{ElementId, Text};

use crate::{
    draft::{Members, Shape, render},
    reading::Problem,
};
use sample::{Field, Sample};

/// Most records that are read of a sample.
pub const MAX_RECORDS: usize = 10_000;
/// Most bytes that are read of a sample.
pub const MAX_BYTES: u64 = 64 << 20;
/// A field is bound to the best candidate from this score on, out of 100, unless another has the same.
pub const LEAST_TO_BIND: u32 = 60;

/// Form of a sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// One JSON object on each line.
    JsonLines,
    /// CSV with a header; `a.b` is a field within an object.
    Csv {
        /// Between values.
        delimiter: u8,
    },
}

/// What was inferred.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Inferred {
    /// Records read.
    pub records: usize,
    /// Fields, in the order they were met.
    pub fields: Vec<InferredField>,
    /// Names of members that are not told, because they are no names of fields.
    pub unnamed: usize,
    /// The draft, as indented JSON; fields without a fit element are not bound in it.
    pub schema: String,
}

/// A field that holds values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct InferredField {
    /// `full_name`, `head_office.commune_code`, `owners[].full_name`.
    pub path: String,
    /// JSON types met, `null` included.
    pub types: Vec<&'static str>,
    /// Objects that have it.
    pub present: usize,
    /// Objects that could.
    pub of: usize,
    /// The element it is bound to in the draft.
    pub bound: Option<ElementId>,
    /// Elements it could be, the best first; a few at most.
    pub candidates: Vec<Candidate>,
}

/// An element a field could be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The element.
    pub element: ElementId,
    /// How likely it is, out of 100.
    pub score: u32,
    /// Why.
    pub reason: Text,
}

/// Infers a draft from a file of records.
///
/// # Errors
///
/// What cannot be read, by line; never with a value.
pub fn infer(file: &Path, format: Format, title: &str, dictionary: &Dictionary) -> Result<Inferred, Vec<Problem>> {
    let sample = Sample::read(file, format, dictionary)?;
    let mut root = Members::default();
    let mut fields = Vec::new();
    for field in &sample.fields {
        let (present, of) = sample.presence(&field.path);
        let candidates = rank::candidates(field, dictionary);
        // Where several are as likely, choosing is for people.
        let second = candidates.get(1).map_or(0, |second| second.score);
        let best = candidates.first().filter(|best| best.score >= LEAST_TO_BIND && best.score > second);
        let bound = best.and_then(|best| dictionary.element(best.element.as_str()));
        let shape = bound.map_or(Shape::Unbound(value_type(field)), |element| Shape::Bound(element.clone()));
        // A field that is a value here and an object there stands as what it was first; its types tell.
        if root.insert(&field.path, shape).is_ok() && present == of {
            root.require(&field.path);
        }
        fields.push(InferredField {
            path: field.path.clone(),
            types: field.types(),
            present,
            of,
            bound: bound.map(|element| element.id().clone()),
            candidates,
        });
    }
    sample.whole_objects().for_each(|path| {
        root.require(path);
    });
    Ok(Inferred { records: sample.records, fields, unnamed: sample.unnamed, schema: render(title, &root) })
}

/// The type that takes every value that was met; text where there is no such.
fn value_type(field: &Field) -> ValueType {
    match field.types().iter().copied().filter(|word| *word != "null").collect::<Vec<_>>().as_slice() {
        ["boolean"] => ValueType::Boolean,
        ["integer"] => ValueType::Integer,
        ["number"] | ["integer", "number"] => ValueType::Number,
        _ => ValueType::String,
    }
}
