//! What must be ignored. Each check says the same rightly as well, and that is taken.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6, UdpSocket};
use std::time::Duration;

use nix::net::if_::if_nametoindex;

use crate::letter::{name, Letter, Printer, CHAOS, IN, PTR, TXT, TYPE};
use crate::stage::{
    answers, radio, radio_v6, replies, require, stranger, Stage, Verdict, GROUP, GROUP_V6, PORT, SILENCE, SOON,
};

/// For documentation only (RFC 5737, RFC 3849): on no network of the lab.
const OFF_LINK: Ipv4Addr = Ipv4Addr::new(198, 51, 100, 9);
const OFF_LINK_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 9, 0, 0, 0, 9);
/// Of the subject, in the network beside that.
const GLOBAL_V6: Ipv6Addr = Ipv6Addr::new(0x2001, 0xdb8, 0, 8, 0, 0, 0, 1);

fn of_type() -> Letter {
    Letter::query().ask(&name(TYPE), PTR)
}

/// A question that must not be answered, as said by `say`; then one that must be.
fn unanswered(stage: &mut Stage, say: impl FnOnce(&Stage)) -> Verdict {
    stage.open_shop();
    let asked = std::time::Instant::now();
    say(stage);
    stage.hear_nothing("an answer", asked, SILENCE, |_, message| answers(message, &name(TYPE), PTR))?;
    let asked = stage.say(&of_type());
    let answered = stage.hear("an answer", asked, SOON, |_, message| answers(message, &name(TYPE), PTR));
    assert!(answered.is_ok(), "a right question is not answered");
    Ok(())
}

/// A printer that must not be believed, as said by `say`; then one that must be.
fn unbelieved(stage: &mut Stage, say: impl FnOnce(&Stage, &Printer)) -> Verdict {
    stage.look_for_printers();
    say(stage, &Printer::new("wrong", 9));
    std::thread::sleep(Duration::from_millis(100));
    stage.say(&Printer::new("right", 631).letter());
    let end = std::time::Instant::now() + SOON;
    while !stage.ports().contains(&631) {
        assert!(std::time::Instant::now() < end, "a right message is not taken");
    }
    std::thread::sleep(Duration::from_millis(300));
    let ports = stage.ports();
    require!(ports == [631], "believed: {ports:?}");
    Ok(())
}

/// Sockets at an address that is on no network of the subject, which can answer it through its default route: of
/// multicast DNS, and with a port of its own; and where they reach the subject.
struct Afar {
    speaker: UdpSocket,
    one_shot: UdpSocket,
    subject: [SocketAddr; 2],
}

impl Afar {
    fn say(&self, socket: &UdpSocket, letter: &Letter) {
        self.subject.iter().for_each(|to| assert!(socket.send_to(&letter.bytes(), to).expect("sent") > 0));
    }
}

/// By IPv4 and by IPv6.
fn far_away(stage: &Stage) -> [Afar; 2] {
    let (subject, prober) = (&stage.subject, &stage.prober);
    let [a, b, c, _] = prober.ipv4.octets();
    prober.add_addr(Ipv4Addr::new(a, b, c, 254), 24);
    prober.add_addr(OFF_LINK, 24);
    subject.add_addr(GLOBAL_V6, 64);
    subject.default_route_v6(prober.link_local);
    prober.add_addr(OFF_LINK_V6, 64);
    let interface = prober.inside(|| if_nametoindex("eth0").expect("the interface"));
    let scoped = |ip| SocketAddr::V6(SocketAddrV6::new(ip, PORT, 0, interface));
    let v4 = Afar {
        speaker: prober.inside(|| radio((OFF_LINK, PORT).into())),
        one_shot: stranger(prober, OFF_LINK.into()),
        subject: [(GROUP, PORT).into(), (subject.ipv4, PORT).into()],
    };
    let v6 = Afar {
        speaker: prober.inside(|| radio_v6(OFF_LINK_V6)),
        one_shot: stranger(prober, OFF_LINK_V6.into()),
        subject: [scoped(GROUP_V6), scoped(subject.link_local)],
    };
    [v4, v6]
}

pub fn a_question_from_off_the_link_gets_nothing(stage: &mut Stage) -> Verdict {
    let far_away = far_away(stage);
    let mut replied = Vec::new();
    unanswered(stage, |_| {
        for afar in &far_away {
            for socket in [&afar.speaker, &afar.one_shot] {
                afar.say(socket, &of_type());
            }
        }
        replied = far_away.iter().flat_map(|afar| [&afar.speaker, &afar.one_shot]).flat_map(replies).collect();
    })?;
    require!(replied.is_empty(), "{} replies", replied.len());
    Ok(())
}

pub fn a_response_from_off_the_link_is_ignored(stage: &mut Stage) -> Verdict {
    let far_away = far_away(stage);
    unbelieved(stage, |_, printer| far_away.iter().for_each(|afar| afar.say(&afar.speaker, &printer.letter())))
}

pub fn a_response_from_another_port_is_ignored(stage: &mut Stage) -> Verdict {
    unbelieved(stage, |stage, printer| {
        let socket = stranger(&stage.prober, stage.prober.ipv4.into());
        socket.send_to(&printer.letter().bytes(), (GROUP, PORT)).expect("sent");
    })
}

pub fn a_question_with_an_opcode_is_ignored(stage: &mut Stage) -> Verdict {
    unanswered(stage, |stage| {
        stage.say(&of_type().opcode(5));
    })
}

pub fn a_response_with_an_opcode_is_ignored(stage: &mut Stage) -> Verdict {
    unbelieved(stage, |stage, printer| {
        stage.say(&printer.letter().opcode(5));
    })
}

pub fn a_question_with_an_rcode_is_ignored(stage: &mut Stage) -> Verdict {
    unanswered(stage, |stage| {
        stage.say(&of_type().rcode(3));
    })
}

pub fn a_response_with_an_rcode_is_ignored(stage: &mut Stage) -> Verdict {
    unbelieved(stage, |stage, printer| {
        stage.say(&printer.letter().rcode(3));
    })
}

pub fn a_question_of_another_class_is_not_answered(stage: &mut Stage) -> Verdict {
    unanswered(stage, |stage| {
        stage.say(&Letter::query().ask_of_class(&name(TYPE), PTR, CHAOS));
    })
}

pub fn records_of_another_class_are_ignored(stage: &mut Stage) -> Verdict {
    unbelieved(stage, |stage, printer| {
        let printer = Printer { class: CHAOS, ..printer.clone() };
        stage.say(&printer.letter());
    })
}

pub fn a_message_of_more_than_9000_bytes_is_dropped(stage: &mut Stage) -> Verdict {
    let padded = |printer: &Printer, bytes: usize| {
        let letter = Letter::response().answer(&name("padding.local"), TXT, IN, 120, &[0].repeat(bytes));
        printer.append(letter)
    };
    unbelieved(stage, |stage, printer| {
        stage.say(&padded(printer, 9_001));
    })?;
    // Dropped for its size and nothing else.
    stage.say(&padded(&Printer::new("large", 632), 8_500));
    let taken = stage.until_ports(&[631, 632], SOON);
    require!(taken.is_ok(), "8,500 bytes are not taken either");
    Ok(())
}

pub fn an_address_that_is_no_host_of_the_network_is_not_believed(stage: &mut Stage) -> Verdict {
    unbelieved(stage, |stage, printer| {
        let printer = Printer { address: Ipv4Addr::LOCALHOST, ..printer.clone() };
        stage.say(&printer.letter());
    })
}
