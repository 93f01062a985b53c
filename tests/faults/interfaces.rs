//! Interfaces that go, come and change.

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use mdns_registry::LinkKind;

use crate::lab::{Host, Lab};
use crate::measure::{now, seconds, since, sound, within};
use crate::peer::Peer;
use crate::report::Outcome;

const NODES: u32 = 10;
const RIGHT_WITHIN: Duration = Duration::from_secs(2);
/// Until then nothing that is no longer true may be seen; and after it, it is looked once more.
const STALE_UNTIL: Duration = Duration::from_secs(5);
const PATIENCE: Duration = Duration::from_secs(30);

struct Scene {
    a: Host,
    b: Host,
    publisher: Peer,
    watcher: Peer,
    round: u64,
    _lab: Lab,
}

impl Scene {
    /// A publisher on a, a watcher on b that sees its nodes at `at`.
    fn new(link: LinkKind, prepare: impl Fn(&Host), at: impl Fn(&Host) -> IpAddr) -> Scene {
        let lab = Lab::new("ifaces");
        let (a, b) = (lab.host("a"), lab.host("b"));
        [&a, &b].into_iter().for_each(prepare);
        let (mut publisher, watcher) = (Peer::start(&a, link), Peer::start(&b, link));
        publisher.register(0..NODES, 120, 0);
        let at = at(&a);
        let mut scene = Scene { a, b, publisher, watcher, round: 0, _lab: lab };
        scene.comes_to(&[at]).expect("the nodes before anything changes");
        // RFC 6762 section 10.2: the flush bit spares what came less than a second ago.
        thread::sleep(Duration::from_secs(3));
        scene
    }

    /// Registers the nodes again, with other metadata.
    fn change(mut self) -> Scene {
        self.round += 1;
        self.publisher.register(0..NODES, 120, self.round);
        self
    }

    /// Waits until the watcher sees all nodes at one of these addresses, each.
    fn comes_to(&mut self, addresses: &[IpAddr]) -> Option<Duration> {
        let began = now();
        within(PATIENCE, || self.sees(addresses).then(|| since(began)).ok_or(())).ok()
    }

    fn sees(&mut self, addresses: &[IpAddr]) -> bool {
        let present = self.watcher.present().unwrap_or_default();
        let right = |address: &str| addresses.iter().any(|right| address.split('%').next() == Some(&right.to_string()));
        present.len() == NODES as usize && present.values().all(|at| right(&at.address) && at.round == self.round)
    }

    /// After a change: when all is right, that it stays so, and that a lookup by a fresh process finds the same.
    fn judge(mut self, link: LinkKind, addresses: &[IpAddr]) -> Outcome {
        let began = now();
        let Some(took) = self.comes_to(addresses) else {
            let present = self.watcher.present();
            return Outcome::missed(format!(
                "not right within {}: {:?}",
                seconds(PATIENCE),
                present.map(|present| present.into_values().next())
            ));
        };
        thread::sleep(STALE_UNTIL.saturating_sub(since(began)));
        if !self.sees(addresses) {
            return Outcome::missed(format!("right after {}, and wrong again", seconds(took)));
        }
        let mut fresh = Peer::start(&self.b, link);
        std::mem::swap(&mut fresh, &mut self.watcher);
        if self.comes_to(addresses).is_none() {
            return Outcome::missed("a fresh process finds something else");
        }
        let measured = format!("right after {}, a fresh process agrees", seconds(took));
        // Apart: of its own nodes a registry shows each address that it has.
        Outcome::new(took <= RIGHT_WITHIN, measured).and(sound([&mut self.publisher])).and(sound([&mut fresh]))
    }
}

fn ipv4(host: &Host) -> IpAddr {
    host.ipv4.into()
}

fn other(host: &Host) -> Ipv4Addr {
    let [_, _, subnet, number] = host.ipv4.octets();
    Ipv4Addr::new(10, 78, subnet, number + 76)
}

pub fn an_interface_that_goes_down_and_comes_up(link: LinkKind) -> Outcome {
    let scene = Scene::new(link, |_| {}, ipv4);
    scene.a.link_down();
    thread::sleep(Duration::from_secs(3));
    scene.a.link_up();
    scene.a.await_link();
    let at = ipv4(&scene.a);
    scene.change().judge(link, &[at])
}

pub fn an_address_that_changes(link: LinkKind) -> Outcome {
    let scene = Scene::new(link, |_| {}, ipv4);
    let new = other(&scene.a);
    scene.a.del_addr(scene.a.ipv4, 24);
    scene.a.add_addr(new, 24);
    scene.judge(link, &[new.into()])
}

pub fn an_address_that_is_added(link: LinkKind) -> Outcome {
    let scene = Scene::new(link, |_| {}, ipv4);
    let new = other(&scene.a);
    scene.a.add_addr(new, 24);
    let both = [ipv4(&scene.a), new.into()];
    scene.judge(link, &both)
}

pub fn hosts_with_ipv6_only(link: LinkKind) -> Outcome {
    let without_ipv4 = |host: &Host| host.del_addr(host.ipv4, 24);
    let scene = Scene::new(link, without_ipv4, |host| host.link_local.into());
    let at = scene.a.link_local.into();
    scene.change().judge(link, &[at])
}

pub fn interfaces_of_1280_bytes(link: LinkKind) -> Outcome {
    let scene = Scene::new(link, |host| host.mtu(1_280), ipv4);
    let at = ipv4(&scene.a);
    scene.change().judge(link, &[at])
}
