//! The schema registry: reading by id against a bare hyper server, and what must not grow with what is registered.

use std::{
    convert::Infallible,
    io::{BufRead as _, BufReader},
    path::PathBuf,
    process::{Child, Command, Stdio},
    sync::Arc,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use bytes::Bytes;
use http_body_util::Full;
use hyper::{Response, header::CONTENT_TYPE, service::service_fn};
use hyper_util::rt::TokioIo;
use ldop_contract::{
    control::v1::{Change, change::Resource},
    registry::v1::{CompatibilityMode, FindSchemaRequest, RegisterSchemaRequest, Schema, SubjectSettings},
};
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use rustls_pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject as _};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{TcpListener, TcpStream},
    task::JoinSet,
};
use tokio_rustls::{TlsAcceptor, TlsConnector};

use crate::{
    settings::Settings,
    table::{Row, median, rate},
    world::{Hub, World},
};

const CONNECTIONS: usize = 64;
/// How long one round of reading takes.
const ROUND: Duration = Duration::from_secs(3);
const FEW: usize = 100;
const MANY: usize = 100_000;
/// Subjects of the many; a change set has no subject twice.
const SUBJECTS: usize = 5_000;
/// Registrations and look-ups of one round.
const CALLS: usize = 300;

/// What the measures need.
pub struct RegistryMeasures<'a> {
    /// What to do.
    pub settings: &'a Settings,
    /// The hub's program.
    pub program: PathBuf,
    /// Folder for everything.
    pub dir: PathBuf,
    /// The sample definitions.
    pub definitions: &'a [Change],
}

/// A schema of about 1 KB, one of many.
fn schema(subject: usize, version: usize) -> Schema {
    let field = |n: usize| {
        format!(
            "\"field_{n}\": {{\"description\": \"Trường số {n} của lược đồ\", \"type\": \"string\", \"x-ldop-element\": \
             \"person.full-name\"}}"
        )
    };
    let fields: Vec<String> = (0..6).map(field).collect();
    let text = format!(
        "{{\"$schema\": \"https://json-schema.org/draft/2020-12/schema\", \"title\": \"Lược đồ {subject}, phiên bản \
         {version}\", \"type\": \"object\", \"additionalProperties\": false, \"properties\": {{{}}}}}",
        fields.join(", ")
    );
    Schema { name: format!("bench-{subject}-value"), text, ..Schema::default() }
}

