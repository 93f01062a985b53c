//! A peer: a process with one registry, which publishes nodes of the fleet, and one watcher of the fleet, which a thread
//! reads at all times. It does as it is told, a JSON object a line.

mod play;

use std::collections::BTreeMap;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use mdns_registry::LinkKind;
use serde::{Deserialize, Serialize};
use serde_json::{json, Value};

use crate::lab::role::is_played;
use crate::lab::{eventually, Host, Lab, Process};
use crate::panics;

pub const ROLE: &str = "a_peer_sees_what_it_registers";
pub const FLEET: &str = "fleet";
const ANSWERS_WITHIN: Duration = Duration::from_secs(30);

/// What a peer has been told so far, and what it takes.
#[derive(Serialize, Deserialize)]
pub struct State {
    /// Nodes of the fleet.
    pub visible: usize,
    pub created: u64,
    pub updated: u64,
    pub deleted: u64,
    /// Of nodes that peers register, as strangers' are not.
    pub ours_deleted: u64,
    /// When the last event came, as `measure::now` tells.
    pub changed_at: u64,
    /// How the order of events was broken, if it was (I4).
    pub broken: Option<String>,
    /// Where threads of the library, or calls of it, have panicked (I7).
    pub panics: Vec<String>,
    /// For how long a thread of it was kept from running at most in the last 100 s, microseconds.
    pub stalled_us: u64,
    /// Live heap, bytes.
    pub heap: i64,
    /// Resident memory, bytes.
    pub resident: i64,
    pub descriptors: usize,
    pub threads: usize,
    /// How often its watch fell behind and began anew.
    pub resyncs: usize,
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
    /// When it had its registry and its watch, and nothing else.
    first: State,
    link: LinkKind,
}

impl Peer {
    pub fn start(host: &Host, link: LinkKind) -> Peer {
        Peer::start_with(host, link, &[])
    }

    /// With more variables in its environment.
    pub fn start_with(host: &Host, link: LinkKind, environment: &[(&str, &str)]) -> Peer {
        let options = json!({"link": link.as_str()}).to_string();
        let mut variables = vec![(mdns_registry::options::ENVIRONMENT, options.as_str())];
        variables.extend(environment);
        let mut process = host.role_with(ROLE, &variables);
        process.expect_line("it is ready", ANSWERS_WITHIN, |line| line == "ready");
        let first = state_of(&mut process);
        Peer { process, first, link }
    }

    /// Has it do something that has its answer later.
    pub fn tell(&mut self, command: &Value) {
        self.process.say(&command.to_string());
    }

    pub fn answer(&mut self) -> Value {
        self.answer_within(ANSWERS_WITHIN)
    }

    pub fn answer_within(&mut self, limit: Duration) -> Value {
        answer_of(&mut self.process, limit)
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
        state_of(&mut self.process)
    }

    /// No descriptor and no thread is held that was not at first (I6).
    pub fn returned(&mut self) -> Result<(), String> {
        let (first, now) = (&self.first, state_of(&mut self.process));
        match now.descriptors > first.descriptors || now.threads > first.threads {
            true => Err(format!(
                "I6: {} descriptors and {} threads, at first {} and {}",
                now.descriptors, now.threads, first.descriptors, first.threads
            )),
            false => Ok(()),
        }
    }

    /// What is present by the events; what a lookup answers must come to be the same (I3).
    pub fn present(&mut self) -> Result<Present, String> {
        self.present_of("")
    }

    /// The same of nodes that peers register, whatever strangers say.
    pub fn present_of_ours(&mut self) -> Result<Present, String> {
        self.present_of(OURS)
    }

    /// Of nodes whose id begins so.
    fn present_of(&mut self, prefix: &str) -> Result<Present, String> {
        let told = self.ask(&json!({"do": "present", "of": prefix}));
        match told["disagrees"].as_str() {
            Some(how) => Err(format!("I3: {how}")),
            None => Ok(serde_json::from_value(told["present"].clone()).expect("nodes")),
        }
    }

