//! Interfaces that go, come and change under processes that run on. Nobody registers again so that it is put right.

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::{Duration, Instant};

use mdns_registry::LinkKind;
use serde_json::{json, Value};
use simple_dns::rdata::RData;

use crate::lab::agent::Agent;
use crate::lab::{Host, Lab};
use crate::measure::{now, seconds, since, sound, within, Truth};
use crate::peer::{id, Peer, Present, FLEET};
use crate::report::Outcome;

/// Of each that publishes: those on a and on b.
const NODES: u32 = 10;
const LEASE_S: u64 = 120;
const RIGHT_WITHIN: Duration = Duration::from_secs(2);
/// Until then nothing that is no longer true may be seen; and after it, it is looked once more.
const STALE_UNTIL: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(10);
/// The same on the other link, which promises nothing.
const OTHER_PATIENCE: Duration = Duration::from_secs(60);
/// RFC 6762 section 10.2: the flush bit spares what came less than a second ago.
const SETTLED: Duration = Duration::from_secs(3);

/// The address of a host at which its nodes are to be seen.
type At = fn(&Host) -> IpAddr;

fn ipv4(host: &Host) -> IpAddr {
    host.ipv4.into()
}

fn link_local(host: &Host) -> IpAddr {
    host.link_local.into()
}

fn other(host: &Host) -> IpAddr {
    let [_, _, subnet, number] = host.ipv4.octets();
    Ipv4Addr::new(10, 78, subnet, number + 76).into()
}

/// Peers on a, b and c, of which those on a and b publish as well.
struct Scene {
    link: LinkKind,
    hosts: [Host; 3],
    peers: [Peer; 3],
    truth: Truth,
    round: u64,
    _lab: Lab,
}

impl Scene {
    fn new(link: LinkKind) -> Scene {
        let lab = Lab::new("ifaces");
        let hosts = ["a", "b", "c"].map(|name| lab.host(name));
        let peers = hosts.each_ref().map(|host| Peer::start(host, link));
        let mut scene = Scene { link, hosts, peers, truth: Truth::default(), round: 0, _lab: lab };
        scene.register([0, 1]);
        scene.comes_to([ipv4, ipv4], now()).expect("the nodes before anything changes");
        thread::sleep(SETTLED);
        scene
    }

    /// Registers the nodes of these with metadata of the present round.
    fn register<const N: usize>(&mut self, on: [usize; N]) {
        for i in on {
            let first = i as u32 * NODES;
            self.truth.register(&mut self.peers[i], first..first + NODES, LEASE_S, self.round);
        }
    }

    /// Whether this peer sees what there is, the nodes of others at these addresses of a and of b.
    fn sees(&mut self, who: usize, at: [IpAddr; 2]) -> Result<(), String> {
        let present = self.peers[who].present()?;
        self.truth.is(&present)?;
        // Of its own nodes a registry shows each address that it has.
        (0..2).filter(|i| *i != who).try_for_each(|i| are_at(&present, i as u32, at[i]))
    }

    fn patience(&self) -> Duration {
        if self.link == LinkKind::Native {
            PATIENCE
        } else {
            OTHER_PATIENCE
        }
    }

    /// Waits until all see this; how long after `began`. What is registered must come by itself: only then lookups, which
    /// might mend it, tell where it is.
    fn comes_to(&mut self, at: [At; 2], began: u64) -> Result<Duration, String> {
        let at = [at[0](&self.hosts[0]), at[1](&self.hosts[1])];
        let patience = self.patience();
        self.truth.comes_to(&mut self.peers, began, patience).ok_or("not all are told of what is registered")?;
        for who in 0..3 {
            within(patience, || self.sees(who, at)).map_err(|how| format!("on {}: {how}", self.hosts[who].name()))?;
        }
        Ok(since(began))
    }

    /// After the kernel's change at `began`: when all is right, that it stays so, that a change comes through, and that
    /// a fresh process sees the same. `also` must hold before that change, and says what it measured.
    fn judge(mut self, at: [At; 2], began: u64, also: impl FnOnce(&Scene) -> Result<String, String>) -> Outcome {
        let took = match self.comes_to(at, began) {
            Ok(took) => took,
            Err(how) => return Outcome::missed(format!("not right within {}: {how}", seconds(self.patience()))),
        };
        thread::sleep(STALE_UNTIL.saturating_sub(since(began)));
        let wanted = [at[0](&self.hosts[0]), at[1](&self.hosts[1])];
        if let Some(how) = (0..3).find_map(|who| self.sees(who, wanted).err()) {
            return Outcome::missed(format!("right after {}, and wrong again: {how}", seconds(took)));
        }
        let noted = match also(&self) {
            Ok(noted) => noted,
            Err(how) => return Outcome::missed(format!("right after {}, but {how}", seconds(took))),
        };
        self.round += 1;
        let changed = now();
        self.register([0, 1]);
        let told = match self.comes_to(at, changed) {
            Ok(told) => told,
            Err(how) => {
                return Outcome::missed(format!("right after {}, but a change is not seen: {how}", seconds(took)))
            }
        };
        let mut before = std::mem::replace(&mut self.peers[2], Peer::start(&self.hosts[2], self.link));
        if let Err(how) = self.comes_to(at, now()) {
            return Outcome::missed(format!("a fresh process finds something else: {how}"));
        }
        let measured = format!(
            "{noted}right for 3 watchers after {}, a change after {}; a fresh process agrees",
            seconds(took),
            seconds(told)
        );
        let held = took <= RIGHT_WITHIN && told <= RIGHT_WITHIN;
        let apart = self.peers.iter_mut().try_for_each(|peer| sound([peer]).map(drop));
        Outcome::new(held, measured).and(apart).and(sound([&mut before]))
    }
}

