//! The lab itself: what the tests that stand on it may believe.

mod lab;

use std::process::Command;
use std::time::Duration;

use lab::avahi::Avahi;
use lab::{Host, Lab, Process, SOON};

/// A DNS query for the PTR records of `_lab._tcp.local`: header, name, type, class.
const QUERY: &str = concat!("000000000001000000000000", "045f6c6162045f746370056c6f63616c00", "000c", "0001");

const RADIO: &str = "a_radio_hears_what_another_host_says_to_the_group";

fn radio(host: &Host) -> Process {
    let mut radio = host.role(RADIO);
    radio.expect_line("it is ready", SOON, |line| line == "ready");
    radio
}

/// Says so many numbered datagrams.
fn say(radio: &mut Process, numbers: std::ops::Range<u32>) {
    for number in numbers {
        radio.say(&format!("{number:08x}"));
    }
}

/// The numbers heard up to `last`, which must come.
fn heard_until(radio: &mut Process, last: u32) -> Vec<u32> {
    let mut heard = Vec::new();
    radio.expect("the last datagram", SOON, |line| {
        let hex = line.strip_prefix("heard ")?.split(' ').nth(1)?;
        let number = u32::from_str_radix(hex, 16).ok()?;
        heard.push(number);
        (number == last).then_some(())
    });
    heard
}

#[test]
fn a_radio_hears_what_another_host_says_to_the_group() {
    if lab::role::is_played(RADIO) {
        return lab::role::play_radio();
    }
    let lab = Lab::new("radio");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let (mut on_a, mut on_b) = (radio(&a), radio(&b));
    on_a.say("6869");
    let line = on_b.expect_line("the datagram", SOON, |line| line.starts_with("heard"));
    assert_eq!(line, format!("heard {}:5353 6869", a.ipv4));
}

#[test]
fn labs_share_nothing() {
    let (one, other) = (Lab::new("same"), Lab::new("same"));
    let (a, b, stranger) = (one.host("a"), one.host("b"), other.host("b"));
    let (mut on_a, mut on_b, mut on_stranger) = (radio(&a), radio(&b), radio(&stranger));
    say(&mut on_a, 0..3);
    assert_eq!(heard_until(&mut on_b, 2), [0, 1, 2]);
    assert_eq!(on_stranger.lines_for(Duration::from_millis(200)), Vec::<String>::new());
}

#[test]
fn loss_takes_about_as_much_as_asked_and_tells_the_sender_nothing() {
    let lab = Lab::new("loss");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let (mut on_a, mut on_b) = (radio(&a), radio(&b));
    b.loss_to(30);
    for batch in 0..20 {
        let numbers = batch * 50..(batch + 1) * 50;
        say(&mut on_a, numbers.clone());
        // The sender hears itself past the cable, all of it: nothing of the loss was told to it.
        assert_eq!(heard_until(&mut on_a, numbers.end - 1), numbers.collect::<Vec<_>>());
    }
    b.heal();
    say(&mut on_a, 1000..1001);
    let heard = heard_until(&mut on_b, 1000).len();
    assert!((600..800).contains(&heard), "heard {heard} of 1000 at 30 % loss");
}

#[test]
fn a_partition_cuts_both_ways_or_one_and_heals() {
    let lab = Lab::new("part");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let (mut on_a, mut on_b) = (radio(&a), radio(&b));
    a.partition();
    say(&mut on_a, 0..5);
    say(&mut on_b, 10..15);
    // A host hears itself past the cable, so its own last number says that all were sent.
    assert_eq!(heard_until(&mut on_a, 4), [0, 1, 2, 3, 4]);
    assert_eq!(heard_until(&mut on_b, 14), [10, 11, 12, 13, 14]);
    a.mute();
    say(&mut on_a, 20..22);
    say(&mut on_b, 30..32);
    let mut on_a_heard = heard_until(&mut on_a, 31);
    on_a_heard.retain(|number| *number >= 30);
    assert_eq!(on_a_heard, [30, 31]);
    a.deafen();
    say(&mut on_b, 40..42);
    heard_until(&mut on_b, 41);
    say(&mut on_a, 50..52);
    let heard = heard_until(&mut on_b, 51);
    assert_eq!(heard, [50, 51], "what a muted host said came to b");
    a.heal();
    say(&mut on_b, 60..62);
    let heard = heard_until(&mut on_a, 61);
    assert!(heard.ends_with(&[60, 61]) && !heard.contains(&40), "{heard:?}");
}

#[test]
fn a_capture_decodes_what_passes_the_interface() {
    let lab = Lab::new("tap");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let (mut on_a, _on_b) = (radio(&a), radio(&b));
    let capture = b.capture();
    on_a.say(QUERY);
    let packet = capture.expect_packet("the query", SOON, |packet| packet.message.is_some());
    assert_eq!(packet.source.to_string(), format!("{}:5353", a.ipv4));
    assert_eq!(packet.destination.to_string(), "224.0.0.251:5353");
    assert_eq!(packet.hop_limit, 255);
    let message = packet.message.unwrap();
    assert!(!message.is_response);
    assert_eq!(message.questions[0].qname.to_string(), "_lab._tcp.local");
}

