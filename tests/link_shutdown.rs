//! What a link leaves behind. Alone in its process, because it counts threads and descriptors.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

#[path = "link/peer.rs"]
mod peer;

use std::time::Instant;

use mdns_registry::event::Reason;
use mdns_registry::link::{mdns_sd, native, Open};
use mdns_registry::record::Sighting;
use peer::{Peer, LONG};

/// Threads of links and daemons in this process.
fn ours() -> usize {
    let name = |task: std::fs::DirEntry| std::fs::read_to_string(task.path().join("comm")).unwrap_or_default();
    let tasks = std::fs::read_dir("/proc/self/task").unwrap().flatten().map(name);
    tasks.filter(|name| name.starts_with("mdnsreg") || name.starts_with("mDNS")).count()
}

fn descriptors() -> usize {
    std::fs::read_dir("/proc/self/fd").unwrap().count()
}

fn wait_for(threads: usize, open: usize) {
    let until = Instant::now() + LONG;
    while ours() > threads || descriptors() > open {
        assert!(Instant::now() < until, "{} of {threads} threads, {} of {open} descriptors", ours(), descriptors());
        std::thread::yield_now();
    }
}

/// Both in one test: they count what the process has.
#[test]
fn shutdown_or_drop_says_goodbye_and_leaves_no_thread_and_no_descriptor() {
    leaves_nothing(mdns_sd::open, 2);
    leaves_nothing(native::open, 1);
}

fn leaves_nothing(open: Open, threads_of_one: usize) {
    let before = descriptors();
    assert_eq!(ours(), 0);
    let mut watcher = Peer::open_on(open, "watcher", 5420);
    watcher.publish(&watcher.record("own", 1, 1));
    watcher.ask();
    watcher.wait(|sighting| matches!(sighting, Sighting::Settled(_)).then_some(()));
    let (threads, open_now) = (ours(), descriptors());
    assert_eq!(threads, threads_of_one);
    for revision in 1..7 {
        let peer = Peer::open_on(open, "short-lived", 5420);
        let said = peer.record(&format!("node-{revision}"), 1, revision);
        peer.publish(&said);
        watcher.wait_seen(&said.key, revision);
        match revision % 2 {
            0 => peer.shutdown(),
            _ => drop(peer),
        }
        assert_eq!(watcher.wait_gone(&said.key), Reason::Goodbye);
        wait_for(threads, open_now);
    }
    watcher.shutdown();
    wait_for(0, before);
}
