//! What goes on running when something is closed. Alone in its process, because it measures the process's time.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use mdns_registry::{Options, RegisterOptions, Registry, Service, WatchOptions, Watcher};
use nix::time::{clock_gettime, ClockId};

/// How long a process at rest is watched, and what it may use of that: 1 %.
const WATCHED: Duration = Duration::from_secs(3);
const REST: Duration = Duration::from_millis(30);

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
}

/// What the process uses while nothing is asked of it.
fn used_at_rest() -> Duration {
    let before = cpu_time();
    std::thread::sleep(WATCHED);
    cpu_time() - before
}

fn open() -> Registry {
    Registry::open(Options::from_json(r#"{"addrs":["127.0.0.1"],"port":5421}"#).unwrap()).unwrap()
}

/// A registry with a node, two watches, of which one is read, and a lookup that nobody answers.
fn in_use() -> (Registry, [Watcher; 2]) {
    let registry = open();
    let service = Service::from_json(r#"{"name":"greeter","nodes":[{"id":"one","port":80}]}"#).unwrap();
    registry.register(&service, RegisterOptions::default()).wait().unwrap();
    let watchers = [(); 2].map(|()| registry.watch(WatchOptions::default()).unwrap());
    watchers[0].next_timeout(Some(Duration::from_secs(5)));
    drop(registry.get_service("nobody"));
    (registry, watchers)
}

#[test]
fn whatever_is_closed_first_nothing_goes_on_running() {
    // One stays open, so that there is a runtime and a link that could.
    let (other, others) = in_use();
    for order in 0..4 {
        let (registry, [one, two]) = in_use();
        match order {
            0 => registry.close().wait(),
            1 => drop(registry),
            2 => drop((one, registry)),
            _ => {
                one.stop();
                drop((registry, two));
            }
        }
    }
    drop(others);
    // Questions to go-micro's nodes come in a burst.
    std::thread::sleep(Duration::from_secs(2));
    let with_one_open = used_at_rest();
    other.close().wait();
    let with_none = used_at_rest();
    println!("of {WATCHED:?} {with_one_open:?} with one open, {with_none:?} with none");
    assert!(with_one_open < REST, "{with_one_open:?} of {WATCHED:?} with a registry open");
    assert!(with_none < REST, "{with_none:?} of {WATCHED:?} with nothing open");
}
