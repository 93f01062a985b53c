//! Peace with go-micro: its watchers ask for whatever they do not understand, and today's nodes answer answers. Nothing of
//! ours may make them, and nothing of theirs us.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;
use std::thread;
use std::time::{Duration, Instant};

use lab::agent::Agent;
use lab::capture::{Capture, Packet};
use lab::cli::TOOL;
use lab::gomicro::{Age, GoMicro};
use lab::{Host, Lab, SOON};
use nix::sys::socket::sockopt::ReuseAddr;
use nix::sys::socket::{bind, setsockopt, socket, AddressFamily, SockFlag, SockType, SockaddrIn};
use serde_json::{json, Value};

lab::agent::agents!();

/// How long ours is busy.
const BUSY: Duration = Duration::from_secs(15);
/// go-micro announces three times within 3.75 s.
const ANNOUNCED: Duration = Duration::from_secs(5);
/// For what nobody is to say.
const QUIET: Duration = Duration::from_secs(2);
const PORT: u16 = 5353;
const GROUP: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), PORT);
/// Questions of one test.
const ASKED: usize = 10;

fn service(name: &str, id: &str, address: &str, port: u16) -> Value {
    let nodes = json!([{"id": id, "address": address, "port": port, "metadata": {"zone": "north"}}]);
    json!({"name": name, "version": "1.0.0", "metadata": {"team": "desk"}, "endpoints": [], "nodes": nodes})
}

fn says(packets: &[Packet], from: &Host) -> Vec<Packet> {
    let addresses: [IpAddr; 2] = [from.ipv4.into(), from.link_local.into()];
    packets.iter().filter(|packet| addresses.contains(&packet.source.ip())).cloned().collect()
}

fn is_response(packet: &Packet) -> bool {
    packet.message.as_ref().is_some_and(|message| message.is_response)
}

fn names(packet: &Packet, id: &str) -> bool {
    packet.payload.windows(id.len()).any(|bytes| bytes == id.as_bytes())
}

/// A go-micro that watches all, with a node of two services. The greeter comes last: it gets what is sent to port 5353 of
/// its host.
fn go_micro(host: &Host, age: Age) -> GoMicro {
    let mut go_micro = GoMicro::start(host, age);
    go_micro.watch("");
    for name in ["go.micro.srv.shop", "greeter"] {
        let id = format!("{name}-{}-{}", host.name(), age.domain());
        go_micro.register(&service(name, &id, &host.ipv4.to_string(), 9090));
    }
    go_micro
}
/// How many of its servers may answer one question: one a node and one a name.
const SERVERS: usize = 4;

/// All that a registry of ours does, for `BUSY`: leases as short as there are, so that it renews them meanwhile.
fn be_busy(host: &Host, agent: &mut Agent, age: Age) {
    let began = Instant::now();
    agent.watch(&json!({}));
    for round in 0.. {
        if began.elapsed() > BUSY {
            break;
        }
        for name in ["greeter", "of.ours"] {
            let renewed = json!({"ttl_ms": 3_000});
            agent.register_with(&service(name, &format!("ours.{name}"), "", 7_000 + round), &renewed);
            agent.register_with(&service(name, &format!("second-{name}"), "192.0.2.7", 80), &renewed);
            agent.get(name);
        }
        agent.get(&format!("nobody-{round}"));
        for words in [&["get", "greeter"][..], &["list"]] {
            host.run(TOOL, [&["--domain", age.domain()], words].concat(), SOON);
        }
        if round % 3 == 2 {
            thread::sleep(Duration::from_secs(4)); // renewals alone
            agent.deregister(&json!({"name": "greeter"}));
        }
    }
    agent.close();
}

