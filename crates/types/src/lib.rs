//! The words every crate of the hub speaks in: ids, stages, sensitivities, bilingual texts, findings and reasons.
//!
//! Each id is parsed once, at the edge, into a type that cannot hold anything else; past that line nothing checks it
//! again. This crate does no I/O, knows no transport and no storage, and depends on next to nothing.
//!
//! - [`id`]: names and ids, each with its alphabet and length.
//! - [`exchange_id`]: the UUIDv7 a caller gives each record.
//! - [`text`]: a text in Vietnamese and English.
//! - [`finding`]: what is wrong with a field, without ever holding the value.
//! - [`reason`]: the closed list of reasons a caller can be refused for. Public API.
//! - [`role`]: who people are to the hub.
//! - [`stage`], [`sensitivity`], [`mask`], [`time`]: small closed types.

pub mod exchange_id;
pub mod finding;
pub mod id;
pub mod mask;
pub mod reason;
pub mod role;
pub mod sensitivity;
pub mod stage;
pub mod text;
pub mod time;

pub use exchange_id::ExchangeId;
pub use finding::{Finding, Rule};
pub use id::{
    AgencyId, AgreementId, CodeListId, DatasetName, ElementId, IdError, SchemaName, SubjectName, SubscriptionName,
    SystemId,
};
pub use mask::Mask;
pub use reason::{Fault, Reason};
pub use role::{Person, Role};
pub use sensitivity::Sensitivity;
pub use stage::Stage;
pub use text::Text;
pub use time::{Date, TimestampMs};
