//! What is said unasked: announcements, goodbyes, and the defence of both.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use serde_json::json;
use simple_dns::rdata::RData;
use simple_dns::{OPCODE, RCODE};

use crate::lab::capture::{labels, Message, Packet};
use crate::lab::Lab;
use crate::letter::{name, same, Letter, TXT, TYPE};
use crate::stage::{has, is_announcement, require, shop, Stage, Verdict, GROUP, GROUP_V6, PORT, SOON};

const SECOND: Duration = Duration::from_secs(1);

pub fn an_announcement_is_repeated_after_a_second(stage: &mut Stage) -> Verdict {
    let began = Instant::now();
    stage.open_shop();
    let v4 = IpAddr::from(stage.subject.ipv4);
    let said = stage.heard(began, |packet, message| packet.source.ip() == v4 && is_announcement(message));
    let apart = said[1].0.at - said[0].0.at;
    require!(apart >= Duration::from_millis(990), "{apart:?} apart");
    Ok(())
}

pub fn what_is_unique_flushes_and_what_is_shared_does_not(stage: &mut Stage) -> Verdict {
    stage.agent.register(&shop());
    let (_, message) = stage.hear("an announcement", stage.began, SOON, |_, message| is_announcement(message))?;
    for record in message.records() {
        let shared = matches!(record.rdata, RData::PTR(_));
        require!(record.cache_flush != shared, "{record:?}");
    }
    Ok(())
}

pub fn a_message_has_the_form_of_multicast_dns(stage: &mut Stage) -> Verdict {
    stage.agent.register(&shop());
    let families =
        [(IpAddr::from(stage.subject.ipv4), IpAddr::from(GROUP)), (stage.subject.link_local.into(), GROUP_V6.into())];
    for (source, group) in families {
        let from = |packet: &Packet| packet.source.ip() == source;
        let (packet, message) = stage
            .hear("an announcement", stage.began, SOON, |packet, message| from(packet) && is_announcement(message))?;
        require!(packet.destination.ip() == group, "{packet:?}");
        require!((packet.source.port(), packet.destination.port()) == (PORT, PORT), "{packet:?}");
        let header = (message.id, message.opcode, message.rcode, message.is_authoritative);
        require!(header == (0, OPCODE::StandardQuery, RCODE::NoError, true), "{header:?}");
        require!(message.questions.is_empty(), "{packet:?}");
    }
    Ok(())
}

pub fn the_hop_limit_of_a_multicast_is_255(stage: &mut Stage) -> Verdict {
    stage.agent.register(&shop());
    for v6 in [false, true] {
        let (packet, _) = stage.hear("a message", stage.began, SOON, |packet, _| packet.source.is_ipv6() == v6)?;
        require!(packet.hop_limit == 255, "{packet:?}");
    }
    Ok(())
}

pub fn a_record_lives_as_long_as_the_lease(stage: &mut Stage) -> Verdict {
    stage.agent.register_with(&shop(), &json!({"ttl_ms": 30_000}));
    let (_, message) = stage.hear("an announcement", stage.began, SOON, |_, message| is_announcement(message))?;
    for record in message.records() {
        require!(record.ttl == 30, "{record:?}");
    }
    Ok(())
}

pub fn a_change_is_announced_and_nothing_withdrawn(stage: &mut Stage) -> Verdict {
    let node = stage.open_shop();
    let changed = Instant::now();
    stage.agent.register(&json!({"name": "shop", "version": "1.2.0", "nodes": [{"id": "Till.One", "port": 9091}]}));
    stage.hear("the new port, which flushes the old one", changed, SOON, |_, message| {
        has(message, |record| record.cache_flush && matches!(&record.rdata, RData::SRV(srv) if srv.port == 9091))
    })?;
    let goodbye = |record: &simple_dns::ResourceRecord| record.ttl == 0 && same(&record.name) == node.instance;
    stage.hear_nothing("a goodbye", changed, SECOND, |_, message| message.answers.iter().any(goodbye))
}

pub fn a_goodbye_is_said_twice(stage: &mut Stage) -> Verdict {
    let node = stage.open_shop();
    let left = Instant::now();
    stage.agent.deregister(&json!({"name": "shop"}));
    let v4 = IpAddr::from(stage.subject.ipv4);
    let gone = |record: &simple_dns::ResourceRecord| {
        record.ttl == 0 && matches!(&record.rdata, RData::PTR(to) if same(&to.0) == node.instance)
    };
    let by_v4 = |packet: &Packet| packet.source.ip() == v4;
    stage
        .hear_times("a goodbye", left, 2, |packet, message| {
            by_v4(packet) && message.is_response && message.answers.iter().any(gone)
        })
        .map(|_| ())
}

