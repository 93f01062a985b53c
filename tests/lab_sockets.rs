//! The native link's sockets: on loopback, between hosts, and beside others on the same port.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use std::collections::BTreeSet;
use std::io::BufRead;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};
use std::process::Command;
use std::sync::mpsc::Receiver;
use std::time::{Duration, Instant};

use lab::{eventually, Host, Lab, Process, SOON};
use mdns_registry::link::native::socket::{attached, Changes, Sockets, GROUP_V4, GROUP_V6};
use mdns_registry::link::native::{Attached, Datagram, To, Transmit, Via};
use mdns_registry::refused::Refused;
use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
use nix::sys::resource::{getrlimit, setrlimit, Resource};

const QUIET: Duration = Duration::from_millis(100);
const VIA: [Via; 2] = [Via::Group, Via::Direct];

#[derive(Clone, Debug, PartialEq)]
struct Heard {
    via: Via,
    from: SocketAddr,
    to: IpAddr,
    interface: u32,
    bytes: Vec<u8>,
}

fn loopback() -> Attached {
    attached().unwrap().into_iter().find(|attached| attached.interface.loopback).unwrap()
}

/// Sockets that speak on loopback.
fn open(port: u16) -> Sockets {
    let mut sockets = Sockets::open(port).unwrap();
    sockets.speak_on(&[loopback()], [(loopback().index, false)]);
    assert_eq!(sockets.counts().joins_refused, 0);
    sockets
}

fn send(sockets: &mut Sockets, via: Via, to: To, bytes: &[u8]) {
    sockets.send(&Transmit { via, to, bytes: bytes.to_vec() }, &mut Duration::from_millis(20));
}

fn group() -> To {
    To::Group { interface: loopback().index, v6: false }
}

/// How often `stats` says that something was refused.
fn counted(sockets: &Sockets, reason: Refused) -> u64 {
    sockets.counts().list().into_iter().find(|(name, _)| *name == reason.name()).unwrap().1
}

/// What comes until `count` datagrams have, or for so long.
fn hear(sockets: &mut Sockets, count: usize, limit: Duration) -> Vec<Heard> {
    let (mut heard, until) = (Vec::new(), Instant::now() + limit);
    while heard.len() < count && Instant::now() < until {
        let mut fds: Vec<_> = sockets.fds().map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        poll(&mut fds, PollTimeout::try_from(until.saturating_duration_since(Instant::now())).unwrap()).unwrap();
        sockets.receive(|Datagram { bytes, via, from, to, interface }| {
            heard.push(Heard { via, from, to, interface, bytes: bytes.to_vec() });
        });
    }
    heard
}

#[test]
fn the_group_is_heard_on_loopback_by_all_who_share_the_port_and_by_the_sender() {
    let (mut one, mut two) = (open(5501), open(5501));
    for via in VIA {
        send(&mut one, via, group(), b"to all");
        let port = if via == Via::Group { 5501 } else { one.direct_port(false) };
        let from = (Ipv4Addr::LOCALHOST, port).into();
        let (to, interface, bytes) = (GROUP_V4.into(), loopback().index, b"to all".to_vec());
        let expected = [Heard { via: Via::Group, from, to, interface, bytes }];
        assert_eq!(hear(&mut two, 1, SOON), expected);
        assert_eq!(hear(&mut one, 1, SOON), expected);
    }
    assert_eq!((one.counts().datagrams_out, one.counts().bytes_out, one.counts().datagrams_in), (2, 12, 2));
}

#[test]
fn a_port_of_its_own_gets_what_is_sent_to_it_alone() {
    let (mut one, mut two, mut three) = (open(5502), open(5502), open(5502));
    let addr = (Ipv4Addr::LOCALHOST, two.direct_port(false)).into();
    send(&mut one, Via::Group, To::Host { interface: loopback().index, addr }, b"to one");
    let heard = hear(&mut two, 1, SOON);
    assert_eq!((heard[0].via, heard[0].to), (Via::Direct, Ipv4Addr::LOCALHOST.into()));
    assert_eq!(heard[0].from, (Ipv4Addr::LOCALHOST, 5502).into());
    assert_eq!(hear(&mut three, 1, QUIET), []);
}

#[test]
fn nobody_guesses_a_port_of_our_own() {
    let ports: Vec<u16> = (0..20).map(|_| Sockets::open(5511).unwrap().direct_port(false)).collect();
    let steps: BTreeSet<i32> = ports.windows(2).map(|pair| i32::from(pair[1]) - i32::from(pair[0])).collect();
    assert!(steps.len() >= 15 && !steps.contains(&1), "{ports:?}");
}

