//! The catalogue as it stands after an event of the control log.

use std::{collections::BTreeMap, sync::Arc};

use ldop_types::{AgencyId, AgreementId, DatasetName, SystemId};

use crate::{Agency, Agreement, Dataset, System, life::State};

/// A resource with its version, from 1.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Versioned<T> {
    /// Version.
    pub version: u32,
    /// The resource.
    pub value: T,
}

type Table<K, V> = BTreeMap<K, Arc<Versioned<V>>>;

/// An immutable snapshot; a clone shares every resource.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Catalog {
    /// Agencies by id.
    pub agencies: Table<AgencyId, Agency>,
    /// Systems by id.
    pub systems: Table<SystemId, System>,
    /// Datasets by name.
    pub datasets: Table<DatasetName, Dataset>,
    /// Agreements in force, by id; also those that grant nothing, because they have ended or are suspended.
    pub agreements: Table<AgreementId, Agreement>,
    /// Agreements that are to take the place of one in force, or to be the first.
    pub waiting: Table<AgreementId, Agreement>,
    /// Where agreements stand: the one in force, or the one that waits where there is none. Without an entry it is live.
    pub states: BTreeMap<AgreementId, State>,
}