fn nothing_else(_: &Scene) -> Result<String, String> {
    Ok(String::new())
}

/// Whether the nodes of a (0) or b (1) are all there.
fn are_at(present: &Present, of: u32, at: IpAddr) -> Result<(), String> {
    let wrong = (of * NODES..(of + 1) * NODES).find_map(|node| {
        let seen = &present.get(&id(node))?.address;
        (seen.split('%').next() != Some(&at.to_string())).then(|| format!("{} is seen at {seen}, not {at}", id(node)))
    });
    wrong.map_or(Ok(()), Err)
}

/// While it is down nodes change on both sides of it.
pub fn an_interface_that_goes_down_and_comes_up(link: LinkKind) -> Outcome {
    let mut scene = Scene::new(link);
    scene.hosts[0].link_down();
    thread::sleep(Duration::from_secs(1));
    scene.round += 1;
    scene.register([0, 1]);
    thread::sleep(Duration::from_secs(2));
    scene.hosts[0].link_up();
    let began = now();
    scene.judge([ipv4, ipv4], began, nothing_else)
}

pub fn an_address_that_changes(link: LinkKind) -> Outcome {
    let scene = Scene::new(link);
    let new = other(&scene.hosts[0]);
    scene.hosts[0].del_addr(scene.hosts[0].ipv4, 24);
    scene.hosts[0].add_addr(new, 24);
    let began = now();
    scene.judge([other, ipv4], began, nothing_else)
}

/// The new address is told on the wire; and when the first goes, the new one is what all see.
pub fn an_address_that_is_added(link: LinkKind) -> Outcome {
    let scene = Scene::new(link);
    let capture = scene.hosts[1].capture();
    let new = other(&scene.hosts[0]);
    // Of the same prefix length it would be the kernel's secondary address, and go with the first.
    scene.hosts[0].add_addr(new, 25);
    let added = Instant::now();
    let Some(at) = capture.wait_for(PATIENCE, |packets| {
        let says = |record: &simple_dns::ResourceRecord| {
            matches!(&record.rdata, RData::A(a) if IpAddr::from(Ipv4Addr::from(a.address)) == new) && record.ttl > 0
        };
        let from_a = |ip: IpAddr| [ipv4(&scene.hosts[0]), link_local(&scene.hosts[0]), new].contains(&ip);
        packets
            .iter()
            .filter(|packet| from_a(packet.source.ip()))
            .find_map(|packet| packet.message.as_ref()?.records().any(says).then_some(packet.at))
    }) else {
        return Outcome::missed(format!("the new address is not told within {}", seconds(PATIENCE)));
    };
    let told = at.saturating_duration_since(added);
    thread::sleep(SETTLED);
    scene.hosts[0].del_addr(scene.hosts[0].ipv4, 24);
    let began = now();
    scene.judge([other, ipv4], began, |_| match told <= RIGHT_WITHIN {
        true => Ok(format!("told on the wire after {}; the first taken away, ", seconds(told))),
        false => Err(format!("the new one was told only after {}", seconds(told))),
    })
}

/// All hosts lose their IPv4 addresses while their processes run.
pub fn hosts_with_ipv6_only(link: LinkKind) -> Outcome {
    let scene = Scene::new(link);
    scene.hosts.iter().for_each(|host| host.del_addr(host.ipv4, 24));
    let began = now();
    scene.judge([link_local, link_local], began, nothing_else)
}

/// A node with so much metadata needs several packets.
const METADATA_BYTES: usize = 5_000;
const MTU: u32 = 1_280;
const LARGE: u32 = 500;

/// The MTU of all hosts shrinks while their processes run, and then nodes change, one of them larger than it.
pub fn interfaces_of_1280_bytes(link: LinkKind) -> Outcome {
    let mut scene = Scene::new(link);
    let mut publisher = Agent::start_with(&scene.hosts[0], &json!({"link": link.as_str()}));
    let mut rng = fastrand::Rng::with_seed(6);
    let mut publish = |scene: &mut Scene| -> String {
        let blob: String = std::iter::repeat_with(|| rng.alphanumeric()).take(METADATA_BYTES).collect();
        let metadata = json!({"round": scene.round.to_string(), "blob": blob});
        let node = json!({"id": id(LARGE), "port": 9_000, "metadata": metadata});
        publisher.register(&json!({"name": FLEET, "version": "1.0.0", "nodes": [node]}));
        scene.truth.is_registered(LARGE, scene.round);
        blob
    };
    publish(&mut scene);
    scene.comes_to([ipv4, ipv4], now()).expect("the large node before anything changes");
    thread::sleep(SETTLED);
    let capture = scene.hosts[1].capture();
    scene.hosts.iter().for_each(|host| host.mtu(MTU));
    scene.round += 1;
    let blob = publish(&mut scene);
    scene.register([0, 1]);
    let began = now();
    scene.judge([ipv4, ipv4], began, |scene| {
        let mut fresh = Agent::start_with(&scene.hosts[2], &json!({"link": link.as_str()}));
        let whole = within(PATIENCE, || {
            let found = fresh.get(FLEET);
            let mut nodes = found.iter().flat_map(|service| service["nodes"].as_array()).flatten();
            let is = |node: &Value| node["id"] == id(LARGE) && node["metadata"]["blob"] == blob.as_str();
            nodes.any(is).then_some(()).ok_or("the large node is not found whole")
        });
        whole?;
        let packets = capture.packets();
        let largest = packets.iter().map(|packet| packet.payload.len()).max().unwrap_or(0);
        match largest > MTU as usize {
            true => Ok(format!("a message of {largest} bytes; ")),
            false => Err("no message was larger than the MTU".into()),
        }
    })
}
