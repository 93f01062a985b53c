//! The process of a peer: its registry, its watcher, and what it is told to do.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mdns_registry::{Next, Options, RegisterOptions, Registry, Selection, Service, WatchOptions};
use serde_json::{json, Value};

use super::{id, port, Place, Present, State, FLEET, OURS};
use crate::lab::fold::{nodes_of, Fold};
use crate::lab::role::tell;
use crate::measure::Held;
use crate::{heap, measure, panics};

/// Within it what a watcher was told and what a lookup answers are the same, at rest.
const AGREES_WITHIN: Duration = Duration::from_secs(3);

#[derive(Default)]
struct Seen {
    fold: Fold,
    counts: BTreeMap<String, u64>,
    ours_deleted: u64,
    changed_at: u64,
    broken: Option<String>,
}

impl Seen {
    fn take(&mut self, event: &Value) {
        self.changed_at = measure::now();
        *self.counts.entry(event["action"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        self.ours_deleted += u64::from(event["action"] == "delete" && begins(&event["service"]["nodes"][0], OURS));
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.fold.take(event))) else { return };
        self.broken = panic.downcast_ref::<String>().cloned().or(Some("it panicked".into()));
    }

    fn count(&self, action: &str) -> u64 {
        self.counts.get(action).copied().unwrap_or(0)
    }
}

/// How often it is looked whether this process runs, and for how many seconds what was seen is kept.
const PULSE: Duration = Duration::from_millis(10);
const STALLS_KEPT: usize = 100;

/// By how much a pulse came late at most, microseconds, in each of the last seconds.
#[derive(Clone)]
struct Stalls(Arc<Mutex<[u64; STALLS_KEPT]>>);

impl Stalls {
    fn watch() -> Stalls {
        let stalls = Stalls(Arc::new(Mutex::new([0; STALLS_KEPT])));
        let (kept, start) = (stalls.clone(), Instant::now());
        thread::spawn(move || {
            let mut second = 0;
            loop {
                let began = Instant::now();
                thread::sleep(PULSE);
                let late = began.elapsed().saturating_sub(PULSE).as_micros() as u64;
                let mut kept = kept.0.lock().expect("no panic while held");
                while second < start.elapsed().as_secs() as usize {
                    second += 1;
                    kept[second % STALLS_KEPT] = 0;
                }
                let longest = &mut kept[second % STALLS_KEPT];
                *longest = late.max(*longest);
            }
        });
        stalls
    }

    fn longest_us(&self) -> u64 {
        self.0.lock().expect("no panic while held").iter().copied().max().unwrap_or(0)
    }
}

struct Played {
    stalls: Stalls,
    registry: Registry,
    seen: Arc<Mutex<Seen>>,
    reader: JoinHandle<()>,
}

