//! Identifiers a program can check, each with the source of its rule.

mod land_parcel;
mod personal_id;
mod tax_id;

pub use land_parcel::is_land_parcel_id;
pub use personal_id::{PREFIX_LIST, PersonalId, Sex};
pub use tax_id::{TaxIdError, check_tax_id};
