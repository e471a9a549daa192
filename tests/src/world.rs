//! A working folder: PKI, configuration, engine; and clients for the systems of the sample world.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, SystemTime},
};

use anyhow::{Context as _, ensure};
use ldop_client::{Client, ClientConfig, RetryPolicy};
use ldop_contract::{
    control::v1::{ApplyChangeSetRequest, Change, ChangeEffect, change::Resource},
    registry::v1::Sensitivity,
};
use ldop_definitions::References;
use ldop_pki::{Credentials, DEVELOPMENT_TRUST_DOMAIN, Folder, Identity, Issued, Overwrite, ServerName, Validity};
use ldop_testkit::{Scratch, kafka::Broker, ports};
use ldop_types::ExchangeId;
use tokio::sync::{Semaphore, SemaphorePermit};
use tonic::transport::{Certificate, Channel, ClientTlsConfig};

use crate::Hub;

/// The provider of the civil status register.
pub const PROVIDER: &str = "so-tu-phap/ho-tich";
/// A consumer of it.
pub const CONSUMER: &str = "bhxh-tinh/tiep-nhan";
/// Their agreement.
pub const AGREEMENT: &str = "civil-status-to-social-insurance";
/// Another consumer of it.
pub const OTHER_CONSUMER: &str = "cong-an-tinh/doi-soat";
/// Their agreement.
pub const OTHER_AGREEMENT: &str = "civil-status-to-police";
/// The dataset.
pub const DATASET: &str = "civil-status";
/// File of a hub's secret, in its data folder.
const SECRET: &str = "hub-secret";
const OPERATOR: &str = "so-khcn/test";
const SYSTEMS: [&str; 6] =
    [PROVIDER, CONSUMER, OTHER_CONSUMER, "so-nnmt/dat-dai", "so-tai-chinh/dkkd", "thue-tinh/quan-ly-thue"];

/// How patient clients are: they try often, and give up long after a test would have failed.
pub const RETRY: RetryPolicy = RetryPolicy {
    first: Duration::from_millis(20),
    longest: Duration::from_millis(250),
    give_up: Some(Duration::from_secs(120)),
};

/// What a hub stands on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Engine {
    /// The embedded log.
    Embedded,
    /// A Kafka broker of the scenario's own.
    Kafka,
}

/// What differs from the usual configuration.
#[derive(Debug, Clone, Default)]
pub struct Settings {
    /// Where the data goes; `None`: into the working folder.
    pub data_dir: Option<PathBuf>,
    /// Lines of `[log.embedded]`.
    pub embedded: String,
    /// More lines of `[tls]`.
    pub tls: String,
    /// More sections.
    pub more: String,
}

fn read(files: &Issued) -> anyhow::Result<Credentials> {
    Ok(Credentials {
        certificate_pem: fs::read_to_string(&files.certificate)?,
        key_pem: fs::read_to_string(&files.key)?,
    })
}

/// Brokers take 400 MB each and a core while they start: one scenario on Kafka at a time.
static TURN: Semaphore = Semaphore::const_new(1);

/// A working folder with everything a hub needs.
#[derive(Debug)]
pub struct World {
    // Before the folder: the process ends first.
    broker: Option<Broker>,
    folder: Scratch,
    pki: Folder,
    config: PathBuf,
    grpc: String,
    ops: String,
    registry: String,
    _turn: Option<SemaphorePermit<'static>>,
}

impl World {
    /// Makes a world with the usual configuration.
    ///
    /// # Errors
    ///
    /// A file, port, certificate or broker cannot be had.
    pub async fn new(engine: Engine) -> anyhow::Result<Self> {
        Self::with(engine, &Settings::default()).await
    }

    /// Makes a world.
    ///
    /// # Errors
    ///
    /// As [`new`](Self::new).
    pub async fn with(engine: Engine, settings: &Settings) -> anyhow::Result<Self> {
        let (broker, turn) = match engine {
            Engine::Embedded => (None, None),
            Engine::Kafka => {
                let turn = TURN.acquire().await?;
                (Some(Broker::start().await?), Some(turn))
            }
        };
        let folder = Scratch::new()?;
        let pki = Folder::new(folder.join("pki"));
        let names = [ServerName::parse("localhost")?, ServerName::parse("127.0.0.1")?];
        // From two days ago, so that a hub may have its clock set back.
        let from = SystemTime::now() - Duration::from_secs(2 * 86_400);
        let days = Validity { not_before: from, ..Validity::days(30) };
        pki.init("Authority of a test", &names, days, days, Overwrite::Never)?;
        for system in SYSTEMS {
            pki.issue(&Identity::system(system)?, DEVELOPMENT_TRUST_DOMAIN, days, Overwrite::Never)?;
        }
        pki.issue(&Identity::operator(OPERATOR)?, DEVELOPMENT_TRUST_DOMAIN, days, Overwrite::Never)?;
        let address = || anyhow::Ok(format!("127.0.0.1:{}", ports::free()?));
        let config = folder.join("hub.toml");
        let (grpc, ops, registry) = (address()?, address()?, address()?);
        let world = Self { broker, folder, pki, config, grpc, ops, registry, _turn: turn };
        world.configure(settings)?;
        Ok(world)
    }

