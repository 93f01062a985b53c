//! A peer: a process with one registry, which publishes nodes of the fleet, and one watcher of the fleet, which a thread
//! reads at all times. It does as it is told, a JSON object a line.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::Range;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use mdns_registry::{LinkKind, Next, Options, RegisterOptions, Registry, Selection, Service, WatchOptions};
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

use crate::lab::fold::{nodes_of, Fold};
use crate::lab::role::{is_played, tell};
use crate::lab::{eventually, Host, Lab, Process};
use crate::{heap, measure};

pub const ROLE: &str = "a_peer_sees_what_it_registers";
pub const FLEET: &str = "fleet";
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);
/// Within it what a watcher was told and what a lookup answers are the same, at rest.
const AGREES_WITHIN: Duration = Duration::from_secs(3);

/// What a peer has been told so far, and what it takes.
#[derive(Serialize, Deserialize)]
pub struct State {
    /// Nodes of the fleet.
    pub visible: usize,
    pub created: u64,
    pub updated: u64,
    pub deleted: u64,
    /// When the last event came, as `measure::now` tells.
    pub changed_at: u64,
    /// How the order of events was broken, if it was (I4).
    pub broken: Option<String>,
    /// Live heap, bytes.
    pub heap: i64,
    /// Resident memory, bytes.
    pub resident: i64,
    pub descriptors: usize,
    pub threads: usize,
}

impl State {
    /// So many events in all.
    pub fn events(&self) -> u64 {
        self.created + self.updated + self.deleted
    }
}

/// What is present, by node id.
pub type Present = BTreeMap<String, Place>;

/// Where a node is, and the round it was registered in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Place {
    pub address: String,
    pub port: u64,
    pub round: u64,
}

/// A peer, seen from the scenario.
pub struct Peer {
    pub process: Process,
}

impl Peer {
    pub fn start(host: &Host, link: LinkKind) -> Peer {
        Peer::start_with(host, &json!({"link": link.as_str()}), &[])
    }

    /// With options of its registry, and more variables in its environment.
    pub fn start_with(host: &Host, options: &Value, environment: &[(&str, &str)]) -> Peer {
        let options = options.to_string();
        let mut variables = vec![(mdns_registry::options::ENVIRONMENT, options.as_str())];
        variables.extend(environment);
        let mut process = host.role_with(ROLE, &variables);
        process.expect_line("it is ready", ANSWERS_WITHIN, |line| line == "ready");
        Peer { process }
    }

    /// Has it do something that has its answer later.
    pub fn tell(&mut self, command: &Value) {
        self.process.say(&command.to_string());
    }

    pub fn answer(&mut self) -> Value {
        self.answer_within(ANSWERS_WITHIN)
    }

    pub fn answer_within(&mut self, limit: Duration) -> Value {
        let answer = self.process.expect("an answer", limit, |line| serde_json::from_str::<Value>(line).ok());
        assert!(answer["error"].is_null(), "{answer}");
        answer["answer"].clone()
    }

    pub fn ask(&mut self, command: &Value) -> Value {
        self.tell(command);
        self.answer()
    }

    /// Registers these nodes for a lease of so many seconds; `round` goes into their metadata.
    pub fn register(&mut self, nodes: Range<u32>, lease_s: u64, round: u64) {
        self.ask(&register(nodes, lease_s, round));
    }

    pub fn deregister(&mut self, nodes: Range<u32>) {
        self.ask(&json!({"do": "deregister", "nodes": [nodes.start, nodes.end]}));
    }

    pub fn state(&mut self) -> State {
        serde_json::from_value(self.ask(&json!({"do": "state"}))).expect("a state")
    }

    /// What is present by the events; what a lookup answers must come to be the same (I3).
    pub fn present(&mut self) -> Result<Present, String> {
        let told = self.ask(&json!({"do": "present"}));
        match told["disagrees"].as_str() {
            Some(how) => Err(format!("I3: {how}")),
            None => Ok(serde_json::from_value(told["present"].clone()).expect("nodes")),
        }
    }

    /// How many of these nodes it was told of, of this round if one is given.
    pub fn seen_of(&mut self, nodes: Range<u32>, round: Option<u64>) -> usize {
        let told = self.ask(&json!({"do": "seen_of", "nodes": [nodes.start, nodes.end], "round": round}));
        told.as_u64().expect("a number") as usize
    }

