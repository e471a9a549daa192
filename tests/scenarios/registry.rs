//! The registry's REST interface: every path and error code, and the Confluent client for Python through a broker.

use std::{fs, os::unix::fs::PermissionsExt as _, path::Path, time::Duration};

use anyhow::{Context as _, ensure};
use ldop_pki::Identity;
use ldop_tests::{
    Engine, World,
    world::{PROVIDER, Settings},
};
use sha2::{Digest as _, Sha256};
use tokio::process::Command;

const SECRET: &str = "a-secret-of-a-test-only-0123456789";

/// A world whose registry knows a client by name and secret.
pub async fn world(engine: Engine) -> anyhow::Result<World> {
    let more = "[registry]\ncredentials = \"credentials.toml\"".to_owned();
    let world = World::with(engine, &Settings { more, ..Settings::default() }).await?;
    let digest: String = Sha256::digest(SECRET.as_bytes()).iter().map(|byte| format!("{byte:02x}")).collect();
    let credential =
        format!("[[credential]]\nname = \"connect\"\noperator = \"so-khcn/connect\"\nsecret_sha256 = \"{digest}\"\n");
    let file = world.folder().join("credentials.toml");
    fs::write(&file, credential)?;
    fs::set_permissions(&file, fs::Permissions::from_mode(0o600))?;
    Ok(world)
}

/// Runs a script of tests/registry against the hub of such a world. Gives what it printed; tells it when it fails.
pub async fn script(world: &World, script: &str, arguments: &[&str]) -> anyhow::Result<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let (operator, system) = (world.operator_files()?, world.pki().client_files(&Identity::system(PROVIDER)?));
    let mut command = Command::new(root.join("target/tools/python/bin/python"));
    command.arg(root.join("tests/registry").join(script)).args(["--registry", world.registry()]);
    command.arg("--ca").arg(world.pki().authority_files().certificate);
    command.arg("--cert").arg(&operator.certificate).arg("--key").arg(&operator.key);
    command.arg("--system-cert").arg(&system.certificate).arg("--system-key").arg(&system.key);
    command.arg("--basic").arg(format!("connect:{SECRET}"));
    if let Some(broker) = world.broker() {
        command.arg("--bootstrap").arg(broker.address());
    }
    command.args(arguments).env("PYTHONDONTWRITEBYTECODE", "1").kill_on_drop(true);
    let ended = tokio::time::timeout(Duration::from_secs(120), command.output()).await;
    let ended = ended.context("the script did not end")?.context("Python, which tests/setup.sh fetches")?;
    let told = || format!("{}{}", String::from_utf8_lossy(&ended.stdout), String::from_utf8_lossy(&ended.stderr));
    ensure!(ended.status.success(), "{script}:\n{}", told());
    let log = fs::read_to_string(world.log_file())?;
    ensure!(!log.contains(SECRET), "the secret stands in the log");
    Ok(String::from_utf8(ended.stdout)?)
}

async fn run(name: &str, engine: Engine) -> anyhow::Result<()> {
    let world = world(engine).await?;
    let hub = world.start_with_samples().await?;
    script(&world, name, &[]).await?;
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_path_answers_with_its_codes() -> anyhow::Result<()> {
    run("rest.py", Engine::Embedded).await
}

#[cfg(feature = "kafka-tests")]
#[tokio::test(flavor = "multi_thread")]
async fn the_confluent_client_works_unchanged_through_a_broker() -> anyhow::Result<()> {
    run("serdes.py", Engine::Kafka).await
}
