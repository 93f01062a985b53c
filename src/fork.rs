//! Whether this process was forked from one that uses the library.
//!
//! The child of a fork has our memory but none of our threads: nothing in it can work. A flag set
//! by `pthread_atfork` costs a load a call; comparing process ids costs a system call.
#![allow(unsafe_code)]

use std::sync::atomic::{AtomicBool, Ordering};

use once_cell::sync::OnceCell;

use crate::error::{Error, Result};

static FORKED: AtomicBool = AtomicBool::new(false);
static WATCHED: OnceCell<()> = OnceCell::new();

extern "C" fn in_child() {
    FORKED.store(true, Ordering::Relaxed);
}

/// Notices forks from now on. Called before the first registry opens.
pub(crate) fn watch() -> Result<()> {
    WATCHED
        .get_or_try_init(|| {
            // SAFETY: the handler is a plain function that only stores to an atomic.
            match unsafe { libc::pthread_atfork(None, None, Some(in_child)) } {
                0 => Ok(()),
                _ => Err(Error::NoMem { what: "fork handler", limit: 1 }),
            }
        })
        .copied()
}

/// Whether this is the child of a fork made since a registry was first opened.
#[inline]
pub fn forked() -> bool {
    FORKED.load(Ordering::Relaxed)
}

/// `FORKED` in such a child.
#[inline]
pub fn check() -> Result<()> {
    if forked() {
        return Err(Error::Forked);
    }
    Ok(())
}
