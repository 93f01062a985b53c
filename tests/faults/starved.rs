//! A process that may open no more descriptors, or take no more memory.

use std::sync::Mutex;
use std::time::{Duration, Instant};

use mdns_registry::{LinkKind, Options, Registry, Status};
use nix::sys::resource::{getrlimit, rlim_t, setrlimit, Resource};
use serde_json::{json, Value};

use crate::lab::Lab;
use crate::measure::{self, now, seconds, within, Truth};
use crate::peer::Peer;
use crate::report::Outcome;

/// A change is seen within this, both ways.
const SEEN_WITHIN: Duration = Duration::from_secs(5);
/// A port that no registry of the process has sockets for.
const OTHER_PORT: u16 = 5_399;
/// What is left of the address space: a few allocations, and no stack of a thread.
const LEFT: u64 = 1 << 20;
const NODES: u32 = 10;

/// What is taken away, how the failed open is told, and words of its message.
struct Want {
    of: &'static str,
    resource: Resource,
    /// The status and the words that it may be told with.
    told: &'static [(Status, &'static str)],
}

const DESCRIPTORS: Want = Want {
    of: "descriptors",
    resource: Resource::RLIMIT_NOFILE,
    told: &[(Status::NETWORK, "Too many open files (os error 24); RLIMIT_NOFILE is ")],
};
/// The heap may have room for what a thread begins with, and the system none for its stack.
const MEMORY: Want = Want {
    of: "memory",
    resource: Resource::RLIMIT_AS,
    told: &[(Status::NETWORK, "; RLIMIT_AS is "), (Status::NOMEM, "no memory is left")],
};

pub fn no_descriptor_left(link: LinkKind) -> Outcome {
    starved(link, &DESCRIPTORS)
}

pub fn no_memory_left(link: LinkKind) -> Outcome {
    starved(link, &MEMORY)
}

/// A registry at work, to whose process nothing more is given for a while; meanwhile nodes change here and there.
fn starved(link: LinkKind, want: &Want) -> Outcome {
    let lab = Lab::new("starved");
    let hosts = [lab.host("a"), lab.host("b")];
    let mut peers: Vec<Peer> = hosts.iter().map(|host| Peer::start(host, link)).collect();
    let mut truth = Truth::default();
    truth.register(&mut peers[0], 0..NODES, 120, 0);
    truth.register(&mut peers[1], NODES..2 * NODES, 120, 0);
    truth.comes_to(&mut peers, now(), Duration::from_secs(20)).expect("the nodes");
    let refused = peers[0].ask(&json!({"do": "starve", "of": want.of}));
    let began = now();
    truth.register(&mut peers[0], 0..NODES, 120, 1);
    truth.register(&mut peers[1], NODES..2 * NODES, 120, 1);
    // A look at descriptors would need one.
    let right = |peer: &mut Peer| peer.seen_of(0..2 * NODES, 1) == 2 * NODES as usize;
    let goes_on = peers.iter_mut().all(|peer| within(SEEN_WITHIN, || right(peer).then_some(()).ok_or(())).is_ok());
    let took = measure::since(began);
    let looked_up = truth.is(&peers[0].present().unwrap_or_default());
    let fed = peers[0].ask(&json!({"do": "starve", "of": "nothing"}));
    truth.register(&mut peers[0], 100..100 + NODES, 120, 2);
    let recovered = truth.comes_to(&mut peers, now(), SEEN_WITHIN).is_some();
    let (status, error) = (&refused["status"], refused["error"].as_str().unwrap_or("none"));
    let goes_on_told = if goes_on { format!("seen within {}", seconds(took)) } else { "not seen".into() };
    let measured = format!(
        "open fails with {status}, {error:?}; what is registered meanwhile here and there is {goes_on_told}; lifted, open \
         works after {} ms",
        fed["opened_ms"]
    );
    let as_told = want.told.iter().any(|(wanted, words)| *status == wanted.name() && error.contains(words));
    Outcome::new(as_told && goes_on && fed["opened_ms"].is_u64() && recovered, measured)
        .and(looked_up)
        .and(truth.seen_by(&mut peers))
}

/// What was taken away, and its limits as they were.
static TAKEN: Mutex<Option<(Resource, rlim_t, rlim_t)>> = Mutex::new(None);

/// In the peer: takes away and opens another registry; or, of `nothing`, gives back and opens it again.
pub fn starve(_: &Registry, of: &str) -> Value {
    let options = || Options { port: OTHER_PORT, ..Options::from_environment().expect("options") };
    let mut taken = TAKEN.lock().expect("no panic while held");
    if let Some((resource, soft, hard)) = taken.take() {
        setrlimit(resource, soft, hard).expect("the limit as it was");
        let began = Instant::now();
        let opened = Registry::open(options()).map(|other| other.close().wait());
        return json!({"opened_ms": opened.ok().map(|()| began.elapsed().as_millis() as u64)});
    }
    let want = [DESCRIPTORS, MEMORY].into_iter().find(|want| want.of == of).expect("what is taken away");
    let enough = match want.resource {
        Resource::RLIMIT_NOFILE => measure::descriptors() as u64,
        _ => measure::address_space() + LEFT,
    };
    let (soft, hard) = getrlimit(want.resource).expect("the limit");
    let options = options();
    setrlimit(want.resource, enough, hard).expect("a lower limit");
    *taken = Some((want.resource, soft, hard));
    let error = Registry::open(options).err();
    json!({"status": error.as_ref().map(|error| error.status().name()), "error": error.map(|error| error.to_string())})
}
