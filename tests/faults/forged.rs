//! Forgeries about a live node: by a third host, and in the name of the node's own.

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use mdns_registry::link::native::message::{parse, Builder, Data, Record};
use mdns_registry::LinkKind;

use crate::lab::{Host, Lab};
use crate::measure::{all_see, now, seconds, since, sound};
use crate::peer::Peer;
use crate::radio::Forger;
use crate::report::Outcome;

const MDNS: u16 = 5_353;
/// Whom nobody knows, on the link and off it.
const OFF_LINK: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
const EVIL_PORT: u16 = 666;
const REPAIRED_WITHIN: Duration = Duration::from_secs(1);
/// How long it is looked at what comes of it.
const LOOKED_FOR: Duration = Duration::from_secs(6);

/// What is done to the records that the node's host announced.
type Forge = fn(&mut Record);

fn goodbye(record: &mut Record) {
    record.ttl = 0;
}

/// Another port in SRV, and in TXT where it stands there.
fn elsewhere(record: &mut Record) {
    match &mut record.data {
        Data::Srv { port, .. } => *port = EVIL_PORT,
        Data::Txt(strings) => *strings = with(strings, &[("port=", "666"), ("seq=", "18000000000000000000")]).into(),
        _ => {}
    }
}

/// Only the SRV record differs.
fn conflict(record: &mut Record) {
    if let Data::Srv { port, .. } = &mut record.data {
        *port = EVIL_PORT;
    }
}

fn of_class_chaos(record: &mut Record) {
    elsewhere(record);
    record.class = 3;
}

/// Strings of TXT with other values.
fn with(strings: &[u8], changes: &[(&str, &str)]) -> Vec<u8> {
    let mut out = Vec::new();
    let mut rest = strings;
    while let Some((length, tail)) = rest.split_first() {
        let (string, tail) = tail.split_at(usize::from(*length).min(tail.len()));
        rest = tail;
        let change = changes.iter().find(|(key, _)| string.starts_with(key.as_bytes()));
        let string = change.map_or_else(|| string.to_vec(), |(key, value)| format!("{key}{value}").into_bytes());
        out.push(string.len() as u8);
        out.extend(string);
    }
    out
}

/// A node on a, a watcher on b, a stranger on c.
struct Scene {
    a: Host,
    c: Host,
    peers: [Peer; 2],
    /// What a announced of its node.
    announced: Vec<Record>,
    _lab: Lab,
}

impl Scene {
    fn new(link: LinkKind) -> Scene {
        let lab = Lab::new("forged");
        let (a, b, c) = (lab.host("a"), lab.host("b"), lab.host("c"));
        let capture = c.capture();
        let mut peers = [Peer::start(&a, link), Peer::start(&b, link)];
        peers[0].register(0..1, 120, 0);
        all_see(&mut peers, 1, now(), Duration::from_secs(20)).expect("the node");
        let from = IpAddr::from(a.ipv4);
        let announced = capture.expect("the node, whole", Duration::from_secs(20), |packets| {
            packets.iter().filter(|packet| packet.source.ip() == from).find_map(|packet| {
                let message = parse(&packet.payload).filter(|message| message.response)?;
                let records: Vec<Record> = message.answers.into_iter().chain(message.additionals).collect();
                let whole = |is: fn(&Data) -> bool| records.iter().any(|record| is(&record.data));
                let said = whole(|data| matches!(data, Data::Srv { port: 10_000, .. }))
                    && whole(|d| matches!(d, Data::Txt(_)));
                let ours = records.iter().any(|record| record.name.labels().any(|label| label == b"_mdns-registry"));
                (said && ours).then_some(records)
            })
        });
        // Until a has said all it says unasked, and what is forged is no echo of it.
        thread::sleep(Duration::from_secs(3));
        Scene { a, c, peers, announced, _lab: lab }
    }

    fn message(&self, forge: Forge) -> Vec<u8> {
        let mut message = Builder::response(0, 8_952);
        for record in &self.announced {
            let mut record = record.clone();
            forge(&mut record);
            assert!(message.answer(&record));
        }
        message.finish()
    }

