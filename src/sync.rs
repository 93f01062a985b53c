//! The primitives that the handle table, the gate of a watch and its signal stand on, in one place so that
//! `tests/handle_model.rs`, `tests/stop_model.rs` and `tests/signal_model.rs` can put loom's there instead.

#[cfg(feature = "capi")]
pub(crate) use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
#[cfg(feature = "capi")]
pub(crate) use std::sync::MutexGuard;
pub(crate) use std::sync::{Condvar, Mutex};