#[test]
fn the_group_is_heard_only_where_it_was_joined_and_until_it_is_left() {
    let (mut one, mut two) = (open(5503), Sockets::open(5503).unwrap());
    send(&mut one, Via::Group, group(), b"before");
    assert_eq!(hear(&mut two, 1, QUIET), []);
    for round in 0..3 {
        two.speak_on(&[loopback()], [(loopback().index, false)]);
        send(&mut one, Via::Group, group(), &[round]);
        assert_eq!(hear(&mut two, 1, SOON)[0].bytes, [round]);
        two.speak_on(&[loopback()], []);
        send(&mut one, Via::Group, group(), b"after");
        assert_eq!(hear(&mut two, 1, QUIET), []);
    }
}

#[test]
fn the_largest_message_passes_and_a_larger_one_shows() {
    let (mut one, mut two) = (open(5504), open(5504));
    let addr = (Ipv4Addr::LOCALHOST, two.direct_port(false)).into();
    let host = To::Host { interface: loopback().index, addr };
    send(&mut one, Via::Direct, group(), &[7; 8_952]);
    assert_eq!(hear(&mut two, 1, SOON)[0].bytes, [7; 8_952]);
    send(&mut one, Via::Direct, host, &[7; 20_000]);
    assert_eq!(hear(&mut two, 1, SOON)[0].bytes.len(), 9_001, "more than the largest that is read");
}

#[test]
fn what_cannot_be_sent_is_counted_and_harms_nothing_else() {
    let (mut one, mut two) = (open(5505), open(5505));
    let nowhere = SocketAddr::from((Ipv4Addr::new(192, 0, 2, 1), 5505));
    let nowhere_v6 = SocketAddr::from((Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1), 5505));
    let index = loopback().index;
    let bad = [
        To::Group { interface: 4_711, v6: false },
        To::Group { interface: u32::MAX, v6: false },
        To::Group { interface: 4_711, v6: true },
        To::Host { interface: 4_711, addr: nowhere },
        To::Host { interface: index, addr: nowhere_v6 },
    ];
    bad.into_iter().for_each(|to| send(&mut one, Via::Group, to, b"lost"));
    send(&mut one, Via::Group, group(), &[0; 70_000]);
    send(&mut one, Via::Group, group(), b"found");
    assert_eq!(hear(&mut two, 1, SOON)[0].bytes, b"found");
    assert_eq!((one.counts().send_errors, one.counts().datagrams_out), (6, 1));
}

#[test]
fn an_interface_that_refuses_does_not_keep_the_others_from_the_group() {
    let (mut one, mut two) = (open(5506), Sockets::open(5506).unwrap());
    two.speak_on(&[loopback()], [(4_711, false), (4_711, true), (loopback().index, false)]);
    assert_eq!(two.counts().joins_refused, 2);
    send(&mut one, Via::Group, group(), b"hello");
    assert_eq!(hear(&mut two, 1, SOON).len(), 1);
}

#[test]
fn a_port_that_somebody_does_not_share_is_an_error_that_names_it() {
    let _alone = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, 5507)).unwrap();
    let error = Sockets::open(5507).unwrap_err().to_string();
    assert!(error.contains("UDP port 5507") && error.contains("in use"), "{error}");
}

#[test]
fn what_the_kernel_drops_is_counted() {
    let (mut one, mut two) = (open(5508), open(5508));
    const SENT: u64 = 4_000;
    for _ in 0..SENT {
        send(&mut one, Via::Direct, group(), &[0; 8_000]);
    }
    let (mut heard, begun) = (1, Instant::now());
    while heard > 0 {
        heard = hear(&mut two, 1, QUIET).len();
        assert!(begun.elapsed() < SOON);
    }
    send(&mut one, Via::Direct, group(), b"last");
    hear(&mut two, 1, SOON);
    let counts = two.counts();
    assert!(counts.kernel_drops > 0 && counts.datagrams_in >= 100, "{counts:?}");
    assert_eq!(counted(&two, Refused::KernelDrops), counts.kernel_drops);
    assert_eq!(counts.kernel_drops + counts.datagrams_in, SENT + 1);
}

#[test]
fn what_there_is_no_memory_to_read_is_dropped_and_counted() {
    const NAME: &str = "what_there_is_no_memory_to_read_is_dropped_and_counted";
    const ALONE: &str = "MDNSREG_STARVED";
    if std::env::var_os(ALONE).is_none() {
        let mut program = Command::new(std::env::current_exe().unwrap());
        program.args(["--exact", NAME, "--test-threads=1"]).env(ALONE, "1");
        return assert!(program.status().unwrap().success());
    }
    let (mut one, mut two) = (open(5512), open(5512));
    let (soft, hard) = getrlimit(Resource::RLIMIT_AS).unwrap();
    let pages = std::fs::read_to_string("/proc/self/statm").unwrap();
    let used = pages.split(' ').next().unwrap().parse::<u64>().unwrap() * 4_096;
    setrlimit(Resource::RLIMIT_AS, used, hard).unwrap();
    let mut taken: Vec<Vec<u8>> = Vec::with_capacity(1_024);
    let mut block = Vec::new();
    while block.try_reserve_exact(1 << 20).is_ok() {
        taken.push(std::mem::take(&mut block));
    }
    send(&mut one, Via::Direct, group(), b"while there is none");
    let heard = hear(&mut two, 1, QUIET);
    drop(taken);
    setrlimit(Resource::RLIMIT_AS, soft, hard).unwrap();
    assert_eq!((heard, counted(&two, Refused::MemoryDrops)), (Vec::new(), 1));
    send(&mut one, Via::Direct, group(), b"when there is some");
    assert_eq!(hear(&mut two, 1, SOON).len(), 1);
    assert_eq!(counted(&two, Refused::MemoryDrops), 1);
}

