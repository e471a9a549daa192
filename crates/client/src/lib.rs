//! What a department system embeds to exchange records with the hub.
//!
//! [`Client::connect`] opens a connection with mutual TLS. From there:
//!
//! - [`Client::publisher`] sends many records: it batches them, matches results to records, and after a lost connection
//!   sends everything that has no result again, in order and with the same exchange ids, so that each record has one
//!   effect. [`Client::publish_one`] sends one record and waits for its receipt.
//! - [`Client::subscriber`] receives the records an agreement grants and resumes where it acknowledged.
//! - [`Client::look_up`] asks for single records by key, [`Client::find`] for those that have a secondary key; [`Client::provider`]
//!   answers look-ups.
//! - [`Client::changes`] reads what was accepted since a position or a time, [`Client::export`] a whole dataset; both to an end.
//! - [`Client::get_exchange`], [`Client::status`], [`Client::apply_change_set`], [`Client::check_compatibility`] and the
//!   calls that read schemas and settings, and the generated clients of [`Client::registry`] and [`Client::catalog`] do
//!   the rest.
//!
//! Memory is bounded by configuration: when a window is full the caller waits. Nothing here prints a record.
//! What it does not do: keep records on disk. A record that has no receipt yet is the caller's to keep.

mod backoff;
mod calls;
mod config;
mod connection;
mod error;
mod find;
mod look_up;
mod publish;
mod serve;
mod subscribe;
mod tls;
mod transfer;

pub use backoff::Backoff;
pub use config::{ClientConfig, Pem, RetryPolicy};
pub use connection::Client;
pub use error::{CertificateFault, Error, HubError};
pub use find::Find;
pub use ldop_contract::exchange::v1::{
    DeliveredBatch, DeliveredRecord, ExportBatch, ExportFinished, ExportOpened, ExportSource, ExportedRecord,
    FieldViolation, FindResponse, FoundRecord, LocalizedText, LookUpAnswer, LookUpResponse, NotAnswered, NotFound,
    PartitionPosition, ReadChangesFinished, ReadChangesOpened, Receipt, Refusal, ServeOpened, look_up_answer,
};
pub use look_up::LookUp;
pub use publish::{NewRecord, Outcome, Outcomes, Publisher, PublisherConfig};
pub use serve::{Provider, Question, Reply, Served};
pub use subscribe::{Event, Opened, Start, Subscriber, SubscriberConfig};
pub use transfer::{Change, Changes, Export, Exported, Since};
