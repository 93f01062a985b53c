//! What keeps a registration: a signal to end it, or a program that runs.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;

use nix::sys::signal::{kill, Signal};
use nix::unistd::Pid;
use tokio::process::{Child, Command};
use tokio::signal::unix::{signal, SignalKind};

/// The signals that end a registration, caught from now on.
pub struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
    /// `None` under nohup, which is to outlive its terminal.
    hang_up: Option<tokio::signal::unix::Signal>,
}

impl Signals {
    /// Must be called inside a runtime.
    pub fn catch() -> io::Result<Signals> {
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
            hang_up: (!ignored(Signal::SIGHUP)).then(|| signal(SignalKind::hangup())).transpose()?,
        })
    }

    /// Waits for the next.
    pub async fn next(&mut self) -> Signal {
        let hang_up = async {
            match &mut self.hang_up {
                Some(signal) => signal.recv().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            _ = self.interrupt.recv() => Signal::SIGINT,
            _ = self.terminate.recv() => Signal::SIGTERM,
            _ = hang_up => Signal::SIGHUP,
        }
    }
}

/// Whether who started this process had it ignore the signal.
fn ignored(signal: Signal) -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok()).unwrap_or(0);
    mask & (1 << (signal as i32 - 1)) != 0
}

/// The program a registration lives with.
pub struct Program {
    child: Child,
}

impl Program {
    /// Starts `words[0]` with the other words as its arguments.
    pub fn start(words: &[OsString]) -> io::Result<Program> {
        let (name, arguments) = words.split_first().ok_or(io::ErrorKind::InvalidInput)?;
        Ok(Program { child: Command::new(name).args(arguments).spawn()? })
    }

    /// Waits for its end; the exit status as a shell gives it.
    pub async fn ended(&mut self) -> io::Result<u8> {
        Ok(exit_code(self.child.wait().await?))
    }

    /// Passes a signal on, unless the terminal has sent it to the program as well.
    pub fn pass_on(&self, signal: Signal) {
        let from_terminal = signal == Signal::SIGINT && io::stdin().is_terminal();
        let pid = self.child.id().and_then(|id| i32::try_from(id).ok());
        if let (false, Some(pid)) = (from_terminal, pid) {
            // It may have ended meanwhile, which `ended` tells.
            let _ = kill(Pid::from_raw(pid), signal);
        }
    }
}

fn exit_code(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(u8::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_program_that_a_signal_ended_has_the_status_a_shell_gives() {
        assert_eq!(exit_code(ExitStatus::from_raw(7 << 8)), 7);
        assert_eq!(exit_code(ExitStatus::from_raw(15)), 143);
    }
}
