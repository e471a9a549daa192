//! The hub as a process.

use std::{
    fs,
    path::{Path, PathBuf},
    process::ExitStatus,
    time::Duration,
};

use anyhow::{Context as _, bail, ensure};
use ldop_testkit::{Process, wait_until};
use rustix::process::{Pid, Resource, Rlimit, Signal, prlimit};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::TcpStream,
    sync::OnceCell,
};

/// How long a hub may take to be ready, also on two busy cores.
const READY: Duration = Duration::from_secs(60);

/// A running hub. Killed on drop.
#[derive(Debug)]
pub struct Hub {
    process: Process,
    ops: String,
    log: PathBuf,
}

/// Memory of a process, bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Memory {
    /// Everything that is resident (RSS).
    pub total: u64,
    /// Of that, what is its own: not the program, not files that are mapped.
    pub own: u64,
}

/// The program, beside the test program. Cargo builds the programs of other packages for nobody: it is built here when
/// it is missing, and refused when a source is newer, so that nobody tests yesterday's hub.
async fn program() -> anyhow::Result<&'static PathBuf> {
    static PROGRAM: OnceCell<PathBuf> = OnceCell::const_new();
    PROGRAM.get_or_try_init(find_program).await
}

async fn find_program() -> anyhow::Result<PathBuf> {
    let test = std::env::current_exe().context("find the test program")?;
    let profile = test.parent().and_then(Path::parent).context("the test program lies in target/*/deps")?;
    let program = profile.join("ldop");
    if !program.exists() {
        let mut cargo = tokio::process::Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "-p", "ldop", "--target-dir"]);
        cargo.arg(profile.parent().context("target folder")?);
        if profile.ends_with("release") {
            cargo.arg("--release");
        }
        let built = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status().await.context("run cargo build")?;
        ensure!(built.success() && program.exists(), "cargo build -p ldop did not make {}", program.display());
    }
    let made = fs::metadata(&program)?.modified()?;
    for source in sources(&profile.join("ldop.d"))? {
        let changed = fs::metadata(&source).and_then(|file| file.modified());
        ensure!(
            changed.is_ok_and(|changed| changed <= made),
            "{} is older than {}: run cargo build -p ldop",
            program.display(),
            source.display()
        );
    }
    Ok(program)
}

/// Sources of the program: those cargo has listed when it was asked for the program, or, when it only built it on the way to
/// tests, all of the crates that are part of it.
fn sources(list: &Path) -> anyhow::Result<Vec<PathBuf>> {
    const NOT_IN_IT: [&str; 3] = ["bench", "fuzz", "testkit"];
    if let Ok(text) = fs::read_to_string(list) {
        // Make's form: the program, a colon, its sources.
        let (_, sources) = text.split_once(": ").context("a list of sources")?;
        return Ok(sources.split_whitespace().map(PathBuf::from).collect());
    }
    let mut sources = Vec::new();
    let crates = Path::new(env!("CARGO_MANIFEST_DIR")).join("../crates");
    let mut folders: Vec<_> = fs::read_dir(crates)?.collect::<Result<Vec<_>, _>>()?;
    folders.retain(|folder| NOT_IN_IT.iter().all(|name| folder.file_name() != *name));
    let mut folders: Vec<_> = folders.into_iter().map(|folder| folder.path().join("src")).collect();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).with_context(|| folder.display().to_string())? {
            let entry = entry?;
            if entry.file_type()?.is_dir() {
                folders.push(entry.path());
            } else {
                sources.push(entry.path());
            }
        }
    }
    Ok(sources)
}

impl Hub {
    /// Starts a hub and gives it back before it is ready.
    ///
    /// # Errors
    ///
    /// The program cannot be built or started.
    pub async fn launch(config: &Path, log: &Path, ops: &str) -> anyhow::Result<Self> {
        Self::launch_with(config, log, ops, &[]).await
    }