impl RegistryMeasures<'_> {
    /// All of it.
    ///
    /// # Errors
    ///
    /// A server does not start or answers otherwise than expected.
    pub async fn measure(&self) -> anyhow::Result<Vec<Row>> {
        let world = World::make(&self.program, &self.dir, None)?;
        let hub = Hub::start(&world)?;
        // Every registration stands on its own: what is measured is the registry, not ever longer comparisons.
        let free = SubjectSettings { compatibility: CompatibilityMode::None.into(), ..SubjectSettings::default() };
        let free = Change { resource: Some(Resource::SubjectSettings(free)) };
        let few = (0..FEW).map(|n| change(schema(n % SUBJECTS, n / SUBJECTS)));
        world.apply(self.definitions.iter().cloned().chain([free]).chain(few).collect()).await?;
        let mut rows = vec![self.reading(&world).await?];
        let (register_few, find_few) = self.calls(&world, 1).await?;
        let more: Vec<Change> = (FEW..MANY).map(|n| change(schema(n % SUBJECTS, n / SUBJECTS))).collect();
        let begun = Instant::now();
        world.apply(more).await?;
        eprintln!("{MANY} versions registered in {:.0} s", begun.elapsed().as_secs_f64());
        let (register_many, find_many) = self.calls(&world, 2).await?;
        for (what, few, many) in
            [("registering", register_few, register_many), ("finding by content", find_few, find_many)]
        {
            let row = Row::new(format!("{what}, {MANY} versions present"), format!("{many:.0} µs"));
            rows.push(row.against(format!("with {FEW} present {few:.0} µs")).at_most(many / few, 1.2, ""));
        }
        hub.kill()?;
        let mut starts = Vec::new();
        let mut memory = 0.0_f64;
        for _ in 0..self.settings.rounds().min(3) {
            let hub = Hub::start(&world)?;
            starts.push(hub.ready_after.as_secs_f64());
            memory = memory.max(hub.memory()?.peak);
            hub.kill()?;
        }
        let start = median(starts);
        rows.push(
            Row::new(format!("start with {MANY} versions in the control log"), format!("{start:.2} s"))
                .at_most(start, 1.0, " s"),
        );
        rows.push(Row::new("memory then", format!("{memory:.0} MiB")).at_most(memory, 300.0, " MiB"));
        Ok(rows)
    }

    /// Get by id over REST against a bare hyper server that answers the same bytes.
    async fn reading(&self, world: &World) -> anyhow::Result<Row> {
        let tls = client_tls(world)?;
        let path = "/schemas/ids/7";
        let answer = Connection::open(world.registry(), &tls).await?.get(path).await?;
        let bare = Bare::start(world, &answer)?;
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..self.settings.rounds() {
            theirs.push(read_all(&bare.address, path, &tls, &answer).await?);
            ours.push(read_all(world.registry(), path, &tls, &answer).await?);
        }
        let (ours, theirs) = (median(ours), median(theirs));
        Ok(Row::new(format!("registry: get by id over REST, {CONNECTIONS} connections"), rate(ours))
            .against(format!("bare hyper {}", rate(theirs)))
            .at_least(ours / theirs, 0.7))
    }

    /// Microseconds of one registration and of one look-up by content, one after the other.
    async fn calls(&self, world: &World, pass: usize) -> anyhow::Result<(f64, f64)> {
        let mut registry = world.registry_client().await?;
        let (mut registering, mut finding) = (Vec::new(), Vec::new());
        for round in 0..self.settings.rounds() {
            let subject = |n: usize| MANY * (1 + pass) + round * CALLS + n;
            let begun = Instant::now();
            for n in 0..CALLS {
                let request = RegisterSchemaRequest { schema: Some(schema(subject(n), 0)) };
                registry.register_schema(request).await?;
            }
            registering.push(begun.elapsed().as_secs_f64() * 1e6 / CALLS as f64);
            let begun = Instant::now();
            for n in 0..CALLS {
                let Schema { name, text, .. } = schema(subject(n), 0);
                registry.find_schema(FindSchemaRequest { name, text, references: Vec::new() }).await?;
            }
            finding.push(begun.elapsed().as_secs_f64() * 1e6 / CALLS as f64);
        }
        Ok((median(registering), median(finding)))
    }
}

fn change(schema: Schema) -> Change {
    Change { resource: Some(Resource::Schema(schema)) }
}

/// Answers a second, over all connections.
async fn read_all(address: &str, path: &'static str, tls: &TlsConnector, expected: &Bytes) -> anyhow::Result<f64> {
    let mut readers = JoinSet::new();
    let begun = Instant::now();
    for _ in 0..CONNECTIONS {
        let mut connection = Connection::open(address, tls).await?;
        let expected = expected.clone();
        readers.spawn(async move {
            let mut count = 0_u64;
            let begun = Instant::now();
            while begun.elapsed() < ROUND {
                anyhow::ensure!(connection.get(path).await? == expected, "another answer");
                count += 1;
            }
            anyhow::Ok(count as f64 / begun.elapsed().as_secs_f64())
        });
    }
    let mut all = 0.0;
    while let Some(reader) = readers.join_next().await {
        all += reader??;
    }
    anyhow::ensure!(begun.elapsed() >= ROUND, "nothing was measured");
    Ok(all)
}

/// A connection that is kept alive; it knows as much of HTTP as both servers need.
struct Connection {
    stream: tokio_rustls::client::TlsStream<TcpStream>,
    buffer: Vec<u8>,
}

