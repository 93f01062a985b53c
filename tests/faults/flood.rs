//! More than anybody needs, from one stranger on the link: questions, rubbish, and strangers' nodes. Every flood is
//! bounded in number and time.

use std::net::{Ipv4Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use mdns_registry::link::native::message::{rtype, Builder, Data, Question, Record};
use mdns_registry::link::native::name::Name;
use mdns_registry::LinkKind;
use serde_json::{json, Value};

use crate::lab::radio::in_the_group;
use crate::lab::role::MDNS_GROUP;
use crate::lab::{Host, Lab};
use crate::measure::{self, all_see, megabytes, now, seconds, sent, within};
use crate::peer::{Peer, State, FLEET};
use crate::report::Outcome;

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

    /// What the subject has more than before, live heap and resident memory, bytes.
    fn grown(&mut self) -> (i64, i64) {
        let after = self.subject.state();
        (after.heap - self.before.heap, after.resident - self.before.resident)
    }

    /// All nodes that there are in truth are seen.
    fn sound(mut self) -> Result<(), String> {
        let peers = [&mut self.subject, &mut self.other];
        if let Some(broken) = peers.into_iter().find_map(|peer| peer.state().broken) {
            return Err(format!("I4: {broken}"));
        }
        match [&mut self.subject, &mut self.other].map(|peer| peer.seen_of(0..NODES, None)) {
            [100, 100] => Ok(()),
            seen => Err(format!("{seen:?} of 100 nodes are left")),
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
    let sent_before = sent(&scene.on);
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
    let (heap, resident) = scene.grown();
    let p99 = latency["p99"].as_u64().expect("a number");
    let rate = f64::from(QUESTIONS_A_SECOND * FLOOD_S) / took.as_secs_f64();
    let measured = format!(
        "{rate:.0} a second: `get_service` p99 {p99} µs; {replies:.0} packets a second sent, {:.1} kB/s; refused: {}; live \
         heap {}, resident {}",
        bytes / 1e3,
        scene.subject.refused(),
        megabytes(heap),
        megabytes(resident)
    );
    let held = p99 <= 1_000 && replies <= 200.0 && resident <= 5_000_000 && took < Duration::from_secs(90);
    Outcome::new(held, measured).and(scene.sound())
}

const MESSAGES: u32 = 1_000_000;
/// What the caps allow for what strangers say, bytes: a view and a cache as full as one sender may fill them.
const BOUND: i64 = 64_000_000;

pub fn a_million_malformed_messages(link: LinkKind) -> Outcome {
    let seeds = seeds();
    let mut rng = fastrand::Rng::with_seed(12);
    flooded(link, 25_000, move |_| {
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
    flooded(link, 12_500, |number| stranger(number, &format!("s{number}")))
}

pub fn a_million_nodes_of_the_service_that_is_watched(link: LinkKind) -> Outcome {
    flooded(link, 12_500, |number| stranger(number, FLEET))
}

/// A million messages to the group; what is kept of them is bounded, and what was there is there.
fn flooded(link: LinkKind, per_second: u32, next: impl FnMut(u32) -> Vec<u8> + Send) -> Outcome {
    let mut scene = Scene::new(link);
    let group = scene.stranger.inside(|| on_port(MDNS_GROUP.1));
    let took = send(&group, MESSAGES, per_second, next);
    let (heap, resident) = scene.grown();
    // Changes come through, and soon.
    let changed = now();
    scene.other.register(NODES / 2..NODES, 120, 1);
    let came = all_changed(&mut scene.subject, changed);
    let measured = format!(
        "sent in {}; refused: {}; live heap {}, resident {}; a change is told {}",
        seconds(took),
        scene.subject.refused(),
        megabytes(heap),
        megabytes(resident),
        came.map_or_else(|| "not within 20 s".into(), |took| format!("{} later", seconds(took)))
    );
    let held = heap <= BOUND && resident <= 2 * BOUND && came.is_some_and(|took| took <= Duration::from_secs(1));
    Outcome::new(held, measured).and(scene.sound())
}

/// Until the subject sees round 1 of the other's nodes.
fn all_changed(subject: &mut Peer, began: u64) -> Option<Duration> {
    let mut all = || subject.seen_of(NODES / 2..NODES, Some(1)) == NODES as usize / 2;
    within(Duration::from_secs(20), || all().then(|| measure::since(began)).ok_or(())).ok()
}

/// A message about a node that nobody asked for, no two alike: most of our type, some of another.
fn stranger(number: u32, of: &str) -> Vec<u8> {
    let kind = if number % 4 == 3 { "_ipp" } else { "_mdns-registry" };
    let name = |dotted: String| Name::from_dotted(&dotted).expect("a name");
    let (service, host) = (name(format!("{kind}._tcp.local.")), name(format!("h{number}.local.")));
    let instance = name(format!("x{number}.{kind}._tcp.local."));
    let text = format!("service={of}");
    let strings: Vec<u8> = [&[text.len() as u8], text.as_bytes()].concat();
    let record = |name: &Name, data: Data| {
        let flush = !matches!(data, Data::Ptr(_));
        Record { name: name.clone(), class: 1, flush, ttl: 120, data }
    };
    let mut message = Builder::response(0, 1_452);
    let records = [
        record(&service, Data::Ptr(instance.clone())),
        record(&instance, Data::Srv { port: 80, target: host.clone() }),
        record(&instance, Data::Txt(strings.into())),
        record(&host, Data::A(Ipv4Addr::new(10, 9, 9, 9))),
    ];
    records.iter().for_each(|record| assert!(message.answer(record)));
    message.finish()
}

/// Well-formed messages, to be spoiled.
fn seeds() -> Vec<Vec<u8>> {
    let mut seeds: Vec<Vec<u8>> = (0..8).map(|number| stranger(number, FLEET)).collect();
    let mut query = Builder::query(0, 1_452);
    let name = Name::from_dotted("_mdns-registry._tcp.local.").expect("a name");
    query.question(&Question { name, rtype: rtype::PTR, class: 1, unicast: true });
    seeds.push(query.finish());
    seeds
}
