//! Who takes part, what is shared, and by which right.
//!
//! - [`definition`]: agencies, systems, datasets and agreements as checked values.
//! - [`quotas`]: how often, how much and at which hours an agreement grants it.
//! - [`life`]: where an agreement stands, and who has to agree.
//! - [`roles`]: what people may do, one table.
//! - [`state`]: the [`Catalog`], an immutable snapshot that is cheap to share, and its decisions.
//!
//! Pure: no clock (the caller passes the time), no transport, no storage. It decides who may provide and who may
//! consume which fields; it knows nothing of what the fields hold.

pub mod definition;
pub mod life;
pub mod quotas;
pub mod roles;
pub mod state;

pub use definition::{
    Agency, AgencyDefinition, Agreement, AgreementDefinition, CurrentCopyDefinition, Dataset, DatasetDefinition,
    DefinitionError, LookUpSource, MaskDefinition, Mode, System, SystemDefinition, WireFormat,
};
pub use quotas::{Quotas, QuotasDefinition};
pub use state::Catalog;