#[test]
fn what_the_kernel_says_too_little_of_is_not_taken_and_counted() {
    let (mut one, mut two) = (open(5510), open(5510));
    for fd in two.fds() {
        // There is none on the sockets of IPv6.
        let _ = nix::sys::socket::setsockopt(&fd, nix::sys::socket::sockopt::Ipv4PacketInfo, &false);
    }
    send(&mut one, Via::Group, group(), b"from where?");
    assert_eq!((hear(&mut two, 1, QUIET), counted(&two, Refused::ReceiveErrors)), (vec![], 1));
}

#[test]
fn a_turn_takes_a_bounded_number() {
    let (mut one, mut two) = (open(5509), open(5509));
    (0..200_u8).for_each(|number| send(&mut one, Via::Group, group(), &[number]));
    let mut turns = Vec::new();
    while turns.iter().sum::<usize>() < 200 {
        let mut turn = 0;
        two.receive(|_| turn += 1);
        turns.push(turn);
    }
    assert_eq!(turns, [64, 64, 64, 8]);
}

const SPEAKER: &str = "hosts_hear_each_other_over_both_families";

/// The speaker role: says what standard input says, `group4`, `group6` or an address with port, then the socket and
/// the length; prints what it hears, and the networks whenever they change.
fn play_speaker() {
    let (said, lines) = std::sync::mpsc::channel();
    std::thread::spawn(move || std::io::stdin().lock().lines().map_while(Result::ok).try_for_each(|l| said.send(l)));
    let (mut sockets, changes) = (Sockets::open(5353).unwrap(), Changes::open().unwrap());
    let eth0 = || attached().unwrap().into_iter().find(|attached| &*attached.interface.name == "eth0");
    let index = eth0().unwrap().index;
    sockets.speak_on(eth0().as_slice(), [(index, false), (index, true)]);
    assert_eq!(sockets.counts().joins_refused, 0);
    lab::role::tell(&format!("\nports {} {}", sockets.direct_port(false), sockets.direct_port(true)));
    let next = |lines: &Receiver<String>| lines.recv_timeout(Duration::from_millis(2));
    loop {
        match next(&lines) {
            Ok(line) => speak(&mut sockets, index, &line),
            Err(std::sync::mpsc::RecvTimeoutError::Timeout) => {}
            Err(_) => return,
        }
        sockets.receive(|Datagram { bytes, via, from, to, interface }| {
            assert_eq!(interface, index);
            assert!(bytes.iter().all(|byte| *byte == b'x'));
            lab::role::tell(&format!("heard {via:?} {from} {to} {}", bytes.len()));
        });
        if changes.take() {
            lab::role::tell(&format!("nets {:?}", eth0().map(|eth0| eth0.nets)));
        }
    }
}

fn speak(sockets: &mut Sockets, interface: u32, line: &str) {
    let words: Vec<&str> = line.split(' ').collect();
    let to = match words[0] {
        "group4" => To::Group { interface, v6: false },
        "group6" => To::Group { interface, v6: true },
        addr => To::Host { interface, addr: addr.parse().unwrap() },
    };
    let via = VIA.into_iter().find(|via| format!("{via:?}") == words[1]).unwrap();
    send(sockets, via, to, &b"x".repeat(words[2].parse().unwrap()));
    let errors = sockets.counts().send_errors;
    assert_eq!(errors, 0, "{line}");
}

/// A speaker, and its own ports.
fn speaker(host: &Host) -> (Process, [u16; 2]) {
    let mut speaker = host.role(SPEAKER);
    let line = speaker.expect_line("its ports", SOON, |line| line.starts_with("ports "));
    let ports: Vec<u16> = line.split(' ').skip(1).map(|port| port.parse().unwrap()).collect();
    (speaker, ports.try_into().unwrap())
}

