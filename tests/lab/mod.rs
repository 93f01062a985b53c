//! Several hosts on one machine: a `Lab` is a switch, a `Host` a network namespace plugged into it by a veth pair.
//!
//! Everything is made inside the test sandbox (`tests/lab/sandbox`), so it needs no privilege of the user who runs the
//! test and nothing is left on the machine. Labs share nothing; tests may make theirs in parallel. Where something is
//! missing the lab panics and says what: a test that needs it fails.

#![allow(dead_code, unused_imports, unused_macros)] // each test binary uses the part it needs

pub mod agent;
pub mod avahi;
pub mod capture;
#[cfg(feature = "cli")]
pub mod cli;
pub mod faults;
pub mod fold;
pub mod gomicro;
pub mod host;
pub mod process;
pub mod radio;
pub mod role;

use std::collections::BTreeMap;
use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

pub use host::Host;
pub use process::Process;

use faults::Fault;

/// For what is to come and may take a busy machine a while.
pub const SOON: Duration = Duration::from_secs(20);

/// A switch, with as many hosts as `host` is called.
pub struct Lab {
    switch: Arc<Switch>,
    hosts: AtomicU8,
}

/// The namespace that holds the bridge and the bridge's end of each host's cable.
struct Switch {
    namespace: Namespace,
    /// The third byte of the lab's IPv4 addresses.
    subnet: u8,
    faults: Mutex<BTreeMap<String, Fault>>,
}

impl Lab {
    /// A new switch without snooping: like most small switches it floods multicast to every port.
    pub fn new(name: &str) -> Lab {
        static LABS: AtomicUsize = AtomicUsize::new(1);
        assert_in_sandbox();
        let number = LABS.fetch_add(1, Ordering::Relaxed);
        let namespace = Namespace::add(format!("{name}{number}"));
        namespace.ip("link add bridge type bridge mcast_snooping 0 stp_state 0\nlink set bridge addrgenmode none up\n");
        let subnet = u8::try_from(number % 250).expect("below 250");
        Lab { switch: Arc::new(Switch { namespace, subnet, faults: Mutex::default() }), hosts: AtomicU8::new(1) }
    }

    /// A new host with `eth0` up: 10.78.x.n/24, fe80::n/64 and a default route. `name` has at most 15 bytes.
    pub fn host(&self, name: &str) -> Host {
        Host::plug_in(self.switch.clone(), name, self.hosts.fetch_add(1, Ordering::Relaxed))
    }
}

/// A named network namespace, deleted on drop.
struct Namespace {
    name: String,
}

impl Namespace {
    fn add(name: String) -> Namespace {
        // The first `ip netns add` of all makes the directory a shared mount; two at once trip over it.
        static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
        let _turn = ONE_AT_A_TIME.lock();
        tool("ip", &["netns", "add", &name], "");
        let namespace = Namespace { name };
        namespace.ip("link set lo up\n");
        namespace
    }

    fn path(&self) -> String {
        format!("/run/netns/{}", self.name)
    }

    /// Runs lines of `ip` inside, for instance `link set eth0 up`.
    fn ip(&self, lines: &str) {
        tool("ip", &["-n", &self.name, "-batch", "-"], lines);
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

/// Panics unless this process is where no packet can leave the machine.
pub fn assert_in_sandbox() {
    assert!(
        std::env::var_os("MDNSREG_SANDBOX").is_some() && std::path::Path::new("/run/mdns-registry-sandbox").exists(),
        "this test makes networks: run it with `cargo test`, or behind tests/lab/sandbox"
    );
}

/// Runs a tool of the lab to its end and returns its standard output; panics with what it said if it fails.
pub fn tool(program: &str, args: &[&str], input: &str) -> String {
    let mut child = Command::new(program)
        .args(args)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap_or_else(|error| panic!("the lab needs the program {program:?} ({}): {error}", package_of(program)));
    child.stdin.take().expect("piped").write_all(input.as_bytes()).expect("its standard input");
    let output = child.wait_with_output().expect("its end");
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{program} {args:?} {input:?}: {} {error}", output.status);
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Where Debian keeps a program.
fn package_of(program: &str) -> &'static str {
    match program {
        "ip" => "Debian: apt install iproute2",
        "nft" => "Debian: apt install nftables",
        "avahi-daemon" => "Debian: apt install avahi-daemon",
        "avahi-browse" | "avahi-publish" => "Debian: apt install avahi-utils",
        "dbus-daemon" => "Debian: apt install dbus",
        "nsenter" | "unshare" => "Debian: apt install util-linux",
        _ => "not on PATH",
    }
}

/// Asks `answer` until it has one, every 5 ms; panics when there is none within `limit`.
pub fn eventually<T>(what: &str, limit: Duration, mut answer: impl FnMut() -> Option<T>) -> T {
    let start = Instant::now();
    loop {
        if let Some(answer) = answer() {
            return answer;
        }
        assert!(start.elapsed() < limit, "not within {limit:?}: {what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// Waits until a record that was just registered or asked for may be said again. It is announced at once and after
/// 1.1 s, and within a second of each multicast RFC 6762 section 6 forbids the next: a question then stays unanswered.
pub fn may_be_said_again() {
    thread::sleep(Duration::from_millis(2_300));
}
