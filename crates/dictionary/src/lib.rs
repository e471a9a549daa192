//! The data dictionary: what one field of a record may hold.
//!
//! The national data framework (QĐ 2439/QĐ-TTg, 4/11/2025) gives each data element a meaning, a type and rules. Its
//! list of elements is not public, so elements are data that operators load, never code. This crate turns their
//! definitions into values that can be checked quickly, and it says of a value only which rules it breaks.
//!
//! Pure: no I/O, no clock, no JSON. The schema registry binds the properties of a schema to elements and walks records.
//!
//! - [`element`]: definitions with the 25 attributes of the framework, parsed once into an [`Element`].
//! - [`words`], [`status`]: the closed word lists of definitions, and the life cycle.
//! - [`check`]: a scalar against an element, without allocation.
//! - [`code_list`]: codes with periods of validity, because communes were merged on 1/7/2025 and old records stay true;
//!   what followed what, what is part of what, and what a code is in another scheme.
//! - [`identifier`]: personal id, tax code and land parcel id, with the sources of their rules.
//! - [`pattern`]: patterns in linear time.
//! - [`dictionary`]: an immutable snapshot of all of it: inheritance, and which version judges which day.
//! - [`sharing`]: the lists that the purposes and legal bases of agreements are codes of.
//! - [`message`]: what a broken rule asks for, in Vietnamese and English, never with the value.

pub mod check;
pub mod code_list;
pub mod definition;
pub mod dictionary;
pub mod element;
pub mod format;
pub mod identifier;
pub mod message;
mod normal_form;
pub mod pattern;
pub mod sharing;
pub mod status;
pub mod words;

pub use check::{RuleSet, Scalar};
pub use code_list::{
    CodeDefinition, CodeList, CodeListDefinition, CodePairDefinition, CodeStatus, MappedCode, ValueMapDefinition,
};
pub use definition::DefinitionError;
pub use dictionary::Dictionary;
pub use element::{Element, ElementDefinition};
pub use pattern::Pattern;
pub use status::Binding;
pub use words::{
    ElementStatus, IdentifierRule, NormalisationCheck, NormalisationStep, RelationKind, ValueFormat, ValueType,
};
