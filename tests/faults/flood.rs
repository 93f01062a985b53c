//! More than anybody needs, from strangers on the link: questions, rubbish, and strangers' nodes. Every flood is bounded
//! in number and time.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::Relaxed};
use std::thread;
use std::time::{Duration, Instant};

use mdns_registry::link::native::message::{rtype, Builder, Question};
use mdns_registry::link::native::name::Name;
use mdns_registry::LinkKind;
use serde_json::{json, Value};

use crate::heap;
use crate::lab::fold::Fold;
use crate::lab::radio::in_the_group;
use crate::lab::role::MDNS_GROUP;
use crate::lab::{Host, Lab};
use crate::measure::{
    self, all_see, megabytes, now, seconds, sent, sound_if_behind, sound_of_ours, within, RETURNS_WITHIN,
};
use crate::peer::{Peer, State, FLEET};
use crate::report::Outcome;
use crate::strangers::{
    deflated, go_micro_text, inflating, plain, said_by_dns_sd, said_by_go_micro, said_for, to_be_spoiled, OURS,
};

const NODES: u32 = 100;
/// A look is taken at the clock after so many.
const BATCH: u32 = 50;

/// A subject with a hundred nodes, a peer that sees them, and a stranger.
struct Scene {
    subject: Peer,
    other: Peer,
    on: Host,
    stranger: Host,
    before: State,
    _lab: Lab,
}

impl Scene {
    fn new(link: LinkKind) -> Scene {
        let lab = Lab::new("flood");
        let (on, b, stranger) = (lab.host("a"), lab.host("b"), lab.host("stranger"));
        let (mut subject, mut other) = (Peer::start(&on, link), Peer::start(&b, link));
        subject.register(0..NODES / 2, 120, 0);
        other.register(NODES / 2..NODES, 120, 0);
        all_see([&mut subject, &mut other], NODES as usize, now(), Duration::from_secs(20)).expect("all nodes");
        thread::sleep(Duration::from_secs(3));
        let before = subject.state();
        Scene { subject, other, on, stranger, before, _lab: lab }
    }

    /// After the end of strangers' nodes, of which the last came just now, only ours are seen, and heap is what it was.
    fn forgets(&mut self, ttl_s: u32) -> Result<String, String> {
        let (began, limit) = (now(), Duration::from_secs(u64::from(ttl_s) + 1));
        let gone = all_see([&mut self.subject], NODES as usize, began, limit)
            .ok_or_else(|| format!("I2: {} nodes are seen {} later", self.subject.state().visible, seconds(limit)))?;
        let mut left = 0;
        let free = within(RETURNS_WITHIN, || {
            left = self.subject.state().heap - self.before.heap;
            (left <= LEFT).then_some(()).ok_or(())
        });
        let told = format!("the last are gone {} later, and live heap is {}", seconds(gone), megabytes(left));
        free.map_err(|()| format!("I6: {told}")).map(|()| told)
    }

    /// All nodes that there are in truth are seen and found, and none was ever told as deleted.
    fn sound(mut self, may_fall_behind: bool) -> Result<(), String> {
        let peers = [&mut self.subject, &mut self.other];
        let left = if may_fall_behind { sound_if_behind(peers) } else { sound_of_ours(peers) }?.len();
        let deleted = self.subject.state().ours_deleted + self.other.state().ours_deleted;
        match left == NODES as usize && deleted == 0 {
            true => Ok(()),
            false => Err(format!("{left} of {NODES} nodes are left, {deleted} were told as deleted")),
        }
    }
}

fn on_port(port: u16) -> UdpSocket {
    in_the_group((Ipv4Addr::UNSPECIFIED, port).into())
}

