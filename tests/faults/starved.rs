//! A process that may open no more descriptors, or take no more memory.

use std::time::{Duration, Instant};

use mdns_registry::{LinkKind, Options, Registry};
use nix::sys::resource::{getrlimit, setrlimit, Resource};
use serde_json::{json, Value};

use crate::lab::Lab;
use crate::measure::{self, all_see, now, returned, sound, within};
use crate::peer::{Peer, FLEET};
use crate::report::Outcome;

/// A thread of a closed registry may be about to end.
const RETURNS_WITHIN: Duration = Duration::from_secs(5);
/// A port that no registry of the process has sockets for.
const OTHER_PORT: u16 = 5_399;
/// What is left of the address space: a few allocations, and no stack of a thread.
const LEFT: u64 = 1 << 20;

pub fn no_descriptor_left(link: LinkKind) -> Outcome {
    starved(link, "descriptors")
}

pub fn no_memory_left(link: LinkKind) -> Outcome {
    starved(link, "memory")
}

/// A registry at work, to whose process nothing more is given for a while.
fn starved(link: LinkKind, of: &str) -> Outcome {
    let lab = Lab::new("starved");
    let hosts = [lab.host("a"), lab.host("b")];
    let mut peers: Vec<Peer> = hosts.iter().map(|host| Peer::start(host, link)).collect();
    peers[0].register(0..10, 120, 0);
    all_see(&mut peers, 10, now(), Duration::from_secs(20)).expect("the nodes");
    let before = peers[0].state();
    let told = peers[0].ask(&json!({"do": "starve", "of": of}));
    peers[0].register(0..20, 120, 1);
    let recovered = all_see(&mut peers, 20, now(), Duration::from_secs(5)).is_some();
    let error = told["error"].as_str().unwrap_or("none");
    let measured = format!(
        "open fails with {error:?}; a lookup works meanwhile: {}; lifted, open works after {} ms",
        told["works"], told["opened_ms"]
    );
    let held = told["error"].is_string() && told["works"] == true && told["opened_ms"].is_u64() && recovered;
    Outcome::new(held, measured)
        .and(within(RETURNS_WITHIN, || returned(&before, &peers[0].state())))
        .and(sound(&mut peers))
}

/// In the peer: takes away, opens another registry, gives back, and opens it again.
pub fn starve(registry: &Registry, of: &str) -> Value {
    let (resource, enough) = match of {
        "descriptors" => (Resource::RLIMIT_NOFILE, measure::descriptors() as u64),
        _ => (Resource::RLIMIT_AS, measure::address_space() + LEFT),
    };
    let (soft, hard) = getrlimit(resource).expect("the limit");
    let options = || Options { port: OTHER_PORT, ..Options::from_environment().expect("options") };
    let (options, again) = (options(), options());
    setrlimit(resource, enough, hard).expect("a lower limit");
    let error = Registry::open(options).err().map(|error| error.to_string());
    let works = registry.get_service(FLEET).wait().is_ok_and(|found| !found.is_empty());
    setrlimit(resource, soft, hard).expect("the limit as it was");
    let began = Instant::now();
    let opened = Registry::open(again).map(|other| other.close().wait());
    json!({"error": error, "works": works, "opened_ms": opened.ok().map(|()| began.elapsed().as_millis() as u64)})
}
