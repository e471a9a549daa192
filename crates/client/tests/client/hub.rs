//! A hub with a script.

use std::{
    collections::VecDeque,
    net::SocketAddr,
    sync::{Arc, Mutex},
    time::Duration,
};

use bytes::Bytes;
use ldop_client::{Client, ClientConfig, Pem, RetryPolicy};
use ldop_contract::exchange::v1::{
    Ack, Credit, DeliveredBatch, DeliveredRecord, ExportRequest, ExportResponse, FindRequest, FindResponse,
    GetExchangeRequest, GetExchangeResponse, LookUpRequest, LookUpResponse, PartitionPosition, PublishRequest,
    PublishResponse, PublishResult, PublishStreamRequest, PublishStreamResponse, ReadChangesRequest,
    ReadChangesResponse, Receipt, Record, Refusal, ServeRequest, ServeResponse, SubscribeOpen, SubscribeOpened,
    SubscribeRequest, SubscribeResponse,
    exchange_service_server::{ExchangeService, ExchangeServiceServer},
    publish_result, publish_stream_request, subscribe_request, subscribe_response,
};
use ldop_pki::{Authority, Credentials, DEVELOPMENT_TRUST_DOMAIN, Identity, ServerName, Validity};
use ldop_types::Reason;
use tokio::{net::TcpListener, sync::mpsc};
use tokio_stream::wrappers::{ReceiverStream, TcpListenerStream};
use tonic::{Code, Request, Response, Status, Streaming, transport};
use tonic_types::{ErrorDetails, StatusExt as _};

/// What the hub does with one stream or call.
#[derive(Debug, Clone)]
pub enum Part {
    /// Answers everything, until the caller is done.
    Serve,
    /// Answers this many records, in each batch the last first, and then ends with the refusal.
    Answer(usize, Reason, Code),
    /// Answers this many records, and then ends without a word.
    HangUp(usize),
    /// Reads and says nothing.
    Silence,
}

/// What the hub has seen and will do.
#[derive(Debug, Default)]
pub struct Script {
    pub parts: VecDeque<Part>,
    /// Records of each publish stream, as they came.
    pub streams: Vec<Vec<Record>>,
    /// Records of single publishes.
    pub singles: Vec<Record>,
    /// Openings of subscriptions.
    pub opens: Vec<SubscribeOpen>,
    pub credits: Vec<Credit>,
    pub acks: Vec<Ack>,
}

/// A running hub.
pub struct Hub {
    pub script: Arc<Mutex<Script>>,
    pub address: SocketAddr,
    pub authority: Authority,
    _server: tokio::task::JoinHandle<()>,
}

/// Time the hub asks callers to wait.
pub const RETRY_AFTER: Duration = Duration::from_millis(30);

impl Hub {
    pub async fn start(parts: impl IntoIterator<Item = Part>) -> Self {
        let authority = Authority::create("Test", Validity::days(1)).expect("makes keys");
        let names = [ServerName::parse("localhost").expect("good name")];
        let server = authority.issue_server(&names, Validity::days(1)).expect("issues");
        let script = Arc::new(Mutex::new(Script { parts: parts.into_iter().collect(), ..Script::default() }));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("bound");
        let tls = transport::ServerTlsConfig::new()
            .identity(transport::Identity::from_pem(server.certificate_pem, server.key_pem))
            .client_ca_root(transport::Certificate::from_pem(&authority.credentials().certificate_pem));
        let service = ExchangeServiceServer::new(Service(script.clone()));
        let server = transport::Server::builder()
            .tls_config(tls)
            .expect("good certificates")
            .add_service(service)
            .serve_with_incoming(TcpListenerStream::new(listener));
        let server = tokio::spawn(async move { server.await.expect("serves") });
        Self { script, address, authority, _server: server }
    }

    pub fn credentials(&self) -> Credentials {
        let identity = Identity::system("so-tu-phap/ho-tich").expect("good id");
        self.authority.issue_client(&identity, DEVELOPMENT_TRUST_DOMAIN, Validity::days(1)).expect("issues")
    }