/// Sends `count` datagrams at so many a second, as `next` gives them; how long it took.
fn send(socket: &UdpSocket, count: u32, per_second: u32, mut next: impl FnMut(u32) -> Vec<u8>) -> Duration {
    let began = Instant::now();
    for number in 0..count {
        // A full queue is the flood's loss.
        let _ = socket.send_to(&next(number), MDNS_GROUP);
        if number % BATCH == 0 {
            let due = Duration::from_secs(1) * number / per_second;
            thread::sleep(due.saturating_sub(began.elapsed()));
        }
    }
    began.elapsed()
}

const QUESTIONS_A_SECOND: u32 = 10_000;
const FLOOD_S: u32 = 60;

pub fn ten_thousand_questions_a_second(link: LinkKind) -> Outcome {
    let mut scene = Scene::new(link);
    let (group, own) = scene.stranger.inside(|| (on_port(MDNS_GROUP.1), on_port(0)));
    let ask = |name: &str, rtype: u16, unicast: bool| {
        let mut message = Builder::query(0, 1_452);
        let name = Name::from_dotted(name).expect("a name");
        message.question(&Question { name, rtype, class: 1, unicast });
        message.finish()
    };
    let questions = [
        ask("_mdns-registry._tcp.local.", rtype::PTR, false),
        ask("_mdns-registry._tcp.local.", rtype::PTR, true),
        ask("_services._dns-sd._udp.local.", rtype::PTR, false),
        ask("_mdns-registry._tcp.local.", rtype::ANY, false),
    ];
    let (sent_before, before) = (sent(&scene.on), counters(&mut scene.subject));
    scene.subject.tell(&json!({"do": "latency", "seconds": FLOOD_S}));
    // Half of them as mDNS asks, half as one-shot questions.
    let flood = |socket: &UdpSocket| {
        send(socket, QUESTIONS_A_SECOND * FLOOD_S / 2, QUESTIONS_A_SECOND / 2, |i| questions[i as usize % 4].clone())
    };
    let took = thread::scope(|scope| [scope.spawn(|| flood(&group)), scope.spawn(|| flood(&own))].map(|t| t.join()));
    let took = took.into_iter().map(|took| took.expect("no panic")).max().unwrap_or_default();
    let latency: Value = scene.subject.answer_within(Duration::from_secs(u64::from(FLOOD_S) * 2));
    let sent_after = sent(&scene.on);
    let replies = (sent_after.0 - sent_before.0) as f64 / took.as_secs_f64();
    let bytes = (sent_after.1 - sent_before.1) as f64 / took.as_secs_f64();
    let taken_in = counters(&mut scene.subject).0 - before.0;
    let after = scene.subject.state();
    let heap = after.heap - scene.before.heap;
    let resident = measure::most_resident(scene.subject.process.pid()) - scene.before.resident;
    let p99 = latency["p99"].as_u64().expect("a number");
    let rate = f64::from(QUESTIONS_A_SECOND * FLOOD_S) / took.as_secs_f64();
    let measured = format!(
        "{rate:.0} a second, {taken_in} taken in: `get_service` p99 {p99} µs; {replies:.0} packets a second sent, {:.1} kB/s; \
         refused: {}; live heap {}, resident {} at most",
        bytes / 1e3,
        scene.subject.refused(),
        megabytes(heap),
        megabytes(resident)
    );
    let asked = u64::from(QUESTIONS_A_SECOND * FLOOD_S);
    let flooded = took < Duration::from_secs(u64::from(FLOOD_S) + 3) && taken_in >= asked / 10 * 9;
    let bounded = replies <= 200.0 && resident <= 5_000_000;
    Outcome::new(flooded && p99 <= 1_000 && bounded, measured).and(scene.sound(false))
}

/// So many are to be taken in, in so many tries and so long.
const MESSAGES: u64 = 1_000_000;
const TRIES: u64 = 3_000_000;
/// So many wait in the kernel's buffer, at most.
const WAITING: u64 = 20_000;
const FLOODED_FOR: Duration = Duration::from_secs(240);
/// How often it is looked what has become of them.
const LOOK: Duration = Duration::from_millis(200);
/// A flood from several addresses is from so many.
const SOURCES: u8 = 100;
/// What a flood may leave at any time beside the events that the peer keeps: more live heap, and more resident memory,
/// which the allocator and the stacks of threads may hold beyond it, bytes.
struct Allowed {
    heap: i64,
    resident: i64,
    /// Where strangers' nodes live for so short a time: after it, and a second more, nothing is seen of them, and
    /// their heap is free again.
    ttl_s: Option<u32>,
}

