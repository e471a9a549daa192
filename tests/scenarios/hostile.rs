//! Records and messages as no provider should send them. Each gets its own error; the stream goes on.

use std::time::Duration;

use anyhow::{Context as _, ensure};
use bytes::Bytes;
use ldop_contract::exchange::v1::{
    Ack, PublishOpen, PublishRequest, PublishResult, PublishStreamRequest, Record, RecordBatch, Stage, SubscribeOpen,
    SubscribeRequest, exchange_service_client::ExchangeServiceClient, publish_result::Outcome, publish_stream_request,
    subscribe_request,
};
use ldop_tests::{
    Engine, Hub, World, load,
    world::{CONSUMER, DATASET, PROVIDER},
};
use ldop_types::{ExchangeId, TimestampMs};
use tokio::sync::mpsc;
use tokio_stream::wrappers::ReceiverStream;
use tonic::{Code, Request, Status, Streaming, transport::Channel};
use tonic_types::StatusExt as _;

fn exchange_id() -> Bytes {
    Bytes::copy_from_slice(ExchangeId::new().as_bytes())
}

fn record(payload: impl Into<Bytes>) -> Record {
    Record { exchange_id: exchange_id(), payload: payload.into(), event_time: None, deletion: false }
}

fn good() -> Record {
    record(load::record(7, 1).1)
}

/// The good record with something put in the place of its first revision.
fn with(member: &str) -> Bytes {
    let (_, payload, _) = load::record(7, 1);
    let text = String::from_utf8_lossy(&payload).into_owned();
    Bytes::from(text.replacen("\"revision\":1,", &format!("{member},"), 1))
}

/// Payloads, with the rule or reason each is refused for.
fn hostile() -> Vec<(&'static str, Bytes, &'static str)> {
    let (_, payload, _) = load::record(7, 1);
    let mut torn = payload.to_vec();
    torn.truncate(payload.len() / 2);
    let mut invalid_utf8 = payload.to_vec();
    let at = payload.len() - 20;
    invalid_utf8.splice(at..at, [0xC3, 0x28]);
    let nested = format!("{{\"register_no\":{}{}}}", "[".repeat(10_000), "]".repeat(10_000));
    let nested_objects = format!("{}1{}", "{\"a\":".repeat(10_000), "}".repeat(10_000));
    let mut bom = b"\xEF\xBB\xBF".to_vec();
    bom.extend_from_slice(&payload);
    vec![
        ("no bytes", Bytes::new(), "SYNTAX"),
        ("blanks", Bytes::from_static(b" \n\t "), "SYNTAX"),
        ("an empty object", Bytes::from_static(b"{}"), "REQUIRED"),
        ("10 MiB", Bytes::from(format!("{{\"note\":\"{}\"}}", "a".repeat(10 << 20))), "RECORD_TOO_LARGE"),
        ("10,000 arrays deep", Bytes::from(nested), "TOO_DEEP"),
        ("10,000 objects deep", Bytes::from(nested_objects), "TOO_DEEP"),
        ("10,000 open brackets", Bytes::from("[".repeat(10_000)), ""),
        ("a key twice", with("\"revision\":1,\"revision\":1"), "DUPLICATE_KEY"),
        ("a key twice, once escaped", with("\"revision\":1,\"revisio\\u006e\":1"), "DUPLICATE_KEY"),
        ("invalid UTF-8", Bytes::from(invalid_utf8), "SYNTAX"),
        ("half a record", Bytes::from(torn), "SYNTAX"),
        ("a byte order mark", Bytes::from(bom), "SYNTAX"),
        ("a huge number", with(&format!("\"revision\":{}", "9".repeat(400))), ""),
        ("a huge number of digits", with(&format!("\"revision\":1.{}1", "0".repeat(5_000))), "TYPE"),
        ("1e400", with("\"revision\":1e400"), ""),
        ("-1e400", with("\"revision\":-1e400"), ""),
        ("NaN", with("\"revision\":NaN"), "SYNTAX"),
        ("a lone surrogate", with("\"revision\":1,\"note\":\"\\ud800\""), "SYNTAX"),
        ("a lone low surrogate", with("\"revision\":1,\"note\":\"\\udc00\\ud800\""), "SYNTAX"),
        ("a lone surrogate in a key", with("\"revision\":1,\"\\udfff\":1"), "SYNTAX"),
        ("a control character", with("\"revision\":1,\"note\":\"\u{1}\""), "SYNTAX"),
        ("an array", Bytes::from_static(b"[]"), ""),
        ("a string", Bytes::from_static(b"\"x\""), ""),
        ("null", Bytes::from_static(b"null"), ""),
        ("two objects", Bytes::from_static(b"{}{}"), "SYNTAX"),
        ("a comment", Bytes::from_static(b"{/**/}"), "SYNTAX"),
        ("a trailing comma", Bytes::from_static(b"{\"a\":1,}"), "SYNTAX"),
        ("only NUL", Bytes::from_static(b"\0\0\0\0"), "SYNTAX"),
    ]
}