#[test]
fn nothing_that_ours_does_makes_go_micro_ask_or_loop() {
    let lab = Lab::new("storm");
    let hosts = ["a", "b", "c", "d", "e"].map(|name| lab.host(name));
    let [a, b, c, d, e] = &hosts;
    let theirs = [c, d, e];
    let at = [(c, Age::Today), (d, Age::January2019), (e, Age::Today), (e, Age::January2019)];
    let mut go_micros = at.map(|(host, age)| go_micro(host, age));
    thread::sleep(ANNOUNCED);
    go_micros.iter_mut().for_each(|go_micro| drop(go_micro.events_for(Duration::ZERO)));

    let captures = theirs.map(Host::capture);
    thread::scope(|scope| {
        for (host, age) in [(a, Age::Today), (b, Age::January2019)] {
            scope.spawn(move || be_busy(host, &mut Agent::start_with(host, &age.options()), age));
        }
    });
    thread::sleep(QUIET);
    let packets = captures.each_ref().map(Capture::packets);
    thread::sleep(QUIET);
    for (capture, packets) in captures.iter().zip(&packets) {
        let later = capture.packets();
        assert_eq!(later.len(), packets.len(), "ours has closed, but: {:#?}", &later[packets.len()..]);
    }

    for go_micro in &mut go_micros {
        let told = go_micro.events_for(Duration::ZERO);
        for (action, id) in [("create", "ours.greeter"), ("delete", "ours.of.ours"), ("create", "second-of.ours")] {
            let of = |event: &&Value| event["event"] == action && event["service"]["nodes"][0]["id"] == id;
            assert!(told.iter().find(of).is_some(), "no {action} of {id}");
        }
    }
    for (host, packets) in theirs.iter().zip(&packets) {
        let asked: usize =
            [a, b].iter().map(|ours| says(packets, ours).iter().filter(|p| !is_response(p)).count()).sum();
        let said = says(packets, host);
        let questions: Vec<&Packet> = said.iter().filter(|packet| !is_response(packet)).collect();
        assert!(questions.is_empty(), "{} asked {}: {:#?}", host.name(), questions.len(), questions.first());
        let servers = SERVERS * at.iter().filter(|(at, _)| at.name() == host.name()).count();
        println!("{} packets at {}, {asked} questions of ours, {} answers", packets.len(), host.name(), said.len());
        assert!(asked > 0 && !said.is_empty() && said.len() <= asked * servers, "{} answers", said.len());
    }
}

/// What the test above must be able to see.
fn a_pointer_alone_makes_go_micro_ask(age: Age) {
    let lab = Lab::new("pointer");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let _go_micro = go_micro(&a, age);
    thread::sleep(ANNOUNCED);
    let capture = b.capture();
    let mut pointer = question("printer.local", true);
    pointer[5..8].copy_from_slice(&[0, 0, 1]);
    pointer.extend([0, 0, 0, 120, 0, 4, 1, b'x', 0xc0, 12]);
    open(&b, PORT).send_to(&pointer, GROUP).unwrap();
    let asked = capture.expect_packet("its question", SOON, |packet| {
        let questions = packet.message.iter().flat_map(|message| &message.questions);
        packet.source.ip() == IpAddr::from(a.ipv4)
            && questions.into_iter().any(|q| q.qname.to_string() == "x.printer.local")
    });
    assert!(!is_response(&asked));
}

lab::gomicro::for_both_ages! {
    a_pointer_alone_makes_go_micro_ask;
}

/// A PTR question, in a query or, against all custom, in a response.
fn question(name: &str, response: bool) -> Vec<u8> {
    let mut bytes = vec![0x12, 0x34, if response { 0x84 } else { 0 }, 0, 0, 1, 0, 0, 0, 0, 0, 0];
    for label in name.split('.') {
        bytes.push(u8::try_from(label.len()).unwrap());
        bytes.extend(label.as_bytes());
    }
    bytes.extend([0, 0, 12, 0, 1]);
    bytes
}

/// A socket on a host: on a port of its own, or on 5353, which it shares.
fn open(host: &Host, port: u16) -> UdpSocket {
    let made = host.inside(|| {
        let made = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)?;
        setsockopt(&made, ReuseAddr, &true)?;
        bind(made.as_raw_fd(), &SockaddrIn::new(0, 0, 0, 0, port))?;
        nix::Result::Ok(made)
    });
    UdpSocket::from(made.unwrap())
}

