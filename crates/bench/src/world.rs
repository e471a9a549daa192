//! A hub as a process of its own: folder, certificates, configuration, definitions.

use std::{
    fs::{self, File},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use ldop_client::{Client, ClientConfig};
use ldop_contract::{
    control::v1::{ApplyChangeSetRequest, Change},
    registry::v1::registry_service_client::RegistryServiceClient,
};
use ldop_definitions::References;
use ldop_pki::{DEVELOPMENT_TRUST_DOMAIN, Folder, Identity, Overwrite, ServerName, Validity};
use ldop_sample_data::Dataset;
use ldop_types::ExchangeId;
use prost::Message as _;
use tempfile::TempDir;
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use crate::clock::{self, Memory};

/// How long the hub may take to be ready, also with a large log.
const READY_WITHIN: Duration = Duration::from_secs(120);
const STOP_WITHIN: Duration = Duration::from_secs(60);
const OPERATOR: &str = "so-khcn/bench";
/// The system that reads in the subscription measure.
pub const READER: &str = "bhxh-tinh/tiep-nhan";
/// What a change set may hold, with some room.
const SET_BYTES: usize = 800 << 10;
const SET_CHANGES: usize = 1_000;

/// Waits a moment between two looks at a process.
#[expect(clippy::disallowed_methods, reason = "processes are polled; every loop around it has a deadline")]
fn pause() {
    std::thread::sleep(Duration::from_millis(1));
}

/// Folder, certificates and configuration of a hub.
pub struct World {
    program: PathBuf,
    folder: TempDir,
    pki: Folder,
    address: String,
    registry: String,
}

impl World {
    /// Makes them in a new folder below `dir`. With `kafka`, an address, the hub keeps its log there.
    ///
    /// # Errors
    ///
    /// Files cannot be written, or no port is free.
    pub fn make(program: &Path, dir: &Path, kafka: Option<&str>) -> anyhow::Result<Self> {
        fs::create_dir_all(dir)?;
        let folder = tempfile::Builder::new().prefix("hub-").tempdir_in(dir)?;
        let pki = Folder::new(folder.path().join("pki"));
        let names = [ServerName::parse("localhost")?, ServerName::parse("127.0.0.1")?];
        let days = Validity::days(7);
        pki.init("LDOP benchmark authority", &names, days, days, Overwrite::Never)?;
        for system in Dataset::ALL.map(Dataset::provider).into_iter().chain([READER]) {
            pki.issue(&Identity::system(system)?, DEVELOPMENT_TRUST_DOMAIN, days, Overwrite::Never)?;
        }
        pki.issue(&Identity::operator(OPERATOR)?, DEVELOPMENT_TRUST_DOMAIN, days, Overwrite::Never)?;
        let (grpc, ops) = (ldop_testkit::ports::free()?, ldop_testkit::ports::free()?);
        let registry = format!("127.0.0.1:{}", ldop_testkit::ports::free()?);
        let log = match kafka {
            None => "engine = \"embedded\"".to_owned(),
            Some(broker) => format!(
                "engine = \"kafka\"\n\n[log.kafka]\nbootstrap = [\"{broker}\"]\nsecurity = \"plaintext\"\n\
                 replication_factor = 1\nmin_insync_replicas = 1\n"
            ),
        };
        let config = format!(
            "[node]\ndata_dir = \"data\"\n\n[listen]\ngrpc = \"127.0.0.1:{grpc}\"\nops = \"127.0.0.1:{ops}\"\n
             registry = \"{registry}\"\n\n[tls]\n\
             ca = \"pki/ca.crt\"\ncert = \"pki/server.crt\"\nkey = \"pki/server.key\"\n\
             trust_domain = \"{DEVELOPMENT_TRUST_DOMAIN}\"\n\n# Nobody is there to approve the sample agreements.\n[agreements]\napprovals = \"not_required\"\n\n[log]\n{log}\n"
        );
        fs::write(folder.path().join("ldop.toml"), config)?;
        Ok(Self { program: program.to_owned(), folder, pki, address: format!("https://127.0.0.1:{grpc}"), registry })
    }

    /// Its folder.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Address of the registry's REST interface.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Files of the authority, and of the operator.
    ///
    /// # Errors
    ///
    /// None that a benchmark meets.
    pub fn operator_files(&self) -> anyhow::Result<[PathBuf; 3]> {
        let operator = self.pki.client_files(&Identity::operator(OPERATOR)?);
        Ok([self.pki.authority_files().certificate, operator.certificate, operator.key])
    }

    /// A bare gRPC client of the registry, as the operator.
    ///
    /// # Errors
    ///
    /// The hub does not answer.
    pub async fn registry_client(&self) -> anyhow::Result<RegistryServiceClient<Channel>> {
        let [authority, certificate, key] = self.operator_files()?.map(fs::read);
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(authority?))
            .identity(tonic::transport::Identity::from_pem(certificate?, key?));
        let channel = Channel::from_shared(self.address.clone())?.tls_config(tls)?.connect().await?;
        Ok(RegistryServiceClient::new(channel))
    }

    /// Files of the authority, and of the server.
    pub fn server_files(&self) -> [PathBuf; 3] {
        let server = self.pki.server_files();
        [self.pki.authority_files().certificate, server.certificate, server.key]
    }

    /// A connection as this system, to the hub or to another server with its certificate.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub async fn client(&self, system: &str, address: Option<&str>) -> anyhow::Result<Client> {
        self.connect(&Identity::system(system)?, address.unwrap_or(&self.address)).await
    }

    /// Connections of the three providers, in the order of [`Dataset::ALL`].
    ///
    /// # Errors
    ///
    /// The hub does not answer.
    pub async fn providers(&self, address: Option<&str>) -> anyhow::Result<Vec<Client>> {
        let mut clients = Vec::new();
        for dataset in Dataset::ALL {
            clients.push(self.client(dataset.provider(), address).await?);
        }
        Ok(clients)
    }

    async fn connect(&self, identity: &Identity, address: &str) -> anyhow::Result<Client> {
        let files = self.pki.client_files(identity);
        let ca = self.pki.authority_files().certificate;
        let config = ClientConfig::new(address, ca, files.certificate, files.key);
        Client::connect(config).await.context("connect")
    }

    /// Applies definitions, in as many change sets as it takes.
    ///
    /// # Errors
    ///
    /// The hub refuses them.
    pub async fn apply(&self, changes: Vec<Change>) -> anyhow::Result<()> {
        let client = self.connect(&Identity::operator(OPERATOR)?, &self.address).await?;
        for changes in change_sets(changes) {
            let change_id = ExchangeId::new().as_bytes().to_vec();
            let request = ApplyChangeSetRequest { change_id, changes, ..Default::default() };
            client.apply_change_set(&request).await.context("apply definitions")?;
        }
        Ok(())
    }
}