    /// What is present by the events, whatever a lookup answers.
    pub fn told(&mut self) -> Present {
        serde_json::from_value(self.ask(&json!({"do": "told"}))).expect("nodes")
    }

    /// How many of these nodes it was told of in this round.
    pub fn seen_of(&mut self, nodes: Range<u32>, round: u64) -> usize {
        let told = self.ask(&json!({"do": "seen_of", "nodes": [nodes.start, nodes.end], "round": round}));
        told.as_u64().expect("a number") as usize
    }

    /// What was refused, as `stats` tells it.
    pub fn refusals(&mut self) -> BTreeMap<String, u64> {
        let stats = self.ask(&json!({"do": "stats"}));
        serde_json::from_value(stats["refused"].clone()).unwrap_or_default()
    }

    /// The reasons for which most was refused.
    pub fn refused(&mut self) -> String {
        listed(&self.refusals())
    }
}

fn answer_of(process: &mut Process, limit: Duration) -> Value {
    let answer = process.expect("an answer", limit, |line| serde_json::from_str::<Value>(line).ok());
    assert!(answer["error"].is_null(), "{answer}");
    answer["answer"].clone()
}

fn state_of(process: &mut Process) -> State {
    process.say(&json!({"do": "state"}).to_string());
    serde_json::from_value(answer_of(process, ANSWERS_WITHIN)).expect("a state")
}

/// I7 holds of every peer of every scenario to its end, also of one that is killed; I6 of every one on the native link that
/// is there in the end: once its registry is closed nothing is held that was not before it was opened.
impl Drop for Peer {
    fn drop(&mut self) {
        if thread::panicking() {
            return;
        }
        if self.link == LinkKind::Native && self.process.runs() {
            self.tell(&json!({"do": "end"}));
            // Answers that nobody waited for may come first.
            let ended = self.process.expect("its end", ANSWERS_WITHIN, |line| {
                serde_json::from_str::<Value>(line).ok().filter(|told| !told["ended"].is_null())
            });
            assert!(ended["ended"].is_i64(), "once its registry was closed: {}", ended["ended"]);
        }
        let stderr = self.process.stderr();
        let panics = panics::told_in(&stderr);
        assert!(panics.is_empty(), "I7: {panics:?}");
    }
}

/// The three largest of these counts.
pub fn listed(counts: &BTreeMap<String, u64>) -> String {
    let mut reasons: Vec<_> = counts.iter().map(|(reason, count)| (count, reason)).collect();
    reasons.sort_unstable_by(|a, b| b.cmp(a));
    let told: Vec<String> = reasons.iter().take(3).map(|(count, reason)| format!("{reason} {count}")).collect();
    if told.is_empty() {
        "nothing".into()
    } else {
        told.join(", ")
    }
}

/// The command that registers.
pub fn register(nodes: Range<u32>, lease_s: u64, round: u64) -> Value {
    json!({"do": "register", "nodes": [nodes.start, nodes.end], "ttl_ms": lease_s * 1_000, "round": round})
}

/// How the id of each node begins that a peer registers.
const OURS: &str = "ship-";

pub fn id(node: u32) -> String {
    format!("{OURS}{node:05}")
}

pub fn port(node: u32) -> u64 {
    u64::from(10_000 + node % 50_000)
}

/// The body of the test `ROLE`: plays the peer where it was started as one, else looks whether it can be played.
pub fn play_or_check() {
    if is_played(ROLE) {
        return play::play();
    }
    let lab = Lab::new("peer");
    let mut peer = Peer::start(&lab.host("a"), LinkKind::Native);
    peer.register(0..2, 120, 0);
    eventually("both nodes", ANSWERS_WITHIN, || (peer.state().visible == 2).then_some(()));
    assert_eq!(peer.present().unwrap().len(), 2);
}
