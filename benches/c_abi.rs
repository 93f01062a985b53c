//! What a C program pays: a warm lookup at several sizes, a registration until its event, and the handles
//! themselves. On loopback, in a namespace of its own.
#![allow(unsafe_code, missing_docs, clippy::expect_used, clippy::panic)]

use std::ffi::{c_char, CString};
use std::hint::black_box;
use std::ptr::null_mut;
use std::sync::mpsc;
use std::time::{Duration, Instant};

use criterion::{criterion_group, criterion_main, Criterion, Throughput};
use mdns_registry::ffi::{
    mdnsreg_close, mdnsreg_event_action, mdnsreg_event_free, mdnsreg_get_service, mdnsreg_open, mdnsreg_register,
    mdnsreg_registry, mdnsreg_string, mdnsreg_string_free, mdnsreg_watch, mdnsreg_watch_close, mdnsreg_watch_next,
    mdnsreg_watch_open,
};

const OK: i32 = mdns_registry::Status::OK.code();

/// Nodes of one service, ports from `port` on.
fn service(name: &str, nodes: usize, port: usize) -> CString {
    let node = |i: usize| {
        format!(r#"{{"id":"{name}-{i}","address":"127.0.0.1","port":{},"metadata":{{"zone":"a"}}}}"#, port + i)
    };
    let nodes: Vec<String> = (0..nodes).map(node).collect();
    let json = format!(r#"{{"name":"{name}","version":"1.0.0","nodes":[{}]}}"#, nodes.join(","));
    CString::new(json).expect("no NUL")
}

struct Opened(*mut mdnsreg_registry);

impl Opened {
    fn new() -> Opened {
        let mut registry = null_mut();
        // SAFETY: a text and a place.
        let status = unsafe { mdnsreg_open(c"{\"addrs\":[\"127.0.0.1\"]}".as_ptr(), &mut registry, null_mut()) };
        assert_eq!(status, OK);
        Opened(registry)
    }

    fn register(&self, service: &CString) {
        // SAFETY: a text.
        assert_eq!(unsafe { mdnsreg_register(self.0, service.as_ptr(), null_mut(), null_mut()) }, OK);
    }

    /// One lookup with its text freed; gives the text's length.
    fn look_up(&self, name: *const c_char) -> usize {
        let mut json = null_mut();
        // SAFETY: a text and a place; the text is freed once.
        unsafe {
            assert_eq!(mdnsreg_get_service(self.0, name, &mut json, null_mut()), OK);
            let length = std::ffi::CStr::from_ptr(json).count_bytes();
            mdnsreg_string_free(json);
            length
        }
    }
}

impl Drop for Opened {
    fn drop(&mut self) {
        // SAFETY: any pointer.
        unsafe { mdnsreg_close(self.0) };
    }
}

fn warm_get_service(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("c_abi/get_service_warm");
    for nodes in [1, 100, 1_000] {
        let registry = Opened::new();
        registry.register(&service("greeter", nodes, 1_000));
        let bytes = registry.look_up(c"greeter".as_ptr());
        group.throughput(Throughput::Bytes(bytes as u64));
        group.bench_function(format!("{nodes}_nodes"), |bencher| {
            bencher.iter(|| black_box(registry.look_up(c"greeter".as_ptr())));
        });
    }
    group.finish();
}

struct Watched(*mut mdnsreg_watch);

// SAFETY: a handle may be used on any thread.
unsafe impl Send for Watched {}

impl Watched {
    /// When the next change was told; `None` once the watch is over.
    fn change(&self) -> Option<Instant> {
        loop {
            let mut event = null_mut();
            // SAFETY: a place; the event is freed once.
            unsafe {
                if mdnsreg_watch_next(self.0, -1, &mut event, null_mut()) != OK {
                    return None;
                }
                let told = Instant::now();
                let changed = !mdnsreg_event_action(event).is_null();
                mdnsreg_event_free(event);
                if changed {
                    return Some(told);
                }
            }
        }
    }
}

/// From the call of register to its event on another thread, and the whole call, which waits for the link.
fn register_to_event(criterion: &mut Criterion) {
    let registry = Opened::new();
    let versions = [service("changing", 1, 1_000), service("changing", 1, 2_000)];
    let mut watch = null_mut();
    let options = c"{\"service\":\"changing\"}";
    // SAFETY: a text and a place.
    assert_eq!(unsafe { mdnsreg_watch_open(registry.0, options.as_ptr(), &mut watch, null_mut()) }, OK);
    let (tell, told) = mpsc::channel();
    let watched = Watched(watch);
    let reader = std::thread::spawn(move || {
        while let Some(at) = watched.change() {
            tell.send(at).expect("the bench waits for each");
        }
    });
    let mut turn = 0;
    criterion.bench_function("c_abi/register_to_event", |bencher| {
        bencher.iter_custom(|rounds| {
            let mut total = Duration::ZERO;
            for _ in 0..rounds {
                turn += 1;
                let began = Instant::now();
                registry.register(&versions[turn % 2]);
                total += told.recv().expect("an event").duration_since(began);
            }
            total
        });
    });
    // SAFETY: any pointer.
    unsafe { mdnsreg_watch_close(watch) };
    reader.join().expect("the reader ends");
    criterion.bench_function("c_abi/register_call", |bencher| {
        bencher.iter(|| {
            turn += 1;
            registry.register(&versions[turn % 2]);
        });
    });
}

fn checked_call(criterion: &mut Criterion) {
    let registry = Opened::new();
    // SAFETY: any pointer.
    criterion.bench_function("c_abi/checked_call", |bencher| {
        bencher.iter(|| black_box(unsafe { mdnsreg_string(black_box(registry.0)) }));
    });
}

criterion_group!(benches, checked_call, warm_get_service, register_to_event);
criterion_main!(benches);
