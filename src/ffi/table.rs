//! The process's one handle table, and what its misuse is called.

use std::collections::VecDeque;
use std::ffi::c_void;

use super::handle::{Cell, Free, Misuse, Object, Pinned, Table};
use super::sync::{AtomicPtr, AtomicU64, Mutex};
use crate::error::{Error, Result};

/// Handles that can be open at once, of all types.
pub(super) const CELLS: usize = 1 << 16;

static TABLE: Table = {
    static CELL: [Cell; CELLS] =
        [const { Cell { word: AtomicU64::new(0), object: AtomicPtr::new(std::ptr::null_mut()) } }; CELLS];
    Table { cells: &CELL, free: Mutex::new(Free { fresh: 0, returned: VecDeque::new() }) }
};

/// A new handle for `object`; gives it back when none is left.
pub(super) fn open<T: Object>(object: T) -> std::result::Result<*mut c_void, (T, Error)> {
    TABLE.open(Box::new(object)).map_err(|object| (*object, Error::NoMem { what: "handles", limit: CELLS as u64 }))
}

/// The object behind a handle that C passed as `argument`.
pub(super) fn pin<T: Object>(argument: &'static str, handle: *const c_void) -> Result<Pinned<T>> {
    held(argument, TABLE.pin(handle))
}

/// Closes a handle; the object goes when the pin returned and all others are dropped.
pub(super) fn close<T: Object>(argument: &'static str, handle: *const c_void) -> Result<Pinned<T>> {
    held(argument, TABLE.close(handle))
}

fn held<T: Object>(argument: &'static str, pinned: std::result::Result<Pinned<T>, Misuse>) -> Result<Pinned<T>> {
    let pinned = pinned.map_err(|misuse| named::<T>(argument, misuse))?;
    #[cfg(test)]
    crate::drill::here(crate::drill::Place::Pinned);
    Ok(pinned)
}

fn named<T: Object>(argument: &'static str, misuse: Misuse) -> Error {
    match misuse {
        Misuse::Null => Error::Null { argument },
        Misuse::Foreign => Error::Handle { argument },
        Misuse::Closed => Error::Closed { what: argument },
        Misuse::OtherKind => Error::Type { argument, expected: T::NAME },
    }
}

