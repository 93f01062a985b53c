//! Answers to questions.

use std::net::IpAddr;
use std::time::{Duration, Instant};

use serde_json::json;
use simple_dns::rdata::RData;

use crate::lab::capture::{Message, Packet};
use crate::letter::{name, same, Letter, A, AAAA, ANY, IN, PTR, SRV, TOP_BIT, TXT, TYPE, TYPES};
use crate::stage::{answers, has, replies, require, stranger, types, Stage, Verdict, GROUP, LOOK, PORT, SILENCE, SOON};

const SECOND: Duration = Duration::from_secs(1);
/// What a busy machine may add to a delay.
const SLACK: Duration = Duration::from_millis(250);

/// Less than this is no delay.
const AT_ONCE: Duration = Duration::from_millis(10);

fn to_type(_: &Packet, message: &Message) -> bool {
    answers(message, &name(TYPE), PTR)
}

fn of_type() -> Letter {
    Letter::query().ask(&name(TYPE), PTR)
}

pub fn a_shared_record_is_answered_after_20_to_120_ms(stage: &mut Stage) -> Verdict {
    stage.open_shop();
    let mut delays = Vec::new();
    for _ in 0..5 {
        for enumeration in [TYPE, TYPES] {
            let asked = stage.say(&Letter::query().ask(&name(enumeration), PTR));
            let answer = |_: &Packet, message: &Message| answers(message, &name(enumeration), PTR);
            delays.push(stage.hear("an answer", asked, SOON, answer)?.0.at - asked);
        }
        std::thread::sleep(SECOND);
    }
    let (least, most) = (delays.iter().min().copied(), delays.iter().max().copied());
    let allowed = Duration::from_millis(20) - LOOK..=Duration::from_millis(120) + SLACK;
    require!(delays.iter().all(|delay| allowed.contains(delay)), "{least:?} to {most:?}");
    // Ten samples of the whole range all under this would be one run in thirty thousand.
    require!(most > Some(Duration::from_millis(55)), "not spread over the whole: {delays:?}");
    Ok(())
}

pub fn a_unique_record_is_answered_at_once(stage: &mut Stage) -> Verdict {
    let node = stage.open_shop();
    let mut least = SOON;
    // One on time is enough: a busy machine delays many.
    for rtype in [SRV, TXT].into_iter().cycle().take(10) {
        let asked = stage.say(&Letter::query().ask(&node.instance, rtype));
        let answer = stage.hear("an answer", asked, SOON, |_, message| answers(message, &node.instance, rtype))?;
        least = least.min(answer.0.at - asked);
        if least < AT_ONCE {
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(600));
    }
    Err(format!("{least:?}"))
}

pub fn a_record_is_multicast_once_a_second(stage: &mut Stage) -> Verdict {
    stage.open_shop();
    let asked = stage.say(&of_type());
    let v4 = IpAddr::from(stage.subject.ipv4);
    let by_v4 = |packet: &Packet, message: &Message| packet.source.ip() == v4 && to_type(packet, message);
    let first = stage.hear("an answer", asked, SOON, by_v4)?.0.at;
    for _ in 0..3 {
        stage.say(&of_type());
        std::thread::sleep(Duration::from_millis(150));
    }
    let within: Vec<_> =
        stage.heard(asked, by_v4).into_iter().filter(|(packet, _)| packet.at < first + SECOND).collect();
    require!(within.len() == 1, "{} times within a second", within.len());
    std::thread::sleep(SECOND.saturating_sub(first.elapsed()) + Duration::from_millis(50));
    let again = stage.say(&of_type());
    stage.hear("an answer a second later", again, SOON, by_v4).map(|_| ())
}

pub fn what_the_asker_knows_is_not_answered(stage: &mut Stage) -> Verdict {
    let node = stage.open_shop();
    let asked = stage.say(&of_type().ptr(&name(TYPE), &node.instance, 4_500));
    stage.hear_nothing("an answer", asked, SILENCE, to_type)
}

pub fn what_the_asker_knows_for_less_than_half_its_time_is_answered(stage: &mut Stage) -> Verdict {
    let node = stage.open_shop();
    // A quarter of the least time to live there is.
    let asked = stage.say(&of_type().ptr(&name(TYPE), &node.instance, 30));
    stage.hear("an answer", asked, SOON, to_type).map(|_| ())
}

