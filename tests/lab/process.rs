//! A program that was started: what it says, waited for with a deadline, and its end.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;

use super::{eventually, package_of};

/// A running program, killed on drop. What it prints is read at all times, so that it never blocks on us.
pub struct Process {
    name: String,
    child: Child,
    stdin: Option<ChildStdin>,
    lines: Receiver<String>,
    said: Vec<String>,
    stderr: Arc<Mutex<String>>,
    stderr_reader: Option<JoinHandle<()>>,
}

/// What a program that has ended left.
#[derive(Debug)]
pub struct Finished {
    /// How it ended.
    pub status: ExitStatus,
    /// All of its standard output that no `expect` took.
    pub stdout: String,
    /// All of its standard error.
    pub stderr: String,
}

impl Process {
    /// Starts a program where this test itself runs.
    pub fn start(name: &str, mut command: Command) -> Process {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap_or_else(|error| panic!("{name}: {command:?}: {error} ({})", package_of("nsenter")));
        let stdin = child.stdin.take();
        let (to_lines, lines) = mpsc::channel();
        let stdout = BufReader::new(child.stdout.take().expect("piped"));
        thread::spawn(move || {
            for line in stdout.split(b'\n').map_while(Result::ok) {
                let _ = to_lines.send(String::from_utf8_lossy(&line).into_owned());
            }
        });
        let stderr = Arc::new(Mutex::new(String::new()));
        let stderr_reader = Some(keep(child.stderr.take().expect("piped"), stderr.clone()));
        Process { name: name.into(), child, stdin, lines, said: Vec::new(), stderr, stderr_reader }
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Writes a line to its standard input.
    pub fn say(&mut self, line: &str) {
        let stdin = self.stdin.as_mut().expect("its standard input is open");
        if let Err(error) = stdin.write_all(format!("{line}\n").as_bytes()).and_then(|()| stdin.flush()) {
            self.give_up(&format!("could not be told {line:?}: {error}"));
        }
    }

    /// Closes its standard input.
    pub fn end_input(&mut self) {
        self.stdin = None;
    }

    /// Reads lines of its standard output until `accept` makes something of one; panics with all that was said when
    /// that has not come within `limit`.
    pub fn expect<T>(&mut self, what: &str, limit: Duration, mut accept: impl FnMut(&str) -> Option<T>) -> T {
        let end = Instant::now() + limit;
        loop {
            match self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    let accepted = accept(&line);
                    self.said.push(line);
                    if let Some(accepted) = accepted {
                        return accepted;
                    }
                }
                Err(RecvTimeoutError::Timeout) => self.give_up(&format!("did not say within {limit:?}: {what}")),
                Err(RecvTimeoutError::Disconnected) => self.give_up(&format!("ended without saying: {what}")),
            }
        }
    }

    /// The next line of its standard output for which `accept` holds.
    pub fn expect_line(&mut self, what: &str, limit: Duration, mut accept: impl FnMut(&str) -> bool) -> String {
        self.expect(what, limit, |line| accept(line).then(|| line.to_owned()))
    }

    /// The lines it says until `limit` is over.
    pub fn lines_for(&mut self, limit: Duration) -> Vec<String> {
        let end = Instant::now() + limit;
        let mut lines = Vec::new();
        while let Ok(line) = self.lines.recv_timeout(end.saturating_duration_since(Instant::now())) {
            self.said.push(line.clone());
            lines.push(line);
        }
        lines
    }

    /// The lines that were read so far, by any of these.
    pub fn said(&self) -> &[String] {
        &self.said
    }

    /// Sends a signal to exactly this process.
    pub fn signal(&self, signal: Signal) {
        let pid = Pid::from_raw(i32::try_from(self.child.id()).expect("a process id"));
        kill(pid, signal).unwrap_or_else(|error| panic!("{}: {signal}: {error}", self.name));
    }

    /// Ends it as a crash does, and waits until it is gone.
    pub fn kill9(&mut self) {
        self.child.kill().expect("the signal");
        self.child.wait().expect("its end");
    }

    /// Whether it has not ended yet.
    pub fn runs(&mut self) -> bool {
        self.child.try_wait().expect("its state").is_none()
    }

    /// Waits for its end; panics with all that was said when it has not come within `limit`.
    pub fn wait(&mut self, limit: Duration) -> ExitStatus {
        let end = Instant::now() + limit;
        loop {
            match self.child.try_wait().expect("its state") {
                Some(status) => return status,
                None if Instant::now() > end => self.give_up(&format!("did not end within {limit:?}")),
                None => thread::sleep(Duration::from_millis(2)),
            }
        }
    }

    /// Waits for its end and gathers what it said.
    pub fn finish(mut self, limit: Duration) -> Finished {
        self.end_input();
        let status = self.wait(limit);
        // A child of its own may hold the pipes for longer; what has been said is said.
        let reader = self.stderr_reader.take();
        if let Some(reader) = reader {
            eventually("the end of standard error", limit, || reader.is_finished().then_some(()));
        }
        let lines = self.lines_for(limit);
        let stdout = lines.iter().map(|line| format!("{line}\n")).collect();
        Finished { status, stdout, stderr: self.stderr() }
    }

    /// What it has written to its standard error so far.
    pub fn stderr(&self) -> String {
        self.stderr.lock().expect("no panic while held").clone()
    }

    fn give_up(&mut self, why: &str) -> ! {
        self.said.extend(self.lines.try_iter());
        let tail = self.said.len().saturating_sub(40);
        panic!("{} {why}\nstdout: {:#?}\nstderr: {}", self.name, &self.said[tail..], self.stderr());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Finished {
    /// Panics with what the program said unless it exited with 0; else its standard output.
    pub fn success(self) -> String {
        assert!(self.status.success(), "{}\nstdout: {}\nstderr: {}", self.status, self.stdout, self.stderr);
        self.stdout
    }
}

fn keep(mut from: impl Read + Send + 'static, into: Arc<Mutex<String>>) -> JoinHandle<()> {
    thread::spawn(move || {
        let mut bytes = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut bytes) {
            into.lock().expect("no panic while held").push_str(&String::from_utf8_lossy(&bytes[..length]));
        }
    })
}
