//! The demo's folder, its hub and its workers.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::{BufRead as _, BufReader, Write as _},
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use anyhow::{Context as _, bail};
use ldop_client::{Client, ClientConfig};
use ldop_contract::control::v1::ApplyChangeSetRequest;
use ldop_definitions::References;
use ldop_pki::{DEVELOPMENT_TRUST_DOMAIN, Folder, Identity, Issued, Overwrite, ServerName, Validity};
use serde::de::DeserializeOwned;

use super::{
    Args,
    worker::{PROVIDERS, Said, consumers},
};

/// How long the hub may take to be ready.
const READY_WITHIN: Duration = Duration::from_secs(30);
/// How long a drained hub may take to go.
const STOP_WITHIN: Duration = Duration::from_secs(30);
const OPERATOR: &str = "so-khcn/demo";

/// Waits a moment between two looks at processes.
#[expect(clippy::disallowed_methods, reason = "the demo polls processes; every loop around it has a deadline")]
pub fn pause() {
    std::thread::sleep(Duration::from_millis(5));
}

/// Everything the demo made.
pub struct World {
    /// Working folder.
    pub folder: PathBuf,
    temporary: Option<tempfile::TempDir>,
    pki: Folder,
    config: PathBuf,
    hub: String,
    kafka: bool,
    /// Subscription name of this run: on a broker used before, other runs have theirs.
    subscription: String,
}

impl World {
    /// Makes folder, PKI, configuration and definitions.
    pub fn make(args: &Args) -> anyhow::Result<Self> {
        let temporary = match &args.keep {
            Some(folder) => {
                fs::create_dir_all(folder)?;
                if fs::read_dir(folder)?.next().is_some() {
                    bail!("{} is not empty", folder.display());
                }
                None
            }
            None => Some(tempfile::Builder::new().prefix("ldop-demo-").tempdir()?),
        };
        let folder = match (&temporary, &args.keep) {
            (Some(temporary), _) => temporary.path().to_owned(),
            (None, Some(keep)) => fs::canonicalize(keep)?,
            (None, None) => unreachable!("one of the two is there"),
        };
        crate::sample::write(&folder.join("schemas")).map_err(|failure| anyhow::anyhow!("{failure}"))?;
        let pki = Folder::new(folder.join("pki"));
        let names = [ServerName::parse("localhost")?, ServerName::parse("127.0.0.1")?];
        let days = Validity::days(30);
        pki.init("LDOP demo authority", &names, days, days, Overwrite::Never)?;
        for system in PROVIDERS.into_iter().chain(consumers()) {
            pki.issue(&Identity::system(system)?, DEVELOPMENT_TRUST_DOMAIN, days, Overwrite::Never)?;
        }
        pki.issue(&Identity::operator(OPERATOR)?, DEVELOPMENT_TRUST_DOMAIN, days, Overwrite::Never)?;

        // The hub comes back on the same port after it was killed.
        let (grpc, ops) = (free_port()?, free_port()?);
        let config = folder.join("ldop.toml");
        let log = match &args.kafka {
            None => "engine = \"embedded\"\n".to_owned(),
            Some(broker) => format!(
                "engine = \"kafka\"\n\n[log.kafka]\nbootstrap = [{}]\nsecurity = \"plaintext\"\nreplication_factor = 1\n",
                toml::Value::String(broker.clone())
            ),
        };
        fs::write(
            &config,
            format!(
                "[node]\ndata_dir = \"data\"\n\n[listen]\ngrpc = \"127.0.0.1:{grpc}\"\nops = \"127.0.0.1:{ops}\"\n\n[tls]\n\
                 ca = \"pki/ca.crt\"\ncert = \"pki/server.crt\"\nkey = \"pki/server.key\"\n\
                 trust_domain = \"{DEVELOPMENT_TRUST_DOMAIN}\"\n\n# Nobody is there to approve the sample agreements.\n[agreements]\napprovals = \"not_required\"\n\n[log]\n{log}"
            ),
        )?;
        Ok(Self {
            folder,
            temporary,
            pki,
            config,
            hub: format!("https://127.0.0.1:{grpc}"),
            kafka: args.kafka.is_some(),
            subscription: format!("demo-{}-{}", std::process::id(), ldop_types::TimestampMs::now().0),
        })
    }

