//! A node on one host, a watcher on another, and a stranger who says what it likes.

use std::collections::BTreeMap;
use std::net::IpAddr;
use std::thread;
use std::time::{Duration, Instant};

use mdns_registry::link::native::message::{parse, Data, Record};
use mdns_registry::LinkKind;
use nix::sys::signal::Signal;

use super::plain::Plain;
use super::records::{as_plain, message, Forge};
use crate::lab::capture::Capture;
use crate::lab::{eventually, Host, Lab, SOON};
use crate::measure::{all_see, all_threads_are, now, seconds, since, sound, within};
use crate::peer::{Peer, Present};

pub const MDNS: u16 = 5_353;
/// How long it is looked at what comes of it, after it was said last.
const LOOKED_FOR: Duration = Duration::from_secs(3);
const EVERY: Duration = Duration::from_millis(100);
const BACK_WITHIN: Duration = Duration::from_secs(3);
/// How long it is waited for what is not promised.
const PATIENCE: Duration = Duration::from_secs(30);
const SPARED_FOR: Duration = Duration::from_millis(1_100);

pub struct Scene {
    pub a: Host,
    pub c: Host,
    /// The publisher; it has left where the node is other software's.
    publisher: Option<Peer>,
    watcher: Peer,
    /// What a announced of its node.
    announced: Vec<Record>,
    /// As the watcher is to see it.
    right: Present,
    heard: Capture,
    _plain: Option<Plain>,
    _lab: Lab,
}

/// What came of what was said.
pub struct Came {
    /// For how long in all the watcher did not see the node as it is; `None` if it does not yet.
    pub wrong: Option<Duration>,
    /// For how long at once.
    pub longest: Duration,
    pub events: u64,
    pub deleted: u64,
    /// By how much each count of what is refused rose.
    pub refused: BTreeMap<String, u64>,
    /// The node's host has multicast it meanwhile.
    pub said_again: bool,
}

impl Scene {
    pub fn new(link: LinkKind) -> Scene {
        let lab = Lab::new("forged");
        let (a, b, c) = (lab.host("a"), lab.host("b"), lab.host("c"));
        let heard = c.capture();
        let (mut publisher, mut watcher) = (Peer::start(&a, link), Peer::start(&b, link));
        publisher.register(0..1, 120, 0);
        all_see([&mut publisher, &mut watcher], 1, now(), SOON).expect("the node");
        let from = IpAddr::from(a.ipv4);
        let announced = heard.expect("the node, whole", SOON, |packets| {
            packets.iter().filter(|packet| packet.source.ip() == from).find_map(|packet| whole(&packet.payload))
        });
        // Until a has said all it says unasked, and what is forged is no echo of it.
        thread::sleep(Duration::from_secs(3));
        let right = watcher.told();
        Scene { a, c, publisher: Some(publisher), watcher, announced, right, heard, _plain: None, _lab: lab }
    }

    /// The same with a node of other software.
    pub fn of_a_plain_node(link: LinkKind) -> Scene {
        let mut scene = Scene::new(link);
        scene.publisher.take().expect("the publisher").ask(&serde_json::json!({"do": "close"}));
        all_see([&mut scene.watcher], 0, now(), SOON).expect("gone");
        scene.announced = as_plain(&scene.announced);
        scene._plain = Some(Plain::start(&scene.a, scene.announced.clone()));
        all_see([&mut scene.watcher], 1, now(), SOON).expect("the plain node");
        scene.right = scene.watcher.told();
        scene
    }

    pub fn forged(&self, forge: Forge) -> Vec<u8> {
        message(&forge(&self.announced, self.c.ipv4))
    }