    /// Says it, and looks for how long the watcher does not see the node as it is.
    fn wrong_for(&mut self, from: Ipv4Addr, port: u16, message: &[u8]) -> Option<Duration> {
        let forger = self.c.inside(Forger::new);
        let [_, watcher] = &mut self.peers;
        let (began, mut wrong_since, mut wrong) = (now(), None, Duration::ZERO);
        forger.say(from, port, message);
        while since(began) < LOOKED_FOR {
            let present = watcher.present().unwrap_or_default();
            let right = present.len() == 1 && present.values().all(|place| place.port == 10_000);
            match (right, wrong_since) {
                (true, Some(start)) => {
                    wrong += since(start);
                    wrong_since = None;
                }
                (false, None) => wrong_since = Some(now()),
                _ => {}
            }
            thread::sleep(Duration::from_millis(5));
        }
        wrong_since.is_none().then_some(wrong)
    }
}

/// Forges in the name of the node's own host, and in a stranger's. What is repaired may be told as a node that went and
/// came back, but for a goodbye.
fn by_anybody(link: LinkKind, forge: Forge, may_go: bool) -> Outcome {
    let mut told = Vec::new();
    let mut held = true;
    for (who, owner) in [("in its host's name", true), ("in a stranger's", false)] {
        let mut scene = Scene::new(link);
        let from = if owner { scene.a.ipv4 } else { scene.c.ipv4 };
        let message = scene.message(forge);
        let deleted = scene.peers[1].state().deleted;
        let wrong = scene.wrong_for(from, MDNS, &message);
        let lost = scene.peers[1].state().deleted - deleted;
        held &= wrong.is_some_and(|wrong| wrong <= REPAIRED_WITHIN) && (may_go || lost == 0);
        told.push(format!("{who}: {}", verdict(wrong, lost)));
        if let Err(how) = sound(&mut scene.peers[1..]) {
            return Outcome::missed(how);
        }
    }
    Outcome::new(held, told.join("; "))
}

fn verdict(wrong: Option<Duration>, lost: u64) -> String {
    let lost = if lost > 0 { ", told as deleted" } else { "" };
    match wrong {
        Some(Duration::ZERO) => format!("ignored{lost}"),
        Some(wrong) => format!("repaired after {}{lost}", seconds(wrong)),
        None => format!("believed, still after {}{lost}", seconds(LOOKED_FOR)),
    }
}

/// Forges once, from there, and as `spoil` makes it.
fn once(link: LinkKind, from: fn(&Scene) -> Ipv4Addr, port: u16, forge: Forge, spoil: fn(&mut [u8])) -> Outcome {
    let mut scene = Scene::new(link);
    let mut message = scene.message(forge);
    spoil(&mut message);
    let wrong = scene.wrong_for(from(&scene), port, &message);
    let measured = format!("{}; refused: {}", verdict(wrong, 0), scene.peers[1].refused());
    Outcome::new(wrong == Some(Duration::ZERO), measured).and(sound(&mut scene.peers[1..]))
}

fn owner(scene: &Scene) -> Ipv4Addr {
    scene.a.ipv4
}

pub fn a_forged_goodbye(link: LinkKind) -> Outcome {
    by_anybody(link, goodbye, false)
}

pub fn a_forged_conflict(link: LinkKind) -> Outcome {
    by_anybody(link, conflict, false)
}

pub fn a_forged_takeover(link: LinkKind) -> Outcome {
    by_anybody(link, elsewhere, true)
}

pub fn a_response_from_off_the_link(link: LinkKind) -> Outcome {
    once(link, |_| OFF_LINK, MDNS, elsewhere, |_| {})
}

pub fn a_response_from_another_port(link: LinkKind) -> Outcome {
    once(link, owner, 40_404, elsewhere, |_| {})
}

pub fn a_response_with_an_rcode(link: LinkKind) -> Outcome {
    once(link, owner, MDNS, elsewhere, |message| message[3] |= 3)
}

pub fn a_response_with_an_opcode(link: LinkKind) -> Outcome {
    once(link, owner, MDNS, elsewhere, |message| message[2] |= 5 << 3)
}

pub fn a_response_of_another_class(link: LinkKind) -> Outcome {
    once(link, owner, MDNS, of_class_chaos, |_| {})
}