struct Stream {
    requests: mpsc::Sender<PublishStreamRequest>,
    results: Streaming<ldop_contract::exchange::v1::PublishStreamResponse>,
    next: u64,
}

impl Stream {
    async fn open(channel: &Channel) -> anyhow::Result<Self> {
        let open = PublishOpen { dataset: DATASET.to_owned(), stage: Stage::Live.into() };
        Self::begin(channel, publish_stream_request::Message::Open(open)).await.map_err(Into::into)
    }

    async fn begin(channel: &Channel, first: publish_stream_request::Message) -> Result<Self, Status> {
        let (requests, sent) = mpsc::channel(8);
        let first = PublishStreamRequest { message: Some(first) };
        requests.send(first).await.map_err(|_| Status::internal("the stream is gone"))?;
        let results =
            ExchangeServiceClient::new(channel.clone()).publish_stream(ReceiverStream::new(sent)).await?.into_inner();
        Ok(Self { requests, results, next: 0 })
    }

    async fn send(&mut self, records: Vec<Record>) -> anyhow::Result<()> {
        let first_sequence = self.next;
        self.next += records.len() as u64;
        let batch = RecordBatch { first_sequence, records };
        let message = Some(publish_stream_request::Message::Batch(batch));
        self.requests.send(PublishStreamRequest { message }).await.context("send")
    }

    async fn answers(&mut self, count: usize) -> anyhow::Result<Vec<PublishResult>> {
        let mut answers = Vec::new();
        while answers.len() < count {
            let message = tokio::time::timeout(Duration::from_secs(30), self.results.message()).await??;
            answers.extend(message.context("the stream ended")?.results);
        }
        answers.sort_by_key(|answer| answer.sequence);
        Ok(answers)
    }

    /// How the stream ends.
    async fn end(mut self) -> anyhow::Result<Status> {
        loop {
            match tokio::time::timeout(Duration::from_secs(30), self.results.message()).await? {
                Ok(Some(_)) => {}
                Ok(None) => anyhow::bail!("the stream ended without an error"),
                Err(status) => return Ok(status),
            }
        }
    }
}

fn bad_field(status: &Status, field: &str) -> anyhow::Result<()> {
    let details = status.get_error_details();
    let reason = details.error_info().map(|info| info.reason.as_str()).unwrap_or_default();
    let fields: Vec<_> = details
        .bad_request()
        .map(|bad| bad.field_violations.iter().map(|v| v.field.as_str()).collect())
        .unwrap_or_default();
    ensure!(
        status.code() == Code::InvalidArgument && reason == "REQUEST_INVALID" && fields.contains(&field),
        "{:?} {reason} {fields:?}, not {field}",
        status.code()
    );
    Ok(())
}

async fn hub() -> anyhow::Result<(World, Hub, Channel)> {
    let world = World::new(Engine::Embedded).await?;
    let hub = world.start_with_samples().await?;
    let channel = world.channel(&world.credentials(PROVIDER)?)?;
    Ok((world, hub, channel))
}

