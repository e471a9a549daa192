//! Transfers: what an agreement grants of a dataset, in bulk and to an end. Changes since a position or a time ([`changes`]),
//! and a whole dataset at a position ([`export`]).
//!
//! The way of a call:
//! 1. The agreement is held against the caller for the mode `changes` or `export`, and it is found out from where to where.
//! 2. `account`: that it was asked for is made durable on `ldop.exchanges`. **Nothing leaves before.**
//! 3. Messages are cut while the caller takes them, each under an agreement that still stands, through the view that
//!    every [exit](crate::exit) shares. What is behind the end the log or the copy had when the call began is not in it.
//! 4. When it is over, however it ended, the account says so: records, their salted hash, the outcome.
//!
//! The hub keeps nothing between calls. Changes go on from positions, an export from a token (`token`) that says what of it
//! the caller has.

mod account;
pub mod changes;
pub mod export;
mod token;

use std::sync::Arc;

use ldop_catalog::{Agreement, state::Versioned};
use ldop_log::Offset;
use ldop_types::ExchangeId;

pub(crate) use self::export::MOST_READERS;
use crate::header::Salt;

/// What a caller is told of a transfer at first.
#[derive(Debug, Clone, PartialEq)]
pub struct Opened {
    /// The exchange it is accounted for under.
    pub exchange_id: ExchangeId,
    /// The agreement.
    pub agreement: Arc<Versioned<Agreement>>,
    /// What the commitment of the event is salted with.
    pub salt: Salt,
    /// Where each partition starts; none where a current copy is read.
    pub positions: Vec<(u32, Offset)>,
    /// Where each partition ends.
    pub ends: Vec<(u32, Offset)>,
}

/// What was given in all.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Given {
    /// Records.
    pub records: u64,
    /// SHA-256 over, for each record in order, its length as 8 bytes, big endian, and its payload.
    pub hash: [u8; 32],
}