#[test]
fn a_capture_puts_fragments_together() {
    let lab = Lab::new("frag");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let (mut on_a, _on_b) = (radio(&a), radio(&b));
    let capture = b.capture();
    on_a.say(&"ab".repeat(8000));
    let packet = capture.expect_packet("all of it", SOON, |packet| packet.payload.len() == 8000);
    assert!(packet.payload.iter().all(|byte| *byte == 0xab));
}

#[test]
fn addresses_come_and_go_and_ipv6_survives_the_link() {
    let lab = Lab::new("addr");
    let a = lab.host("a");
    let addresses = || a.run("ip", ["-br", "addr", "show", "dev", "eth0"], SOON).success();
    let unique_local = "fd00:78::1".parse::<std::net::Ipv6Addr>().unwrap();
    a.add_addr(unique_local, 64);
    a.add_addr(std::net::Ipv4Addr::new(10, 99, 0, 1), 24);
    a.del_addr(a.ipv4, 24);
    assert!(!addresses().contains(&a.ipv4.to_string()), "{}", addresses());
    a.link_down();
    assert!(!addresses().contains("fd00:78::1"), "{}", addresses());
    a.link_up();
    a.await_link();
    assert!(addresses().contains("fd00:78::1") && addresses().contains("10.99.0.1"), "{}", addresses());
    a.mtu(1280);
    assert!(a.run("ip", ["link", "show", "eth0"], SOON).success().contains("mtu 1280"));
}

#[test]
fn avahi_on_one_host_finds_what_avahi_on_another_publishes() {
    let lab = Lab::new("avahi");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let (on_a, on_b) = (Avahi::start(&a), Avahi::start(&b));
    let mut publisher = on_a.spawn("avahi-publish", &["-s", "a name; of sorts", "_lab._tcp", "4711", "k=v w", "x=ü"]);
    publisher.expect_line("it is published", SOON, |line| line.starts_with("Established"));
    let found = on_b.browse("_lab._tcp", SOON);
    let found = found.iter().find(|found| found.protocol == "IPv4").expect("found by IPv4");
    assert_eq!((found.name.as_str(), found.host.as_str(), found.port), ("a name; of sorts", "a.local", 4711));
    let mut txt = found.txt.clone();
    txt.sort();
    assert_eq!(txt, ["k=v w", "x=ü"]);
}

#[test]
fn nothing_remains_after_a_lab() {
    let before = lab::tool("ip", &["netns"], "");
    let pid = {
        let lab = Lab::new("gone");
        let a = lab.host("a");
        let sleeper = a.spawn("sleep", ["1000"]);
        assert!(lab::tool("ip", &["netns"], "").contains("gone"));
        sleeper.pid()
    };
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(!lab::tool("ip", &["netns"], "").contains("gone"), "before: {before}");
}

#[test]
fn the_sandbox_hands_the_exit_status_on_and_says_what_is_missing() {
    let sandbox = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/sandbox");
    let status = |command: &mut Command| command.status().unwrap().code();
    assert_eq!(status(Command::new(sandbox).args(["sh", "-c", "exit 7"])), Some(7));
    let nested =
        Command::new(sandbox).args(["sh", "-c", "ip -br link"]).env_remove("MDNSREG_SANDBOX").output().unwrap();
    let nested = String::from_utf8(nested.stdout).unwrap();
    assert!(nested.starts_with("lo ") && nested.lines().count() == 1, "{nested}");
    let masked = "mount --bind /dev/null \"$(command -v ip)\" && unset MDNSREG_SANDBOX && exec \"$0\" true";
    let unable = Command::new("unshare").args(["-m", "--propagation", "private", "sh", "-c", masked, sandbox]).output();
    let unable = unable.unwrap();
    assert_eq!(unable.status.code(), Some(125));
    assert!(String::from_utf8_lossy(&unable.stderr).contains("the program 'ip' is missing"), "{unable:?}");
}

#[test]
fn an_ordinary_user_has_the_same_lab() {
    let sandbox = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/lab/sandbox");
    let as_user = "unset MDNSREG_SANDBOX && id -u && exec \"$@\"";
    let run = Command::new("unshare")
        .args(["--user", "--map-user=1000", "--map-group=1000", "sh", "-c", as_user, "sh", sandbox])
        .arg(std::env::current_exe().unwrap())
        .args(["a_capture_decodes", "a_partition_cuts", "avahi_on_one_host"])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&run.stdout);
    assert!(run.status.success() && said.starts_with("1000\n") && said.contains("3 passed"), "{run:?}");
}
