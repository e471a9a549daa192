//! Child processes that end with their owner.

use std::{
    fs::File,
    io,
    path::Path,
    process::{Child, Command, ExitStatus, Stdio},
    sync::{LazyLock, mpsc},
    time::{Duration, Instant},
};

use rustix::process::{Pid, Signal, kill_process_group};

use crate::wait::{INTERVAL, TimedOut};

type Order = (Command, mpsc::Sender<io::Result<Child>>);

/// Starts every child. Linux ties "die with the parent" to the thread that started the child, not to its process, and
/// the thread of a test ends with the test; this one never does.
static SPAWNER: LazyLock<mpsc::Sender<Order>> = LazyLock::new(|| {
    let (orders, inbox) = mpsc::channel::<Order>();
    std::thread::Builder::new()
        .name("testkit-spawner".into())
        .spawn(move || {
            for (mut command, reply) in inbox {
                drop(reply.send(command.spawn()));
            }
        })
        .expect("a test process can start a thread");
    orders
});

/// A child process and what it starts, killed on drop and when this process dies.
#[derive(Debug)]
pub struct Process {
    child: Child,
    group: Pid,
}

impl Process {
    /// Starts `program` in a process group of its own, its output appended to `log`.
    ///
    /// # Errors
    ///
    /// When the log cannot be opened or the process not started.
    pub fn start(program: &str, args: &[String], log: &Path) -> io::Result<Self> {
        use std::os::unix::process::CommandExt;

        let out = File::options().create(true).append(true).open(log)?;
        // util-linux's setpriv sets the parent death signal without unsafe code here.
        let mut command = Command::new("setpriv");
        command.args(["--pdeathsig", "KILL", program]).args(args);
        command.stdin(Stdio::null()).stdout(out.try_clone()?).stderr(out).process_group(0);

        let (reply, child) = mpsc::channel();
        let gone = || io::Error::other("the spawner thread is gone");
        SPAWNER.send((command, reply)).map_err(|_| gone())?;
        let child = child.recv().map_err(|_| gone())??;
        let group = Pid::from_child(&child);
        Ok(Self { child, group })
    }

    /// Sends a signal to the whole group. A group that is gone already is no error.
    pub fn signal(&self, signal: Signal) {
        // The only failure left is "no such process": the group is ours.
        let _ = kill_process_group(self.group, signal);
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its exit status, once it has ended.
    ///
    /// # Errors
    ///
    /// When it cannot be asked.
    pub fn ended(&mut self) -> io::Result<Option<ExitStatus>> {
        self.child.try_wait()
    }

    /// Waits for its end.
    ///
    /// # Errors
    ///
    /// [`TimedOut`] when it still runs after `within`.
    pub async fn wait(&mut self, within: Duration) -> Result<(), TimedOut> {
        let start = Instant::now();
        loop {
            match self.ended() {
                Ok(None) if start.elapsed() < within => tokio::time::sleep(INTERVAL).await,
                Ok(None) => return Err(TimedOut { after: within, last: "the process still runs".into() }),
                Ok(Some(_)) | Err(_) => return Ok(()),
            }
        }
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.signal(Signal::KILL);
        drop(self.child.wait());
    }
}
