//! The live heap of a test binary, counted by its allocator.

#![allow(dead_code)] // each test binary uses the part it needs

use std::alloc::System;
use std::sync::Mutex;

use stats_alloc::{StatsAlloc, INSTRUMENTED_SYSTEM};

#[global_allocator]
static HEAP: &StatsAlloc<System> = &INSTRUMENTED_SYSTEM;
/// The heap is that of all tests of the binary: who measures it takes the turn.
pub static TURN: Mutex<()> = Mutex::new(());

/// Bytes in use.
pub fn live() -> i64 {
    let stats = HEAP.stats();
    let bytes = |count: usize| i64::try_from(count).expect("bytes");
    bytes(stats.bytes_allocated) - bytes(stats.bytes_deallocated)
}