    /// Says it so many times, ten times a second, and looks what comes of it.
    pub fn say(&mut self, from: impl Into<IpAddr>, port: u16, message: &[u8], times: u32) -> Came {
        let forger = self.c.inside(crate::radio::Forger::new);
        let (before, refused_before) = (self.watcher.state(), self.watcher.refusals());
        let (from, began, spoken) = (from.into(), now(), Instant::now());
        let (mut said, mut wrong_since, mut wrong, mut longest) = (0, None, Duration::ZERO, Duration::ZERO);
        while since(began) < LOOKED_FOR + EVERY * times {
            if said < times && since(began) >= EVERY * said {
                forger.say(from, port, message);
                said += 1;
            }
            match (self.watcher.told() == self.right, wrong_since) {
                (true, Some(start)) => {
                    let was_wrong = since(start);
                    (wrong, longest) = (wrong + was_wrong, longest.max(was_wrong));
                    wrong_since = None;
                }
                (false, None) => wrong_since = Some(now()),
                _ => {}
            }
            thread::sleep(Duration::from_millis(5));
        }
        let (after, refused) = (self.watcher.state(), self.watcher.refusals());
        let rose = |(reason, count): (String, u64)| {
            let before = refused_before.get(&reason).copied().unwrap_or(0);
            (count > before).then(|| (reason, count - before))
        };
        let host = IpAddr::from(self.a.ipv4);
        let again = |packet: &crate::lab::capture::Packet| {
            packet.source.ip() == host
                && packet.at > spoken
                && packet.payload != message
                && whole(&packet.payload).is_some()
        };
        Came {
            wrong: wrong_since.is_none().then_some(wrong),
            longest,
            events: after.events() - before.events(),
            deleted: after.deleted - before.deleted,
            refused: refused.into_iter().filter_map(rose).collect(),
            said_again: self.heard.packets().iter().any(again),
        }
    }

    /// The same while the node's process is stopped, so that nothing contradicts it.
    pub fn say_undefended(&mut self, from: impl Into<IpAddr>, message: &[u8]) -> Result<Came, String> {
        let signal = |scene: &Scene, signal| {
            scene.publisher.as_ref().into_iter().for_each(|publisher| publisher.process.signal(signal));
        };
        signal(self, Signal::SIGSTOP);
        let stopped = |publisher: &Peer| all_threads_are(publisher.process.pid() as i32, 'T');
        eventually("it is stopped", SOON, || self.publisher.as_ref().is_none_or(stopped).then_some(()));
        // What its host said less than a second ago a cache-flush bit spares (RFC 6762 §10.2).
        thread::sleep(SPARED_FOR);
        let came = self.say(from, MDNS, message, 1);
        signal(self, Signal::SIGCONT);
        let (began, right) = (now(), self.right.clone());
        let told = || Some(since(began)).filter(|_| self.watcher.told() == right).ok_or(());
        match within(PATIENCE, told) {
            Ok(took) if took <= BACK_WITHIN => Ok(came),
            Ok(took) => Err(format!("when its process went on the node was right only after {}", seconds(took))),
            Err(()) => Err(format!("when its process went on the node was not right within {}", seconds(PATIENCE))),
        }
    }

    pub fn sound(&mut self) -> Result<Present, String> {
        sound([&mut self.watcher])
    }
}

impl Came {
    pub fn verdict(&self) -> String {
        let deleted = if self.deleted > 0 { ", told as deleted" } else { "" };
        match self.wrong {
            Some(Duration::ZERO) if self.events == 0 => "ignored".into(),
            Some(wrong) if wrong == self.longest => format!("repaired after {}{deleted}", seconds(wrong)),
            Some(wrong) => {
                format!(
                    "repaired each time, after {} at most, wrong for {} in all{deleted}",
                    seconds(self.longest),
                    seconds(wrong)
                )
            }
            None => format!("believed, still after {}{deleted}", seconds(LOOKED_FOR)),
        }
    }

    pub fn ignored(&self) -> bool {
        self.wrong == Some(Duration::ZERO) && self.events == 0
    }
}

/// The records of an announcement with SRV and TXT.
fn whole(payload: &[u8]) -> Option<Vec<Record>> {
    let message = parse(payload).filter(|message| message.response)?;
    let records: Vec<Record> = message.answers.into_iter().chain(message.additionals).collect();
    let any = |is: fn(&Data) -> bool| records.iter().any(|record| is(&record.data));
    let said = any(|data| matches!(data, Data::Srv { port: 10_000, .. })) && any(|data| matches!(data, Data::Txt(_)));
    let live = records.iter().all(|record| record.ttl > 0);
    let ours = records.iter().any(|record| record.name.labels().any(|label| label == b"_mdns-registry"));
    (said && live && ours).then_some(records)
}
