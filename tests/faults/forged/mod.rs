//! Forgeries about a live node: by a third host, and in the name of the node's own.

mod plain;
mod records;
mod scene;

use std::net::{IpAddr, Ipv4Addr};
use std::thread;
use std::time::Duration;

use mdns_registry::LinkKind;

use crate::peer::listed;
use crate::report::Outcome;
use records::Forge;
use scene::{Came, Scene, MDNS};

/// Whom nobody knows, off the link.
const OFF_LINK: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
const REPAIRED_WITHIN: Duration = Duration::from_secs(1);
const TIMES: u32 = 20;
/// Each time it is to be repaired, not in all: 3 s of it.
const MANY_TIMES: u32 = 30;

/// In whose name it is said.
type From = fn(&Scene) -> IpAddr;

fn owner(scene: &Scene) -> IpAddr {
    scene.a.ipv4.into()
}

fn owner_v6(scene: &Scene) -> IpAddr {
    scene.a.link_local.into()
}

fn stranger(scene: &Scene) -> IpAddr {
    scene.c.ipv4.into()
}

fn stranger_v6(scene: &Scene) -> IpAddr {
    scene.c.link_local.into()
}

/// What came of it, and whether it is heard at all, if all is sound afterwards.
type Judged = (Came, Result<bool, String>);

/// It is heard if undefended it is believed.
fn in_the_name_of_its_host(link: LinkKind, from: From, forge: Forge, times: u32) -> Judged {
    let mut scene = Scene::new(link);
    let (from, message) = (from(&scene), scene.forged(forge));
    let came = scene.say(from, MDNS, &message, times);
    let mut undefended = || {
        scene.sound()?;
        let undefended = scene.say_undefended(from, &message)?;
        scene.sound().map(|_| undefended.events > 0)
    };
    let heard = undefended();
    (came, heard)
}

/// It is heard if it is refused, and the node's host says the node again.
fn in_the_name_of_a_stranger(link: LinkKind, from: From, forge: Forge, times: u32) -> Judged {
    let mut scene = Scene::new(link);
    let (from, message) = (from(&scene), scene.forged(forge));
    let came = scene.say(from, MDNS, &message, times);
    let heard = came.refused.contains_key("record-from-elsewhere") && came.said_again;
    (came, scene.sound().map(|_| heard))
}

/// It is ignored, or repaired soon. What is repaired may be told as a node that went and came back, but for a goodbye.
fn by_anybody(link: LinkKind, [host, other]: [From; 2], forge: Forge, times: u32, may_go: bool) -> Outcome {
    let (of_host, of_other) = thread::scope(|scope| {
        let of_host = scope.spawn(|| in_the_name_of_its_host(link, host, forge, times));
        let of_other = scope.spawn(|| in_the_name_of_a_stranger(link, other, forge, times));
        (of_host.join().expect("no panic"), of_other.join().expect("no panic"))
    });
    let (mut told, mut held) = (Vec::new(), true);
    for (who, how, (came, heard)) in
        [("in its host's name", "believed while that is stopped", of_host), ("in a stranger's", "refused", of_other)]
    {
        let wrong = if times == MANY_TIMES { came.wrong.map(|_| came.longest) } else { came.wrong };
        let repaired = wrong.is_some_and(|wrong| wrong <= REPAIRED_WITHIN);
        held &= repaired && heard == Ok(true) && (may_go || came.deleted == 0);
        let heard = match heard {
            Ok(true) => how.to_owned(),
            Ok(false) => format!("not {how}"),
            Err(broken) => broken,
        };
        told.push(format!("{who}: {}, {heard}", came.verdict()));
    }
    Outcome::new(held, told.join("; "))
}

pub fn a_forged_goodbye(link: LinkKind) -> Outcome {
    by_anybody(link, [owner, stranger], records::goodbye, 1, false)
}

pub fn a_forged_goodbye_again_and_again(link: LinkKind) -> Outcome {
    by_anybody(link, [owner, stranger], records::goodbye, TIMES, false)
}

