//! The hub's doors: gRPC with mutual TLS for systems and operators, the schema registry over HTTPS, HTTP for those who
//! watch.
//!
//! - [`identity`]: who the peer is, from the URI SAN of its certificate.
//! - [`trust`]: whom the hub trusts, whatever changes meanwhile.
//! - [`listener`]: TLS handshakes, bounded in number and time.
//! - [`status`]: the one file where a [`Reason`](ldop_types::Reason) becomes a gRPC status with its details.
//! - [`services`]: exchange, registry, catalogue and control.
//! - [`rest`]: the registry's REST interface, for existing Kafka tools.
//! - [`ops`]: `/metrics`, `/livez`, `/readyz`.
//! - [`server`]: puts them together and drains them.
//!
//! It knows no Kafka and no SQL, and decides nothing about records: it turns messages into domain values, reporting all
//! bad fields at once, and verdicts into messages.

pub mod identity;
pub mod listener;
pub mod metrics;
pub mod ops;
pub mod rest;
pub mod server;
pub mod services;
pub mod status;
pub mod trust;

pub use identity::Identity;
pub use server::{Config, Gateway, StartError};
