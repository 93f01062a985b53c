//! The handle table under loom: the interleavings of a few threads, with the file the library is built
//! from and loom's primitives under it.
#![cfg(feature = "capi")]
#![allow(dead_code, unsafe_code)]

/// What `src/ffi/sync.rs` is in the library.
mod sync {
    pub use loom::sync::atomic::{AtomicPtr, AtomicU64, Ordering};
    pub use loom::sync::Mutex;
}

#[path = "../src/ffi/handle.rs"]
mod handle;

use std::collections::VecDeque;
use std::ffi::c_void;

use handle::{Cell, Free, Misuse, Object, Table};
use loom::sync::atomic::AtomicUsize;
use loom::sync::Arc;
use loom::thread;
use sync::{AtomicPtr, AtomicU64, Mutex, Ordering};

/// Reading it while or after it is dropped is a fault loom reports.
struct Guarded(Arc<AtomicUsize>, loom::cell::UnsafeCell<u32>);

// SAFETY: the cell is written only by the destructor, which has the object alone: that is what is tested.
unsafe impl Sync for Guarded {}

impl Object for Guarded {
    const KIND: u8 = 9;
    const NAME: &'static str = "guarded";
}

impl Guarded {
    fn read(&self) -> u32 {
        // SAFETY: nobody writes while the object is pinned.
        self.1.with(|value| unsafe { *value })
    }
}

impl Drop for Guarded {
    fn drop(&mut self) {
        // SAFETY: a destructor has its object alone.
        self.1.with_mut(|value| unsafe { *value = 0 });
        self.0.fetch_add(1, Ordering::SeqCst);
    }
}

/// Every interleaving with at most three forced switches of threads, in a second. Without the bound it is
/// half a minute and finds nothing more.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

fn table(cells: usize) -> &'static Table {
    let cell = || Cell { word: AtomicU64::new(0), object: AtomicPtr::new(std::ptr::null_mut()) };
    let cells = Box::leak((0..cells).map(|_| cell()).collect::<Box<[Cell]>>());
    Box::leak(Box::new(Table { cells, free: Mutex::new(Free { fresh: 0, returned: VecDeque::new() }) }))
}

fn open(table: &'static Table, drops: &Arc<AtomicUsize>, value: u32) -> usize {
    let object = Guarded(drops.clone(), loom::cell::UnsafeCell::new(value));
    table.open(Box::new(object)).ok().unwrap().expose_provenance()
}

fn handle(address: usize) -> *const c_void {
    std::ptr::with_exposed_provenance(address)
}

fn close(table: &'static Table, address: usize) -> Result<(), Misuse> {
    table.close::<Guarded>(handle(address)).map(drop)
}

#[test]
fn two_closers_and_a_reader_free_once_and_never_under_the_reader() {
    model(|| {
        let table = table(1);
        let drops = Arc::new(AtomicUsize::new(0));
        let address = open(table, &drops, 7);
        let closers: Vec<_> = (0..2).map(|_| thread::spawn(move || close(table, address))).collect();
        if let Ok(pinned) = table.pin::<Guarded>(handle(address)) {
            assert_eq!(pinned.read(), 7);
        }
        let wins = closers.into_iter().map(|closer| closer.join().unwrap()).filter(Result::is_ok).count();
        assert_eq!(wins, 1);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
        assert_eq!(close(table, address), Err(Misuse::Closed));
    });
}

#[test]
fn a_reader_of_a_stale_handle_never_sees_the_successor_in_its_cell() {
    model(|| {
        let table = table(1);
        let drops = Arc::new(AtomicUsize::new(0));
        let first = open(table, &drops, 1);
        let reader = thread::spawn(move || table.pin::<Guarded>(handle(first)).map(|pinned| pinned.read()));
        let closed = table.close::<Guarded>(handle(first)).map(drop);
        assert_eq!(closed, Ok(()));
        // The cell is free again at once, unless the reader still holds it.
        let second = table.open(Box::new(Guarded(drops.clone(), loom::cell::UnsafeCell::new(2)))).ok();
        assert!(matches!(reader.join().unwrap(), Ok(1) | Err(Misuse::Closed)));
        if let Some(second) = second {
            assert_ne!(second.addr(), first);
            assert_eq!(table.pin::<Guarded>(second).map(|pinned| pinned.read()).ok(), Some(2));
            assert_eq!(close(table, second.expose_provenance()), Ok(()));
        }
    });
}

#[test]
fn two_openers_of_the_last_cell_have_one_winner() {
    model(|| {
        let table = table(1);
        let drops = Arc::new(AtomicUsize::new(0));
        let other = {
            let drops = drops.clone();
            thread::spawn(move || {
                table.open(Box::new(Guarded(drops, loom::cell::UnsafeCell::new(1)))).map(|h| h.expose_provenance()).ok()
            })
        };
        let mine = table.open(Box::new(Guarded(drops.clone(), loom::cell::UnsafeCell::new(2)))).ok();
        let theirs = other.join().unwrap();
        assert!(mine.is_some() ^ theirs.is_some());
        let winner = mine.map(|h| h.expose_provenance()).or(theirs).unwrap();
        assert_eq!(close(table, winner), Ok(()));
        assert_eq!(drops.load(Ordering::SeqCst), 2);
    });
}
