//! A certificate that is revoked ends what is open under it, and opens nothing any more; nobody else notices.

use std::{fs, time::Duration};

use anyhow::{Context as _, ensure};
use ldop_client::Error;
use ldop_contract::{
    catalog::v1::{GetSystemRequest, System},
    control::v1::{Change, change::Resource},
};
use ldop_pki::Identity;
use ldop_tests::{
    Engine, World,
    load::Load,
    world::{AGREEMENT, CONSUMER, OTHER_AGREEMENT, OTHER_CONSUMER, PROVIDER, Settings},
};

use crate::agreements::{subscribe, until_caught_up, until_the_end};

fn certificate(world: &World, system: &str) -> anyhow::Result<std::path::PathBuf> {
    Ok(world.pki().client_files(&Identity::system(system)?).certificate)
}

async fn revoke_by_definition(world: &World, id: &str, fingerprints: Vec<String>) -> anyhow::Result<()> {
    let mut catalog = world.operator().await?.catalog();
    let found = catalog.get_system(GetSystemRequest { id: id.to_owned() }).await?.into_inner();
    let system = System { revoked_certificates: fingerprints, ..found.system.context("a system")? };
    world.apply(vec![Change { resource: Some(Resource::System(system)) }]).await?;
    Ok(())
}

fn is_refused(error: &Error) -> anyhow::Result<()> {
    ensure!(matches!(error, Error::Certificate { .. }), "{error:?}");
    Ok(())
}

async fn a_revoked_certificate_is_cut_off_and_others_go_on(engine: Engine) -> anyhow::Result<()> {
    let world = World::with(engine, &Settings { tls: "crl = \"pki/ca.crl\"".into(), ..Settings::default() }).await?;
    world.pki().revoke(&[], 30)?;
    let hub = world.start_with_samples().await?;
    Load::start(vec![world.client(PROVIDER)?], 200).done().await?;
    let mut going = subscribe(&world, CONSUMER, AGREEMENT)?;
    let mut staying = subscribe(&world, OTHER_CONSUMER, OTHER_AGREEMENT)?;
    until_caught_up(&mut going).await?;
    until_caught_up(&mut staying).await?;

    // By its authority's list, while nothing flows.
    world.pki().revoke(&[certificate(&world, CONSUMER)?], 30)?;
    let (_, error) = until_the_end(&mut going).await?;
    is_refused(&error)?;
    let load = Load::start(vec![world.client(PROVIDER)?], 200);
    until_caught_up(&mut staying).await?;
    load.done().await?;

    // By the definition of its system, while records flow.
    let pem = fs::read(certificate(&world, OTHER_CONSUMER)?)?;
    let fingerprint = ldop_pki::certificates(&pem, "its")?.remove(0).fingerprint;
    let load = Load::start(vec![world.client(PROVIDER)?], u64::MAX);
    revoke_by_definition(&world, OTHER_CONSUMER, vec![fingerprint]).await?;
    let (_, error) = until_the_end(&mut staying).await?;
    is_refused(&error)?;
    load.finish().await?;

    // Taken back, it goes on.
    revoke_by_definition(&world, OTHER_CONSUMER, Vec::new()).await?;
    until_caught_up(&mut subscribe(&world, OTHER_CONSUMER, OTHER_AGREEMENT)?).await?;
    let (_, metrics) = hub.get("/metrics").await?;
    let cut: u32 = ldop_tests::load::field(&metrics, "\nldop_connections_cut_off_total ", "\n").parse()?;
    ensure!(cut >= 2, "{cut} connections cut off");
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

ldop_tests::on_both_engines!(a_revoked_certificate_is_cut_off_and_others_go_on);