    /// Writes the configuration again, with other settings; for the next start.
    ///
    /// # Errors
    ///
    /// The file cannot be written.
    pub fn configure(&self, settings: &Settings) -> anyhow::Result<()> {
        self.write_config(&self.config, settings, &self.grpc, &self.ops, Some(&self.registry))
    }

    /// Writes the configuration of a second hub in this world, with ports and a data folder of its own (or that of
    /// `settings`); returns it with the addresses of gRPC and the operators' endpoints.
    ///
    /// # Errors
    ///
    /// No port or file.
    pub fn second_hub(&self, settings: &Settings) -> anyhow::Result<(PathBuf, String, String)> {
        let (grpc, ops) = (format!("127.0.0.1:{}", ports::free()?), format!("127.0.0.1:{}", ports::free()?));
        let config = self.folder.join("second.toml");
        let data_dir = settings.data_dir.clone().unwrap_or_else(|| self.folder.join("data-second"));
        // A node that is to take over has the secret of the other.
        let (first, second) = (self.data_dir().join(SECRET), data_dir.join(SECRET));
        if first.exists() && first != second {
            fs::create_dir_all(&data_dir)?;
            fs::copy(first, second)?;
        }
        let data_dir = Some(data_dir);
        self.write_config(&config, &Settings { data_dir, ..settings.clone() }, &grpc, &ops, None)?;
        Ok((config, grpc, ops))
    }

    fn write_config(
        &self,
        path: &Path,
        settings: &Settings,
        grpc: &str,
        ops: &str,
        registry: Option<&str>,
    ) -> anyhow::Result<()> {
        let registry = registry.map(|address| format!("registry = \"{address}\"\n")).unwrap_or_default();
        let data_dir = settings.data_dir.clone().unwrap_or_else(|| self.data_dir());
        let log = match &self.broker {
            None => format!("engine = \"embedded\"\n[log.embedded]\n{}\n", settings.embedded),
            Some(broker) => format!(
                "engine = \"kafka\"\n[log.kafka]\nbootstrap = [\"{}\"]\nsecurity = \"plaintext\"\nreplication_factor = 1\n",
                broker.address()
            ),
        };
        let text = format!(
            "[node]\ndata_dir = \"{}\"\n[listen]\ngrpc = \"{grpc}\"\nops = \"{ops}\"\n{registry}[tls]\nca = \"pki/ca.crt\"\n\
             cert = \"pki/server.crt\"\nkey = \"pki/server.key\"\ntrust_domain = \"{DEVELOPMENT_TRUST_DOMAIN}\"\n{}\n\
             # Nobody is there to approve the sample agreements.\n[agreements]\napprovals = \"not_required\"\n[log]\n{log}\n{}\n",
            data_dir.display(),
            settings.tls,
            settings.more
        );
        Ok(fs::write(path, text)?)
    }

    /// Starts a hub, waits until it is ready, and applies the sample definitions.
    ///
    /// # Errors
    ///
    /// It does not start, or refuses the definitions.
    pub async fn start_with_samples(&self) -> anyhow::Result<Hub> {
        let hub = self.start().await?;
        self.apply_samples().await?;
        Ok(hub)
    }

    /// Starts a hub and waits until it is ready.
    ///
    /// # Errors
    ///
    /// It does not start.
    pub async fn start(&self) -> anyhow::Result<Hub> {
        let mut hub = Hub::launch(&self.config, &self.log_file(), &self.ops).await?;
        hub.ready(&self.config).await?;
        Ok(hub)
    }

    /// Applies everything in `schemas/`.
    ///
    /// # Errors
    ///
    /// The hub refuses it.
    pub async fn apply_samples(&self) -> anyhow::Result<()> {
        self.apply_samples_with(|_| ()).await
    }

    /// Applies everything in `schemas/` as if nothing in it were personal data: what is published stands on the log as it is.
    ///
    /// # Errors
    ///
    /// The hub refuses it.
    pub async fn apply_public_samples(&self) -> anyhow::Result<()> {
        self.apply_samples_with(|change| {
            if let Some(Resource::Element(element)) = &mut change.resource {
                element.set_sensitivity(Sensitivity::None);
            }
        })
        .await
    }

    async fn apply_samples_with(&self, alter: impl Fn(&mut Change)) -> anyhow::Result<()> {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../schemas");
        let loaded = ldop_definitions::load(&[folder], References::Within)
            .map_err(|problems| anyhow::anyhow!("schemas/: {} problems, first {}", problems.len(), problems[0]))?;
        let mut changes: Vec<Change> = loaded.changes.into_iter().map(|(_, change)| change).collect();
        changes.iter_mut().for_each(alter);
        let effects = self.apply(changes).await?;
        ensure!(!effects.is_empty(), "the samples hold definitions");
        Ok(())
    }

