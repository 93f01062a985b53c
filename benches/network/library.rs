//! This library as a program: publishes, looks, watches and reads again. Each peer has such a program; all take the
//! same words, print JSON a line, and stay until standard input ends.
//!
//! - `publish ADDRESS FROM COUNT LEASE`: registers nodes, says `{"ms"}`, the time that took; LEASE 0 is the default.
//!   Each line `one ID` registers one more and says `{"at"}`, the time of the call, nanoseconds since 1970.
//! - `look COUNT LIMIT`: says `{"ms","found"}` of a first lookup, and `{"all_ms"}`, when all were known, or null.
//! - `watch`: says `{"ms"}` when it is up, `{"id","at"}` for each new node named `one-`, and, asked by any line,
//!   `{"visible","deletes","changed_at"}`.
//! - `warm COUNT ROUNDS`: looks until all are known, then says how long each further lookup took: `{"us"}`.

use std::ffi::CString;
use std::io::BufRead;
use std::ptr::null_mut;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant, SystemTime};

use mdns_registry::ffi::{mdnsreg_close, mdnsreg_get_service, mdnsreg_open, mdnsreg_string_free};
use mdns_registry::{
    limits, Action, Event, Metadata, Next, Node, Options, RegisterOptions, Registry, Service, Status, WatchOptions,
};
use serde_json::{json, Value};

const NAME: &str = "fleet";
const PAUSE: Duration = Duration::from_millis(1);

/// Plays a verb with the registry of these options.
pub fn play(options: &str, words: &[String]) {
    let number = |at: usize| words[at].parse::<usize>().expect("a number");
    let registry = || Registry::open(Options::from_json(options).expect("options")).expect("a registry");
    match words[0].as_str() {
        "publish" => publish(&registry(), number(2), number(3), number(4)),
        "look" => look(&registry(), number(1), Duration::from_millis(number(2) as u64)),
        "watch" => watch(&registry()),
        "warm" => warm(options, number(1), number(2)),
        verb => panic!("no such verb: {verb}"),
    }
}

/// Prints a line at once.
pub fn tell(said: &Value) {
    crate::lab::role::tell(&said.to_string());
}

/// The lines of standard input.
pub fn lines() -> impl Iterator<Item = String> {
    std::io::stdin().lock().lines().map_while(Result::ok)
}

/// Nanoseconds since 1970, on the clock that every program here reads.
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970");
    u64::try_from(since.as_nanos()).expect("before 2554")
}

/// The id and port of the node of a number, as each program numbers them.
pub fn numbered(number: usize) -> (String, u16) {
    (format!("n-{number:05}"), u16::try_from(10_000 + number % 50_000).expect("a port"))
}

/// What each node carries.
pub const METADATA: [(&str, &str); 3] = [("zone", "north"), ("rack", "r-07"), ("started", "2026-11-22T19:45:40Z")];

pub fn ms(since: Instant) -> f64 {
    since.elapsed().as_secs_f64() * 1e3
}

fn node((id, port): (String, u16)) -> Node {
    let metadata = METADATA.map(|(key, value)| (key.to_owned(), value.to_owned()));
    Node { id, port, address: String::new(), metadata: Metadata::from(metadata) }
}

fn service(nodes: Vec<Node>) -> Service {
    Service { name: NAME.into(), version: "1.0.0".into(), nodes, ..Service::default() }
}

fn publish(registry: &Registry, from: usize, count: usize, lease: usize) {
    let mut options = RegisterOptions::default();
    if lease > 0 {
        options.ttl = Duration::from_secs(lease as u64);
    }
    let mut spent = 0.0;
    for first in (from..from + count).step_by(limits::CALL_NODES) {
        let last = (first + limits::CALL_NODES).min(from + count);
        let call = service((first..last).map(|number| node(numbered(number))).collect());
        let began = Instant::now();
        registry.register(&call, options).wait().expect("registered");
        spent += ms(began);
    }
    tell(&json!({ "ms": spent }));
    for line in lines() {
        let id = line.split_whitespace().nth(1).expect("an id").to_owned();
        let one = service(vec![node((id, 9_000))]);
        let at = now();
        registry.register(&one, options).wait().expect("registered");
        tell(&json!({ "at": at }));
    }
}

