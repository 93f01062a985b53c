//! What a scenario measures, and how its peers are held to what must always be so.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::ops::Range;
use std::thread;
use std::time::Duration;

use nix::time::{clock_gettime, ClockId};
use serde::{Deserialize, Serialize};

use crate::heap;
use crate::lab::Host;
use crate::peer::{id, register, Peer, Present};

/// How often it is asked.
const LOOK: Duration = Duration::from_millis(20);

/// The clock of all processes of this machine, nanoseconds.
pub fn now() -> u64 {
    let time = clock_gettime(ClockId::CLOCK_MONOTONIC).expect("a clock");
    Duration::from(time).as_nanos() as u64
}

pub fn since(began: u64) -> Duration {
    Duration::from_nanos(now().saturating_sub(began))
}

pub fn seconds(time: Duration) -> String {
    match time.as_millis() {
        ms @ 0..1_000 => format!("{ms} ms"),
        ms => format!("{:.1} s", ms as f64 / 1e3),
    }
}

pub fn megabytes(bytes: i64) -> String {
    format!("{:+.1} MB", bytes as f64 / 1e6)
}

fn status(key: &str) -> i64 {
    status_of("self", key)
}

fn status_of(process: &str, key: &str) -> i64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).expect("/proc");
    let line = status.lines().find_map(|line| line.strip_prefix(key)).expect("the line");
    line.trim().trim_end_matches(" kB").parse().expect("a number")
}

/// Resident memory of this process, bytes.
pub fn resident() -> i64 {
    status("VmRSS:") * 1_024
}

/// The most that was ever resident of a process, bytes.
pub fn most_resident(process: u32) -> i64 {
    status_of(&process.to_string(), "VmHWM:") * 1_024
}

/// Address space of this process, bytes.
pub fn address_space() -> u64 {
    status("VmSize:") as u64 * 1_024
}

pub fn threads() -> usize {
    status("Threads:") as usize
}

/// Open descriptors of this process, without the one that reads the list.
pub fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").expect("/proc").count() - 1
}

/// What a process holds that must not grow (I6); heap in bytes.
#[derive(Clone, Copy, Serialize, Deserialize)]
pub struct Held {
    pub heap: i64,
    pub descriptors: usize,
    pub threads: usize,
}

impl Held {
    /// What this process holds.
    pub fn now() -> Held {
        Held { heap: heap::live(), descriptors: descriptors(), threads: threads() }
    }

    /// By how much more heap that is than at first, if it is no more than `HEAP_LEFT`, and nothing else is.
    pub fn back_to(&self, first: &Held) -> Result<i64, String> {
        let left = self.heap - first.heap;
        match left > HEAP_LEFT || self.descriptors > first.descriptors || self.threads > first.threads {
            true => Err(format!(
                "I6: {:+.1} kB of heap, {} descriptors and {} threads, at first {} and {}",
                left as f64 / 1e3,
                self.descriptors,
                self.threads,
                first.descriptors,
                first.threads
            )),
            false => Ok(left),
        }
    }
}

/// What may be left of live heap, bytes: what is made once in a process and kept.
pub const HEAP_LEFT: i64 = 64_000;

/// Whether all threads of a process are in this state of proc(5): T is stopped, Z has ended.
pub fn all_threads_are(process: i32, state: char) -> bool {
    let threads = fs::read_dir(format!("/proc/{process}/task")).expect("the process");
    let stats = threads.filter_map(|thread| fs::read_to_string(thread.ok()?.path().join("stat")).ok());
    stats.map(|stat| stat.rsplit(") ").next().and_then(|rest| rest.chars().next())).all(|is| is == Some(state))
}

/// Packets and bytes that a host has sent by its interface.
pub fn sent(host: &Host) -> (u64, u64) {
    let text = host.inside(|| fs::read_to_string("/proc/thread-self/net/dev").expect("/proc"));
    let line = text.lines().find_map(|line| line.trim().strip_prefix("eth0:")).expect("the interface");
    let column = |i: usize| line.split_whitespace().nth(i).and_then(|word| word.parse().ok()).expect("a number");
    (column(9), column(8))
}

/// Asks until the answer is good; the last one when none was within `limit`.
pub fn within<T, E>(limit: Duration, mut answer: impl FnMut() -> Result<T, E>) -> Result<T, E> {
    let began = now();
    loop {
        match answer() {
            Err(_) if since(began) < limit => thread::sleep(LOOK),
            answer => return answer,
        }
    }
}

/// Waits until each peer sees so many nodes; how long after `began` the last came to it. `None` if one has not within
/// `limit` of now.
pub fn all_see<'a>(
    peers: impl IntoIterator<Item = &'a mut Peer>,
    nodes: usize,
    began: u64,
    limit: Duration,
) -> Option<Duration> {
    let end = now() + limit.as_nanos() as u64;
    let mut last = began;
    for peer in peers {
        let left = Duration::from_nanos(end.saturating_sub(now()));
        let seen = within(left, || Some(peer.state()).filter(|state| state.visible == nodes).ok_or(()));
        last = last.max(seen.ok()?.changed_at);
    }
    Some(Duration::from_nanos(last - began))
}

/// Within it a peer lets go of what it held for a moment.
pub const RETURNS_WITHIN: Duration = Duration::from_secs(5);

/// What holds of every peer at rest: I3, I4, I6 and I7. What all see, if they see the same. No watch has begun anew, which
/// could hide what it was told amiss.
pub fn sound<'a>(peers: impl IntoIterator<Item = &'a mut Peer>) -> Result<Present, String> {
    sound_by(peers, Peer::present, false)
}

