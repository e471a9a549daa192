//! The contract with callers, and the stored forms: code generated from `proto/`.
//!
//! One module for each versioned package. Nothing here is edited by hand; what a field means stands in the `.proto`.
//! Conversions that more than one crate needs are in [`convert`].

#![allow(
    rustdoc::invalid_html_tags,
    clippy::all,
    clippy::unwrap_used,
    missing_docs,
    unused_qualifications,
    reason = "generated code"
)]

pub mod convert;

/// Packages of `ldop.exchange`.
pub mod exchange {
    /// `ldop.exchange.v1`
    pub mod v1 {
        tonic::include_proto!("ldop.exchange.v1");
    }
}

/// Packages of `ldop.registry`.
pub mod registry {
    /// `ldop.registry.v1`
    pub mod v1 {
        tonic::include_proto!("ldop.registry.v1");
    }
}

/// Packages of `ldop.catalog`.
pub mod catalog {
    /// `ldop.catalog.v1`
    pub mod v1 {
        tonic::include_proto!("ldop.catalog.v1");
    }
}

/// Packages of `ldop.control`.
pub mod control {
    /// `ldop.control.v1`
    pub mod v1 {
        tonic::include_proto!("ldop.control.v1");
    }
}

/// Packages of `ldop.record`.
pub mod record {
    /// `ldop.record.v1`
    pub mod v1 {
        tonic::include_proto!("ldop.record.v1");
    }
}

/// The descriptors of all packages, for server reflection.
pub const FILE_DESCRIPTOR_SET: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/ldop_descriptor.bin"));
