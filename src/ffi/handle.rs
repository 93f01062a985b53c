//! Handles that survive misuse.
//!
//! A handle is an address inside a table of cells, so C keeps a distinct pointer type for each
//! object, and any bit pattern is checked by its range before anything is read. The low bits of the
//! address carry part of the cell's generation, so a stale handle is told from its successor.
//! One atomic word per cell decides everything:
//!
//! ```text
//! 63      56 55                32 31      30                 0
//! [ type 8 | generation 24       | closing | pins 31          ]
//! ```
//!
//! A call pins, runs, unpins; closing forbids new pins; whoever takes the last pin off a closing
//! cell frees the object. This file names no process-wide state and is model-checked with loom.

use std::collections::VecDeque;
use std::ffi::c_void;
use std::marker::PhantomData;
use std::ops::Deref;

use super::sync::{AtomicPtr, AtomicU64, Mutex, Ordering};

/// Addresses a cell owns beyond its first: one for each value of the generation's low five bits.
const ALIGN: usize = 32;
const CLOSING: u64 = 1 << 31;
const PINS: u64 = CLOSING - 1;
const GENERATIONS: u64 = 1 << 24;
const FREE: u8 = 0;

const fn kind(word: u64) -> u8 {
    (word >> 56) as u8
}

const fn generation(word: u64) -> u64 {
    (word >> 32) & (GENERATIONS - 1)
}

const fn live(kind: u8, generation: u64) -> u64 {
    ((kind as u64) << 56) | (generation << 32)
}

/// What can stand behind a handle.
pub(super) trait Object: Send + Sync + 'static {
    /// Tells the types apart; not 0, and no two alike.
    const KIND: u8;
    /// The C type, for messages.
    const NAME: &'static str;
}

/// Why a value is no handle to work with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Misuse {
    /// NULL.
    Null,
    /// Never a handle.
    Foreign,
    /// Was one, and is closed.
    Closed,
    /// A live handle of another type.
    OtherKind,
}

/// One place for one object.
#[repr(align(32))]
pub(super) struct Cell {
    pub(super) word: AtomicU64,
    pub(super) object: AtomicPtr<c_void>,
}

/// Which cells are free: those never used, then those given back, oldest first, so that a stale
/// handle meets a live successor as late as possible.
pub(super) struct Free {
    pub(super) fresh: usize,
    pub(super) returned: VecDeque<usize>,
}

/// The cells and which of them are free.
pub(super) struct Table {
    pub(super) cells: &'static [Cell],
    pub(super) free: Mutex<Free>,
}

impl Table {
    /// Puts an object into the table; gives it back when every cell is in use.
    pub(super) fn open<T: Object>(&'static self, object: Box<T>) -> Result<*mut c_void, Box<T>> {
        let Some(index) = self.take() else { return Err(object) };
        let cell = &self.cells[index];
        // Nobody else writes to a cell that is off the free list and has no type.
        let generation = generation(cell.word.load(Ordering::Relaxed));
        cell.object.store(Box::into_raw(object).cast(), Ordering::Relaxed);
        cell.word.store(live(T::KIND, generation), Ordering::Release);
        let address = std::ptr::from_ref(cell).cast::<u8>();
        Ok(address.wrapping_add(generation as usize % ALIGN).cast_mut().cast())
    }

    /// Pins the object behind a handle: it stays until the pin is dropped.
    pub(super) fn pin<T: Object>(&'static self, handle: *const c_void) -> Result<Pinned<T>, Misuse> {
        self.advance(handle, |word| word + 1)
    }

    /// Forbids new pins and pins once more: exactly one of several closers succeeds, and the object
    /// goes with the last pin.
    pub(super) fn close<T: Object>(&'static self, handle: *const c_void) -> Result<Pinned<T>, Misuse> {
        self.advance(handle, |word| (word | CLOSING) + 1)
    }

    fn advance<T: Object>(
        &'static self,
        handle: *const c_void,
        step: impl Fn(u64) -> u64,
    ) -> Result<Pinned<T>, Misuse> {
        let (index, bits) = self.locate(handle)?;
        let cell = &self.cells[index];
        let mut word = cell.word.load(Ordering::Acquire);
        loop {
            if kind(word) == FREE && generation(word) == 0 {
                return Err(Misuse::Foreign);
            }
            if kind(word) == FREE || word & CLOSING != 0 || generation(word) % ALIGN as u64 != bits {
                return Err(Misuse::Closed);
            }
            if kind(word) != T::KIND {
                return Err(Misuse::OtherKind);
            }
            match cell.word.compare_exchange_weak(word, step(word), Ordering::AcqRel, Ordering::Acquire) {
                Ok(_) => return Ok(Pinned { table: self, index, object: PhantomData }),
                Err(now) => word = now,
            }
        }
    }

    /// The cell an address lies in and its generation bits; reads no memory.
    fn locate(&self, handle: *const c_void) -> Result<(usize, u64), Misuse> {
        if handle.is_null() {
            return Err(Misuse::Null);
        }
        let offset = handle.addr().wrapping_sub(self.cells.as_ptr().addr());
        let (index, bits) = (offset / size_of::<Cell>(), offset % size_of::<Cell>());
        if index >= self.cells.len() || bits >= ALIGN {
            return Err(Misuse::Foreign);
        }
        Ok((index, bits as u64))
    }

    fn take(&self) -> Option<usize> {
        let mut free = self.lock();
        if free.fresh < self.cells.len() {
            free.fresh += 1;
            return Some(free.fresh - 1);
        }
        free.returned.pop_front()
    }

    /// Frees a cell whose last pin is off, then the object: its destructor may come back here.
    #[cold]
    fn retire<T: Object>(&self, index: usize) {
        let cell = &self.cells[index];
        let object = cell.object.swap(std::ptr::null_mut(), Ordering::AcqRel);
        let next = (generation(cell.word.load(Ordering::Relaxed)) + 1) % GENERATIONS;
        // Generation 0 means "never used": the count goes round to 32, which has the same bits.
        let next = if next == 0 { ALIGN as u64 } else { next };
        cell.word.store(live(FREE, next), Ordering::Release);
        self.lock().returned.push_back(index);
        // SAFETY: `open` made the pointer from a `Box<T>`: the type in the word was T's while it was
        // pinned. The swap took it out, and no pin is left, so nobody else has it.
        drop(unsafe { Box::from_raw(object.cast::<T>()) });
    }

    fn lock(&self) -> impl std::ops::DerefMut<Target = Free> + '_ {
        // No code of others runs under this lock, so it is never poisoned by a half-done change.
        self.free.lock().unwrap_or_else(|poisoned| poisoned.into_inner())
    }

    /// Cells in use.
    #[cfg(test)]
    pub(super) fn in_use(&self) -> usize {
        let free = self.lock();
        free.fresh - free.returned.len()
    }
}

/// An object that cannot go away while this exists.
pub(super) struct Pinned<T: Object> {
    table: &'static Table,
    index: usize,
    object: PhantomData<&'static T>,
}

impl<T: Object> Deref for Pinned<T> {
    type Target = T;

    fn deref(&self) -> &T {
        // SAFETY: the cell held a T when it was pinned, and holds it until the last pin is off.
        unsafe { &*self.table.cells[self.index].object.load(Ordering::Relaxed).cast::<T>() }
    }
}

impl<T: Object> Drop for Pinned<T> {
    fn drop(&mut self) {
        let before = self.table.cells[self.index].word.fetch_sub(1, Ordering::AcqRel);
        if before & CLOSING != 0 && before & PINS == 1 {
            self.table.retire::<T>(self.index);
        }
    }
}
