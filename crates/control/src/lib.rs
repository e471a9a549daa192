//! Registry and catalogue as a deterministic replay of one ordered log, `_ldop.control`.
//!
//! - [`chain`]: the stored events, their hash chain, and what makes an event count.
//! - [`state`]: the state after an event, an immutable snapshot; applying an event checks nothing and makes nothing.
//! - [`check`]: whether a change set may be applied to a state, with every finding at once.
//! - [`agreements`]: the life of agreements; `authority`: who may change what.
//! - [`schemas`]: schemas, their settings and their life, from and to the wire.
//! - [`impact`]: what a change of a code list touches, told before it is made.
//! - [`control`]: [`Control`], which replays, follows and extends the log.
//! - [`mod@file`]: files beside the log, written whole or not at all.
//! - `snapshot`: the state beside the log, so that a start replays what is new only.
//!
//! **No id is given twice, no acknowledged change is lost, every node holds the same state.** A change is appended
//! "based on" the hash of the last event its writer had applied. Whoever reads the log applies an event only when it
//! is based on the event before it, so of two writers who raced one has won, for every reader alike. A chain that is
//! broken otherwise (truncated, restored short, altered, or written by a newer release) stops the node.
//!
//! What it does not do: it serves nobody, and it knows no record.

pub mod agreements;
mod authority;
pub mod chain;
pub mod check;
pub mod control;
mod convert;
pub mod file;
pub mod impact;
mod life_cycle;
pub mod schemas;
mod snapshot;
pub mod state;

pub use agreements::{Approvals, Rules};
pub use check::{Problem, Refused, agreement_of, grant_of};
pub use control::{Control, ControlError, Options};
pub use impact::Impact;
pub use state::{ControlState, InUse, LazySchema, Level};
