//! The primitives the handle table stands on, in one place so that `tests/handle_model.rs` can put
//! loom's there instead.

pub(super) use std::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
pub(super) use std::sync::Mutex;
