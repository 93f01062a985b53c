//! A real avahi-daemon on a host, with a D-Bus of its own: the peer that most Linux machines have.

use std::fs;
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use super::process::{Finished, Process};
use super::Host;

const STARTS_WITHIN: Duration = Duration::from_secs(15);

/// avahi-daemon and dbus-daemon, with a /run of their own. Both end on drop.
pub struct Avahi<'a> {
    host: &'a Host,
    run: PathBuf,
    daemon: Process,
    _bus: Process,
}

/// One line `=` of `avahi-browse -rp`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Resolved {
    /// The interface it was found on.
    pub interface: String,
    /// `IPv4` or `IPv6`: the protocol it was found by.
    pub protocol: String,
    /// The instance label.
    pub name: String,
    /// The target of SRV.
    pub host: String,
    /// Its address.
    pub address: IpAddr,
    /// The port in SRV.
    pub port: u16,
    /// The strings of TXT, in the order avahi-browse gives.
    pub txt: Vec<String>,
}

const BUS: &str = r#"<busconfig>
<type>system</type><listen>unix:path=/run/dbus/system_bus_socket</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*"/><allow receive_sender="*"/></policy>
</busconfig>"#;

/// avahi-daemon wants its /run to be its own user's; in a user namespace there is but one user.
const USERS: &str = "root:x:0:0::/:/bin/sh\navahi:x:0:0::/:/bin/false\nmessagebus:x:0:0::/:/bin/false\n";
const GROUPS: &str = "root:x:0:\navahi:x:0:\nmessagebus:x:0:\nnetdev:x:0:\n";

impl<'a> Avahi<'a> {
    /// Starts both daemons and waits until Avahi answers.
    pub fn start(host: &'a Host) -> Avahi<'a> {
        let run = PathBuf::from(format!("/run/avahi-{}", host.namespace.name));
        for directory in ["dbus", "avahi-daemon", "nothing"] {
            fs::create_dir_all(run.join(directory)).expect("a directory");
        }
        for (file, text) in [("bus.conf", BUS), ("passwd", USERS), ("group", GROUPS)] {
            fs::write(run.join(file), text).expect("a file");
        }
        let settings = format!(
            "[server]\nhost-name={}\nuse-ipv4=yes\nuse-ipv6=yes\nallow-interfaces=eth0\ndisallow-other-stacks=no\n\
             cache-entries-max=100000\nobjects-per-client-max=100000\n\
             [wide-area]\nenable-wide-area=no\n\
             [publish]\npublish-hinfo=no\npublish-workstation=no\n",
            host.name
        );
        fs::write(run.join("avahi.conf"), settings).expect("a file");
        let bus = ["--config-file=/run/bus.conf", "--nofork", "--nopidfile", "--print-address"];
        let mut bus = Process::start(&host.label("dbus-daemon".as_ref()), inside(host, &run, "dbus-daemon", &bus));
        bus.expect_line("its address", STARTS_WITHIN, |line| line.starts_with("unix:"));
        let avahi = ["-f", "/run/avahi.conf", "--no-drop-root", "--no-chroot", "--no-rlimits"];
        let avahi = inside(host, &run, "avahi-daemon", &avahi);
        let mut daemon = Process::start(&host.label("avahi-daemon".as_ref()), avahi);
        daemon.expect_line("it is ready", STARTS_WITHIN, |line| line.contains("Server startup complete"));
        Avahi { host, run, daemon, _bus: bus }
    }

    /// Starts an Avahi tool, for instance avahi-publish.
    pub fn spawn(&self, program: &str, args: &[&str]) -> Process {
        Process::start(&self.host.label(program.as_ref()), inside(self.host, &self.run, program, args))
    }

    /// Runs an Avahi tool to its end.
    pub fn run(&self, program: &str, args: &[&str], limit: Duration) -> Finished {
        self.spawn(program, args).finish(limit)
    }

    /// All instances of a service type that Avahi finds and resolves before it believes to know all.
    pub fn browse(&self, service_type: &str, limit: Duration) -> Vec<Resolved> {
        let output = self.run("avahi-browse", &["-rpt", service_type], limit).success();
        output.lines().filter_map(resolved).collect()
    }

    /// The daemon's process.
    pub fn daemon(&mut self) -> &mut Process {
        &mut self.daemon
    }
}

/// A command with `run` for /run and no static services of this machine, its standard error joined to its output.
fn inside(host: &Host, run: &Path, program: &str, args: &[&str]) -> Command {
    let mut command = host.command("unshare");
    command.args(["--mount", "--propagation", "private", "sh", "-c"]);
    command.arg(
        "mount --bind \"$0\" /run || exit 125
         for file in passwd group; do mount --bind /run/$file /etc/$file || exit 125; done
         [ ! -d /etc/avahi/services ] || mount --bind /run/nothing /etc/avahi/services || exit 125
         exec \"$@\" 2>&1",
    );
    command.arg(run).arg(program).args(args);
    command.env("DBUS_SYSTEM_BUS_ADDRESS", "unix:path=/run/dbus/system_bus_socket").env("LC_ALL", "C");
    command
}

/// Reads one line of `avahi-browse -rp`, in which bytes stand as `\DDD` in names and texts are quoted.
fn resolved(line: &str) -> Option<Resolved> {
    let mut fields = line.strip_prefix("=;")?.splitn(9, ';');
    let mut field = || fields.next();
    let (interface, protocol, name, _type, _domain) = (field()?, field()?, field()?, field()?, field()?);
    let (host, address, port, txt) = (field()?, field()?, field()?, field()?);
    Some(Resolved {
        interface: interface.into(),
        protocol: protocol.into(),
        name: unescape(name),
        host: host.into(),
        address: address.parse().ok()?,
        port: port.parse().ok()?,
        txt: txt.trim().trim_matches('"').split("\" \"").map(unescape).collect(),
    })
}

fn unescape(text: &str) -> String {
    let mut bytes = Vec::new();
    let mut rest = text.as_bytes();
    while let [first, tail @ ..] = rest {
        (rest, bytes) = match tail {
            [a, b, c, tail @ ..] if *first == b'\\' && [a, b, c].iter().all(|digit| digit.is_ascii_digit()) => {
                let code = [a, b, c].iter().fold(0u16, |code, digit| code * 10 + u16::from(**digit - b'0'));
                bytes.push(u8::try_from(code).unwrap_or(b'?'));
                (tail, bytes)
            }
            [escaped, tail @ ..] if *first == b'\\' => {
                bytes.push(*escaped);
                (tail, bytes)
            }
            _ => {
                bytes.push(*first);
                (tail, bytes)
            }
        };
    }
    String::from_utf8_lossy(&bytes).into_owned()
}
