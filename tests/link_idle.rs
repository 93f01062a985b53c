//! What goes on running when something is closed. Alone in its process, because it measures the process's time.

#![allow(clippy::unwrap_used, clippy::panic)]

use std::time::Duration;

use mdns_registry::{Options, RegisterOptions, Registry, Service, WatchOptions, Watcher};
use nix::time::{clock_gettime, ClockId};

/// What a process at rest may use of a second.
const REST: Duration = Duration::from_millis(20);

fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_PROCESS_CPUTIME_ID).unwrap().into()
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
    let before = cpu_time();
    std::thread::sleep(Duration::from_secs(1));
    let with_one_open = cpu_time() - before;
    assert!(with_one_open < REST, "{with_one_open:?} of a second with a registry open");
    other.close().wait();
    let before = cpu_time();
    std::thread::sleep(Duration::from_secs(1));
    let with_none = cpu_time() - before;
    println!("{with_one_open:?} with one open, {with_none:?} with none");
    assert!(with_none < REST, "{with_none:?} of a second with nothing open");
}
