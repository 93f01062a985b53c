//! The signal of a watch under loom: in no interleaving of who tells and who reads does an event wait that no reader is told
//! of, with the file the library is built from and loom's primitives under it.
#![allow(dead_code)]

/// What `src/sync.rs` is in the library.
mod sync {
    pub use loom::sync::{Condvar, Mutex};
}

mod driver {
    use loom::sync::{Mutex, MutexGuard};

    pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
        mutex.lock().unwrap()
    }
}

mod error {
    pub type Result<T> = std::result::Result<T, nix::errno::Errno>;
}

mod system {
    pub fn refused(_what: &str, errno: nix::errno::Errno) -> nix::errno::Errno {
        errno
    }
}

#[path = "../src/signal.rs"]
mod signal;

use std::collections::VecDeque;
use std::os::fd::{BorrowedFd, RawFd};

use loom::sync::{Arc, Mutex};
use loom::thread;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use signal::Signal;

/// Every interleaving with at most three forced switches of threads.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// A watch as the core has it: events behind one lock, under which the signal is set and cleared.
struct Watch {
    /// `None` once it is over.
    events: Mutex<Option<VecDeque<u32>>>,
    signal: Signal,
}

impl Watch {
    fn new() -> Arc<Watch> {
        Arc::new(Watch { events: Mutex::new(Some(VecDeque::new())), signal: Signal::default() })
    }

    /// As `Open::flush`, when the engine says that an event waits.
    fn tell(&self, event: u32) {
        let mut events = self.events.lock().unwrap();
        events.as_mut().unwrap().push_back(event);
        self.signal.wake();
    }

    /// As `Core::unwatch`.
    fn end(&self) {
        let mut events = self.events.lock().unwrap();
        *events = None;
        self.signal.end();
    }

    /// As `Core::next_event`; `Err` once it is over.
    fn next_event(&self) -> Result<Option<u32>, ()> {
        let mut events = self.events.lock().unwrap();
        let waiting = events.as_mut().ok_or(())?;
        let event = waiting.pop_front();
        if waiting.is_empty() {
            self.signal.clear();
        }
        Ok(event)
    }

    /// As `Watcher::next_timeout` without a limit; `None` once it is over.
    fn next(&self) -> Option<u32> {
        loop {
            match self.next_event() {
                Ok(Some(event)) => return Some(event),
                Ok(None) => assert!(self.signal.wait(None)),
                Err(()) => return None,
            }
        }
    }
}

fn reader(watch: &Arc<Watch>, most: usize) -> thread::JoinHandle<Vec<u32>> {
    let watch = watch.clone();
    thread::spawn(move || std::iter::from_fn(|| watch.next()).take(most).collect())
}

#[allow(unsafe_code)]
fn is_readable(fd: RawFd) -> bool {
    // SAFETY: the signal that it belongs to lives.
    let fd = unsafe { BorrowedFd::borrow_raw(fd) };
    poll(&mut [PollFd::new(fd, PollFlags::POLLIN)], PollTimeout::ZERO).unwrap() == 1
}

#[test]
fn a_reader_that_waits_is_told_each_event() {
    model(|| {
        let watch = Watch::new();
        let waits = reader(&watch, 2);
        watch.tell(1);
        watch.tell(2);
        assert_eq!(waits.join().unwrap(), [1, 2]);
    });
}

#[test]
fn two_readers_that_wait_are_both_told_the_end_and_each_event_goes_to_one() {
    model(|| {
        let watch = Watch::new();
        let readers = [reader(&watch, 9), reader(&watch, 9)];
        watch.tell(1);
        watch.end();
        let told: Vec<u32> = readers.into_iter().flat_map(|reader| reader.join().unwrap()).collect();
        // What waits when a watch is stopped is not told.
        assert!(told.is_empty() || told == [1], "{told:?}");
    });
}

#[test]
fn the_descriptor_is_readable_while_an_event_waits_and_after_the_end() {
    model(|| {
        let watch = Watch::new();
        let fd = watch.signal.fd().unwrap();
        assert!(!is_readable(fd));
        let teller = {
            let watch = watch.clone();
            thread::spawn(move || (1..=2).for_each(|event| watch.tell(event)))
        };
        let told = watch.next_event().unwrap();
        teller.join().unwrap();
        assert!(is_readable(fd), "{told:?}");
        while watch.next_event().unwrap().is_some() {}
        assert!(!is_readable(fd));
        watch.end();
        assert!(is_readable(fd) && watch.next_event().is_err() && is_readable(fd));
    });
}