    /// As [`launch`](Self::launch), under another program, such as `env` with variables.
    ///
    /// # Errors
    ///
    /// As there.
    pub async fn launch_with(config: &Path, log: &Path, ops: &str, under: &[String]) -> anyhow::Result<Self> {
        let ready = ready_file(config);
        drop(fs::remove_file(&ready));
        let program = program().await?.display().to_string();
        let mut line = under.to_vec();
        line.extend([program, "serve".to_owned(), "--config".to_owned(), config.display().to_string()]);
        line.extend(["--ready-file".to_owned(), ready.display().to_string()]);
        let process = Process::start(&line[0], &line[1..], log).context("start the hub")?;
        Ok(Self { process, ops: ops.to_owned(), log: log.to_owned() })
    }

    /// Waits until it is ready.
    ///
    /// # Errors
    ///
    /// It ended before, with the end of its log; or it is not ready within a minute.
    pub async fn ready(&mut self, config: &Path) -> anyhow::Result<()> {
        let ready = ready_file(config);
        let ended = wait_until(READY, async || {
            if ready.exists() {
                return Ok(None);
            }
            self.process.ended().map_err(|e| e.to_string())?.map(Some).ok_or_else(|| "starting".to_owned())
        })
        .await
        .with_context(|| self.last_lines())?;
        match ended {
            None => Ok(()),
            Some(status) => bail!("the hub ended at its start with {status}:\n{}", self.last_lines()),
        }
    }

    /// Sends a signal.
    pub fn signal(&self, signal: Signal) {
        self.process.signal(signal);
    }

    /// SIGKILL, and waits until the process is gone.
    ///
    /// # Errors
    ///
    /// It ended by itself before, or does not go.
    pub async fn kill(mut self) -> anyhow::Result<()> {
        if let Some(status) = self.process.ended()? {
            bail!("the hub had ended with {status} before it was killed:\n{}", self.last_lines());
        }
        self.process.signal(Signal::KILL);
        self.process.wait(Duration::from_secs(10)).await?;
        Ok(())
    }

    /// SIGTERM, and waits for the end.
    ///
    /// # Errors
    ///
    /// It does not end within `within`.
    pub async fn stop(self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.process.signal(Signal::TERM);
        self.ended(within).await
    }

    /// Waits for the end.
    ///
    /// # Errors
    ///
    /// It does not end within `within`.
    pub async fn ended(mut self, within: Duration) -> anyhow::Result<ExitStatus> {
        self.process.wait(within).await.with_context(|| self.last_lines())?;
        self.process.ended()?.context("a process that has ended has a status")
    }

    /// Memory in use (RSS), from /proc.
    ///
    /// # Errors
    ///
    /// The process is gone.
    pub fn memory(&self) -> anyhow::Result<Memory> {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id()))?;
        let bytes = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).context("a line of memory")?;
            anyhow::Ok(line.split_whitespace().nth(1).context("a figure")?.parse::<u64>()? << 10)
        };
        Ok(Memory { total: bytes("VmRSS:")?, own: bytes("RssAnon:")? })
    }

    /// Limits the size of the files it may write; `None` lifts the limit.
    ///
    /// # Errors
    ///
    /// The process is gone.
    pub fn limit_files(&self, bytes: Option<u64>) -> anyhow::Result<()> {
        let pid = i32::try_from(self.process.id()).ok().and_then(Pid::from_raw).context("a process id")?;
        prlimit(Some(pid), Resource::Fsize, Rlimit { current: bytes, maximum: None })?;
        Ok(())
    }

    /// GET of an operators' endpoint: status and body.
    ///
    /// # Errors
    ///
    /// It does not answer.
    pub async fn get(&self, path: &str) -> anyhow::Result<(u16, String)> {
        let mut stream = TcpStream::connect(&self.ops).await?;
        let request = format!("GET {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", self.ops);
        stream.write_all(request.as_bytes()).await?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await?;
        let (head, body) = answer.split_once("\r\n\r\n").context("an HTTP answer")?;
        let status = head.split(' ').nth(1).context("a status")?.parse()?;
        Ok((status, body.to_owned()))
    }

    /// The end of its log.
    #[must_use]
    pub fn last_lines(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<_> = text.lines().collect();
        lines[lines.len().saturating_sub(12)..].join("\n")
    }
}

fn ready_file(config: &Path) -> PathBuf {
    config.with_extension("ready.json")
}
