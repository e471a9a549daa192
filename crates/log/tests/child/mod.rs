//! A second process: this test executable again, running one of its ignored tests as a child.
//!
//! The child takes its orders from standard input, so that running the ignored tests by hand does nothing.

#![allow(dead_code, reason = "each test file uses its part")]

use std::{
    io::{BufRead, BufReader, Lines, Write},
    process::{Child, ChildStdin, ChildStdout, Command, Stdio},
};

/// A child process and its output by lines. Killed when dropped.
pub struct Process {
    child: Child,
    input: ChildStdin,
    lines: Lines<BufReader<ChildStdout>>,
}

impl Process {
    /// Starts the ignored test of this name, by way of `shell` (`exec "$@"` and what comes before it) if given, and
    /// hands it its orders.
    pub fn start(test: &str, shell: Option<&str>, orders: &str) -> Self {
        let executable = std::env::current_exe().expect("own path");
        let mut command = match shell {
            None => Command::new(executable),
            Some(script) => {
                let mut command = Command::new("sh");
                command.args(["-c", script, "sh"]).arg(executable);
                command
            }
        };
        command.args(["--exact", test, "--ignored", "--nocapture", "--test-threads=1"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("start a child");
        let input = child.stdin.take().expect("piped");
        let lines = BufReader::new(child.stdout.take().expect("piped")).lines();
        let mut process = Self { child, input, lines };
        process.tell(orders);
        process
    }

    /// The child's process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to the child.
    pub fn tell(&mut self, line: &str) {
        writeln!(self.input, "{line}").expect("the child listens");
    }

    /// The next line of ours, without the mark; `None` when the child has ended. A line cut off by its death is left out.
    pub fn next(&mut self) -> Option<String> {
        for line in self.lines.by_ref() {
            // What the test harness prints itself has no mark; it may stand before ours on the same line.
            let line = line.expect("text");
            if let Some((_, ours)) = line.split_once(MARK)
                && let Some(whole) = ours.strip_suffix(END)
            {
                return Some(whole.to_owned());
            }
        }
        None
    }

    /// Reads up to a line that begins so; fails when the child ends before.
    pub fn wait_for(&mut self, start: &str) -> String {
        loop {
            let line = self.next().unwrap_or_else(|| panic!("the child ended before it said {start}"));
            if line.starts_with(start) {
                return line;
            }
        }
    }

    /// Kills it with SIGKILL; what it wrote before can still be read.
    pub fn kill(&mut self) {
        self.child.kill().expect("kill");
        self.child.wait().expect("wait");
    }

    /// Waits for its end.
    pub fn wait(&mut self) -> bool {
        self.child.wait().expect("wait").success()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

const MARK: &str = "@@ ";
const END: &str = " .";

/// In the child: its orders, or nothing when it was started by hand.
pub fn orders() -> Option<Vec<String>> {
    let line = heard()?;
    Some(line.split(' ').map(str::to_owned).collect())
}

/// In the child: the next line from the parent.
pub fn heard() -> Option<String> {
    let mut line = String::new();
    let got = std::io::stdin().lock().read_line(&mut line).expect("standard input");
    (got > 0).then(|| line.trim_end().to_owned())
}

/// In the child: tells the parent, in one write.
pub fn say(text: &str) {
    let line = format!("{MARK}{text}{END}\n");
    std::io::stdout().lock().write_all(line.as_bytes()).expect("the parent listens");
}