#[tokio::test(flavor = "multi_thread")]
async fn each_hostile_record_gets_its_error_and_the_stream_goes_on() -> anyhow::Result<()> {
    let (world, hub, channel) = hub().await?;
    let mut stream = Stream::open(&channel).await?;
    let corpus = hostile();
    // Every bad record between two good ones.
    for (what, payload, _) in &corpus {
        stream.send(vec![good(), record(payload.clone()), good()]).await.with_context(|| (*what).to_owned())?;
    }
    let answers = stream.answers(corpus.len() * 3).await?;
    for ((what, _, expected), answers) in corpus.iter().zip(answers.chunks(3)) {
        for at in [0, 2] {
            ensure!(matches!(answers[at].outcome, Some(Outcome::Receipt(_))), "beside {what}: {:?}", answers[at]);
        }
        let Some(Outcome::Refusal(refusal)) = &answers[1].outcome else {
            anyhow::bail!("{what} was accepted: {:?}", answers[1]);
        };
        let told = refusal.reason == *expected || refusal.violations.iter().any(|v| v.rule == *expected);
        ensure!(told || expected.is_empty(), "{what}: {} {:?}, not {expected}", refusal.reason, refusal.violations);
        ensure!(!refusal.violations.is_empty() || refusal.reason != "RECORD_INVALID", "{what}: no violation");
        ensure!(refusal.message.as_ref().is_some_and(|text| !text.vi.is_empty() && !text.en.is_empty()), "{what}");
    }
    // Alone, each is refused the same way.
    let mut client = ExchangeServiceClient::new(channel);
    for (what, payload, _) in corpus {
        let request =
            PublishRequest { dataset: DATASET.to_owned(), stage: Stage::Live.into(), record: Some(record(payload)) };
        let status = client.publish(request).await.err().with_context(|| format!("{what} was accepted"))?;
        ensure!(status.code() == Code::InvalidArgument, "{what}: {status:?}");
    }
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn each_bad_id_and_time_is_refused_and_the_stream_goes_on() -> anyhow::Result<()> {
    let (world, hub, channel) = hub().await?;
    let ahead = ExchangeId::from_parts(TimestampMs(TimestampMs::now().0 + 3_600_000), [1; 10]);
    let ancient = ExchangeId::from_parts(TimestampMs(TimestampMs::now().0 - 8 * 86_400_000), [1; 10]);
    let id = |bytes: &[u8]| Record { exchange_id: Bytes::copy_from_slice(bytes), ..good() };
    let cases = vec![
        ("no id", id(&[]), "EXCHANGE_ID_INVALID"),
        ("a short id", id(&[7; 15]), "EXCHANGE_ID_INVALID"),
        ("a long id", id(&[0x77; 1 << 20]), "EXCHANGE_ID_INVALID"),
        ("a random UUID", id(&[0x42; 16]), "EXCHANGE_ID_INVALID"),
        ("an id of the future", id(ahead.as_bytes()), "EXCHANGE_ID_INVALID"),
        ("an id of last week", id(ancient.as_bytes()), "EXCHANGE_ID_EXPIRED"),
    ];
    let mut stream = Stream::open(&channel).await?;
    for (_, bad, _) in &cases {
        stream.send(vec![good(), bad.clone(), good()]).await?;
    }
    let answers = stream.answers(cases.len() * 3).await?;
    for ((what, _, expected), answers) in cases.iter().zip(answers.chunks(3)) {
        ensure!(matches!(answers[0].outcome, Some(Outcome::Receipt(_))), "before {what}");
        ensure!(matches!(answers[2].outcome, Some(Outcome::Receipt(_))), "behind {what}");
        let Some(Outcome::Refusal(refusal)) = &answers[1].outcome else { anyhow::bail!("{what} was accepted") };
        ensure!(refusal.reason == *expected, "{what}: {}", refusal.reason);
    }
    // The same id: once more the same, then other content.
    let first = good();
    let other = Record { payload: load::record(7, 2).1, ..first.clone() };
    stream.send(vec![first.clone(), first, other]).await?;
    let answers = stream.answers(3).await?;
    let (Some(Outcome::Receipt(one)), Some(Outcome::Receipt(again)), Some(Outcome::Refusal(reused))) =
        (&answers[0].outcome, &answers[1].outcome, &answers[2].outcome)
    else {
        anyhow::bail!("{answers:?}");
    };
    ensure!(again.repeated && (one.partition, one.offset) == (again.partition, again.offset), "{again:?}");
    ensure!(reused.reason == "EXCHANGE_ID_REUSED", "{}", reused.reason);

    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn messages_out_of_order_or_bounds_end_the_stream_with_the_field_named() -> anyhow::Result<()> {
    let (world, hub, channel) = hub().await?;
    let batch =
        |first_sequence, records| publish_stream_request::Message::Batch(RecordBatch { first_sequence, records });
    let open = |dataset: &str, stage: i32| {
        publish_stream_request::Message::Open(PublishOpen { dataset: dataset.to_owned(), stage })
    };
    // First messages.
    for (what, first, field) in [
        ("a batch first", batch(0, vec![good()]), "message"),
        ("no stage", open(DATASET, 0), "stage"),
        ("an unknown stage", open(DATASET, 99), "stage"),
        ("no dataset", open("", Stage::Live.into()), "dataset"),
        ("a dataset of 101 characters", open(&"a".repeat(101), Stage::Live.into()), "dataset"),
        ("a dataset with capitals", open("Civil-Status", Stage::Live.into()), "dataset"),
    ] {
        let status = match Stream::begin(&channel, first).await {
            Err(status) => status,
            Ok(stream) => stream.end().await?,
        };
        bad_field(&status, field).context(what)?;
    }
    let status = match Stream::begin(&channel, open("no-such-dataset", Stage::Live.into())).await {
        Err(status) => status,
        Ok(stream) => stream.end().await?,
    };
    ensure!(status.code() == Code::NotFound, "an unknown dataset: {status:?}");
    // Later ones.
    for (what, message, field) in [
        ("a second open", open(DATASET, Stage::Live.into()), "message"),
        ("a gap in the sequence", batch(5, vec![good()]), "batch.first_sequence"),
        ("no records", batch(0, Vec::new()), "batch.records"),
        ("1,001 records", batch(0, vec![good(); 1_001]), "batch.records"),
    ] {
        let stream = Stream::open(&channel).await?;
        stream.requests.send(PublishStreamRequest { message: Some(message) }).await?;
        bad_field(&stream.end().await?, field).context(what)?;
    }
    // Subscriptions.
    let consumer = world.channel(&world.credentials(CONSUMER)?)?;
    let subscribe = |agreement: &str, subscription: &str| {
        let (agreement, subscription) = (agreement.to_owned(), subscription.to_owned());
        subscribe_request::Message::Open(SubscribeOpen { agreement, subscription, ..Default::default() })
    };
    for (what, first, field) in [
        ("an acknowledgement first", subscribe_request::Message::Ack(Ack::default()), "message"),
        ("no agreement", subscribe("", ""), "open.agreement"),
        ("an agreement of 101 characters", subscribe(&"a".repeat(101), ""), "open.agreement"),
        ("a subscription of 65 characters", subscribe("x", &"a".repeat(65)), "open.subscription"),
    ] {
        let requests = tokio_stream::iter([SubscribeRequest { message: Some(first) }]);
        let opened = ExchangeServiceClient::new(consumer.clone()).subscribe(requests).await;
        let status = match opened {
            Err(status) => status,
            Ok(stream) => stream.into_inner().message().await.err().with_context(|| format!("{what} was taken"))?,
        };
        bad_field(&status, field).context(what)?;
    }
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unknown_method_is_unimplemented() -> anyhow::Result<()> {
    let (world, hub, channel) = hub().await?;
    for path in ["/ldop.exchange.v1.ExchangeService/Forget", "/ldop.nothing.v1.NoService/Publish", "/"] {
        let mut grpc = tonic::client::Grpc::new(channel.clone());
        grpc.ready().await?;
        let codec: tonic_prost::ProstCodec<PublishRequest, PublishRequest> = tonic_prost::ProstCodec::default();
        let path = tonic::codegen::http::uri::PathAndQuery::from_static(path);
        let status =
            grpc.unary(Request::new(PublishRequest::default()), path, codec).await.err().context("an answer")?;
        ensure!(status.code() == Code::Unimplemented, "{status:?}");
    }
    hub.stop(Duration::from_secs(30)).await?;
    world.no_panic()
}