/// The same, I3 of the nodes that peers register, whatever others say.
pub fn sound_of_ours<'a>(peers: impl IntoIterator<Item = &'a mut Peer>) -> Result<Present, String> {
    sound_by(peers, Peer::present_of_ours, false)
}

/// The same of peers that are told of more than their watch keeps.
pub fn sound_if_behind<'a>(peers: impl IntoIterator<Item = &'a mut Peer>) -> Result<Present, String> {
    sound_by(peers, Peer::present_of_ours, true)
}

fn sound_by<'a>(
    peers: impl IntoIterator<Item = &'a mut Peer>,
    present: fn(&mut Peer) -> Result<Present, String>,
    may_fall_behind: bool,
) -> Result<Present, String> {
    let mut common: Option<Present> = None;
    for peer in peers {
        let state = peer.state();
        if let Some(broken) = state.broken {
            return Err(format!("I4: {broken}"));
        }
        if !state.panics.is_empty() {
            return Err(format!("I7: {:?}", state.panics));
        }
        if state.resyncs > 0 && !may_fall_behind {
            return Err(format!("I3: its watch began anew {} times", state.resyncs));
        }
        within(RETURNS_WITHIN, || peer.returned())?;
        let present = present(peer)?;
        match &common {
            Some(common) if *common != present => {
                return Err(format!(
                    "one sees {} nodes, another {}: {}",
                    common.len(),
                    present.len(),
                    differ(&rounds(common), &rounds(&present))
                ))
            }
            _ => common = Some(present),
        }
    }
    Ok(common.unwrap_or_default())
}

pub fn deleted<'a>(peers: impl IntoIterator<Item = &'a mut Peer>) -> u64 {
    peers.into_iter().map(|peer| peer.state().deleted).sum()
}

fn rounds(present: &Present) -> BTreeMap<String, u64> {
    present.iter().map(|(id, place)| (id.clone(), place.round)).collect()
}

/// The first nodes that two know otherwise, with the rounds they know.
fn differ(one: &BTreeMap<String, u64>, other: &BTreeMap<String, u64>) -> String {
    let ids: BTreeSet<&String> = one.keys().chain(other.keys()).collect();
    let differing = ids.into_iter().filter(|id| one.get(*id) != other.get(*id));
    let told = |round: Option<&u64>| round.map_or("none".into(), |round| format!("round {round}"));
    let listed: Vec<String> =
        differing.take(3).map(|id| format!("{id} {}, {}", told(one.get(id)), told(other.get(id)))).collect();
    if listed.is_empty() {
        "at other places".into()
    } else {
        listed.join("; ")
    }
}

/// What is registered: the round of each node.
#[derive(Clone, Default)]
pub struct Truth(BTreeMap<u32, u64>);

impl Truth {
    /// Has a peer register these nodes, which is not waited for: it may be stopped.
    pub fn tell_register(&mut self, peer: &mut Peer, nodes: Range<u32>, lease_s: u64, round: u64) {
        self.0.extend(nodes.clone().map(|node| (node, round)));
        peer.tell(&register(nodes, lease_s, round));
    }

    /// The same for nodes that are to go.
    pub fn tell_deregister(&mut self, peer: &mut Peer, nodes: Range<u32>) {
        self.0.retain(|node, _| !nodes.contains(node));
        peer.tell(&serde_json::json!({"do": "deregister", "nodes": [nodes.start, nodes.end]}));
    }

    pub fn register(&mut self, peer: &mut Peer, nodes: Range<u32>, lease_s: u64, round: u64) {
        self.tell_register(peer, nodes, lease_s, round);
        peer.answer();
    }

    pub fn deregister(&mut self, peer: &mut Peer, nodes: Range<u32>) {
        self.tell_deregister(peer, nodes);
        peer.answer();
    }

    /// Somebody else than a peer has registered it.
    pub fn is_registered(&mut self, node: u32, round: u64) {
        self.0.insert(node, round);
    }

    /// A peer is gone, and its nodes with it.
    pub fn forget(&mut self, nodes: Range<u32>) {
        self.0.retain(|node, _| !nodes.contains(node));
    }

    pub fn len(&self) -> usize {
        self.0.len()
    }

    pub fn has(&self, node: u32) -> bool {
        self.0.contains_key(&node)
    }

    /// I1: what is seen is what is registered, in its last round.
    pub fn is(&self, present: &Present) -> Result<(), String> {
        let seen = rounds(present);
        let wanted: BTreeMap<String, u64> = self.0.iter().map(|(node, round)| (id(*node), *round)).collect();
        match seen == wanted {
            true => Ok(()),
            false => Err(format!(
                "I1: {} nodes are seen, {} are registered: {}",
                seen.len(),
                wanted.len(),
                differ(&seen, &wanted)
            )),
        }
    }

    /// At rest all see what is registered, and I3 and I4 hold.
    pub fn seen_by<'a>(&self, peers: impl IntoIterator<Item = &'a mut Peer>) -> Result<(), String> {
        self.is(&sound(peers)?)
    }

    /// Waits until each peer has been told of all this and no more, asking no lookup that might mend anything; how long
    /// after `began` the last change came to the last. `None` if one has not within `limit` of now.
    pub fn comes_to<'a>(
        &self,
        peers: impl IntoIterator<Item = &'a mut Peer>,
        began: u64,
        limit: Duration,
    ) -> Option<Duration> {
        let end = now() + limit.as_nanos() as u64;
        let mut last = began;
        for peer in peers {
            let told = || self.is(&peer.told()).map(|()| peer.state().changed_at);
            last = last.max(within(Duration::from_nanos(end.saturating_sub(now())), told).ok()?);
        }
        Some(Duration::from_nanos(last - began))
    }
}