pub fn a_truncated_question_is_answered_after_400_to_500_ms(stage: &mut Stage) -> Verdict {
    stage.open_shop();
    let asked = stage.say(&of_type().truncated());
    let answer = stage.hear("an answer", asked, SOON, to_type)?;
    let delay = answer.0.at - asked;
    let most = Duration::from_millis(500 + 120) + SLACK;
    require!(delay >= Duration::from_millis(400) - LOOK && delay <= most, "{delay:?}");
    Ok(())
}

pub fn known_answers_in_a_second_message_count(stage: &mut Stage) -> Verdict {
    let node = stage.open_shop();
    let asked = stage.say(&of_type().truncated());
    std::thread::sleep(Duration::from_millis(200));
    stage.say(&Letter::query().ptr(&name(TYPE), &node.instance, 4_500));
    stage.hear_nothing("an answer", asked, SECOND, to_type)
}

pub fn a_question_for_unicast_is_answered_by_unicast(stage: &mut Stage) -> Verdict {
    stage.open_shop();
    // Multicast within a quarter of its time, but not within a second.
    std::thread::sleep(SECOND);
    let asked = stage.say(&Letter::query().ask_of_class(&name(TYPE), PTR, IN | TOP_BIT));
    let (packet, _) = stage.hear("an answer", asked, SOON, to_type)?;
    require!(packet.destination.ip() == stage.prober.ipv4 && packet.destination.port() == PORT, "{packet:?}");
    Ok(())
}

pub fn a_one_shot_question_gets_an_answer_of_its_kind(stage: &mut Stage) -> Verdict {
    stage.open_shop();
    let socket = stranger(&stage.prober, stage.prober.ipv4.into());
    socket.send_to(&of_type().id(0x1234).bytes(), (GROUP, PORT)).expect("sent");
    let (bytes, from) = replies(&socket).into_iter().next().ok_or("no answer")?;
    require!(from.port() == PORT, "from {from}");
    let packet = simple_dns::Packet::parse(&bytes).map_err(|error| error.to_string())?;
    require!(packet.id() == 0x1234, "id {}", packet.id());
    let asked = packet.questions.first().map(|question| same(&question.qname));
    require!(asked.as_deref() == Some(&name(TYPE)), "the question is not there: {packet:?}");
    for record in packet.answers.iter().chain(&packet.additional_records) {
        require!(!record.cache_flush && (1..=10).contains(&record.ttl), "{record:?}");
    }
    Ok(())
}

pub fn a_one_shot_question_gets_one_message_at_most(stage: &mut Stage) -> Verdict {
    let nodes: Vec<_> = (0..100).map(|i| json!({"id": format!("till-{i}"), "port": 9_100 + i})).collect();
    stage.agent.register(&json!({"name": "shop", "nodes": nodes}));
    std::thread::sleep(Duration::from_secs(4));
    let socket = stranger(&stage.prober, stage.prober.ipv4.into());
    socket.send_to(&of_type().bytes(), (GROUP, PORT)).expect("sent");
    let replies = replies(&socket);
    require!(replies.len() == 1, "{} messages", replies.len());
    Ok(())
}

pub fn a_unicast_answer_has_hop_limit_255(stage: &mut Stage) -> Verdict {
    stage.open_shop();
    let socket = stranger(&stage.prober, stage.prober.ipv4.into());
    let asked = Instant::now();
    socket.send_to(&of_type().bytes(), (GROUP, PORT)).expect("sent");
    let port = socket.local_addr().expect("its port").port();
    let (packet, _) = stage.hear("an answer", asked, SOON, |packet, _| packet.destination.port() == port)?;
    require!(packet.hop_limit == 255, "hop limit {}", packet.hop_limit);
    Ok(())
}

/// That the record set of `rtype` does not exist, and that those of `there` do.
fn denied(stage: &Stage, of: &[u8], rtype: u16, there: &[u16]) -> Verdict {
    let asked = stage.say(&Letter::query().ask(of, rtype));
    let denial = |record: &simple_dns::ResourceRecord| match &record.rdata {
        RData::NSEC(nsec) if same(&record.name) == of => Some(types(nsec)),
        _ => None,
    };
    let says = |message: &Message| message.records().find_map(denial);
    let (_, message) =
        stage.hear("NSEC", asked, SECOND, |_, message| message.is_response && says(message).is_some())?;
    let said = says(&message).unwrap_or_default();
    require!(!said.contains(&rtype.into()), "{rtype} is not denied: {said:?}");
    require!(there.iter().all(|rtype| said.contains(&(*rtype).into())), "of {there:?} only {said:?}");
    Ok(())
}