/// What may be left of the heap of strangers' nodes that are over, bytes.
const LEFT: i64 = 1_000_000;

/// A view as full as `VIEW_NODES` lets strangers make it, with what the link keeps of each node: 32,768 of 2 kB.
const NODES_KEPT: Allowed = Allowed { heap: 64_000_000, resident: 96_000_000, ttl_s: None };
const SHORT_LIVED: Allowed = Allowed { ttl_s: Some(10), ..NODES_KEPT };
/// Of either wire as many bytes as `VIEW_BYTES` lets strangers say, and half as much again for how they are kept.
const BYTES_KEPT: Allowed = Allowed { heap: 100_000_000, resident: 160_000_000, ttl_s: None };
/// Of what is malformed hardly anything is kept.
const NOTHING_KEPT: Allowed = Allowed { heap: 5_000_000, resident: 10_000_000, ttl_s: None };

pub fn a_million_malformed_messages(link: LinkKind) -> Outcome {
    let seeds = to_be_spoiled();
    let mut rng = fastrand::Rng::with_seed(12);
    flooded(link, 5, &NOTHING_KEPT, &json!({}), move |_| {
        let mut bytes = seeds[rng.usize(..seeds.len())].clone();
        match rng.u8(0..4) {
            0 => bytes.truncate(rng.usize(..bytes.len())),
            1 => (0..rng.usize(1..20)).for_each(|_| {
                let at = rng.usize(..bytes.len());
                bytes[at] = rng.u8(..);
            }),
            // Pointers to themselves and to each other.
            2 => (0..rng.usize(1..6)).for_each(|_| {
                let at = rng.usize(12..bytes.len() - 1);
                bytes[at] = 0xc0;
                bytes[at + 1] = rng.u8(..);
            }),
            _ => {
                bytes.truncate(12);
                bytes.extend((0..rng.usize(..600)).map(|_| rng.u8(..)));
            }
        }
        bytes
    })
}

pub fn a_million_messages_about_strangers(link: LinkKind) -> Outcome {
    flooded(link, SOURCES, &NODES_KEPT, &json!({}), |number| {
        let kind = if number % 4 == 3 { "_ipp" } else { OURS };
        said_by_dns_sd(number, kind, &plain(&format!("s{number}")))
    })
}

pub fn a_million_nodes_of_the_service_that_is_watched(link: LinkKind) -> Outcome {
    flooded(link, SOURCES, &NODES_KEPT, &json!({}), |number| said_by_dns_sd(number, OURS, &plain(FLEET)))
}

pub fn a_million_nodes_that_live_for_10_s(link: LinkKind) -> Outcome {
    let ttl_s = SHORT_LIVED.ttl_s.expect("a short one");
    flooded(link, SOURCES, &SHORT_LIVED, &json!({}), |number| said_for(ttl_s, number, OURS, &plain(FLEET)))
}

pub fn a_million_nodes_said_by_one_address(link: LinkKind) -> Outcome {
    flooded(link, 1, &NODES_KEPT, &json!({}), |number| said_by_dns_sd(number, OURS, &plain(FLEET)))
}

pub fn a_million_go_micro_nodes_of_the_service_that_is_watched(link: LinkKind) -> Outcome {
    let text = go_micro_text(&json!({}));
    flooded(link, SOURCES, &NODES_KEPT, &json!({}), |number| said_by_go_micro(number, &text))
}

