//! Panics of the library in a process (I7), seen by a hook above its own, which hides them from standard error.

use std::panic::{set_hook, take_hook};
use std::sync::Mutex;
use std::thread;

/// The thread of a peer that folds events, whose panics are breaches of I4.
pub const READER: &str = "reader";
/// What stands before a panic in standard error.
const MARK: &str = "I7: ";

static SEEN: Mutex<Vec<String>> = Mutex::new(Vec::new());

/// Records every panic from now on, but those of `READER`.
pub fn record() {
    // The library sets its hook when it first catches anything.
    let _ = mdns_registry::panics::caught(|| Ok(()));
    let before = take_hook();
    set_hook(Box::new(move |info| {
        let thread = thread::current().name().unwrap_or("a thread").to_owned();
        if thread != READER {
            let panic = format!("{thread} {info}").replace('\n', " ");
            eprintln!("{MARK}{panic}");
            SEEN.lock().expect("no panic while held").push(panic);
        }
        before(info);
    }));
}

/// Those of this process.
pub fn seen() -> Vec<String> {
    SEEN.lock().expect("no panic while held").clone()
}

/// Those of a process that has written this to its standard error.
pub fn told_in(stderr: &str) -> Vec<&str> {
    stderr.lines().filter_map(|line| line.strip_prefix(MARK)).collect()
}