pub fn a_forged_goodbye_over_ipv6(link: LinkKind) -> Outcome {
    by_anybody(link, [owner_v6, stranger_v6], records::goodbye, 1, false)
}

pub fn a_forged_goodbye_of_the_address(link: LinkKind) -> Outcome {
    by_anybody(link, [owner, stranger], records::goodbye_of_the_address, 1, false)
}

pub fn a_forged_goodbye_of_the_address_again_and_again(link: LinkKind) -> Outcome {
    by_anybody(link, [owner, stranger], records::goodbye_of_the_address, TIMES, false)
}

pub fn a_forged_conflict(link: LinkKind) -> Outcome {
    by_anybody(link, [owner, stranger], records::conflict, 1, false)
}

pub fn a_forged_address(link: LinkKind) -> Outcome {
    by_anybody(link, [owner, stranger], records::other_address, 1, false)
}

pub fn a_forged_conflict_again_and_again(link: LinkKind) -> Outcome {
    by_anybody(link, [owner, stranger], records::conflict, MANY_TIMES, false)
}

pub fn a_forged_address_again_and_again(link: LinkKind) -> Outcome {
    by_anybody(link, [owner, stranger], records::other_address, MANY_TIMES, false)
}

pub fn a_forged_takeover(link: LinkKind) -> Outcome {
    by_anybody(link, [owner, stranger], records::takeover, 1, true)
}

/// Nothing tells who may speak for the node, so each is believed until its host speaks again.
pub fn a_forged_conflict_of_a_plain_node(link: LinkKind) -> Outcome {
    let (mut told, mut held) = (Vec::new(), true);
    let mut scene = Scene::of_a_plain_node(link);
    for (who, from) in [("in its host's name", owner as From), ("in a stranger's", stranger)] {
        let (from, message) = (from(&scene), scene.forged(records::conflict));
        let came = scene.say(from, MDNS, &message, 1);
        held &= came.wrong.is_some_and(|wrong| wrong <= REPAIRED_WITHIN) && came.events > 0 && came.deleted == 0;
        told.push(format!("{who}: {}", came.verdict()));
    }
    Outcome::new(held, told.join("; ")).and(scene.sound())
}

/// Says it once as it is spoiled, which is ignored and counted for that reason alone, and then unspoiled and in the name
/// of the node's host, which is believed for a moment: so it is the spoiling for which it was ignored.
fn spoiled(link: LinkKind, from: From, port: u16, forge: Forge, spoil: fn(&mut [u8]), reason: &str) -> Outcome {
    let mut scene = Scene::new(link);
    let mut message = scene.forged(forge);
    spoil(&mut message);
    let came = scene.say(from(&scene), port, &message, 1);
    let for_that = came.refused.keys().eq([reason]);
    let (host, unspoiled) = (owner(&scene), scene.forged(records::takeover));
    let then = scene.say(host, MDNS, &unspoiled, 1);
    let measured = format!(
        "{}; refused: {}; unspoiled it is {}",
        came.verdict(),
        listed(&came.refused),
        if then.events > 0 { "believed" } else { "ignored" }
    );
    Outcome::new(came.ignored() && for_that && then.events > 0, measured).and(scene.sound())
}

pub fn a_response_from_off_the_link(link: LinkKind) -> Outcome {
    spoiled(link, |_| OFF_LINK.into(), MDNS, records::takeover, |_| {}, "off-link")
}

pub fn a_response_from_another_port(link: LinkKind) -> Outcome {
    spoiled(link, owner, 40_404, records::takeover, |_| {}, "response-from-other-port")
}

pub fn a_response_with_an_rcode(link: LinkKind) -> Outcome {
    spoiled(link, owner, MDNS, records::takeover, |message| message[3] |= 3, "opcode-or-rcode")
}

pub fn a_response_with_an_opcode(link: LinkKind) -> Outcome {
    spoiled(link, owner, MDNS, records::takeover, |message| message[2] |= 5 << 3, "opcode-or-rcode")
}

pub fn a_response_of_another_class(link: LinkKind) -> Outcome {
    spoiled(link, owner, MDNS, records::takeover_in_class_chaos, |_| {}, "other-class")
}
