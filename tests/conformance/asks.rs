//! What is asked, and what becomes of the answers.

use std::net::Ipv4Addr;
use std::time::{Duration, Instant};

use crate::lab::capture::{Message, Packet};
use crate::letter::{name, Letter, Printer, A, IN, PTR, SRV, TXT, TYPE};
use crate::stage::{asks, require, Stage, Verdict, LOOK, PORT, SOON};

const SECOND: Duration = Duration::from_secs(1);

/// Whether a query of multicast DNS, and no one-shot one, asks for printers.
fn browses(packet: &Packet, message: &Message) -> bool {
    let subtype = name(mdns_registry::wire::dnssd::subtype("printer").trim_end_matches('.'));
    let asked = asks(message, &subtype, PTR) || asks(message, &name(TYPE), PTR);
    asked && packet.source.port() == PORT && packet.source.is_ipv4()
}

pub fn the_first_question_waits_20_to_120_ms(stage: &mut Stage) -> Verdict {
    for i in 0..6 {
        let service = format!("printer-{i}");
        let subtype = name(mdns_registry::wire::dnssd::subtype(&service).trim_end_matches('.'));
        let began = Instant::now();
        stage.agent.watch(&serde_json::json!({"service": service}));
        let (packet, _) = stage.hear("a question", began, SOON, |packet, message| {
            let all = i == 0 && asks(message, &name(TYPE), PTR);
            packet.source.port() == PORT && (all || asks(message, &subtype, PTR))
        })?;
        let delay = packet.at - began;
        require!(delay >= Duration::from_millis(20) - LOOK, "{delay:?}");
    }
    Ok(())
}

pub fn questions_are_repeated_at_growing_intervals(stage: &mut Stage) -> Verdict {
    // On an interface that is new to it mdns-sd asks at once, before the first question of the series.
    stage.open_shop();
    let began = Instant::now();
    stage.look_for_printers();
    let four = |packets: &[Packet]| {
        let asked = stage.among(packets, began, &browses);
        (asked.len() >= 4).then(|| asked.iter().map(|(packet, _)| packet.at).collect::<Vec<_>>())
    };
    let asked = stage.capture.expect("four questions", Duration::from_secs(15), four);
    let gaps: Vec<f64> = asked.windows(2).map(|two| (two[1] - two[0]).as_secs_f64()).collect();
    // Of a second or more, and twice the one before; a busy machine adds to each.
    let grows = |(gap, due): (&f64, f64)| (due * 0.99..due * 1.1 + 0.5).contains(gap);
    require!(gaps.len() == 3 && gaps.iter().zip([1.0, 2.0, 4.0]).all(grows), "after {gaps:?} s");
    Ok(())
}

pub fn a_question_that_another_has_just_asked_is_not_asked(stage: &mut Stage) -> Verdict {
    stage.look_for_printers();
    stage.hear_times("the question", stage.began, 2, browses).expect("it asks");
    // The third is due two seconds after the second.
    std::thread::sleep(SECOND);
    let subtype = name(mdns_registry::wire::dnssd::subtype("printer").trim_end_matches('.'));
    let other = stage.say(&Letter::query().ask(&subtype, PTR).ask(&name(TYPE), PTR));
    stage.hear_nothing("the question", other, Duration::from_millis(2_000), browses)
}

pub fn what_is_known_is_said_with_the_question(stage: &mut Stage) -> Verdict {
    stage.look_for_printers();
    let printer = Printer { ttl: 4_500, ..Printer::new("right", 631) };
    let said = stage.say(&printer.letter());
    let knows = |message: &Message| {
        message.answers.iter().any(|record| {
        matches!(&record.rdata, simple_dns::rdata::RData::PTR(to) if crate::letter::same(&to.0) == printer.name())
    })
    };
    stage
        .hear("a question with the known answer", said, Duration::from_secs(8), |packet, message| {
            browses(packet, message) && knows(message)
        })
        .map(|_| ())
}

pub fn a_record_is_asked_for_from_80_per_cent_of_its_time_on(stage: &mut Stage) -> Verdict {
    stage.look_for_printers();
    let printer = Printer { ttl: 20, txt: vec!["service=printer", "lease=20"], ..Printer::new("right", 631) };
    let said = stage.say(&printer.letter());
    stage.until_ports(&[631], SOON)?;
    std::thread::sleep(Duration::from_secs(20).saturating_sub(said.elapsed()));
    let asked = stage.heard(said + Duration::from_secs(6), |packet, message| {
        packet.source.is_ipv4() && [SRV, TXT].iter().any(|rtype| asks(message, &printer.name(), *rtype))
    });
    let at: Vec<f64> = asked.iter().map(|(packet, _)| (packet.at - said).as_secs_f64() / 20.0).collect();
    let near = |due: f64| at.iter().any(|at| (due - 0.005..due + 0.035).contains(at));
    require!(at.first().is_some_and(|first| *first >= 0.79), "asked at {at:?} of its time");
    require!([0.80, 0.85, 0.90, 0.95].into_iter().all(near), "asked at {at:?} of its time");
    stage.until_ports(&[], Duration::from_secs(3))
}

