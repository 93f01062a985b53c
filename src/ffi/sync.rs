//! The primitives that the handle table and the gate of a watch stand on, in one place so that `tests/handle_model.rs`
//! and `tests/stop_model.rs` can put loom's there instead.

pub(super) use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
pub(super) use std::sync::{Condvar, Mutex, MutexGuard};