    /// `embedded` or `Kafka`.
    pub fn engine(&self) -> &'static str {
        if self.kafka { "Kafka" } else { "embedded" }
    }

    fn files(&self, identity: &Identity) -> Issued {
        self.pki.client_files(identity)
    }

    /// Applies the sample definitions; returns how many.
    pub fn apply(&self) -> anyhow::Result<usize> {
        let loaded =
            ldop_definitions::load(&[self.folder.join("schemas")], References::Within).map_err(|problems| {
                anyhow::anyhow!(
                    "sample definitions: {}",
                    problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
                )
            })?;
        let count = loaded.changes.len();
        let files = self.files(&Identity::operator(OPERATOR)?);
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        runtime.block_on(async {
            let ca = self.pki.authority_files().certificate;
            let config = ClientConfig::new(self.hub.clone(), ca, files.certificate, files.key);
            let client = Client::connect(config).await?;
            let changes = loaded.changes.into_iter().map(|(_, change)| change).collect();
            let request = ApplyChangeSetRequest {
                change_id: ldop_types::ExchangeId::new().as_bytes().to_vec(),
                changes,
                ..Default::default()
            };
            client.apply_change_set(&request).await.context("apply the sample definitions")?;
            anyhow::Ok(())
        })?;
        Ok(count)
    }

    /// Where a worker writes the ids it sent or received.
    pub fn ids_file(&self, system: &str) -> PathBuf {
        self.folder.join(format!("{}.ids", system.replace('/', "-")))
    }

    /// Removes the temporary folder, or says where it is when the audit failed.
    pub fn close(mut self, passed: bool) {
        if let Some(temporary) = self.temporary.take()
            && !passed
        {
            let kept = temporary.keep();
            eprintln!("the working folder is kept for a look: {}", kept.display());
        }
    }
}

fn free_port() -> std::io::Result<u16> {
    Ok(TcpListener::bind(("127.0.0.1", 0))?.local_addr()?.port())
}

fn this_program() -> anyhow::Result<PathBuf> {
    std::env::current_exe().context("find this program")
}

/// The hub, as a process.
pub struct Hub {
    child: Child,
    /// Time from start to ready.
    pub ready_after: Duration,
}

impl Hub {
    /// Starts it and waits until it is ready.
    pub fn start(world: &World) -> anyhow::Result<Self> {
        let ready = world.folder.join("ready.json");
        let _ = fs::remove_file(&ready);
        let log = File::options().create(true).append(true).open(world.folder.join("hub.log"))?;
        let started = Instant::now();
        let mut child = Command::new(this_program()?)
            .arg("serve")
            .arg("--config")
            .arg(&world.config)
            .arg("--ready-file")
            .arg(&ready)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(log)
            .spawn()
            .context("start the hub")?;
        while !ready.exists() {
            if let Some(status) = child.try_wait()? {
                bail!("the hub ended at its start with {status}:\n{}", last_lines(&world.folder.join("hub.log")));
            }
            if started.elapsed() > READY_WITHIN {
                let _ = child.kill();
                bail!("the hub is not ready:\n{}", last_lines(&world.folder.join("hub.log")));
            }
            pause();
        }
        Ok(Self { child, ready_after: started.elapsed() })
    }