/// Asks the group `ASKED` times for greeters of today's go-micro.
fn ask(socket: &UdpSocket) {
    for _ in 0..ASKED {
        socket.send_to(&question("greeter.micro", false), GROUP).unwrap();
        thread::sleep(Duration::from_millis(50));
    }
}

/// An agent of ours with a greeter.
fn greeter(host: &Host) -> Agent {
    let mut agent = Agent::start_with(host, &Age::Today.options());
    agent.register(&service("greeter", "ours-1", "", 9090));
    agent
}

#[test]
fn a_response_with_a_question_is_not_answered() {
    let lab = Lab::new("response");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let _agent = greeter(&a);
    lab::may_be_said_again();
    for port in [0, PORT] {
        let (socket, capture) = (open(&b, port), b.capture());
        let answers = |capture: &Capture| {
            let said = says(&capture.packets(), &a);
            said.iter().filter(|packet| is_response(packet) && names(packet, "ours-1")).count()
        };
        for to in [SocketAddr::from(GROUP), (a.ipv4, PORT).into()] {
            for name in ["greeter.micro", "_services.micro", "_mdns-registry._tcp.local"] {
                socket.send_to(&question(name, true), to).unwrap();
            }
        }
        thread::sleep(QUIET);
        // Alive records are said unasked.
        let answered = |packet: &&Packet| is_response(packet) && !names(packet, "_alive");
        assert_eq!(says(&capture.packets(), &a).iter().filter(answered).count(), 0, "port {port}");
        socket.send_to(&question("greeter.micro", false), GROUP).unwrap();
        lab::eventually("the same as a query is", SOON, || (answers(&capture) == 1).then_some(()));
    }
}

#[test]
fn a_node_beside_one_of_go_micro_answers_a_question_from_port_5353_once() {
    let lab = Lab::new("beside");
    let a = lab.host("a");
    // The kernel gives what is sent to port 5353 of this host to who came last: that is ours.
    let asker = open(&a, PORT);
    let _go_micro = go_micro(&a, Age::Today);
    let _agent = greeter(&a);
    thread::sleep(ANNOUNCED);
    let (outside, inside) = (a.capture(), a.capture_on("lo"));
    ask(&asker);
    thread::sleep(QUIET);
    let answers = |capture: &Capture| {
        let packets = capture.packets();
        packets.iter().filter(|packet| is_response(packet) && names(packet, "ours-1")).count()
    };
    // On loopback each packet passes twice.
    let (out, within) = (answers(&outside), answers(&inside));
    println!("{out} and {within} answers of ours, of {} packets on loopback", inside.packets().len());
    assert!((1..=ASKED).contains(&(out + within / 2)), "{out} and {within} answers to {ASKED} questions");
}

#[test]
fn two_hosts_of_which_one_is_go_micro_do_not_answer_each_other() {
    let lab = Lab::new("between");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let _agent = greeter(&a);
    // Here go-micro comes last: it gets our answers, and answers them.
    let asker = open(&b, PORT);
    let _go_micro = go_micro(&b, Age::Today);
    thread::sleep(ANNOUNCED);
    let (capture, inside) = (a.capture(), b.capture_on("lo"));
    ask(&asker);
    thread::sleep(QUIET);
    let packets = capture.packets();
    println!("go-micro by itself: {} packets", inside.packets().len() / 2);
    let ours = says(&packets, &a).iter().filter(|packet| is_response(packet) && names(packet, "ours-1")).count();
    let theirs = says(&packets, &b).iter().filter(|packet| is_response(packet)).count();
    println!("{ours} answers of ours, {theirs} of go-micro's to them");
    assert!((1..=ASKED).contains(&ours), "{ours} answers to {ASKED} questions");
    assert!(theirs <= ASKED * SERVERS, "{theirs} answers of go-micro's to {ours} of ours");
}