pub fn a_host_denies_the_addresses_it_has_not(stage: &mut Stage) -> Verdict {
    stage.subject.del_addr(stage.subject.link_local, 64);
    // A registry may find the change late.
    std::thread::sleep(Duration::from_secs(6));
    let node = stage.open_shop();
    denied(stage, &node.host, AAAA, &[A])
}

pub fn an_instance_denies_the_records_it_has_not(stage: &mut Stage) -> Verdict {
    let node = stage.open_shop();
    denied(stage, &node.instance, A, &[SRV, TXT])
}

pub fn the_case_of_a_name_does_not_matter(stage: &mut Stage) -> Verdict {
    let node = stage.open_shop();
    let asked = stage.say(&Letter::query().ask(&name(TYPE).to_ascii_uppercase(), PTR));
    stage.hear("an answer for the type", asked, SOON, to_type)?;
    std::thread::sleep(SECOND);
    let upper = node.instance.to_ascii_uppercase();
    let asked = stage.say(&Letter::query().ask(&upper, SRV));
    stage.hear("an answer for the instance", asked, SOON, |_, message| answers(message, &upper, SRV)).map(|_| ())
}

pub fn a_subtype_is_answered(stage: &mut Stage) -> Verdict {
    stage.open_shop();
    let subtype = name(mdns_registry::wire::dnssd::subtype("shop").trim_end_matches('.'));
    let asked = stage.say(&Letter::query().ask(&subtype, PTR));
    stage.hear("an answer", asked, SOON, |_, message| answers(message, &subtype, PTR)).map(|_| ())
}

pub fn the_service_type_is_enumerated(stage: &mut Stage) -> Verdict {
    stage.open_shop();
    let asked = stage.say(&Letter::query().ask(&name(TYPES), PTR));
    stage
        .hear("our type", asked, SOON, |_, message| {
            has(message, |record| matches!(&record.rdata, RData::PTR(to) if same(&to.0) == name(TYPE)))
        })
        .map(|_| ())
}

pub fn all_that_belongs_to_a_pointer_comes_with_it(stage: &mut Stage) -> Verdict {
    let node = stage.open_shop();
    let asked = stage.say(&of_type());
    let (packet, message) = stage.hear("an answer", asked, SOON, to_type)?;
    for (of, rtype) in [(&node.instance, SRV), (&node.instance, TXT), (&node.host, A), (&node.host, AAAA)] {
        let there = |record: &simple_dns::ResourceRecord| {
            u16::from(record.rdata.type_code()) == rtype && same(&record.name) == *of
        };
        require!(has(&message, there), "no record of type {rtype}: {packet:?}");
    }
    Ok(())
}

pub fn a_question_by_ipv6_is_answered_by_ipv6(stage: &mut Stage) -> Verdict {
    stage.open_shop();
    let asked = stage.say_v6(&of_type());
    stage
        .hear("an answer", asked, SOON, |packet, message| packet.source.is_ipv6() && to_type(packet, message))
        .map(|_| ())
}

pub fn a_question_for_anything_gets_all(stage: &mut Stage) -> Verdict {
    let node = stage.open_shop();
    let asked = stage.say(&Letter::query().ask(&node.instance, ANY));
    stage
        .hear("SRV and TXT", asked, SOON, |_, message| {
            answers(message, &node.instance, SRV) && answers(message, &node.instance, TXT)
        })
        .map(|_| ())
}

pub fn an_answer_that_another_has_just_given_is_not_given(stage: &mut Stage) -> Verdict {
    stage.open_shop();
    let asked = stage.say(&Letter::query().ask(&name(TYPES), PTR));
    stage.say(&Letter::response().ptr(&name(TYPES), &name(TYPE), 4_500));
    stage.hear_nothing("an answer", asked, SILENCE, |_, message| answers(message, &name(TYPES), PTR))
}

pub fn a_question_repeated_in_a_message_is_answered_once(stage: &mut Stage) -> Verdict {
    stage.open_shop();
    let letter = (0..200).fold(Letter::query(), |letter, _| letter.ask(&name(TYPE), PTR));
    let asked = stage.say(&letter);
    std::thread::sleep(SILENCE);
    let said = stage.heard(asked, |_, message| answers(message, &name(TYPE), PTR));
    // One, or one for each family.
    require!((1..=2).contains(&said.len()), "{} messages", said.len());
    Ok(())
}