pub fn a_million_nodes_that_inflate(link: LinkKind) -> Outcome {
    let metadata = inflating();
    let (strings, text) = (deflated(&metadata), go_micro_text(&metadata));
    flooded(link, SOURCES, &BYTES_KEPT, &metadata, |number| match number % 2 {
        0 => said_by_dns_sd(number, OURS, &strings),
        _ => said_by_go_micro(number, &text),
    })
}

/// What has become of the flood so far, told by who looks to who sends.
#[derive(Default)]
struct Progress {
    sent: AtomicU64,
    /// With what others said.
    datagrams: AtomicU64,
    dropped: AtomicU64,
    over: AtomicBool,
}

impl Progress {
    /// Of the flood, with what waits.
    fn taken_in(&self) -> u64 {
        let not_dropped = self.sent.load(Relaxed).saturating_sub(self.dropped.load(Relaxed));
        not_dropped.min(self.datagrams.load(Relaxed))
    }
}

/// What the subject held at most, bytes and nodes.
#[derive(Default)]
struct Peak {
    heap: i64,
    visible: usize,
}

/// A million messages are taken in from the group, of nodes with this metadata; what is kept of them is bounded at all
/// times, and what was there is there.
fn flooded(
    link: LinkKind,
    sources: u8,
    allowed: &Allowed,
    metadata: &Value,
    next: impl FnMut(u32) -> Vec<u8> + Send,
) -> Outcome {
    let mut scene = Scene::new(link);
    let [_, _, subnet, _] = scene.stranger.ipv4.octets();
    let addresses: Vec<Ipv4Addr> = (0..sources).map(|i| Ipv4Addr::new(10, 78, subnet, 100 + i)).collect();
    addresses.iter().for_each(|address| scene.stranger.add_addr(IpAddr::from(*address), 24));
    let sockets: Vec<UdpSocket> = scene
        .stranger
        .inside(|| addresses.iter().map(|address| in_the_group((*address, MDNS_GROUP.1).into())).collect());
    // Of what is told of a node the peer itself keeps the event.
    let kept_by_peer = told_of_one(metadata);
    // The other link does not count what it takes in.
    let tries = if link == LinkKind::Native { TRIES } else { MESSAGES };
    let (progress, mut peak) = (Progress::default(), Peak::default());
    let before = counters(&mut scene.subject);
    let (sent, took) = thread::scope(|scope| {
        let sender = scope.spawn(|| send_until_taken(&sockets, &progress, tries, next));
        while !sender.is_finished() {
            thread::sleep(LOOK);
            let (datagrams, dropped) = counters(&mut scene.subject);
            progress.datagrams.store(datagrams - before.0, Relaxed);
            progress.dropped.store(dropped - before.1, Relaxed);
            peak.look(&scene.subject.state(), &scene.before, kept_by_peer);
            progress.over.store(progress.taken_in() >= MESSAGES + WAITING, Relaxed);
        }
        sender.join().expect("no panic")
    });
    let taken_in = progress.taken_in().saturating_sub(WAITING);
    // Changes come through, and soon.
    let changed = now();
    scene.other.register(NODES / 2..NODES, 120, 1);
    let came = all_changed(&mut scene.subject, changed);
    let left = scene.subject.state();
    peak.look(&left, &scene.before, kept_by_peer);
    let resident = measure::most_resident(scene.subject.process.pid()) - scene.before.resident;
    let measured = format!(
        "at least {taken_in} taken in of {sent} from {sources} addresses in {}; refused: {}; at most {} nodes seen; live heap {} \
         at most, without the {} that the peer keeps of events; {} in the end, resident at most {}; its watch began anew {} times; a \
         change is told {}",
        seconds(took),
        scene.subject.refused(),
        peak.visible,
        megabytes(peak.heap),
        megabytes(kept(peak.visible, kept_by_peer)),
        megabytes(left.heap - scene.before.heap - kept(left.visible, kept_by_peer)),
        megabytes(resident),
        left.resyncs,
        came.map_or_else(|| "not within 20 s".into(), |took| format!("{} later", seconds(took)))
    );
    let taken = link != LinkKind::Native || taken_in >= MESSAGES;
    let kept = peak.heap <= allowed.heap && resident <= allowed.resident + kept(peak.visible, kept_by_peer);
    let held = taken && kept && came.is_some_and(|took| took <= Duration::from_secs(1));
    let (measured, over) = match allowed.ttl_s.map(|ttl_s| scene.forgets(ttl_s)) {
        None => (measured, Ok(())),
        Some(Ok(forgotten)) => (format!("{measured}; {forgotten}"), Ok(())),
        Some(Err(how)) => (measured, Err(how)),
    };
    Outcome::new(held, measured).and(over).and(scene.sound(true))
}

