//! The one tokio runtime of the process, counted: it starts with the first user and ends after
//! the last.

use std::sync::{mpsc, Mutex, PoisonError};
use std::thread;

use nix::sys::signal::{pthread_sigmask, SigSet, SigmaskHow};
use tokio::runtime::{Builder, Handle};
use tokio::sync::oneshot;

use crate::error::Result;
use crate::{fork, system};

/// The thread of the runtime, which ends when this is dropped.
struct Runtime {
    handle: Handle,
    _ends: oneshot::Sender<()>,
}

/// The stack of a thread, bytes.
const STACK: usize = 2 << 20;
/// What it takes before it does anything, bytes.
const BEGINNING: usize = 1 << 20;

struct Shared {
    runtime: Option<Runtime>,
    users: usize,
}

static SHARED: Mutex<Shared> = Mutex::new(Shared { runtime: None, users: 0 });

/// Keeps the runtime alive.
#[derive(Debug)]
pub(crate) struct User(Handle);

impl User {
    /// Starts the runtime, or counts one user more.
    pub(crate) fn new() -> Result<User> {
        fork::check()?;
        fork::watch()?;
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        let runtime = match shared.runtime.take() {
            Some(runtime) => runtime,
            None => start()?,
        };
        let handle = shared.runtime.insert(runtime).handle.clone();
        shared.users += 1;
        Ok(User(handle))
    }

    pub(crate) fn handle(&self) -> &Handle {
        &self.0
    }
}

impl Drop for User {
    fn drop(&mut self) {
        if fork::forked() {
            return;
        }
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        shared.users -= 1;
        let ended = if shared.users == 0 { shared.runtime.take() } else { None };
        drop(shared);
        // Not waited for, because the last user may be one of the runtime's own tasks.
        drop(ended);
    }
}

fn start() -> Result<Runtime> {
    // On a thread that we make: tokio panics where its own cannot be made.
    let runtime = Builder::new_current_thread().enable_time().build();
    let runtime = runtime.map_err(|error| system::refused("starting the runtime", error))?;
    let handle = runtime.handle().clone();
    let (ends, ended) = oneshot::channel();
    let body = move || {
        let _ = runtime.block_on(ended);
    };
    spawn("mdnsreg-net", body)?;
    Ok(Runtime { handle, _ends: ends })
}

/// Starts a thread of ours, which runs when this returns: what a thread needs to begin is there, or this is refused.
pub(crate) fn spawn(name: &'static str, body: impl FnOnce() + Send + 'static) -> Result<()> {
    system::room(STACK + BEGINNING)?;
    let _masked = Masked::new();
    let (begins, begun) = mpsc::channel();
    let run = move || {
        // Makes what the standard library keeps of a thread.
        let _ = begins.send(thread::current().id());
        body();
    };
    let spawned = thread::Builder::new().name(name.into()).stack_size(STACK).spawn(run);
    spawned.map_err(|error| system::refused(&format!("starting the thread {name}"), error))?;
    let _ = begun.recv();
    Ok(())
}

/// Blocks every signal in this thread and in those it starts, so that the application's handlers
/// run on the application's threads. Undone on drop.
pub(crate) struct Masked(Option<SigSet>);

impl Masked {
    pub(crate) fn new() -> Masked {
        let mut before = SigSet::empty();
        let masked = pthread_sigmask(SigmaskHow::SIG_BLOCK, Some(&SigSet::all()), Some(&mut before));
        Masked(masked.ok().map(|()| before))
    }
}

impl Drop for Masked {
    fn drop(&mut self) {
        if let Some(before) = &self.0 {
            let _ = pthread_sigmask(SigmaskHow::SIG_SETMASK, Some(before), None);
        }
    }
}
