//! Processor time and memory, as Linux counts them.

use std::{fs, time::Duration};

use anyhow::Context as _;
use rustix::time::{ClockId, clock_gettime};

/// Linux tells processor time in hundredths of a second.
const TICK: Duration = Duration::from_millis(10);

/// Processor time of a process so far, all its threads, in user and kernel mode. Good to 10 ms.
///
/// # Errors
///
/// There is no such process.
pub fn process(pid: u32) -> anyhow::Result<Duration> {
    let path = format!("/proc/{pid}/stat");
    let stat = fs::read_to_string(&path).with_context(|| path.clone())?;
    // The name in parentheses may hold anything; utime and stime are the 12th and 13th field behind it.
    let fields: Vec<_> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
    let ticks =
        |field: usize| fields.get(field).and_then(|text| text.parse::<u32>().ok()).with_context(|| path.clone());
    Ok(TICK * (ticks(11)? + ticks(12)?))
}

/// The child of this process that runs a program with this argument, such as the main class of a Java program.
pub fn child_with(argument: &str) -> Option<u32> {
    let own = std::process::id().to_string();
    let processes = fs::read_dir("/proc").ok()?.flatten();
    let mut pids = processes.filter_map(|entry| entry.file_name().to_str()?.parse::<u32>().ok());
    pids.find(|pid| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let parent = stat.rsplit(')').next().and_then(|fields| fields.split_whitespace().nth(1));
        let arguments = fs::read_to_string(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        parent == Some(own.as_str()) && arguments.split('\0').any(|one| one == argument)
    })
}

/// Processor time of the calling thread so far. Waiting for others to leave the processor does not count.
pub fn thread() -> Duration {
    let time = clock_gettime(ClockId::ThreadCPUTime);
    Duration::new(u64::try_from(time.tv_sec).unwrap_or(0), u32::try_from(time.tv_nsec).unwrap_or(0))
}

/// Threads of a process.
///
/// # Errors
///
/// There is no such process.
pub fn threads(pid: u32) -> anyhow::Result<usize> {
    let path = format!("/proc/{pid}/task");
    Ok(fs::read_dir(&path).context(path)?.count())
}

/// Memory of a process, MiB.
#[derive(Debug, Clone, Copy)]
pub struct Memory {
    /// Resident now.
    pub now: f64,
    /// The most that was resident since it started.
    pub peak: f64,
}

/// Memory of a process.
///
/// # Errors
///
/// There is no such process.
pub fn memory(pid: u32) -> anyhow::Result<Memory> {
    let path = format!("/proc/{pid}/status");
    let status = fs::read_to_string(&path).with_context(|| path.clone())?;
    let mib = |name: &str| {
        let line = status.lines().find_map(|line| line.strip_prefix(name))?;
        Some(line.split_whitespace().next()?.parse::<f64>().ok()? / 1024.0)
    };
    let missing = || format!("{path} tells no memory");
    Ok(Memory { now: mib("VmRSS:").with_context(missing)?, peak: mib("VmHWM:").with_context(missing)? })
}

/// Load averages and number of processors, for the head of the report.
pub fn machine() -> String {
    let load = fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let load: Vec<_> = load.split_whitespace().take(3).collect();
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let model = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = model.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    format!("{cores} cores,{}, load average {}", model.trim_start_matches(['\t', ':']), load.join(" "))
}
