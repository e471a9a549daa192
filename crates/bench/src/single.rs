//! Single calls: 100 callers that each wait for the answer, on the hub and on a bare tonic echo.

use std::{
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use hdrhistogram::Histogram;
use ldop_client::Client;
use ldop_contract::exchange::v1::{
    CopyState, ExportRequest, ExportResponse, FindRequest, FindResponse, FoundRecord, GetExchangeRequest,
    GetExchangeResponse, LookUpAnswer, LookUpRequest, LookUpResponse, PartitionPosition, PublishRequest,
    PublishResponse, PublishStreamRequest, PublishStreamResponse, ReadChangesRequest, ReadChangesResponse, Receipt,
    ServeRequest, ServeResponse, SubscribeRequest, SubscribeResponse,
    exchange_service_server::{ExchangeService, ExchangeServiceServer},
    look_up_answer,
};
use ldop_types::{DatasetName, ExchangeId, Stage};
use tokio::{net::TcpListener, task::JoinSet};
use tonic::{
    Request, Response, Status, Streaming,
    transport::{Certificate, Identity, Server, ServerTlsConfig, server::TcpIncoming},
};

use crate::{
    corpus::Corpus,
    look_up::SHOWN,
    settings::Settings,
    table::{Row, median, rate},
    world::World,
};

/// Callers at a time.
pub const CALLERS: usize = 100;

/// What a round gave.
pub struct Round {
    /// Calls in a second.
    pub rate: f64,
    /// 99 of 100 calls were answered within.
    pub p99_ms: f64,
}

/// Rounds of hub and echo by turns.
///
/// # Errors
///
/// A call fails.
pub async fn measure(
    world: &World,
    hub: &[Client],
    corpus: &Corpus,
    settings: &Settings,
    engine: &str,
    warm_up: usize,
) -> anyhow::Result<Vec<Row>> {
    let echo = Echo::start(world)?;
    let bare = world.providers(Some(&echo.address)).await?;
    let time = Duration::from_secs(if settings.long { 8 } else { 3 });
    let (mut rates, mut bare_rates, mut ratios, mut p99, mut bare_p99) = (vec![], vec![], vec![], vec![], vec![]);
    for round in 1..=warm_up + settings.rounds() {
        let counts = round > warm_up;
        let time = if counts { time } else { time / 3 };
        let (ours, theirs) = (call(hub, corpus, time).await?, call(&bare, corpus, time).await?);
        eprintln!(
            "{} {round}: single {} p99 {:.1} ms, echo {} p99 {:.1} ms, ratio {:.2}",
            if counts { "round" } else { "warm-up" },
            rate(ours.rate),
            ours.p99_ms,
            rate(theirs.rate),
            theirs.p99_ms,
            ours.rate / theirs.rate
        );
        if counts {
            ratios.push(ours.rate / theirs.rate);
            rates.push(ours.rate);
            bare_rates.push(theirs.rate);
            p99.push(ours.p99_ms);
            bare_p99.push(theirs.p99_ms);
        }
    }
    let against = format!("tonic mTLS echo {}", rate(median(bare_rates)));
    let p99 = median(p99);
    Ok(vec![
        Row::new(format!("single publish, {CALLERS} callers, {engine}"), rate(median(rates)))
            .against(against)
            .at_least(median(ratios), 0.35),
        Row::new(format!("p99 of that, {engine}"), format!("{p99:.1} ms"))
            .against(format!("echo {:.1} ms", median(bare_p99)))
            .at_most(p99, 15.0, " ms"),
    ])
}

async fn call(clients: &[Client], corpus: &Corpus, time: Duration) -> anyhow::Result<Round> {
    let flows = corpus.flows.clone();
    callers(clients, time, move |client, caller, nth| {
        let flow = flows[caller % flows.len()].clone();
        async move {
            let dataset = DatasetName::parse(flow.dataset.id())?;
            let record = &flow.records[(caller * flow.records.len() / CALLERS + nth) % flow.records.len()];
            let (payload, time) = (record.payload.clone(), Some(record.event_time));
            client.publish_one(&dataset, Stage::Live, ExchangeId::new(), payload, time).await?;
            anyhow::Ok(())
        }
    })
    .await
}

/// Callers that each wait for the answer before they ask again, for a time. Each has one of the clients by turns, and is told who
/// it is and how many it has asked before.
///
/// # Errors
///
/// A call fails.
pub async fn callers<F: Future<Output = anyhow::Result<()>> + Send>(
    clients: &[Client],
    time: Duration,
    ask: impl Fn(Client, usize, usize) -> F + Clone + Send + 'static,
) -> anyhow::Result<Round> {
    let mut callers = JoinSet::new();
    let started = Instant::now();
    for caller in 0..CALLERS {
        let (client, ask) = (clients[caller % clients.len()].clone(), ask.clone());
        callers.spawn(async move {
            let mut latencies = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
            let mut nth = 0;
            while started.elapsed() < time {
                let asked = Instant::now();
                ask(client.clone(), caller, nth).await?;
                nth += 1;
                latencies.saturating_record(u64::try_from(asked.elapsed().as_micros())?);
            }
            anyhow::Ok(latencies)
        });
    }
    let mut all = Histogram::<u64>::new_with_bounds(1, 60_000_000, 3)?;
    while let Some(latencies) = callers.join_next().await {
        all.add(latencies??)?;
    }
    let rate = all.len() as f64 / started.elapsed().as_secs_f64();
    Ok(Round { rate, p99_ms: all.value_at_quantile(0.99) as f64 / 1000.0 })
}

/// The echo as a process of its own. Ends with its owner.
pub struct Echo {
    child: Child,
    /// Where it answers.
    pub address: String,
}

impl Echo {
    /// Starts it.
    ///
    /// # Errors
    ///
    /// It ends at once.
    pub fn start(world: &World) -> anyhow::Result<Self> {
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(std::env::current_exe()?)
            .arg(ECHO_COMMAND)
            .args(world.server_files())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the echo")?;
        let output = child.stdout.take().context("standard output was piped")?;
        let mut echo = Self { child, address: String::new() };
        BufReader::new(output).read_line(&mut echo.address)?;
        echo.address.truncate(echo.address.trim_end().len());
        anyhow::ensure!(!echo.address.is_empty(), "the echo ended at its start");
        Ok(echo)
    }
}

impl Drop for Echo {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// First argument of the program when it is the echo.
pub const ECHO_COMMAND: &str = "serve-echo";

/// Serves `Publish` with mutual TLS until it is killed; answers receipts of the size the hub's have. Prints its address.
///
/// # Errors
///
/// Files cannot be read, or no port is free.
pub async fn serve_echo(files: [PathBuf; 3]) -> anyhow::Result<()> {
    let [ca, certificate, key] = files.map(std::fs::read);
    let tls = ServerTlsConfig::new()
        .client_ca_root(Certificate::from_pem(ca?))
        .identity(Identity::from_pem(certificate?, key?));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("https://{}", listener.local_addr()?);
    // Without it every answer waits for the kernel to put more into its packet, 40 ms at worst.
    let connections = TcpIncoming::from(listener).with_nodelay(Some(true));
    Server::builder()
        .tls_config(tls)?
        .add_service(ExchangeServiceServer::new(Echoing))
        .serve_with_incoming(connections)
        .await?;
    Ok(())
}

struct Echoing;

type Never<T> = tokio_stream::Pending<Result<T, Status>>;

#[tonic::async_trait]
impl ExchangeService for Echoing {
    type PublishStreamStream = Never<PublishStreamResponse>;
    type SubscribeStream = Never<SubscribeResponse>;
    type ServeStream = Never<ServeResponse>;
    type ReadChangesStream = Never<ReadChangesResponse>;
    type ExportStream = Never<ExportResponse>;

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<PublishResponse>, Status> {
        let record = request.into_inner().record.unwrap_or_default();
        let receipt = Receipt {
            exchange_id: record.exchange_id,
            partition: 3,
            offset: record.payload.len() as u64 + 100_000,
            commitment: Bytes::from_static(&[7; 32]),
            salt: Bytes::from_static(&[7; 16]),
            accepted_time: record.event_time,
            schema_version: 1,
            ..Receipt::default()
        };
        Ok(Response::new(PublishResponse { receipt: Some(receipt) }))
    }

    async fn publish_stream(
        &self,
        _: Request<Streaming<PublishStreamRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        Err(Status::unimplemented("an echo"))
    }

    async fn subscribe(
        &self,
        _: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        Err(Status::unimplemented("an echo"))
    }

    async fn look_up(&self, _: Request<LookUpRequest>) -> Result<Response<LookUpResponse>, Status> {
        let found = FoundRecord {
            payload: Bytes::from_static(&[b'x'; SHOWN]),
            schema_version: 1,
            source: "hub".to_owned(),
            event_time: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 1 }),
        };
        let answer = LookUpAnswer { outcome: Some(look_up_answer::Outcome::Found(found)) };
        let copy = CopyState {
            positions: vec![PartitionPosition { partition: 1, offset: 100_000 }],
            followed_time: Some(prost_types::Timestamp { seconds: 1_800_000_000, nanos: 1 }),
        };
        Ok(Response::new(LookUpResponse {
            exchange_id: Bytes::from_static(&[7; 16]),
            agreement_version: 1,
            answers: vec![answer],
            salt: Bytes::from_static(&[7; 16]),
            copy: Some(copy),
        }))
    }

    async fn find(&self, _: Request<FindRequest>) -> Result<Response<FindResponse>, Status> {
        Err(Status::unimplemented("an echo"))
    }

    async fn serve(&self, _: Request<Streaming<ServeRequest>>) -> Result<Response<Self::ServeStream>, Status> {
        Err(Status::unimplemented("no look-ups here"))
    }

    async fn read_changes(&self, _: Request<ReadChangesRequest>) -> Result<Response<Self::ReadChangesStream>, Status> {
        Err(Status::unimplemented("an echo"))
    }

    async fn export(&self, _: Request<ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        Err(Status::unimplemented("an echo"))
    }

    async fn get_exchange(&self, _: Request<GetExchangeRequest>) -> Result<Response<GetExchangeResponse>, Status> {
        Err(Status::unimplemented("an echo"))
    }
}
