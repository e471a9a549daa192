//! Makes the records of the sample world: realistic, the same for the same seed, with errors planted in known places.
//!
//! The demo, the tests and the benchmarks feed on them. Names, ids, addresses and codes agree with each other the way
//! real ones do, bodies vary the way real ones do (a repeated body would flatter compression), and every planted error
//! says which rule of which field must be reported, so that an audit can compare. Nobody in them exists.
//!
//! - [`Dataset`] and [`records`]: endless flows of civil status events, land parcels and businesses.
//! - [`Sample`] and [`Planted`]: a record, when it happened, and what is wrong with it.
//! - [`communes`], [`commune_changes`], [`databases`]: the reference datasets, real data from `data/`.
//! - [`canary_record`] and [`CANARY_MARKERS`]: records with texts that must not turn up in any log.
//!
//! What the fields mean stands in `schemas/`; what is invented here stands in `docs/sample-data.md`. This crate knows
//! the words of the hub ([`ldop_types::Rule`]) but neither schemas nor transport; a test holds the two together.

mod businesses;
mod canary;
mod civil_status;
mod draft;
mod flow;
mod identifiers;
mod json;
mod land_parcels;
mod people;
mod places;
mod planting;
mod reference;
mod rng;
mod sample;
mod words;

pub use canary::{CANARY_MARKERS, canary_record};
pub use flow::{Records, record, records};
pub use reference::{REFERENCE_PROVIDER, commune_changes, communes, databases};
pub use sample::{Dataset, Planted, Sample};