/// Cuts changes into sets that a hub takes.
pub fn change_sets(changes: Vec<Change>) -> Vec<Vec<Change>> {
    let (mut sets, mut bytes) = (vec![Vec::new()], 0);
    for change in changes {
        let size = change.encoded_len() + 8;
        let full = sets.last().is_none_or(|set: &Vec<Change>| set.len() == SET_CHANGES || bytes + size > SET_BYTES);
        if full {
            sets.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(set) = sets.last_mut() {
            set.push(change);
        }
    }
    sets
}

/// The sample definitions of `schemas/`.
///
/// # Errors
///
/// They do not hold together.
pub fn sample_definitions() -> anyhow::Result<Vec<Change>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../schemas");
    let loaded = ldop_definitions::load(&[folder], References::Within).map_err(|problems| {
        let problems: Vec<_> = problems.iter().map(ToString::to_string).collect();
        anyhow::anyhow!("sample definitions: {}", problems.join("\n"))
    })?;
    Ok(loaded.changes.into_iter().map(|(_, change)| change).collect())
}

/// The hub's process. Ends with its owner.
pub struct Hub {
    child: Child,
    /// From the start of the process until it said that it was ready.
    pub ready_after: Duration,
}

impl Hub {
    /// Starts it and waits until it is ready.
    ///
    /// # Errors
    ///
    /// It ends, or is not ready in time; with the end of its log.
    pub fn start(world: &World) -> anyhow::Result<Self> {
        let (ready, log) = (world.folder().join("ready.json"), world.folder().join("hub.log"));
        let _ = fs::remove_file(&ready);
        let started = Instant::now();
        // setpriv ends the hub when we are killed; it becomes the hub, so process id and processor time are the hub's.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL"])
            .arg(&world.program)
            .args(["serve", "--config"])
            .arg(world.folder().join("ldop.toml"))
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(&log)?)
            .spawn()
            .context("start the hub (setpriv of util-linux)")?;
        let mut hub = Self { child, ready_after: Duration::ZERO };
        while !ready.exists() {
            if let Some(status) = hub.child.try_wait()? {
                bail!("the hub ended at its start with {status}:\n{}", last_lines(&log));
            }
            if started.elapsed() > READY_WITHIN {
                bail!("the hub is not ready:\n{}", last_lines(&log));
            }
            pause();
        }
        hub.ready_after = started.elapsed();
        Ok(hub)
    }

    /// Its process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Its processor time so far.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn processor_time(&self) -> anyhow::Result<Duration> {
        clock::process(self.pid())
    }

    /// Its memory.
    ///
    /// # Errors
    ///
    /// It has ended.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        clock::memory(self.pid())
    }

    /// SIGKILL.
    ///
    /// # Errors
    ///
    /// It cannot be killed.
    pub fn kill(mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// SIGTERM, and waits for its end.
    ///
    /// # Errors
    ///
    /// It does not drain in time, or ends with an error.
    pub fn stop(mut self) -> anyhow::Result<()> {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM)?;
        let until = Instant::now() + STOP_WITHIN;
        while Instant::now() < until {
            if let Some(status) = self.child.try_wait()? {
                if status.success() {
                    return Ok(());
                }
                bail!("the hub ended with {status}");
            }
            pause();
        }
        bail!("the hub did not drain in time")
    }
}

impl Drop for Hub {
    fn drop(&mut self) {
        // Gone already when it was stopped.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn last_lines(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