impl Peak {
    fn look(&mut self, state: &State, before: &State, kept_by_peer: i64) {
        self.heap = self.heap.max(state.heap - before.heap - kept(state.visible, kept_by_peer));
        self.visible = self.visible.max(state.visible);
    }
}

/// What the peer keeps of events beyond those of the hundred nodes, bytes.
fn kept(visible: usize, of_one: i64) -> i64 {
    (visible as i64 - i64::from(NODES)).max(0) * of_one
}

/// Live heap that a peer keeps of an event of a stranger's node, bytes.
fn told_of_one(metadata: &Value) -> i64 {
    const MANY: u32 = 100;
    let before = heap::live();
    let mut fold = Fold::default();
    for number in 0..MANY {
        let (name, key) = (format!("x{number}"), format!("x{number}.{OURS}._tcp.local."));
        let node = json!({"id": name, "address": "10.9.9.9", "port": 80, "metadata": metadata});
        let service = json!({"name": FLEET, "version": "", "metadata": {}, "endpoints": [], "nodes": [node]});
        let event = json!({"type": "service", "action": "create", "key": key, "service": service}).to_string();
        fold.take(&serde_json::from_str(&event).expect("JSON"));
    }
    (heap::live() - before) / i64::from(MANY)
}

/// Datagrams that the link took in, and those that the kernel dropped before it.
fn counters(peer: &mut Peer) -> (u64, u64) {
    let stats = peer.ask(&json!({"do": "stats"}));
    let count = |name: &str| stats["link"]["counters"][name].as_u64().unwrap_or(0);
    (count("datagrams-in"), count("kernel-drops"))
}

/// Sends round the sockets, as fast as what is taken in, until it is over; how many, and how long it took.
fn send_until_taken(
    sockets: &[UdpSocket],
    progress: &Progress,
    tries: u64,
    mut next: impl FnMut(u32) -> Vec<u8>,
) -> (u64, Duration) {
    let (began, mut sent, mut looked, mut dropped) = (Instant::now(), 0_u64, Instant::now(), 0);
    let mut per_second = 10_000.0;
    while !progress.over.load(Relaxed) && sent < tries && began.elapsed() < FLOODED_FOR {
        let batch = Instant::now();
        for socket in sockets.iter().cycle().skip(sent as usize % sockets.len()).take(BATCH as usize) {
            // A full queue is the flood's loss.
            let _ = socket.send_to(&next(sent as u32), MDNS_GROUP);
            sent += 1;
        }
        progress.sent.store(sent, Relaxed);
        thread::sleep(Duration::from_secs_f64(f64::from(BATCH) / per_second).saturating_sub(batch.elapsed()));
        if looked.elapsed() >= LOOK {
            let now_dropped = progress.dropped.load(Relaxed);
            per_second *= if now_dropped > dropped { 0.8 } else { 1.1 };
            (looked, dropped) = (Instant::now(), now_dropped);
        }
    }
    (sent, began.elapsed())
}

/// Until the subject sees round 1 of the other's nodes.
fn all_changed(subject: &mut Peer, began: u64) -> Option<Duration> {
    let mut all = || subject.seen_of(NODES / 2..NODES, 1) == NODES as usize / 2;
    within(Duration::from_secs(20), || all().then(|| measure::since(began)).ok_or(())).ok()
}
