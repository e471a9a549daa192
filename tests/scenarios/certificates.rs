//! Who may not come in, and what they are told.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use ldop_client::Error;
use ldop_contract::{
    control::v1::{ApplyChangeSetRequest, GetStatusRequest, control_service_client::ControlServiceClient},
    exchange::v1::{GetExchangeRequest, PublishRequest, Record, Stage, exchange_service_client::ExchangeServiceClient},
};
use ldop_pki::{Authority, Credentials, DEVELOPMENT_TRUST_DOMAIN, Identity, Validity};
use ldop_tests::{
    Engine, World, load,
    world::{CONSUMER, DATASET, PROVIDER},
};
use ldop_types::ExchangeId;
use tonic::{Code, Status};
use tonic_types::StatusExt as _;

/// Publishes a valid record with these credentials.
async fn publish(world: &World, credentials: &Credentials, dataset: &str, stage: Stage) -> Result<(), Status> {
    let (_, payload, _) = load::record(0, 1);
    let exchange_id = ExchangeId::new().as_bytes().to_vec().into();
    let record = Some(Record { exchange_id, payload, event_time: None, deletion: false });
    let channel = world.channel(credentials).map_err(|error| Status::internal(error.to_string()))?;
    let request = PublishRequest { dataset: dataset.to_owned(), stage: stage.into(), record };
    ExchangeServiceClient::new(channel).publish(request).await.map(drop)
}

/// Whether a status is this refusal, with domain, both languages and a remedy.
fn is(status: &Status, code: Code, reason: &str) -> anyhow::Result<()> {
    let details = status.get_error_details();
    let info = details.error_info().with_context(|| format!("no ErrorInfo in {status:?}"))?;
    ensure!(
        status.code() == code && info.reason == reason,
        "{:?} {}, not {code:?} {reason}",
        status.code(),
        info.reason
    );
    ensure!(info.domain == "ldop" && info.metadata.contains_key("remedy"), "{info:?}");
    ensure!(details.localized_message().is_some_and(|message| message.locale == "vi"), "no Vietnamese message");
    Ok(())
}

#[tokio::test(flavor = "multi_thread")]
async fn each_certificate_opens_its_own_door_only() -> anyhow::Result<()> {
    let world = World::new(Engine::Embedded).await?;
    let hub = world.start_with_samples().await?;
    let authority = world.pki().authority()?;
    let days = Validity::days(1);
    let provider = Identity::system(PROVIDER)?;
    let try_it = async |credentials: &Credentials, dataset: &str, stage| {
        publish(&world, credentials, dataset, stage).await.err().context("it was accepted")
    };

    publish(&world, &world.credentials(PROVIDER)?, DATASET, Stage::Live).await?;

    // TLS keeps these out before any call.
    let other = Authority::create("Another authority", days)?;
    let foreign = other.issue_client(&provider, DEVELOPMENT_TRUST_DOMAIN, days)?;
    let expired =
        authority.issue_client(&provider, DEVELOPMENT_TRUST_DOMAIN, Validity::expired(Duration::from_secs(60)))?;
    for credentials in [foreign, expired] {
        let status = try_it(&credentials, DATASET, Stage::Live).await?;
        let said = Error::from(status);
        ensure!(said.is_unreachable(), "{said}");
    }

    // These may connect, and are told what is missing.
    let nameless = authority.issue_client_with_uris("nobody", &[], days)?;
    let double = authority.issue_client_with_uris(
        "two",
        &[provider.uri(DEVELOPMENT_TRUST_DOMAIN), Identity::system(CONSUMER)?.uri(DEVELOPMENT_TRUST_DOMAIN)],
        days,
    )?;
    let elsewhere = authority.issue_client(&provider, "other.example", days)?;
    for credentials in [nameless, double, elsewhere] {
        let status = try_it(&credentials, DATASET, Stage::Live).await?;
        is(&status, Code::Unauthenticated, "CERTIFICATE_WITHOUT_IDENTITY")?;
    }
    let unknown = authority.issue_client(&Identity::system("so-tu-phap/nobody")?, DEVELOPMENT_TRUST_DOMAIN, days)?;
    let status = try_it(&unknown, DATASET, Stage::Live).await?;
    is(&status, Code::Unauthenticated, "SYSTEM_UNKNOWN")?;
    let asked = GetExchangeRequest {
        exchange_id: ExchangeId::new().as_bytes().to_vec().into(),
        dataset: DATASET.to_owned(),
        stage: Stage::Live.into(),
    };
    let status = ExchangeServiceClient::new(world.channel(&unknown)?).get_exchange(asked).await.err();
    is(&status.context("an answer for nobody")?, Code::Unauthenticated, "SYSTEM_UNKNOWN")?;

    // An operator provides nothing, a consumer neither, and nobody in a stage or for a dataset that is not theirs.
    let status = try_it(&world.operator_credentials()?, DATASET, Stage::Live).await?;
    is(&status, Code::Unauthenticated, "SYSTEM_UNKNOWN")?;
    let status = try_it(&world.credentials(CONSUMER)?, DATASET, Stage::Live).await?;
    is(&status, Code::PermissionDenied, "NOT_A_PROVIDER")?;
    let status = try_it(&world.credentials(PROVIDER)?, "land-parcels", Stage::Live).await?;
    is(&status, Code::PermissionDenied, "NOT_A_PROVIDER")?;
    let status = try_it(&world.credentials(PROVIDER)?, "no-such-dataset", Stage::Live).await?;
    is(&status, Code::NotFound, "DATASET_UNKNOWN")?;

    // A system changes no definitions.
    let change = ApplyChangeSetRequest { change_id: ExchangeId::new().as_bytes().to_vec(), ..Default::default() };
    let mut control = ControlServiceClient::new(world.channel(&world.credentials(PROVIDER)?)?);
    let status = control.apply_change_set(change).await.err().context("a system changed definitions")?;
    is(&status, Code::PermissionDenied, "NOT_AN_OPERATOR")?;
    let mut control = ControlServiceClient::new(world.channel(&world.operator_credentials()?)?);
    control.get_status(GetStatusRequest {}).await?;

    // Those kept out by TLS are counted.
    let (_, metrics) = hub.get("/metrics").await?;
    let counted = load::field(&metrics, "ldop_connections_refused_total{cause=\"tls\"} ", "\n");
    ensure!(counted.parse::<u32>()? >= 2, "{counted} connections refused by TLS");
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}