    pub fn config(&self, credentials: Credentials) -> ClientConfig {
        let ca = self.authority.credentials().certificate_pem.clone();
        let mut config = ClientConfig::new(
            format!("https://localhost:{}", self.address.port()),
            Pem::Text(ca.into_bytes()),
            Pem::Text(credentials.certificate_pem.into_bytes()),
            Pem::Text(credentials.key_pem.into_bytes()),
        );
        config.retry = quick();
        config
    }

    pub async fn client(&self) -> Client {
        Client::connect(self.config(self.credentials())).await.expect("the hub listens")
    }
}

/// Tries again soon, and not for long.
pub fn quick() -> RetryPolicy {
    RetryPolicy {
        first: Duration::from_millis(5),
        longest: Duration::from_millis(20),
        give_up: Some(Duration::from_secs(20)),
    }
}

/// A refusal as the gateway gives it.
pub fn status(reason: Reason, code: Code) -> Status {
    let mut details = ErrorDetails::new();
    details.set_error_info(reason.as_str(), "ldop", std::collections::HashMap::new());
    details.set_retry_info(Some(RETRY_AFTER));
    Status::with_error_details(code, reason.message().1, details)
}

fn receipt(record: &Record) -> Receipt {
    Receipt { exchange_id: record.exchange_id.clone(), ..Receipt::default() }
}

/// Records whose payload says so are refused.
fn result(sequence: u64, record: &Record) -> PublishResult {
    let outcome = if record.payload.starts_with(b"bad") {
        publish_result::Outcome::Refusal(Refusal { reason: "RECORD_INVALID".to_owned(), ..Refusal::default() })
    } else {
        publish_result::Outcome::Receipt(receipt(record))
    };
    PublishResult { sequence, outcome: Some(outcome) }
}

struct Service(Arc<Mutex<Script>>);

impl Service {
    fn next_part(&self) -> Part {
        self.0.lock().expect("not poisoned").parts.pop_front().unwrap_or(Part::Serve)
    }
}

#[tonic::async_trait]
impl ExchangeService for Service {
    type PublishStreamStream = ReceiverStream<Result<PublishStreamResponse, Status>>;
    type SubscribeStream = ReceiverStream<Result<SubscribeResponse, Status>>;
    type ServeStream = ReceiverStream<Result<ServeResponse, Status>>;
    type ReadChangesStream = ReceiverStream<Result<ReadChangesResponse, Status>>;
    type ExportStream = ReceiverStream<Result<ExportResponse, Status>>;

    async fn publish(&self, request: Request<PublishRequest>) -> Result<Response<PublishResponse>, Status> {
        let record = request.into_inner().record.expect("a record");
        let receipt = receipt(&record);
        self.0.lock().expect("not poisoned").singles.push(record);
        match self.next_part() {
            Part::Serve => Ok(Response::new(PublishResponse { receipt: Some(receipt) })),
            Part::Answer(_, reason, code) => Err(status(reason, code)),
            Part::HangUp(_) | Part::Silence => std::future::pending().await,
        }
    }