    /// Applies definitions as an operator.
    ///
    /// # Errors
    ///
    /// The hub refuses them.
    pub async fn apply(&self, changes: Vec<Change>) -> anyhow::Result<Vec<ChangeEffect>> {
        let request =
            ApplyChangeSetRequest { change_id: ExchangeId::new().as_bytes().to_vec(), changes, ..Default::default() };
        let applied = self.operator().await?.apply_change_set(&request).await.context("apply definitions")?;
        Ok(applied.results.iter().map(ldop_contract::control::v1::ChangeResult::effect).collect())
    }

    /// A client of a system of the sample world: [`PROVIDER`], [`CONSUMER`] or [`OTHER_CONSUMER`].
    ///
    /// # Errors
    ///
    /// Its certificate cannot be used.
    pub fn client(&self, system: &str) -> anyhow::Result<Client> {
        self.client_at(system, &self.grpc)
    }

    /// The same, at another address.
    ///
    /// # Errors
    ///
    /// As there.
    pub fn client_at(&self, system: &str, grpc: &str) -> anyhow::Result<Client> {
        let files = self.pki.client_files(&Identity::system(system)?);
        Ok(Client::connect_lazy(self.client_config(files, grpc))?)
    }

    /// A bare gRPC channel with a certificate, to say what no client would. TLS is done with the first call.
    ///
    /// # Errors
    ///
    /// The credentials cannot be used.
    pub fn channel(&self, credentials: &Credentials) -> anyhow::Result<Channel> {
        let tls = ClientTlsConfig::new()
            .ca_certificate(Certificate::from_pem(fs::read(self.pki.authority_files().certificate)?))
            .identity(tonic::transport::Identity::from_pem(&credentials.certificate_pem, &credentials.key_pem));
        let endpoint = Channel::from_shared(format!("https://{}", self.grpc))?.tls_config(tls)?;
        Ok(endpoint.connect_timeout(Duration::from_secs(10)).connect_lazy())
    }

    /// Certificate and key of a system of the sample world.
    ///
    /// # Errors
    ///
    /// It has none.
    pub fn credentials(&self, system: &str) -> anyhow::Result<Credentials> {
        read(&self.pki.client_files(&Identity::system(system)?))
    }

    /// Certificate and key of the operator.
    ///
    /// # Errors
    ///
    /// None that a test meets.
    pub fn operator_credentials(&self) -> anyhow::Result<Credentials> {
        read(&self.operator_files()?)
    }

    /// A client of the operator.
    ///
    /// # Errors
    ///
    /// No connection.
    pub async fn operator(&self) -> anyhow::Result<Client> {
        let files = self.operator_files()?;
        Ok(Client::connect(self.client_config(files, &self.grpc)).await?)
    }

    /// Certificate and key of the operator.
    ///
    /// # Errors
    ///
    /// None that a test meets.
    pub fn operator_files(&self) -> anyhow::Result<Issued> {
        Ok(self.pki.client_files(&Identity::operator(OPERATOR)?))
    }

    /// How to reach the hub with a certificate.
    #[must_use]
    pub fn client_config(&self, files: Issued, grpc: &str) -> ClientConfig {
        let ca = self.pki.authority_files().certificate;
        ClientConfig { retry: RETRY, ..ClientConfig::new(format!("https://{grpc}"), ca, files.certificate, files.key) }
    }

    /// The PKI.
    #[must_use]
    pub fn pki(&self) -> &Folder {
        &self.pki
    }

    /// The broker, on Kafka.
    #[must_use]
    pub fn broker(&self) -> Option<&Broker> {
        self.broker.as_ref()
    }

    /// A folder that lives as long as the world.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Where the hub's data is.
    #[must_use]
    pub fn data_dir(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// What the hub logs.
    #[must_use]
    pub fn log_file(&self) -> PathBuf {
        self.folder.join("hub.log")
    }

    /// The configuration file.
    #[must_use]
    pub fn config(&self) -> &Path {
        &self.config
    }

    /// Address of gRPC.
    #[must_use]
    pub fn grpc(&self) -> &str {
        &self.grpc
    }

    /// Address of the operators' endpoints.
    #[must_use]
    pub fn ops(&self) -> &str {
        &self.ops
    }

    /// Address of the registry's REST interface.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// Fails when the hub has panicked.
    ///
    /// # Errors
    ///
    /// It has; or there is no log.
    pub fn no_panic(&self) -> anyhow::Result<()> {
        let log = fs::read_to_string(self.log_file())?;
        let line = log.lines().find(|line| line.contains("panicked"));
        ensure!(line.is_none(), "the hub panicked: {}", line.unwrap_or_default());
        Ok(())
    }
}
