//! One broker process.

use std::{
    fs::File,
    io::{Read, Seek, SeekFrom},
    net::TcpStream,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use rustix::process::Signal;

use super::{Cluster, Error, Options, settings::Node};
use crate::{Scratch, process::Process, wait_until};

/// How long a node may take to start, also when three start at once on two busy cores.
const START: Duration = Duration::from_secs(90);
/// How long a clean stop may take.
const STOP: Duration = Duration::from_secs(60);

/// One broker. Its port and data stay over stops and kills; it ends on drop.
#[derive(Debug)]
pub struct Broker {
    node: Node,
    home: PathBuf,
    jars: PathBuf,
    heap_mb: u32,
    running: Mutex<Running>,
    _folder: Arc<Scratch>,
}

#[derive(Debug, Default)]
struct Running {
    process: Option<Process>,
    /// Length of the log when the process was started: what stands before is of an earlier life.
    log_from: u64,
}

impl Broker {
    /// Starts a broker of its own, plaintext.
    ///
    /// # Errors
    ///
    /// As [`Cluster::start`].
    pub async fn start() -> Result<Self, Error> {
        let Cluster { mut nodes, .. } = Cluster::start(Options::default()).await?;
        Ok(nodes.remove(0))
    }

    pub(super) fn new(node: Node, home: PathBuf, jars: PathBuf, heap_mb: u32, folder: Arc<Scratch>) -> Self {
        Self { node, home, jars, heap_mb, running: Mutex::default(), _folder: folder }
    }

    /// Its address for clients, `127.0.0.1:port`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.node.client)
    }

    /// Folder of its data: one folder for each partition, `<topic>-<index>`.
    #[must_use]
    pub fn data(&self) -> PathBuf {
        self.home.join("data")
    }

    /// Stops it in order (SIGTERM) and waits for its end. Does nothing when it does not run.
    ///
    /// # Errors
    ///
    /// When it has not ended within a minute; it is killed then.
    pub async fn stop(&self) -> Result<(), Error> {
        let Some(mut process) = self.running().process.take() else { return Ok(()) };
        // A paused process would not see the signal.
        process.signal(Signal::CONT);
        process.signal(Signal::TERM);
        process.wait(STOP).await.map_err(|late| self.error(format!("did not stop: {late}")))
    }

    /// Kills it (SIGKILL), as a power cut would, but for the disk's cache.
    pub fn kill(&self) {
        self.running().process = None;
    }

    /// Lets it stand still (SIGSTOP): its connections stay open and nothing is answered.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets it go on (SIGCONT).
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Starts it again on the same port and data, after stopping it in order if it runs, and waits until it serves.
    ///
    /// # Errors
    ///
    /// As [`Cluster::start`].
    pub async fn restart(&self) -> Result<(), Error> {
        self.stop().await?;
        self.launch()?;
        self.ready().await
    }

    /// Starts the process without waiting for it.
    pub(super) fn launch(&self) -> Result<(), Error> {
        let log = self.log();
        let log_from = std::fs::metadata(&log).map_or(0, |file| file.len());
        let args = [
            format!("-Xmx{}m", self.heap_mb),
            "-Xms64m".into(),
            // One collector thread and few compiler threads: several nodes share few cores.
            "-XX:+UseSerialGC".into(),
            "-XX:CICompilerCount=2".into(),
            "-Djava.awt.headless=true".into(),
            format!("-Dlog4j2.configurationFile={}", self.home.join("log4j2.properties").display()),
            "-cp".into(),
            format!("{}/*", self.jars.display()),
            "kafka.Kafka".into(),
            self.home.join("server.properties").display().to_string(),
        ];
        let process = Process::start("java", &args, &log).map_err(Error::io("start setpriv (util-linux) with java"))?;
        *self.running() = Running { process: Some(process), log_from };
        Ok(())
    }

    /// Waits until it serves.
    pub(super) async fn ready(&self) -> Result<(), Error> {
        let served = wait_until(START, async || {
            let mut running = self.running();
            match running.process.as_mut().map(Process::ended) {
                Some(Ok(None)) => {}
                // Ended already: no need to wait for the deadline.
                _ => return Ok(Err("ended while starting")),
            }
            if !self.log_since(running.log_from).contains("Kafka Server started") {
                return Err("starting");
            }
            TcpStream::connect(self.address()).map(|_| Ok(())).map_err(|_| "not listening")
        });
        match served.await {
            Ok(Ok(())) => Ok(()),
            Ok(Err(what)) => Err(self.error(what.into())),
            Err(late) => Err(self.error(format!("did not start: {late}"))),
        }
    }

    fn signal(&self, signal: Signal) {
        if let Some(process) = &self.running().process {
            process.signal(signal);
        }
    }

    fn running(&self) -> MutexGuard<'_, Running> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self) -> PathBuf {
        self.home.join("broker.log")
    }

    fn log_since(&self, from: u64) -> String {
        read_from(&self.log(), from).unwrap_or_default()
    }

    fn error(&self, what: String) -> Error {
        let log = self.log_since(self.running().log_from);
        Error::Broker { node: self.node.id, what, log: last_lines(&log, 25) }
    }
}

fn read_from(path: &Path, from: u64) -> std::io::Result<String> {
    let mut file = File::open(path)?;
    file.seek(SeekFrom::Start(from))?;
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// The last `count` lines of a text.
pub(super) fn last_lines(text: &str, count: usize) -> String {
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(count)..].join("\n")
}