    async fn publish_stream(
        &self,
        request: Request<Streaming<PublishStreamRequest>>,
    ) -> Result<Response<Self::PublishStreamStream>, Status> {
        let (answers, stream) = mpsc::channel(4);
        let (part, script, mut requests) = (self.next_part(), self.0.clone(), request.into_inner());
        let number = {
            let mut script = script.lock().expect("not poisoned");
            script.streams.push(Vec::new());
            script.streams.len() - 1
        };
        tokio::spawn(async move {
            let mut left = match part {
                Part::Answer(records, ..) | Part::HangUp(records) => records,
                Part::Serve => usize::MAX,
                Part::Silence => 0,
            };
            while let Ok(Some(request)) = requests.message().await {
                let Some(publish_stream_request::Message::Batch(batch)) = request.message else { continue };
                let before = {
                    let mut script = script.lock().expect("not poisoned");
                    let seen = &mut script.streams[number];
                    seen.extend(batch.records.iter().cloned());
                    seen.len() - batch.records.len()
                };
                assert_eq!(batch.first_sequence, before as u64, "sequences are dense");
                if matches!(part, Part::Silence) {
                    continue;
                }
                let answered = left.min(batch.records.len());
                let sequences = batch.first_sequence..;
                let mut results: Vec<_> = sequences.zip(&batch.records).map(|(n, record)| result(n, record)).collect();
                // The last first: what is answered need not be the front.
                results.reverse();
                results.truncate(answered);
                left -= answered;
                if answered > 0 && answers.send(Ok(PublishStreamResponse { results })).await.is_err() {
                    return;
                }
                if left == 0 {
                    if let Part::Answer(_, reason, code) = part {
                        let _ = answers.send(Err(status(reason, code))).await;
                    }
                    return;
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn subscribe(
        &self,
        request: Request<Streaming<SubscribeRequest>>,
    ) -> Result<Response<Self::SubscribeStream>, Status> {
        let (answers, stream) = mpsc::channel(4);
        let (part, script, mut requests) = (self.next_part(), self.0.clone(), request.into_inner());
        let Ok(Some(SubscribeRequest { message: Some(subscribe_request::Message::Open(open)) })) =
            requests.message().await
        else {
            return Err(Status::invalid_argument("the first message is not `open`"));
        };
        script.lock().expect("not poisoned").opens.push(open);
        if let Part::Answer(0, reason, code) = part {
            return Err(status(reason, code));
        }
        tokio::spawn(async move {
            let positions = vec![position(0, 100), position(1, 200)];
            let opened = SubscribeOpened { agreement_version: 1, positions, ..SubscribeOpened::default() };
            let _ = answers.send(Ok(message(subscribe_response::Message::Opened(opened)))).await;
            for (partition, first) in [(0, 100), (1, 200)] {
                let records = (first..first + 10).map(delivered).collect();
                let batch = DeliveredBatch { partition, records, next_offset: first + 10 };
                let _ = answers.send(Ok(message(subscribe_response::Message::Batch(batch)))).await;
            }
            let mut left = match part {
                Part::HangUp(acks) => acks,
                _ => usize::MAX,
            };
            while left > 0 {
                let Ok(Some(request)) = requests.message().await else { return };
                let mut script = script.lock().expect("not poisoned");
                match request.message {
                    Some(subscribe_request::Message::Credit(credit)) => script.credits.push(credit),
                    Some(subscribe_request::Message::Ack(ack)) => {
                        script.acks.push(ack);
                        left -= 1;
                    }
                    _ => {}
                }
            }
        });
        Ok(Response::new(ReceiverStream::new(stream)))
    }

    async fn look_up(&self, _: Request<LookUpRequest>) -> Result<Response<LookUpResponse>, Status> {
        Err(Status::unimplemented("no look-ups here"))
    }

    async fn find(&self, _: Request<FindRequest>) -> Result<Response<FindResponse>, Status> {
        Err(Status::unimplemented("no look-ups here"))
    }

    async fn serve(&self, _: Request<Streaming<ServeRequest>>) -> Result<Response<Self::ServeStream>, Status> {
        Err(Status::unimplemented("no look-ups here"))
    }

    async fn read_changes(&self, _: Request<ReadChangesRequest>) -> Result<Response<Self::ReadChangesStream>, Status> {
        Err(Status::unimplemented("no changes here"))
    }

    async fn export(&self, _: Request<ExportRequest>) -> Result<Response<Self::ExportStream>, Status> {
        Err(Status::unimplemented("no exports here"))
    }

    async fn get_exchange(&self, _: Request<GetExchangeRequest>) -> Result<Response<GetExchangeResponse>, Status> {
        Err(status(Reason::ExchangeNotFound, Code::NotFound))
    }
}

fn message(message: subscribe_response::Message) -> SubscribeResponse {
    SubscribeResponse { message: Some(message) }
}

pub fn position(partition: u32, offset: u64) -> PartitionPosition {
    PartitionPosition { partition, offset }
}

fn delivered(offset: u64) -> DeliveredRecord {
    DeliveredRecord { offset, payload: Bytes::from_static(b"{}"), ..DeliveredRecord::default() }
}
