//! Look-ups answered by the hub's current copy: 100 callers that each wait for the answer, and a bare tonic echo of the
//! same sizes. The asking is durable before the answer leaves, so the disk has its part in it.

use std::{
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::ensure;
use bytes::Bytes;
use ldop_client::{Client, LookUp, look_up_answer::Outcome};
use ldop_contract::{
    catalog::v1 as catalog,
    control::v1::{Change, change::Resource},
    exchange::v1::Stage as WireStage,
    registry::v1::Schema,
};
use ldop_sample_data::Dataset;
use ldop_types::{AgreementId, DatasetName, ExchangeId, Stage};

use crate::{
    settings::Settings,
    single::{self, Echo},
    table::{Row, median, rate},
    world::{Hub, READER, World},
};

const DATASET: &str = "notes";
/// The agreement of [`READER`].
pub const AGREEMENT: &str = "notes-to-reader";
const RECORDS: usize = 2_000;
/// Bytes of a record as it is shown, about: the echo answers as many.
pub const SHOWN: usize = 400;
/// Fields of a record; the last is not granted.
const FIELDS: usize = 9;
const SOON: Duration = Duration::from_secs(30);

/// Rounds of hub and echo by turns.
///
/// # Errors
///
/// The hub or a call fails.
pub async fn measure(
    settings: &Settings,
    dir: &Path,
    program: PathBuf,
    definitions: &[Change],
) -> anyhow::Result<Vec<Row>> {
    let world = World::make(&program, dir, None)?;
    let hub = Hub::start(&world)?;
    world.apply(definitions.to_vec()).await?;
    let clients = [ready(&world).await?];
    let echo = Echo::start(&world)?;
    let bare = [world.client(READER, Some(&echo.address)).await?];
    let time = Duration::from_secs(if settings.long { 8 } else { 3 });
    let (mut rates, mut bare_rates, mut ratios) = (vec![], vec![], vec![]);
    for round in 0..=settings.rounds() {
        let ours = single::callers(&clients, time, ask).await?;
        let theirs = single::callers(&bare, time, ask).await?;
        eprintln!(
            "round {round}: look-up {} p99 {:.1} ms, echo {} p99 {:.1} ms, ratio {:.2}",
            rate(ours.rate),
            ours.p99_ms,
            rate(theirs.rate),
            theirs.p99_ms,
            ours.rate / theirs.rate
        );
        // The first warms both up.
        if round > 0 {
            ratios.push(ours.rate / theirs.rate);
            rates.push(ours.rate);
            bare_rates.push(theirs.rate);
        }
    }
    hub.stop()?;
    let row = Row::new(format!("look-up by the current copy, {} callers", single::CALLERS), rate(median(rates)));
    let against = format!("tonic mTLS echo {}", rate(median(bare_rates)));
    Ok(vec![row.against(against).at_least(median(ratios), 0.5)])
}

/// Makes a hub ready to be asked; gives the connection of who asks.
///
/// # Errors
///
/// The hub refuses something, or its copy does not answer.
pub async fn ready(world: &World) -> anyhow::Result<Client> {
    world.apply(notes()).await?;
    publish(&world.client(Dataset::CivilStatus.provider(), None).await?).await?;
    let client = world.client(READER, None).await?;
    until_it_answers(&client).await?;
    Ok(client)
}

/// A dataset without personal data, with a current copy, and an agreement to look it up.
pub fn notes() -> Vec<Change> {
    let property = |at: usize| {
        format!(r#""field_{at}": {{"type": "string", "maxLength": 60, "x-ldop-element": "reference.remark"}}"#)
    };
    let properties: Vec<String> = (0..FIELDS).map(property).collect();
    let text = format!(
        r#"{{"type": "object", "additionalProperties": false, "required": ["field_0"], "properties": {{{}}}}}"#,
        properties.join(", ")
    );
    let schema = Schema { name: DATASET.into(), text, ..Default::default() };
    let provider = Dataset::CivilStatus.provider();
    let agency = provider.split('/').next().unwrap_or_default();
    let dataset = catalog::Dataset {
        id: DATASET.into(),
        name_vi: "Ghi chú".into(),
        owning_agency: agency.into(),
        schema: DATASET.into(),
        key_fields: vec!["field_0".into()],
        providers: vec![catalog::Provider { system: provider.into(), stage: WireStage::Live.into() }],
        partitions: 1,
        current_copy: Some(catalog::CurrentCopy::default()),
        ..Default::default()
    };
    let agreement = catalog::Agreement {
        id: AGREEMENT.into(),
        provider: agency.into(),
        consumer: READER.into(),
        dataset: DATASET.into(),
        stage: WireStage::Live.into(),
        purpose_vi: "Đo".into(),
        purpose: "reference-data".into(),
        legal_bases: vec!["decree-278-2025".into()],
        granted_fields: (0..FIELDS - 1).map(|at| format!("field_{at}")).collect(),
        modes: vec![catalog::Mode::LookUp.into()],
        ..Default::default()
    };
    let resources = [Resource::Schema(schema), Resource::Dataset(dataset), Resource::Agreement(agreement)];
    resources.map(|resource| Change { resource: Some(resource) }).to_vec()
}

/// Publishes the records of it.
///
/// # Errors
///
/// One is refused.
pub async fn publish(provider: &Client) -> anyhow::Result<()> {
    let dataset = DatasetName::parse(DATASET)?;
    for number in 0..RECORDS {
        let text = |at: usize| {
            if at == 0 { id(number) } else { format!("ghi chú {at} của bản ghi {number:05}, dài hơn") }
        };
        let members = (0..FIELDS).map(|at| (format!("field_{at}"), text(at).into()));
        let record = serde_json::Value::Object(members.collect());
        let payload = Bytes::from(serde_json::to_vec(&record)?);
        provider.publish_one(&dataset, Stage::Live, ExchangeId::new(), payload, None).await?;
    }
    Ok(())
}

fn id(number: usize) -> String {
    format!("note-{number:06}")
}

/// A question under an agreement.
///
/// # Errors
///
/// It is no name of an agreement.
pub fn question_under(agreement: &str, number: usize) -> anyhow::Result<LookUp> {
    let key = format!(r#"{{"field_0":"{}"}}"#, id(number % RECORDS));
    Ok(LookUp::new(AgreementId::parse(agreement)?, vec![key.into()]))
}

fn question(number: usize) -> anyhow::Result<LookUp> {
    question_under(AGREEMENT, number)
}

/// Looks one record up.
///
/// # Errors
///
/// It is not found.
pub async fn ask(client: Client, caller: usize, nth: usize) -> anyhow::Result<()> {
    let response = client.look_up(question(nth * single::CALLERS + caller)?).await?;
    ensure!(matches!(response.answers[0].outcome, Some(Outcome::Found(_))), "not found");
    Ok(())
}

/// Waits until the copy has all records, and tells how long one is as it is shown.
///
/// # Errors
///
/// It does not answer.
pub async fn until_it_answers(client: &Client) -> anyhow::Result<()> {
    let started = Instant::now();
    loop {
        let answered = client.look_up(question(RECORDS - 1)?).await;
        if let Ok(response) = &answered
            && let Some(Outcome::Found(found)) = &response.answers[0].outcome
        {
            eprintln!("a record of {} bytes is shown", found.payload.len());
            return Ok(());
        }
        ensure!(started.elapsed() < SOON, "the copy does not answer: {answered:?}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
