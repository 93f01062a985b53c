//! A host: its cable, its addresses, and the programs that run on it.

use std::ffi::OsStr;
use std::fs::File;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::process::Command;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use nix::sched::{setns, CloneFlags};

use super::process::{Finished, Process};
use super::{eventually, tool, Namespace, Switch};

/// How long a bridge port may take to forward.
const PLUGGED_IN_WITHIN: Duration = Duration::from_secs(5);

/// A network namespace with one interface, `eth0`, plugged into the lab's switch.
pub struct Host {
    pub(super) name: String,
    pub(super) switch: Arc<Switch>,
    pub(super) namespace: Namespace,
    /// Of `eth0`, as made.
    pub ipv4: Ipv4Addr,
    /// Of `eth0`, as made.
    pub link_local: Ipv6Addr,
    /// What the kernel forgets when the interface goes down.
    forgotten: Mutex<Vec<(Ipv6Addr, u8)>>,
}

impl Host {
    pub(super) fn plug_in(switch: Arc<Switch>, name: &str, number: u8) -> Host {
        let namespace = Namespace::add(format!("{}.{name}", switch.namespace.name));
        let ipv4 = Ipv4Addr::new(10, 78, switch.subnet, number);
        let link_local = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, number.into());
        let inside = &namespace.name;
        switch.namespace.ip(&format!("link add name {name} type veth peer name eth0 netns {inside}\n"));
        let forgotten = Mutex::new(vec![(link_local, 64)]);
        let host = Host { name: name.into(), switch, namespace, ipv4, link_local, forgotten };
        host.namespace.ip(&format!("link set eth0 addrgenmode none\naddr add {ipv4}/24 brd + dev eth0\n"));
        host.switch.namespace.ip(&format!("link set dev {name} addrgenmode none up\n"));
        host.link_up();
        host.switch.namespace.ip(&format!("link set dev {name} master bridge\n"));
        host.await_link();
        host
    }

    /// The host's name in its lab.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// A command that runs here once spawned.
    pub fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new("nsenter");
        command.arg(format!("--net={}", self.namespace.path())).arg("--").arg(program);
        command
    }

    /// Has `make` open sockets here: they stay here, whichever thread uses them.
    pub fn inside<T: Send>(&self, make: impl FnOnce() -> T + Send) -> T {
        let enter = || {
            let namespace = File::open(self.namespace.path()).expect("the namespace");
            setns(namespace, CloneFlags::CLONE_NEWNET).expect("into the namespace");
            make()
        };
        // The namespace is that thread's alone and ends with it.
        thread::scope(|scope| scope.spawn(enter).join()).expect("no panic inside")
    }

    /// A second cable, to another lab: `eth1`, with the address 10.78.y.n/24, which is returned.
    pub fn plug_into(&self, other: &super::Lab) -> Ipv4Addr {
        let (inside, switch) = (&self.namespace.name, &other.switch);
        let number = self.ipv4.octets()[3] + 100;
        let (port, address) = (format!("guest{number}"), Ipv4Addr::new(10, 78, switch.subnet, number));
        switch.namespace.ip(&format!("link add name {port} type veth peer name eth1 netns {inside}\n"));
        self.namespace
            .ip(&format!("link set eth1 addrgenmode none\naddr add {address}/24 brd + dev eth1\nlink set eth1 up\n"));
        switch.namespace.ip(&format!("link set dev {port} addrgenmode none up\nlink set dev {port} master bridge\n"));
        switch.await_port(&port);
        address
    }

    /// Starts a program; it is killed when the `Process` is dropped.
    pub fn spawn<A: AsRef<OsStr>>(&self, program: impl AsRef<OsStr>, args: impl IntoIterator<Item = A>) -> Process {
        let mut command = self.command(program.as_ref());
        command.args(args);
        Process::start(&self.label(program.as_ref()), command)
    }

    /// Runs a program to its end; panics with what it said when it has not ended within `limit`.
    pub fn run<A: AsRef<OsStr>>(
        &self,
        program: impl AsRef<OsStr>,
        args: impl IntoIterator<Item = A>,
        limit: Duration,
    ) -> Finished {
        self.spawn(program, args).finish(limit)
    }

    pub(super) fn label(&self, program: &OsStr) -> String {
        let program = std::path::Path::new(program).file_name().unwrap_or(program);
        format!("{} on {}", program.to_string_lossy(), self.name)
    }

    /// Takes the interface down: IPv6 addresses and routes are gone, IPv4 addresses stay, as on any Linux.
    pub fn link_down(&self) {
        self.namespace.ip("link set eth0 down\n");
    }

    /// Brings the interface up, with the addresses and the route that a network manager would give back.
    pub fn link_up(&self) {
        let gateway = Ipv4Addr::new(10, 78, self.switch.subnet, 254);
        self.namespace.ip("link set eth0 up\n");
        let forgotten = self.forgotten.lock().expect("no panic while held").clone();
        for (address, prefix) in forgotten {
            self.namespace.ip(&format!("addr replace {address}/{prefix} dev eth0 nodad\n"));
        }
        if !tool("ip", &["-n", &self.namespace.name, "-4", "addr", "show", "dev", "eth0"], "").is_empty() {
            self.namespace.ip(&format!("route replace default via {gateway} dev eth0 onlink\n"));
        }
    }

    /// Waits until the switch forwards what this host sends.
    pub fn await_link(&self) {
        self.switch.await_port(&self.name);
    }

    /// Adds an address to `eth0`, usable at once.
    pub fn add_addr(&self, address: impl Into<IpAddr>, prefix: u8) {
        match address.into() {
            IpAddr::V4(address) => self.namespace.ip(&format!("addr add {address}/{prefix} brd + dev eth0\n")),
            IpAddr::V6(address) => {
                self.forgotten.lock().expect("no panic while held").push((address, prefix));
                self.namespace.ip(&format!("addr add {address}/{prefix} dev eth0 nodad\n"));
            }
        }
    }

    /// What is sent by IPv6 to other networks goes through this neighbour.
    pub fn default_route_v6(&self, via: Ipv6Addr) {
        self.namespace.ip(&format!("route replace default via {via} dev eth0\n"));
    }

    /// Takes an address of `eth0` away.
    pub fn del_addr(&self, address: impl Into<IpAddr>, prefix: u8) {
        let address = address.into();
        self.forgotten.lock().expect("no panic while held").retain(|(kept, _)| IpAddr::V6(*kept) != address);
        self.namespace.ip(&format!("addr del {address}/{prefix} dev eth0\n"));
    }

    /// Sets the interface's MTU, bytes.
    pub fn mtu(&self, bytes: u32) {
        self.namespace.ip(&format!("link set eth0 mtu {bytes}\n"));
    }
}

impl Switch {
    fn await_port(&self, port: &str) {
        eventually("the switch forwards", PLUGGED_IN_WITHIN, || {
            tool("ip", &["-n", &self.namespace.name, "-d", "link", "show", "dev", port], "")
                .contains("bridge_slave state forwarding")
                .then_some(())
        });
    }
}
