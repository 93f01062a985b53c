//! The test binary as a program on a host: the same code, so that no other binary need be built or found.
//!
//! A role is the body of one test. Started by `Host::role` that test plays its role; started by the test harness it
//! checks that the role can be played.

use std::io::{BufRead, Write};
use std::net::{Ipv4Addr, UdpSocket};
use std::thread;

use super::{Host, Process};

const ROLE: &str = "MDNSREG_LAB_ROLE";

/// The address and port of multicast DNS, RFC 6762 section 3.
pub const MDNS_GROUP: (Ipv4Addr, u16) = (Ipv4Addr::new(224, 0, 0, 251), 5353);

/// Whether this process was started by `Host::role` to play the test `name`.
pub fn is_played(name: &str) -> bool {
    std::env::var(ROLE).is_ok_and(|role| role == name)
}

impl Host {
    /// Starts this test binary here, as its test `name`.
    pub fn role(&self, name: &str) -> Process {
        self.role_with(name, &[])
    }

    /// The same, with variables in its environment.
    pub fn role_with(&self, name: &str, environment: &[(&str, &str)]) -> Process {
        let mut command = self.command(std::env::current_exe().expect("the test binary"));
        command.args(["--exact", name, "--nocapture"]).env(ROLE, name).envs(environment.iter().copied());
        Process::start(&self.label(name.as_ref()), command)
    }
}

/// The radio role: says hexadecimal lines of standard input to the mDNS group, and prints `heard SOURCE HEX` for every
/// datagram that comes to port 5353.
pub fn play_radio() {
    let socket = UdpSocket::bind((Ipv4Addr::UNSPECIFIED, MDNS_GROUP.1)).expect("port 5353");
    socket.join_multicast_v4(&MDNS_GROUP.0, &Ipv4Addr::UNSPECIFIED).expect("the group");
    socket.set_multicast_ttl_v4(255).expect("the hop limit");
    let ears = socket.try_clone().expect("a second handle");
    thread::spawn(move || {
        let mut bytes = vec![0; 65536];
        while let Ok((length, source)) = ears.recv_from(&mut bytes) {
            tell(&format!("heard {source} {}", data_encoding::HEXLOWER.encode(&bytes[..length])));
        }
    });
    tell("\nready");
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let bytes = data_encoding::HEXLOWER.decode(line.as_bytes()).expect("hexadecimal");
        socket.send_to(&bytes, MDNS_GROUP).expect("sent");
    }
}

/// Prints a line past the test harness's capture.
pub fn tell(line: &str) {
    let mut stdout = std::io::stdout().lock();
    let _ = writeln!(stdout, "{line}").and_then(|()| stdout.flush());
}