#[test]
fn hosts_hear_each_other_over_both_families() {
    if lab::role::is_played(SPEAKER) {
        return play_speaker();
    }
    let lab = Lab::new("sockets");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let ((mut on_a, a_ports), (mut on_b, b_ports)) = (speaker(&a), speaker(&b));
    let own = |host: &Host, v6: bool| if v6 { IpAddr::from(host.link_local) } else { host.ipv4.into() };
    let capture = b.capture();
    for (v6, length) in [(false, 5), (true, 6), (false, 8_952), (true, 8_951)] {
        let (family, to) = if v6 { ("group6", IpAddr::from(GROUP_V6)) } else { ("group4", GROUP_V4.into()) };
        for (via, port) in VIA.into_iter().zip([5353, a_ports[usize::from(v6)]]) {
            on_a.say(&format!("{family} {via:?} {length}"));
            let from = SocketAddr::from((own(&a, v6), port)).to_string();
            let heard = on_b.expect_line("the datagram", SOON, |line| line.starts_with("heard"));
            assert_eq!(unscoped(&heard), format!("heard Group {from} {to} {length}"));
        }
        for (via, port) in VIA.into_iter().zip([5353, a_ports[usize::from(v6)]]) {
            let (from, to) = (SocketAddr::from((own(&a, v6), port)), own(&b, v6));
            on_a.say(&format!("{} {via:?} {length}", SocketAddr::from((to, b_ports[usize::from(v6)]))));
            let heard = on_b.expect_line("the reply", SOON, |line| line.starts_with("heard Direct"));
            assert_eq!(unscoped(&heard), format!("heard Direct {from} {to} {length}"));
        }
    }
    // RFC 6762 §11, by multicast and by unicast; a capture shows what has port 5353 on one side.
    let mut hops = Vec::new();
    capture.expect_packet("the last", SOON, |packet| {
        let ours = packet.source.ip() == own(&a, false) || packet.source.ip() == own(&a, true);
        hops.extend(ours.then_some(packet.hop_limit));
        packet.payload.len() == 8_951 && packet.destination.port() == b_ports[1]
    });
    assert!(hops.len() >= 12 && hops.iter().all(|hops| *hops == 255), "{hops:?}");
}

/// The line, without the interface in an address.
fn unscoped(line: &str) -> String {
    let (before, after) = line.split_once('%').unwrap_or((line, ""));
    let after = after.trim_start_matches(|c: char| c.is_ascii_digit());
    format!("{before}{after}")
}

#[test]
fn processes_of_a_host_reach_each_other_over_its_own_address() {
    let lab = Lab::new("same");
    let a = lab.host("a");
    let ((mut one, one_ports), (mut two, two_ports)) = (speaker(&a), speaker(&a));
    for (v6, ip) in [(false, IpAddr::from(a.ipv4)), (true, a.link_local.into())] {
        one.say(&format!("{} Group 9", if v6 { "group6" } else { "group4" }));
        let heard = two.expect_line("the datagram", SOON, |line| line.starts_with("heard Group"));
        assert!(heard.contains(&ip.to_string()), "{heard}");
        let (from, to) = (one_ports[usize::from(v6)], two_ports[usize::from(v6)]);
        one.say(&format!("{} Direct 9", SocketAddr::from((ip, to))));
        let heard = two.expect_line("the reply", SOON, |line| line.starts_with("heard Direct"));
        assert_eq!(unscoped(&heard), format!("heard Direct {} {ip} 9", SocketAddr::from((ip, from))));
    }
}

#[test]
fn the_kernel_tells_of_each_change_of_an_address_or_the_link() {
    let lab = Lab::new("changes");
    let a = lab.host("a");
    let (mut on_a, _) = speaker(&a);
    let own = format!("({}, 24)", a.ipv4);
    let mut nets = |wanted: &dyn Fn(&str) -> bool| {
        on_a.expect_line("the networks", SOON, |line| line.starts_with("nets ") && wanted(line));
    };
    a.add_addr(Ipv4Addr::new(10, 99, 0, 1), 22);
    nets(&|line| line.contains(&own) && line.contains("(10.99.0.1, 22)"));
    a.add_addr("fd00:78::1".parse::<Ipv6Addr>().unwrap(), 64);
    nets(&|line| line.contains("(fd00:78::1, 64)") && line.contains("(fe80::1, 64)"));
    a.del_addr(a.ipv4, 24);
    nets(&|line| !line.contains(&own));
    a.mtu(1_400);
    nets(&|_| true);
}

#[test]
fn the_group_is_heard_again_when_the_link_is_back() {
    let lab = Lab::new("flap");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let ((mut on_a, _), (mut on_b, _)) = (speaker(&a), speaker(&b));
    b.link_down();
    b.link_up();
    b.await_link();
    for family in ["group4", "group6"] {
        eventually("the datagram", SOON, || {
            on_a.say(&format!("{family} Group 3"));
            on_b.lines_for(QUIET).iter().any(|line| line.starts_with("heard Group")).then_some(())
        });
    }
}