fn get(registry: &Registry) -> usize {
    match registry.get_service(NAME).wait() {
        Err(error) if error.status() == Status::NOT_FOUND => 0,
        found => found.expect("an answer").iter().map(|service| service.nodes.len()).sum(),
    }
}

/// How many nodes the view holds. Lookups in a row would copy them all each time, and hold up what they wait for.
fn known(registry: &Registry) -> u64 {
    let stats: Value = serde_json::from_str(&registry.stats().expect("statistics")).expect("JSON");
    stats["nodes"].as_u64().expect("a count")
}

fn look(registry: &Registry, count: usize, limit: Duration) {
    let began = Instant::now();
    let found = get(registry);
    let first = ms(began);
    let mut all = (found >= count).then_some(first);
    while all.is_none() && began.elapsed() < limit {
        std::thread::sleep(PAUSE);
        let (held, at) = (known(registry), ms(began));
        all = (held >= count as u64 && get(registry) >= count).then_some(at);
    }
    tell(&json!({ "ms": first, "found": found, "all_ms": all }));
}

#[derive(Default)]
struct Told {
    visible: usize,
    deletes: usize,
    changed_at: u64,
}

fn watch(registry: &Registry) {
    let watcher = registry.watch(WatchOptions::service(NAME)).expect("a watch");
    let told = Arc::new(Mutex::new(Told::default()));
    let count = told.clone();
    std::thread::spawn(move || {
        while let Next::Event(event) = watcher.next_timeout(None) {
            take(&event, &mut count.lock().expect("no panic while held"));
        }
    });
    tell(&json!({"ms": 0}));
    for _ in lines() {
        let told = told.lock().expect("no panic while held");
        tell(&json!({"visible": told.visible, "deletes": told.deletes, "changed_at": told.changed_at}));
    }
}

fn take(event: &Event, told: &mut Told) {
    let at = now();
    if *event == Event::Resync {
        told.visible = 0;
    }
    let Some(change) = event.change() else { return };
    match change.action {
        Action::Create => told.visible += 1,
        Action::Update => return,
        Action::Delete => {
            told.visible -= 1;
            told.deletes += 1;
        }
    }
    told.changed_at = at;
    let id = &change.service.nodes[0].id;
    if change.action == Action::Create && id.starts_with("one-") {
        tell(&json!({"id": id, "at": at}));
    }
}

/// Through the C ABI, as a C program would.
fn warm(options: &str, count: usize, rounds: usize) {
    let (options, name) = (CString::new(options).expect("no NUL"), CString::new(NAME).expect("no NUL"));
    let mut registry = null_mut();
    // SAFETY: a text and a place.
    assert_eq!(unsafe { mdnsreg_open(options.as_ptr(), &mut registry, null_mut()) }, Status::OK.code());
    let read = || {
        let mut text = null_mut();
        // SAFETY: a text and a place.
        let status = unsafe { mdnsreg_get_service(registry, name.as_ptr(), &mut text, null_mut()) };
        (status, text)
    };
    let began = Instant::now();
    let mut found = 0;
    while found < count {
        assert!(began.elapsed() < Duration::from_secs(10), "{found} of {count}");
        let (status, text) = read();
        if status == Status::OK.code() {
            // SAFETY: a text of the library, freed once.
            let json = unsafe { std::ffi::CStr::from_ptr(text) }.to_str().expect("UTF-8").to_owned();
            // SAFETY: as above.
            unsafe { mdnsreg_string_free(text) };
            let services: Value = serde_json::from_str(&json).expect("JSON");
            found =
                services.as_array().expect("a list").iter().map(|s| s["nodes"].as_array().map_or(0, Vec::len)).sum();
        }
        std::thread::sleep(PAUSE);
    }
    let mut took = Vec::with_capacity(rounds);
    for _ in 0..rounds {
        let began = Instant::now();
        let (status, text) = read();
        // SAFETY: a text of the library, freed once.
        unsafe { mdnsreg_string_free(text) };
        took.push(began.elapsed().as_secs_f64() * 1e6);
        assert_eq!(status, Status::OK.code());
    }
    tell(&json!({ "us": took }));
    // SAFETY: any pointer.
    unsafe { mdnsreg_close(registry) };
}