    /// The reasons for which most was refused, as `stats` tells them.
    pub fn refused(&mut self) -> String {
        let stats = self.ask(&json!({"do": "stats"}));
        let mut reasons: Vec<(u64, &String)> = stats["refused"]
            .as_object()
            .into_iter()
            .flatten()
            .filter_map(|(reason, count)| Some((count.as_u64()?, reason)))
            .collect();
        reasons.sort_unstable_by(|a, b| b.cmp(a));
        let told: Vec<String> = reasons.iter().take(3).map(|(count, reason)| format!("{reason} {count}")).collect();
        if told.is_empty() {
            "nothing".into()
        } else {
            told.join(", ")
        }
    }
}

/// The command that registers.
pub fn register(nodes: Range<u32>, lease_s: u64, round: u64) -> Value {
    json!({"do": "register", "nodes": [nodes.start, nodes.end], "ttl_ms": lease_s * 1_000, "round": round})
}

pub fn id(node: u32) -> String {
    format!("ship-{node:05}")
}

pub fn port(node: u32) -> u64 {
    u64::from(10_000 + node % 50_000)
}

/// The body of the test `ROLE`: plays the peer where it was started as one, else looks whether it can be played.
pub fn play_or_check() {
    if is_played(ROLE) {
        return play();
    }
    let lab = Lab::new("peer");
    let mut peer = Peer::start(&lab.host("a"), LinkKind::Native);
    peer.register(0..2, 120, 0);
    eventually("both nodes", ANSWERS_WITHIN, || (peer.state().visible == 2).then_some(()));
    assert_eq!(peer.present().unwrap().len(), 2);
}

#[derive(Default)]
struct Seen {
    fold: Fold,
    counts: BTreeMap<String, u64>,
    changed_at: u64,
    broken: Option<String>,
}

impl Seen {
    fn take(&mut self, event: &Value) {
        self.changed_at = measure::now();
        *self.counts.entry(event["action"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
        let Err(panic) = catch_unwind(AssertUnwindSafe(|| self.fold.take(event))) else { return };
        self.broken = panic.downcast_ref::<String>().cloned().or(Some("it panicked".into()));
    }

    fn count(&self, action: &str) -> u64 {
        self.counts.get(action).copied().unwrap_or(0)
    }
}

struct Played {
    registry: Registry,
    seen: Arc<Mutex<Seen>>,
}

fn play() {
    let options = Options::from_environment().expect("options");
    let registry = Registry::open(options).expect("a registry");
    let seen = Arc::new(Mutex::new(Seen::default()));
    let watcher = registry.watch(WatchOptions { service: Some(FLEET.into()), queue: 100_000 }).expect("a watch");
    let told = seen.clone();
    thread::spawn(move || {
        while let Next::Event(event) = watcher.next_timeout(None) {
            let event = serde_json::from_str(&event.to_json()).expect("JSON");
            told.lock().expect("no panic while held").take(&event);
        }
    });
    let mut played = Played { registry, seen };
    tell("\nready");
    for line in std::io::stdin().lines().map_while(Result::ok) {
        let command: Value = serde_json::from_str(&line).expect("JSON");
        let answer = match played.obey(&command) {
            Ok(answer) => json!({ "answer": answer }),
            Err(error) => json!({ "error": error.to_string() }),
        };
        tell(&answer.to_string());
    }
}

impl Played {
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
            "present" => Ok(self.present()),
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
            changed_at: seen.changed_at,
            broken: seen.broken.clone(),
            heap: heap::live(),
            resident: measure::resident(),
            descriptors: measure::descriptors(),
            threads: measure::threads(),
        })
    }

    fn seen_of(&self, command: &Value) -> usize {
        let wanted: BTreeSet<String> = span(command).map(id).collect();
        let round = command["round"].as_u64().map(|round| round.to_string());
        let is = |node: &Value| {
            let of_round = round.as_ref().is_none_or(|round| node["metadata"]["round"] == round.as_str());
            of_round && node["id"].as_str().is_some_and(|id| wanted.contains(id))
        };
        let seen = self.seen.lock().expect("no panic while held");
        let count = seen.fold.services().filter(|service| is(&service["nodes"][0])).count();
        count
    }

    fn looked_up(&self) -> Vec<Value> {
        let found = self.registry.get_service(FLEET).wait().unwrap_or_default();
        nodes_of(&found.iter().map(|service| json!(service)).collect::<Vec<_>>())
    }

    fn present(&self) -> Value {
        let agree = || {
            let looked_up = self.looked_up();
            let told = self.seen.lock().expect("no panic while held").fold.nodes();
            match told == looked_up {
                true => Ok(told.iter().map(|node| place(&node["node"])).collect::<Present>()),
                false => Err(format!("told of {} nodes, a lookup finds {} or others", told.len(), looked_up.len())),
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