/// Handles that are open.
#[cfg(test)]
pub(super) fn in_use() -> usize {
    TABLE.in_use()
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::sync::{Arc, Barrier};

    use super::*;

    struct Counted(Arc<AtomicUsize>);
    impl Object for Counted {
        const KIND: u8 = 200;
        const NAME: &'static str = "counted";
    }
    impl Drop for Counted {
        fn drop(&mut self) {
            self.0.fetch_add(1, Ordering::SeqCst);
        }
    }

    struct Other;
    impl Object for Other {
        const KIND: u8 = 201;
        const NAME: &'static str = "other";
    }

    fn opened() -> (*mut c_void, Arc<AtomicUsize>) {
        let drops = Arc::new(AtomicUsize::new(0));
        (open(Counted(drops.clone())).ok().unwrap(), drops)
    }

    /// A table of its own, for tests that fill one.
    fn small(cells: usize) -> &'static Table {
        let cell = || Cell { word: AtomicU64::new(0), object: AtomicPtr::new(std::ptr::null_mut()) };
        let cells = Box::leak((0..cells).map(|_| cell()).collect::<Box<[Cell]>>());
        Box::leak(Box::new(Table { cells, free: Mutex::new(Free { fresh: 0, returned: VecDeque::new() }) }))
    }

    fn status<T: Object>(handle: *const c_void) -> crate::Status {
        pin::<T>("handle", handle).map(drop).err().map_or(crate::Status::OK, |error| error.status())
    }

    #[test]
    fn every_misuse_has_its_status() {
        let (handle, drops) = opened();
        let on_the_stack = 7_u64;
        assert_eq!(status::<Counted>(handle), crate::Status::OK);
        assert_eq!(status::<Other>(handle), crate::Status::TYPE);
        assert_eq!(status::<Counted>(std::ptr::null()), crate::Status::NULL);
        assert_eq!(status::<Counted>(std::ptr::from_ref(&on_the_stack).cast()), crate::Status::HANDLE);
        for wild in [1, 0xdead_beef, usize::MAX, usize::MAX - 31] {
            assert_eq!(status::<Counted>(std::ptr::without_provenance(wild)), crate::Status::HANDLE);
        }
        let last = std::ptr::from_ref(&TABLE.cells[CELLS - 1]).cast::<u8>();
        assert_eq!(status::<Counted>(last.cast()), crate::Status::HANDLE, "a cell never used");
        assert_eq!(status::<Counted>(last.wrapping_add(32).cast()), crate::Status::HANDLE, "just past the table");
        assert_eq!(status::<Counted>(handle.cast::<u8>().wrapping_add(1).cast()), crate::Status::CLOSED);
        assert!(close::<Other>("handle", handle).is_err());
        assert!(close::<Counted>("handle", handle).is_ok());
        assert_eq!(status::<Counted>(handle), crate::Status::CLOSED);
        assert!(matches!(close::<Counted>("handle", handle), Err(Error::Closed { .. })));
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn an_object_outlives_its_close_while_it_is_pinned() {
        let (handle, drops) = opened();
        let pinned = pin::<Counted>("handle", handle).unwrap();
        drop(close::<Counted>("handle", handle).unwrap());
        assert_eq!(status::<Counted>(handle), crate::Status::CLOSED);
        assert_eq!(pinned.0.load(Ordering::SeqCst), 0);
        drop(pinned);
        assert_eq!(drops.load(Ordering::SeqCst), 1);
    }

    #[test]
    fn a_full_table_gives_the_object_back() {
        let table = small(2);
        let handles: Vec<_> = (0..2).map(|_| table.open(Box::new(Other)).ok().unwrap()).collect();
        assert!(table.open(Box::new(Other)).is_err());
        drop(table.close::<Other>(handles[0]).unwrap());
        assert!(table.open(Box::new(Other)).is_ok());
        assert_eq!(table.in_use(), 2);
    }

    #[test]
    fn a_stale_handle_meets_a_successor_only_after_all_its_generations() {
        let table = small(1);
        let first = table.open(Box::new(Other)).ok().unwrap();
        drop(table.close::<Other>(first).unwrap());
        for _ in 1..32 {
            let next = table.open(Box::new(Other)).ok().unwrap();
            assert_ne!(first, next);
            assert_eq!(table.pin::<Other>(first).err(), Some(Misuse::Closed));
            drop(table.close::<Other>(next).unwrap());
        }
        assert_eq!(table.open(Box::new(Other)).ok(), Some(first));
    }

    #[test]
    fn cells_are_used_again_oldest_first() {
        let table = small(3);
        let handles: Vec<_> = (0..3).map(|_| table.open(Box::new(Other)).ok().unwrap()).collect();
        for handle in [handles[1], handles[0], handles[2]] {
            drop(table.close::<Other>(handle).unwrap());
        }
        let next = table.open(Box::new(Other)).ok().unwrap();
        assert_eq!(next.addr() / 32, handles[1].addr() / 32);
    }

    /// Readers, racing closers and a table so small that cells are used again at once: every object is
    /// dropped exactly once, each close has one winner, and no reader sees a dropped object.
    #[test]
    fn many_threads_cannot_free_an_object_twice_or_too_early() {
        const ROUNDS: usize = 2_000;
        let table = small(2);
        let drops = Arc::new(AtomicUsize::new(0));
        for _ in 0..ROUNDS {
            let handle = table.open(Box::new(Counted(drops.clone()))).ok().unwrap().expose_provenance();
            let wins = AtomicUsize::new(0);
            let before = drops.load(Ordering::SeqCst);
            let start = Barrier::new(4);
            std::thread::scope(|scope| {
                for role in 0..4 {
                    let (drops, wins, start) = (&drops, &wins, &start);
                    scope.spawn(move || {
                        let handle = std::ptr::with_exposed_provenance(handle);
                        start.wait();
                        if role < 2 {
                            wins.fetch_add(table.close::<Counted>(handle).is_ok().into(), Ordering::SeqCst);
                        } else if let Ok(pinned) = table.pin::<Counted>(handle) {
                            assert_eq!(pinned.0.load(Ordering::SeqCst), before);
                            assert_eq!(drops.load(Ordering::SeqCst), before);
                        }
                    });
                }
            });
            assert_eq!(wins.load(Ordering::SeqCst), 1);
            assert_eq!(drops.load(Ordering::SeqCst), before + 1);
        }
        assert_eq!(table.in_use(), 0);
    }
}