pub fn a_node_lives_as_long_as_its_records(stage: &mut Stage) -> Verdict {
    stage.look_for_printers();
    let said = stage.say(&Printer { ttl: 4, ..Printer::new("right", 631) }.letter());
    stage.until_ports(&[631], SOON)?;
    std::thread::sleep(Duration::from_secs(3).saturating_sub(said.elapsed()));
    let ports = stage.ports();
    require!(ports == [631] || said.elapsed() >= Duration::from_secs(4), "gone before its time");
    stage.until_ports(&[], Duration::from_secs(4))
}

pub fn a_goodbye_is_believed_after_a_second(stage: &mut Stage) -> Verdict {
    goodbye(stage, "right")
}

pub fn a_goodbye_of_a_label_with_capitals_is_believed(stage: &mut Stage) -> Verdict {
    goodbye(stage, "Right")
}

fn goodbye(stage: &mut Stage, label: &str) -> Verdict {
    stage.look_for_printers();
    let printer = Printer::new(label, 631);
    stage.say(&printer.letter());
    stage.until_ports(&[631], SOON)?;
    std::thread::sleep(SECOND);
    let left = stage.say(&Printer { ttl: 0, ..printer }.letter());
    std::thread::sleep(Duration::from_millis(500));
    let ports = stage.ports();
    require!(ports == [631] || left.elapsed() >= SECOND, "gone within {:?}", left.elapsed());
    stage.until_ports(&[], Duration::from_secs(3))
}

fn address(stage: &mut Stage) -> String {
    stage.printers().first().map(|node| node["address"].as_str().expect("text").to_owned()).unwrap_or_default()
}

/// The subject knows a printer at one address; it then hears of another, which comes before it in order.
fn two_addresses(stage: &mut Stage, apart: Duration) -> Result<(String, [String; 2]), String> {
    stage.look_for_printers();
    let one = Printer { address: Ipv4Addr::new(192, 0, 2, 1), ..Printer::new("right", 631) };
    let two = Ipv4Addr::new(192, 0, 2, 2);
    stage.say(&one.letter());
    stage.until_ports(&[631], SOON)?;
    std::thread::sleep(apart);
    stage.say(&Letter::response().a(&one.host(), two, 120));
    std::thread::sleep(Duration::from_millis(2_500));
    Ok((address(stage), [one.address.to_string(), two.to_string()]))
}

pub fn the_flush_bit_takes_older_records_away(stage: &mut Stage) -> Verdict {
    let (found, [_, two]) = two_addresses(stage, Duration::from_millis(1_200))?;
    require!(found == two, "{found} is still there");
    Ok(())
}

pub fn the_flush_bit_spares_what_was_heard_within_a_second(stage: &mut Stage) -> Verdict {
    let (found, [one, _]) = two_addresses(stage, Duration::ZERO)?;
    require!(found == one, "{found} in place of it");
    Ok(())
}

pub fn a_bad_record_costs_no_other_of_its_message(stage: &mut Stage) -> Verdict {
    stage.look_for_printers();
    let bad = Letter::response().answer(&name("bad.local"), A, IN, 120, &[1, 2, 3]);
    let bad = bad.answer(&name("bad.local"), SRV, IN, 120, &[0, 0]);
    stage.say(&Printer::new("right", 631).append(bad));
    stage.until_ports(&[631], SOON)
}

pub fn the_first_of_two_keys_of_txt_counts_and_odd_strings_do_not(stage: &mut Stage) -> Verdict {
    stage.look_for_printers();
    let txt = vec!["", "=odd", "service=printer", "SERVICE=other", "flag"];
    stage.say(&Printer { txt, ..Printer::new("right", 631) }.letter());
    stage.until_ports(&[631], SOON)
}

pub fn a_label_with_dots_and_capitals_is_asked_for_as_it_is(stage: &mut Stage) -> Verdict {
    stage.look_for_printers();
    let printer = Printer::new("HP.Laser 4", 631);
    let said = stage.say(&printer.pointer());
    stage.hear("a question for SRV", said, SOON, |_, message| asks(message, &printer.name(), SRV))?;
    stage.say(&printer.letter());
    stage.until_ports(&[631], SOON)
}

pub fn a_node_without_a_subtype_is_found(stage: &mut Stage) -> Verdict {
    let began = Instant::now();
    stage.agent.watch(&serde_json::json!({"service": "printer"}));
    stage.hear("a question for the type", began, SOON, |_, message| asks(message, &name(TYPE), PTR))?;
    // As a shared record is answered.
    std::thread::sleep(Duration::from_millis(60));
    stage.say(&Printer::new("right", 631).letter());
    stage.until_ports(&[631], SOON)
}

pub fn a_node_said_by_ipv6_alone_is_found(stage: &mut Stage) -> Verdict {
    stage.look_for_printers();
    stage.say_v6(&Printer::new("right", 631).letter());
    stage.until_ports(&[631], SOON)
}
