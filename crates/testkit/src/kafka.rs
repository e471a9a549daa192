//! Apache Kafka brokers.
//!
//! The broker is the real one, fetched by `tests/setup.sh` into `target/kafka-libs` (or the folder named by
//! `LDOP_KAFKA_LIBS`), in KRaft mode, each node both broker and controller. It needs Java 17 and about 400 MB a node.

mod broker;
mod settings;

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    process::{Output, Stdio},
    sync::Arc,
    time::Duration,
};

use crate::{
    Scratch,
    certificates::{Authority, Issued},
    ports,
};

pub use broker::Broker;

/// How clients reach the brokers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Security {
    /// Anybody, unencrypted.
    Plaintext,
    /// TLS; the broker asks for a client certificate of [`Cluster::authority`].
    MutualTls,
    /// TLS, and a user and password by SCRAM-SHA-512: [`USER`] and [`PASSWORD`].
    SaslScram,
}

/// The user a [`Security::SaslScram`] cluster knows.
pub const USER: &str = "hub";
/// Its password.
pub const PASSWORD: &str = "a-Password/for+tests";

/// What cluster to start.
#[derive(Debug, Clone)]
pub struct Options {
    /// Number of nodes, 1-3.
    pub nodes: u16,
    /// How clients reach them.
    pub security: Security,
    /// Java heap of a node, MiB.
    pub heap_mb: u32,
    /// More broker settings; they go over those of the testkit.
    pub settings: BTreeMap<String, String>,
}

impl Default for Options {
    fn default() -> Self {
        Self { nodes: 1, security: Security::Plaintext, heap_mb: 320, settings: BTreeMap::new() }
    }
}

/// Why a broker did not start or stop.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The broker's jars are missing.
    #[error("no Kafka jars in {}: run tests/setup.sh", .0.display())]
    NoJars(PathBuf),
    /// A file, port or process could not be had.
    #[error("{what}")]
    Io {
        /// What was tried.
        what: String,
        /// Why it failed.
        source: io::Error,
    },
    /// Certificates could not be made.
    #[error("make certificates")]
    Certificates(#[from] rcgen::Error),
    /// The storage tool refused.
    #[error("format the storage of node {node}: {said}")]
    Format {
        /// Which node, from 1.
        node: u16,
        /// Its last output.
        said: String,
    },
    /// The broker ended or was not ready in time.
    #[error("node {node} {what}; its log ends:\n{log}")]
    Broker {
        /// Which node, from 1.
        node: u16,
        /// What went wrong.
        what: String,
        /// The last lines of its log.
        log: String,
    },
}

impl Error {
    pub(crate) fn io(what: impl Into<String>) -> impl FnOnce(io::Error) -> Self {
        let what = what.into();
        move |source| Self::Io { what, source }
    }
}

/// Brokers that form one cluster. Its data lives in a temporary folder; everything ends on drop.
#[derive(Debug)]
pub struct Cluster {
    // Before the folder: the processes end first.
    nodes: Vec<Broker>,
    authority: Authority,
    folder: Arc<Scratch>,
}

impl Cluster {
    /// Starts the brokers and waits until all of them serve.
    ///
    /// # Errors
    ///
    /// Any [`Error`]; a broker that does not come up within a minute is one, with the end of its log.
    pub async fn start(options: Options) -> Result<Self, Error> {
        let jars = jars()?;
        let folder = Arc::new(Scratch::new().map_err(Error::io("make a temporary folder"))?);
        let authority = Authority::new("Kafka of a test")?;
        let port = || ports::free().map_err(Error::io("find a free port"));
        let mut nodes = Vec::new();
        for id in 1..=options.nodes {
            nodes.push(settings::Node { id, client: port()?, internal: port()?, controller: port()? });
        }

        let mut formats = tokio::task::JoinSet::new();
        let mut brokers = Vec::new();
        for node in &nodes {
            let home = folder.join(format!("node-{}", node.id));
            write_home(&home, &settings::server(node, &nodes, &options, &home), &authority)?;
            formats.spawn(format(jars.clone(), node.id, home.clone(), options.security));
            brokers.push(Broker::new(*node, home, jars.clone(), options.heap_mb, Arc::clone(&folder)));
        }
        while let Some(done) = formats.join_next().await {
            done.map_err(|e| Error::io("format storage")(io::Error::other(e)))??;
        }
        for broker in &brokers {
            broker.launch()?;
        }
        for broker in &brokers {
            broker.ready().await?;
        }
        Ok(Self { nodes: brokers, authority, folder })
    }

    /// Addresses of all brokers, separated by commas.
    #[must_use]
    pub fn bootstrap(&self) -> String {
        self.nodes.iter().map(Broker::address).collect::<Vec<_>>().join(",")
    }

    /// The brokers, in order of their ids.
    #[must_use]
    pub fn nodes(&self) -> &[Broker] {
        &self.nodes
    }

    /// Who signed the brokers' certificates, and whose clients a [`Security::MutualTls`] broker takes.
    #[must_use]
    pub fn authority(&self) -> &Authority {
        &self.authority
    }

    /// The certificate clients of a secured cluster need to trust, as a file.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.folder.join("node-1").join("ca.pem")
    }

    /// A folder that lives as long as the cluster.
    #[must_use]
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }
}

/// Where the broker's jars are.
#[expect(clippy::disallowed_methods, reason = "tests have no start-up that could hand this down")]
fn jars() -> Result<PathBuf, Error> {
    let folder = std::env::var("LDOP_KAFKA_LIBS")
        .map_or_else(|_| Path::new(env!("CARGO_MANIFEST_DIR")).join("../../target/kafka-libs"), PathBuf::from);
    let there = std::fs::read_dir(&folder).is_ok_and(|mut files| files.next().is_some());
    if there { Ok(folder) } else { Err(Error::NoJars(folder)) }
}

/// Writes what a node needs before its first start.
fn write_home(home: &Path, server: &str, authority: &Authority) -> Result<(), Error> {
    let Issued { certificate, key } = authority.server()?;
    let write = |name: &str, content: &str| {
        std::fs::write(home.join(name), content).map_err(Error::io(format!("write {name}")))
    };
    std::fs::create_dir_all(home.join("data")).map_err(Error::io("make the data folder"))?;
    write("server.properties", server)?;
    write("log4j2.properties", settings::LOG4J)?;
    write("ca.pem", authority.pem())?;
    write("keystore.pem", &format!("{key}{certificate}"))
}

async fn format(jars: PathBuf, node: u16, home: PathBuf, security: Security) -> Result<(), Error> {
    let mut tool = tokio::process::Command::new("java");
    tool.args(["-Xmx64m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-cp", &format!("{}/*", jars.display())]);
    tool.args(["kafka.tools.StorageTool", "format", "--cluster-id", "bGRvcC10ZXN0LWNsdXN0ZQ"]);
    tool.args(["--config", &home.join("server.properties").display().to_string()]);
    if security == Security::SaslScram {
        tool.args(["--add-scram", &format!("SCRAM-SHA-512=[name={USER},password={PASSWORD}]")]);
    }
    tool.stdin(Stdio::null()).kill_on_drop(true);
    let run = tokio::time::timeout(Duration::from_secs(60), tool.output()).await;
    let Output { status, stdout, stderr } =
        run.unwrap_or_else(|late| Err(io::Error::other(late))).map_err(Error::io("run the storage tool (java)"))?;
    if status.success() {
        return Ok(());
    }
    let said = [stdout, stderr].concat();
    Err(Error::Format { node, said: broker::last_lines(&String::from_utf8_lossy(&said), 10) })
}
