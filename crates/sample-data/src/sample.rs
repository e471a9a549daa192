//! A record of the sample world.

use std::fmt;

use bytes::Bytes;
use ldop_types::{Rule, TimestampMs};

/// A dataset that flows. Ids are those of `schemas/catalog`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Dataset {
    /// Births, marriages and deaths.
    CivilStatus,
    /// Land parcels.
    LandParcels,
    /// Enterprises, branches and business households.
    Businesses,
}

impl Dataset {
    /// All three.
    pub const ALL: [Self; 3] = [Self::CivilStatus, Self::LandParcels, Self::Businesses];

    /// The dataset's id.
    #[must_use]
    pub const fn id(self) -> &'static str {
        match self {
            Self::CivilStatus => "civil-status",
            Self::LandParcels => "land-parcels",
            Self::Businesses => "businesses",
        }
    }

    /// The dataset of an id.
    #[must_use]
    pub fn parse(id: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|dataset| dataset.id() == id)
    }

    /// Name of its schema.
    #[must_use]
    pub const fn schema(self) -> &'static str {
        match self {
            Self::CivilStatus => "civil-status",
            Self::LandParcels => "land-parcel",
            Self::Businesses => "business",
        }
    }

    /// The system that provides it.
    #[must_use]
    pub const fn provider(self) -> &'static str {
        match self {
            Self::CivilStatus => "so-tu-phap/ho-tich",
            Self::LandParcels => "so-nnmt/dat-dai",
            Self::Businesses => "so-tai-chinh/dkkd",
        }
    }

    /// The field that makes the record key.
    #[must_use]
    pub const fn key_field(self) -> &'static str {
        match self {
            Self::CivilStatus => "register_no",
            Self::LandParcels => "parcel_id",
            Self::Businesses => "tax_id",
        }
    }
}

/// A record to publish. `Debug` shows no part of the payload, as everywhere in the hub.
#[derive(Clone, PartialEq, Eq)]
pub struct Sample {
    /// Id of its dataset.
    pub dataset: &'static str,
    /// JSON text; with an error planted perhaps neither JSON nor UTF-8.
    pub payload: Bytes,
    /// When it happened: the source wrote it then, and its codes must be in force that day.
    pub event_time: TimestampMs,
    /// What is wrong with it. Absent: nothing, it must be accepted without findings.
    pub planted: Option<Planted>,
}

impl fmt::Debug for Sample {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sample")
            .field("dataset", &self.dataset)
            .field("payload", &format_args!("{} bytes", self.payload.len()))
            .field("event_time", &self.event_time)
            .field("planted", &self.planted)
            .finish()
    }
}

/// The one finding that must be reported for a record.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Planted {
    /// RFC 6901 pointer of the finding.
    pub pointer: &'static str,
    /// Its rule.
    pub rule: Rule,
}
