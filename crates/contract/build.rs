//! Generates the contract from `proto/` with protox, so that no protoc has to be installed.

#![expect(clippy::disallowed_methods, reason = "cargo speaks to build scripts through the environment")]

use std::{env, fs, path::PathBuf};

use prost::Message as _;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let proto = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("../../proto");
    let files = [
        "ldop/exchange/v1/exchange_service.proto",
        "ldop/registry/v1/registry_service.proto",
        "ldop/catalog/v1/catalog_service.proto",
        "ldop/control/v1/control_service.proto",
        "ldop/control/v1/events.proto",
        "ldop/control/v1/report.proto",
        "ldop/control/v1/snapshot.proto",
        "ldop/record/v1/record.proto",
    ];
    println!("cargo::rerun-if-changed={}", proto.display());
    let set = protox::compile(files, [&proto])?;
    let out = PathBuf::from(env::var("OUT_DIR")?);
    fs::write(out.join("ldop_descriptor.bin"), set.encode_to_vec())?;
    tonic_prost_build::configure()
        // Payloads and ids stay slices of the received frame.
        .bytes(".ldop.exchange.v1")
        .bytes(".ldop.record.v1")
        .compile_fds(set)?;
    Ok(())
}
