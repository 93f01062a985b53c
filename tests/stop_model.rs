//! The stop protocol of a watch under loom: the interleavings of who calls back, who stops and who closes, with the file
//! the library is built from and loom's primitives under it.
#![cfg(feature = "capi")]
#![allow(dead_code)]

/// What `src/ffi/sync.rs` is in the library.
mod sync {
    pub use loom::sync::{Condvar, Mutex, MutexGuard};
}

#[path = "../src/ffi/gate.rs"]
mod gate;

use gate::{Face, Gate, Kept, Refusal};
use loom::cell::UnsafeCell;
use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use loom::sync::Arc;
use loom::thread;

/// Every interleaving with at most three forced switches of threads.
fn model(body: impl Fn() + Send + Sync + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(3);
    builder.check(body);
}

/// A watch with user data: touching them while or after they are freed is a fault that loom reports.
struct Watch {
    gate: Gate<u32>,
    user: UnsafeCell<u32>,
    calls: AtomicUsize,
    frees: AtomicUsize,
    /// Somebody was told that no callback runs or will run.
    over: AtomicBool,
}

// SAFETY: whether the user data are touched by one thread at a time is what is tested.
#[allow(unsafe_code)]
unsafe impl Sync for Watch {}

impl Watch {
    fn new() -> Arc<Watch> {
        Arc::new(Watch {
            gate: Gate::new(),
            user: UnsafeCell::new(7),
            calls: AtomicUsize::new(0),
            frees: AtomicUsize::new(0),
            over: AtomicBool::new(false),
        })
    }

    /// As `Queue::tell`: false when the watch was stopped before.
    fn tell(&self, callback: impl FnOnce(&Watch)) -> bool {
        let Some(_running) = self.gate.begin() else { return false };
        assert!(!self.over.load(Ordering::SeqCst), "a callback after stop returned");
        self.touch();
        self.calls.fetch_add(1, Ordering::SeqCst);
        callback(self);
        self.touch();
        true
    }

    #[allow(unsafe_code)]
    fn touch(&self) {
        // SAFETY: the protocol gives the user data to one at a time.
        self.user.with_mut(|user| unsafe { *user += 1 });
    }

    /// As `Queue::push`, of a watcher that has so many events.
    fn push(&self, events: u32, callback: impl Fn(&Watch)) {
        for event in 0..events {
            self.gate.keep(event);
            match self.gate.kept() {
                Kept::Event(_) if self.tell(&callback) => {}
                _ => break,
            }
        }
        self.gate.finish(|| {
            assert!(!self.over.load(Ordering::SeqCst), "freed after stop returned");
            self.touch();
            self.frees.fetch_add(1, Ordering::SeqCst);
        });
    }

    /// As `Queue::stop` from outside, without a limit.
    fn stop(&self) {
        self.gate.halt();
        assert!(self.gate.await_idle(None));
        self.over.store(true, Ordering::SeqCst);
    }

    fn freed_once(&self) {
        assert_eq!(self.frees.load(Ordering::SeqCst), 1);
    }
}

fn pushed(watch: &Arc<Watch>, events: u32, callback: impl Fn(&Watch) + 'static) -> thread::JoinHandle<()> {
    watch.gate.push().unwrap();
    let watch = watch.clone();
    thread::spawn(move || watch.push(events, callback))
}

#[test]
fn after_stop_returned_nothing_is_called_and_the_user_data_are_freed() {
    model(|| {
        let watch = Watch::new();
        let pusher = pushed(&watch, 2, |_| {});
        watch.stop();
        watch.freed_once();
        // Nobody else has them: reading is no fault.
        watch.touch();
        pusher.join().unwrap();
        watch.freed_once();
    });
}

#[test]
fn two_stoppers_of_one_runner_both_wait_for_it() {
    model(|| {
        let watch = Watch::new();
        let pusher = pushed(&watch, 1, |_| {});
        let other = {
            let watch = watch.clone();
            thread::spawn(move || {
                watch.stop();
                watch.freed_once();
            })
        };
        watch.stop();
        watch.freed_once();
        other.join().unwrap();
        pusher.join().unwrap();
    });
}

#[test]
fn a_stop_from_inside_ends_after_the_callback_and_one_from_outside_waits_for_both() {
    model(|| {
        let watch = Watch::new();
        // From inside, `Queue::stop` is a halt that does not wait.
        let pusher = pushed(&watch, 2, |watch| watch.gate.halt());
        watch.stop();
        watch.freed_once();
        assert!(watch.calls.load(Ordering::SeqCst) <= 1);
        pusher.join().unwrap();
    });
}

#[test]
fn a_close_while_a_callback_runs_frees_the_user_data_once_and_after_it() {
    model(|| {
        let watch = Watch::new();
        let pusher = pushed(&watch, 2, |_| {});
        // `Queue::halt` is all that closing does; it does not wait.
        watch.gate.halt();
        pusher.join().unwrap();
        watch.freed_once();
        assert!(!watch.tell(|_| {}), "none after it");
    });
}

#[test]
fn a_stop_waits_for_a_dispatch_which_tells_nothing_more() {
    model(|| {
        let watch = Watch::new();
        let dispatcher = {
            let watch = watch.clone();
            thread::spawn(move || {
                let dispatching = watch.gate.dispatch().unwrap();
                let told = [watch.tell(|_| {}), watch.tell(|_| {})];
                assert!(told != [false, true]);
                drop(dispatching);
            })
        };
        watch.stop();
        watch.touch();
        dispatcher.join().unwrap();
        assert!(watch.gate.dispatch().is_ok(), "which finds the end");
    });
}

#[test]
fn of_two_faces_at_once_one_wins() {
    model(|| {
        let watch = Watch::new();
        let other = {
            let watch = watch.clone();
            thread::spawn(move || watch.gate.push())
        };
        let mine = watch.gate.dispatch().map(drop);
        match (mine, other.join().unwrap()) {
            (Ok(()), Err(refusal)) => assert_eq!(refusal, Refusal::Taken(Face::Loop)),
            (Err(refusal), Ok(())) => {
                assert_eq!(refusal, Refusal::Taken(Face::Push));
                watch.gate.finish(|| {});
            }
            both => panic!("{both:?}"),
        }
    });
}

#[test]
fn a_start_that_fails_leaves_the_watch_to_the_next_and_no_stop_waits_for_it() {
    model(|| {
        let watch = Watch::new();
        let stopper = {
            let watch = watch.clone();
            thread::spawn(move || watch.stop())
        };
        if watch.gate.push().is_ok() {
            watch.gate.unpush();
        }
        stopper.join().unwrap();
        assert_eq!(watch.gate.push(), Err(Refusal::Stopped));
    });
}
