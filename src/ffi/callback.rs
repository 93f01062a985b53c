//! What runs in C on our behalf: whose callback this thread is inside, and user data that is freed
//! exactly once.

use std::cell::{Cell, RefCell};
use std::ffi::c_void;

/// Frees the user data of a callback; may be NULL.
///
/// Called exactly once, after the last callback has returned, on every path, also when the call that
/// it was passed to fails. It may run on any thread and may call any function.
#[allow(non_camel_case_types)]
pub type mdnsreg_free_fn = Option<unsafe extern "C" fn(user_data: *mut c_void)>;

/// A pointer of C's with what frees it. Dropping it is the one call of the free function.
pub(super) struct UserData {
    data: *mut c_void,
    free: mdnsreg_free_fn,
    owner: usize,
}

// SAFETY: the pointer is only handed back to C, which the header tells that it goes to other threads.
unsafe impl Send for UserData {}
// SAFETY: as above; nothing here reads through it.
unsafe impl Sync for UserData {}

impl UserData {
    /// Takes over `data`.
    pub(super) fn new(data: *mut c_void, free: mdnsreg_free_fn) -> UserData {
        UserData { data, free, owner: 0 }
    }

    /// Says whose callback the free function belongs to: see [`Inside`].
    pub(super) fn of(mut self, owner: usize) -> UserData {
        self.owner = owner;
        self
    }

    pub(super) fn pointer(&self) -> *mut c_void {
        self.data
    }
}

impl Drop for UserData {
    fn drop(&mut self) {
        if let Some(free) = self.free {
            let _inside = Inside::new(self.owner);
            // SAFETY: C passed the function for this pointer, and this is its only call.
            unsafe { free(self.data) }
        }
    }
}

thread_local! {
    static INSIDE: RefCell<Vec<usize>> = const { RefCell::new(Vec::new()) };
    static IN_LOG: Cell<bool> = const { Cell::new(false) };
}

/// While this lives, the thread is inside a callback of `owner`, the address of what calls back.
pub(super) struct Inside;

impl Inside {
    pub(super) fn new(owner: usize) -> Inside {
        let _ = INSIDE.try_with(|inside| inside.borrow_mut().push(owner));
        Inside
    }
}

impl Drop for Inside {
    fn drop(&mut self) {
        let _ = INSIDE.try_with(|inside| inside.borrow_mut().pop());
    }
}

/// Whether this thread is inside a callback of `owner`.
pub(super) fn inside(owner: usize) -> bool {
    INSIDE.try_with(|inside| inside.borrow().contains(&owner)).unwrap_or(false)
}

/// Whether this thread is inside any callback of the library.
pub(super) fn inside_any() -> bool {
    INSIDE.try_with(|inside| !inside.borrow().is_empty()).unwrap_or(false)
}

/// Whether this thread is inside the log callback.
pub(super) fn in_log() -> bool {
    IN_LOG.try_with(Cell::get).unwrap_or(false)
}

/// Runs the log callback, unless this thread is inside it already.
pub(super) fn log(body: impl FnOnce()) {
    if !in_log() {
        as_log(body);
    }
}

/// Runs `body` under the rule of the log callback: it must not call the library.
pub(super) fn as_log(body: impl FnOnce()) {
    let before = IN_LOG.try_with(|inside| inside.replace(true));
    body();
    if let Ok(before) = before {
        let _ = IN_LOG.try_with(|inside| inside.set(before));
    }
}