    /// SIGKILL.
    pub fn kill(&mut self) -> anyhow::Result<()> {
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Memory in use, MiB, from /proc.
    pub fn memory_mib(&self) -> Option<u64> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).ok()?;
        let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
        Some(line.split_whitespace().nth(1)?.parse::<u64>().ok()? / 1024)
    }

    /// SIGTERM, then waits for the drain.
    pub fn stop(mut self) -> anyhow::Result<()> {
        Command::new("kill").arg("-TERM").arg(self.child.id().to_string()).status()?;
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

/// A provider or consumer, as a process.
pub struct Worker {
    system: String,
    child: Child,
    ready: Arc<AtomicBool>,
    done: Arc<AtomicU64>,
    report: PathBuf,
    log: PathBuf,
}

impl Worker {
    /// Starts a provider.
    pub fn provider(world: &World, system: &str, args: &Args) -> anyhow::Result<Self> {
        let more = [
            ("--records", args.records.to_string()),
            ("--seed", args.seed.to_string()),
            ("--errors", args.errors.to_string()),
            ("--spread", args.spread.to_string()),
        ];
        Self::start(world, "provider", system, &more)
    }

    /// Starts a consumer.
    pub fn consumer(world: &World, system: &str) -> anyhow::Result<Self> {
        Self::start(world, "consumer", system, &[])
    }

    fn start(world: &World, role: &str, system: &str, more: &[(&str, String)]) -> anyhow::Result<Self> {
        let name = system.replace('/', "-");
        let files = world.files(&Identity::system(system)?);
        let report = world.folder.join(format!("{name}.report.json"));
        let log = world.folder.join(format!("{name}.log"));
        let mut command = Command::new(this_program()?);
        command
            .args(["demo-worker", role, "--system", system, "--hub", &world.hub])
            .args(["--subscription", &world.subscription])
            .arg("--ca")
            .arg(world.pki.authority_files().certificate)
            .arg("--cert")
            .arg(files.certificate)
            .arg("--key")
            .arg(files.key)
            .arg("--report")
            .arg(&report)
            .arg("--ids")
            .arg(world.ids_file(system));
        for (option, value) in more {
            command.arg(option).arg(value);
        }
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(File::create(&log)?)
            .spawn()
            .with_context(|| format!("start {system}"))?;
        let (ready, done) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let output = child.stdout.take().context("standard output was piped")?;
        let (is_ready, has_done) = (Arc::clone(&ready), Arc::clone(&done));
        // Ends with the worker's output.
        std::thread::spawn(move || {
            for line in BufReader::new(output).lines().map_while(Result::ok) {
                match serde_json::from_str(&line) {
                    Ok(Said::Ready) => is_ready.store(true, Ordering::Release),
                    Ok(Said::Done(answers)) => has_done.store(answers, Ordering::Release),
                    Err(_) => {}
                }
            }
        });
        Ok(Self { system: system.to_owned(), child, ready, done, report, log })
    }

    /// Waits until a consumer has subscribed.
    pub fn wait_for_ready(&mut self, until: Instant) -> anyhow::Result<()> {
        while !self.ready.load(Ordering::Acquire) {
            if self.has_ended()? || Instant::now() > until {
                bail!("{} did not subscribe:\n{}", self.system, last_lines(&self.log));
            }
            pause();
        }
        Ok(())
    }

    /// Answers received so far.
    pub fn done(&self) -> u64 {
        self.done.load(Ordering::Acquire)
    }

    /// Whether it has ended; an end with an error is one of the demo.
    pub fn has_ended(&mut self) -> anyhow::Result<bool> {
        match self.child.try_wait()? {
            None => Ok(false),
            Some(status) if status.success() => Ok(true),
            Some(status) => bail!("{} ended with {status}:\n{}", self.system, last_lines(&self.log)),
        }
    }

    /// Tells a consumer how many records of each dataset were accepted.
    pub fn expect(&mut self, counts: &BTreeMap<String, u64>) -> anyhow::Result<()> {
        let mut input = self.child.stdin.take().context("standard input was piped")?;
        writeln!(input, "{}", serde_json::to_string(counts)?)?;
        Ok(())
    }

    /// Waits for its end and reads its report.
    pub fn report<T: DeserializeOwned>(mut self) -> anyhow::Result<T> {
        let status = self.child.wait()?;
        if !status.success() {
            bail!("{} ended with {status}:\n{}", self.system, last_lines(&self.log));
        }
        let file = BufReader::new(File::open(&self.report)?);
        serde_json::from_reader(file).with_context(|| format!("report of {}", self.system))
    }
}

impl Drop for Worker {
    fn drop(&mut self) {
        // Gone already when its report was read.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn last_lines(path: &Path) -> String {
    let text = fs::read_to_string(path).unwrap_or_default();
    let lines: Vec<_> = text.lines().collect();
    lines[lines.len().saturating_sub(8)..].join("\n")
}