/// The process of a peer.
pub fn play() {
    panics::record();
    let stalls = Stalls::watch();
    let first = Held::now();
    let options = Options::from_environment().expect("options");
    let registry = Registry::open(options).expect("a registry");
    let seen = Arc::new(Mutex::new(Seen::default()));
    let watcher = registry.watch(WatchOptions { service: Some(FLEET.into()), queue: 100_000 }).expect("a watch");
    let told = seen.clone();
    let read = move || {
        while let Next::Event(event) = watcher.next_timeout(None) {
            let event = serde_json::from_str(&event.to_json()).expect("JSON");
            told.lock().expect("no panic while held").take(&event);
        }
    };
    let reader = thread::Builder::new().name(panics::READER.into()).spawn(read).expect("a thread");
    let mut played = Played { stalls, registry, seen, reader };
    tell("\nready");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let command: Value = serde_json::from_str(&line).expect("JSON");
        if command["do"] == "end" {
            break;
        }
        let answer = match played.obey(&command) {
            Ok(answer) => json!({ "answer": answer }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        tell(&answer.to_string());
    }
    played.end();
    let ended = match measure::within(measure::RETURNS_WITHIN, || Held::now().back_to(&first)) {
        Ok(left) => json!({ "ended": left }),
        Err(how) => json!({ "ended": how }),
    };
    tell(&ended.to_string());
}

impl Played {
    /// Closes the registry, which ends the watch, and forgets what was seen.
    fn end(self) {
        self.registry.close().wait();
        self.reader.join().expect("no panic of the reader");
    }

    fn obey(&mut self, command: &Value) -> mdns_registry::Result<Value> {
        match command["do"].as_str().expect("a command") {
            "register" => {
                let options = json!({"ttl_ms": command["ttl_ms"]}).to_string();
                let options = RegisterOptions::from_json(&options)?;
                let round = command["round"].to_string();
                let nodes: Vec<u32> = span(command).collect();
                for nodes in nodes.chunks(mdns_registry::limits::CALL_NODES) {
                    self.registry.register(&fleet(nodes, &round)?, options).wait()?;
                }
                Ok(json!(true))
            }
            "deregister" => {
                let gone = Selection::service(FLEET).ids(span(command).map(id));
                self.registry.deregister(&gone).wait().map(|()| json!(true))
            }
            "state" => Ok(self.state()),
            "present" => Ok(self.present(command["of"].as_str().expect("of which"))),
            "told" => Ok(json!(present(&self.told("")))),
            "seen_of" => Ok(json!(self.seen_of(command))),
            "stats" => Ok(serde_json::from_str(&self.registry.stats()?).expect("JSON")),
            "wall" => Ok(json!(SystemTime::now().duration_since(UNIX_EPOCH).expect("after 1970").as_secs())),
            "latency" => Ok(self.latency(command)),
            "starve" => Ok(crate::starved::starve(&self.registry, command["of"].as_str().expect("of what"))),
            "close" => {
                self.registry.close().wait();
                Ok(json!(true))
            }
            other => panic!("not a command: {other}"),
        }
    }

    fn state(&self) -> Value {
        let seen = self.seen.lock().expect("no panic while held");
        json!(State {
            visible: seen.fold.services().count(),
            created: seen.count("create"),
            updated: seen.count("update"),
            deleted: seen.count("delete"),
            ours_deleted: seen.ours_deleted,
            changed_at: seen.changed_at,
            broken: seen.broken.clone(),
            panics: panics::seen(),
            stalled_us: self.stalls.longest_us(),
            heap: heap::live(),
            resident: measure::resident(),
            descriptors: measure::descriptors(),
            threads: measure::threads(),
            resyncs: seen.fold.resyncs,
        })
    }

    fn seen_of(&self, command: &Value) -> usize {
        let wanted: BTreeSet<String> = span(command).map(id).collect();
        let round = command["round"].to_string();
        let is = |node: &Value| {
            node["metadata"]["round"] == round.as_str() && node["id"].as_str().is_some_and(|id| wanted.contains(id))
        };
        let seen = self.seen.lock().expect("no panic while held");
        let count = seen.fold.services().filter(|service| is(&service["nodes"][0])).count();
        count
    }

    /// Nodes whose id begins so, by the events; strangers' by the thousand are put aside first.
    fn told(&self, prefix: &str) -> Vec<Value> {
        let seen = self.seen.lock().expect("no panic while held");
        nodes_of(seen.fold.services().filter(|service| begins(&service["nodes"][0], prefix)))
    }

    /// The same by a lookup.
    fn looked_up(&self, prefix: &str) -> Vec<Value> {
        let mut found = self.registry.get_service(FLEET).wait().unwrap_or_default();
        found.iter_mut().for_each(|service| service.nodes.retain(|node| node.id.starts_with(prefix)));
        nodes_of(&found.iter().map(|service| json!(service)).collect::<Vec<_>>())
    }

    /// Names that are listed; of the fleet alone nodes are told.
    fn listed(&self) -> BTreeSet<String> {
        let listed = self.registry.list_services().wait().unwrap_or_default();
        listed.into_iter().map(|service| service.name).collect()
    }

    /// Of nodes whose id begins so, and of the name of the fleet; of all, no other name is there.
    fn present(&self, prefix: &str) -> Value {
        let agree = || {
            let (looked_up, listed, told) = (self.looked_up(prefix), self.listed(), self.told(prefix));
            if told != looked_up {
                return Err(format!("told of {} nodes, a lookup finds {} or others", told.len(), looked_up.len()));
            }
            let (others, fleet) = (listed.iter().any(|name| name != FLEET), listed.contains(FLEET));
            match (others && prefix.is_empty()) || fleet == told.is_empty() {
                true => Err(format!("told of {} nodes of {FLEET}, and {listed:?} is listed", told.len())),
                false => Ok(present(&told)),
            }
        };
        match measure::within(AGREES_WITHIN, agree) {
            Ok(present) => json!({ "present": present }),
            Err(how) => json!({ "disagrees": how }),
        }
    }

    /// Looks the fleet up a thousand times a second; microseconds.
    fn latency(&self, command: &Value) -> Value {
        let end = Instant::now() + Duration::from_secs(command["seconds"].as_u64().expect("seconds"));
        let mut took = Vec::new();
        while Instant::now() < end {
            let began = Instant::now();
            let found = self.registry.get_service(FLEET).wait().unwrap_or_default();
            took.push(began.elapsed().as_micros() as u64);
            assert!(!found.is_empty(), "the fleet is there");
            thread::sleep(Duration::from_millis(1));
        }
        took.sort_unstable();
        json!({"p50": took[took.len() / 2], "p99": took[took.len() * 99 / 100], "max": took.last(), "n": took.len()})
    }
}

/// Whether the id of a node begins so.
fn begins(node: &Value, prefix: &str) -> bool {
    node["id"].as_str().is_some_and(|id| id.starts_with(prefix))
}

fn present(nodes: &[Value]) -> Present {
    nodes.iter().map(|node| place(&node["node"])).collect()
}

fn place(node: &Value) -> (String, Place) {
    let text = |value: &Value| value.as_str().expect("a text").to_owned();
    let round = text(&node["metadata"]["round"]).parse().expect("a number");
    let (address, port) = (text(&node["address"]), node["port"].as_u64().expect("a port"));
    (text(&node["id"]), Place { address, port, round })
}

fn span(command: &Value) -> Range<u32> {
    let end = |i: usize| u32::try_from(command["nodes"][i].as_u64().expect("a number")).expect("a node");
    end(0)..end(1)
}

fn fleet(nodes: &[u32], round: &str) -> mdns_registry::Result<Service> {
    let node = |node: &u32| json!({"id": id(*node), "address": "", "port": port(*node), "metadata": {"round": round, "zone": "north"}});
    let nodes: Vec<Value> = nodes.iter().map(node).collect();
    Service::from_json(&json!({"name": FLEET, "version": "1.0.0", "nodes": nodes}).to_string())
}