impl Connection {
    async fn open(address: &str, tls: &TlsConnector) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(address).await.context("connect")?;
        stream.set_nodelay(true)?;
        let name = ServerName::try_from("localhost")?;
        Ok(Self { stream: tls.connect(name, stream).await?, buffer: Vec::new() })
    }

    /// The body of an answer.
    async fn get(&mut self, path: &str) -> anyhow::Result<Bytes> {
        let request = format!("GET {path} HTTP/1.1\r\nHost: localhost\r\nAccept: application/json\r\n\r\n");
        self.stream.write_all(request.as_bytes()).await?;
        self.buffer.clear();
        let (head, length) = loop {
            anyhow::ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server hung up");
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                let head = std::str::from_utf8(&self.buffer[..end])?;
                anyhow::ensure!(head.starts_with("HTTP/1.1 200"), "{head}");
                let length = head.lines().find_map(|line| {
                    let (name, value) = line.split_once(':')?;
                    name.eq_ignore_ascii_case("content-length").then(|| value.trim().parse::<usize>())
                });
                break (end + 4, length.context("a length")??);
            }
        };
        while self.buffer.len() < head + length {
            anyhow::ensure!(self.stream.read_buf(&mut self.buffer).await? > 0, "the server hung up");
        }
        Ok(Bytes::copy_from_slice(&self.buffer[head..head + length]))
    }
}

fn client_tls(world: &World) -> anyhow::Result<TlsConnector> {
    let [authority, certificate, key] = world.operator_files()?;
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_file(authority)?)?;
    let config = ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_client_auth_cert(vec![CertificateDer::from_pem_file(certificate)?], PrivateKeyDer::from_pem_file(key)?)?;
    Ok(TlsConnector::from(Arc::new(config)))
}

/// The bare server as a process of its own. Ends with its owner.
struct Bare {
    child: Child,
    address: String,
}

impl Bare {
    fn start(world: &World, answer: &Bytes) -> anyhow::Result<Self> {
        let file = world.folder().join("answer.json");
        std::fs::write(&file, answer)?;
        let mut child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(std::env::current_exe()?)
            .arg(BARE_COMMAND)
            .args(world.server_files())
            .arg(file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .context("start the bare server")?;
        let output = child.stdout.take().context("standard output was piped")?;
        let mut bare = Self { child, address: String::new() };
        BufReader::new(output).read_line(&mut bare.address)?;
        bare.address.truncate(bare.address.trim_end().len());
        anyhow::ensure!(!bare.address.is_empty(), "the bare server ended at its start");
        Ok(bare)
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// First argument of the program when it is the bare server.
pub const BARE_COMMAND: &str = "serve-bytes";

/// Answers every request with the bytes of a file, over TLS, until it is killed. Prints its address.
///
/// # Errors
///
/// Files cannot be read, or no port is free.
pub async fn serve_bytes(files: [PathBuf; 4]) -> anyhow::Result<()> {
    let [_, certificate, key, answer] = files;
    let answer = Bytes::from(std::fs::read(answer)?);
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(
            CertificateDer::pem_file_iter(certificate)?.collect::<Result<_, _>>()?,
            PrivateKeyDer::from_pem_file(key)?,
        )?;
    let tls = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?);
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let (tls, answer) = (tls.clone(), answer.clone());
        tokio::spawn(async move {
            let Ok(stream) = tls.accept(stream).await else { return };
            let service = service_fn(move |_| {
                let mut response = Response::new(Full::new(answer.clone()));
                let media = hyper::header::HeaderValue::from_static("application/vnd.schemaregistry.v1+json");
                response.headers_mut().insert(CONTENT_TYPE, media);
                std::future::ready(Ok::<_, Infallible>(response))
            });
            // A client that has gone away has what it wanted.
            let _ = hyper::server::conn::http1::Builder::new().serve_connection(TokioIo::new(stream), service).await;
        });
    }
}