pub fn a_goodbye_by_another_is_answered_by_saying_the_record_again(stage: &mut Stage) -> Verdict {
    let node = stage.open_shop();
    let forged = stage.say(&Letter::response().ptr(&name(TYPE), &node.instance, 0));
    let rescued =
        |record: &simple_dns::ResourceRecord| matches!(&record.rdata, RData::PTR(to) if same(&to.0) == node.instance);
    stage.hear("the record", forged, SECOND, |_, message| has(message, rescued)).map(|_| ())
}

pub fn a_record_of_another_under_its_name_is_answered_by_its_own(stage: &mut Stage) -> Verdict {
    let node = stage.open_shop();
    let forged = stage.say(&Letter::response().srv(&node.instance, 6_666, &name("other.local"), 120));
    stage
        .hear("its own SRV", forged, SECOND, |_, message| {
            has(message, |record| matches!(&record.rdata, RData::SRV(srv) if srv.port == 9090))
        })
        .map(|_| ())
}

pub fn all_is_announced_when_the_link_is_back(stage: &mut Stage) -> Verdict {
    stage.open_shop();
    stage.subject.link_down();
    std::thread::sleep(SECOND);
    stage.subject.link_up();
    stage.subject.await_link();
    let up = Instant::now() - Duration::from_millis(500);
    stage.hear("an announcement", up, SOON, |_, message| is_announcement(message)).map(|_| ())
}

pub fn all_is_announced_after_sleep(stage: &mut Stage) -> Verdict {
    stage.open_shop();
    stage.agent.process.signal(Signal::SIGSTOP);
    // Longer than anything that is due waits: only what is late tells of sleep.
    std::thread::sleep(Duration::from_secs(15));
    let woke = Instant::now();
    stage.agent.process.signal(Signal::SIGCONT);
    stage.hear("an announcement", woke, SOON, |_, message| is_announcement(message)).map(|_| ())
}

pub fn each_interface_hears_its_own_address_only(stage: &mut Stage) -> Verdict {
    let second = Lab::new("second");
    let neighbour = second.host("neighbour");
    let capture = neighbour.capture();
    let there = stage.subject.plug_into(&second);
    // A registry may find a new interface late.
    std::thread::sleep(Duration::from_secs(6));
    stage.open_shop();
    let here = stage.subject.ipv4;
    let addresses = |packets: &[Packet]| -> Vec<IpAddr> {
        let messages = packets.iter().filter_map(|packet| packet.message.clone()).filter(|message| message.is_response);
        let records: Vec<_> = messages.flat_map(|message| message.records().cloned().collect::<Vec<_>>()).collect();
        let address = |record: &simple_dns::ResourceRecord| match &record.rdata {
            RData::A(a) => Some(IpAddr::from(std::net::Ipv4Addr::from(a.address))),
            _ => None,
        };
        records.iter().filter_map(address).collect()
    };
    for (name, packets, own, other) in
        [("eth0", stage.capture.packets(), here, there), ("eth1", capture.packets(), there, here)]
    {
        let said = addresses(&packets);
        require!(said.contains(&own.into()), "{own} is not said on {name}: {packets:#?}");
        require!(!said.contains(&other.into()), "{other} is said on {name}: {packets:#?}");
    }
    Ok(())
}

pub fn an_instance_label_has_63_bytes_at_most(stage: &mut Stage) -> Verdict {
    let id = "Küche.".repeat(30);
    stage.agent.register(&json!({"name": "shop", "nodes": [{"id": id, "port": 9090}]}));
    let (_, message) = stage.hear("an announcement", stage.began, SOON, |_, message| is_announcement(message))?;
    let srv = message.records().find(|record| matches!(record.rdata, RData::SRV(_))).expect("an announcement has one");
    let label = labels(&srv.name)[0].clone();
    let text = String::from_utf8(label).map_err(|error| error.to_string())?;
    require!(text.len() <= 63 && !text.chars().any(char::is_control), "{text:?}");
    Ok(())
}

pub fn messages_fit_a_frame_but_for_one_record_that_does_not(stage: &mut Stage) -> Verdict {
    // Random, so that no compression makes it small.
    let mut rng = fastrand::Rng::with_seed(1);
    let long: String = (0..4_000).map(|_| rng.alphanumeric()).collect();
    let mut nodes: Vec<_> = (0..20).map(|i| json!({"id": format!("till-{i}"), "port": 9_100 + i})).collect();
    nodes.push(json!({"id": "large", "port": 9_099, "metadata": {"text": long}}));
    stage.agent.register(&json!({"name": "shop", "nodes": nodes}));
    let large = |message: &Message| {
        has(message, |record| {
            u16::from(record.rdata.type_code()) == TXT && record.name.to_string().starts_with("large-")
        })
    };
    let (packet, _) = stage.hear("the large record", stage.began, SOON, |_, message| large(message))?;
    require!((3_000..=8_952).contains(&packet.payload.len()), "{} bytes", packet.payload.len());
    for (packet, _) in stage.heard(stage.began, |_, message| !large(message)) {
        require!(packet.payload.len() <= 1_452, "{} bytes: {packet:?}", packet.payload.len());
    }
    Ok(())
}
