//! Decides whether a record fits a schema version and the dictionary.
//!
//! Pure: never fetches a `$ref`, never touches a clock, does no I/O. The dictionary says what one value may be; a schema
//! says how values make a record. The hub asks both of every record, once, and answers with everything that is wrong.
//!
//! - [`document`]: a strict parser whose result borrows the record, and the record's key.
//! - [`schema`]: JSON Schema 2020-12, 2019-09 or draft-07, with every property bound to a dictionary element.
//! - [`registry`]: subjects, versions and ids of what has been registered.
//! - [`compatibility`]: whether a version of a schema may follow another, proven or refused, with every difference.
//! - [`outcome`]: findings and warnings; never a value of the record, nor a name the schema does not have.
//!
//! What it does not do: know who sends, or change the record. Nothing is normalised.
//!
//! ```
//! use ldop_dictionary::{Dictionary, Element, ElementDefinition};
//! use ldop_schema_registry::{CompiledSchema, Outcome, Parser};
//! use ldop_types::Date;
//!
//! let tax_code = Element::new(ElementDefinition {
//!     id: "business.tax-code".into(),
//!     name_vi: "Mã số thuế".into(),
//!     value_type: "string".into(),
//!     identifier: "tax_id".into(),
//!     sensitivity: "none".into(),
//!     ..ElementDefinition::default()
//! })
//! .expect("a good definition");
//! let dictionary = Dictionary::default().with_changes([tax_code], []).expect("holds together");
//! let text = r#"{"type": "object", "required": ["tax_code"],
//!     "properties": {"tax_code": {"type": "string", "x-ldop-element": "business.tax-code"}}}"#;
//! let schema = CompiledSchema::compile(text, &dictionary).expect("a good schema");
//!
//! let (mut parser, mut outcome) = (Parser::default(), Outcome::default());
//! let document = parser.parse(br#"{"tax_code": "0100233480"}"#).expect("well-formed");
//! let on = Date::parse("2026-07-01").expect("a day");
//! assert!(!schema.check(&document, on, &mut outcome));
//! assert_eq!(outcome.findings[0].pointer, "/tax_code");
//! assert_eq!(outcome.findings[0].rule.as_str(), "CHECK_DIGIT");
//! ```

pub mod compatibility;
pub mod document;
mod json;
pub mod outcome;
mod pointer;
pub mod registry;
pub mod schema;
pub mod view;

pub use compatibility::{CompatibilityMode, CompatibilityPolicy, SchemaTree};
pub use document::{Document, Limits, Parser};
pub use outcome::Outcome;
pub use registry::Registry;
pub use schema::{CompiledSchema, Finder, RowCondition, SchemaFinding, SchemaRule, TopLevelField};
pub use view::{Grant, View};
