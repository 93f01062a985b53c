//! Who takes part, and how each one's program is started on a host.

use std::path::{Path, PathBuf};
use std::time::Duration;

use mdns_registry::{Options, Registry};
use serde_json::Value;

use crate::lab::avahi::Avahi;
use crate::lab::{Host, Process};

/// Who is compared; the first is whose goals are checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Contender {
    Native,
    MdnsSd,
    Zeroconf,
    Avahi,
    GoMicro,
}

use Contender::{GoMicro, MdnsSd, Native, Zeroconf};

impl Contender {
    pub const ALL: [Contender; 5] = [Native, MdnsSd, Zeroconf, Contender::Avahi, GoMicro];

    /// As the table calls it.
    pub const fn name(self) -> &'static str {
        match self {
            Native => "native",
            MdnsSd => "mdns-sd",
            Zeroconf => "python-zeroconf",
            Contender::Avahi => "avahi",
            GoMicro => "go-micro",
        }
    }

    /// Options of this library that make it this contender.
    fn options(self) -> String {
        format!(r#"{{"link":{:?}}}"#, self.name())
    }

    /// Why it takes no part at all.
    pub fn absent(self) -> Option<String> {
        match self {
            Native | MdnsSd => {
                let opened = Options::from_json(&self.options()).and_then(Registry::open);
                opened.err().map(|error| error.to_string())
            }
            Zeroconf => (!built(PYTHON).exists()).then(|| format!("there is no target/network-bench/{PYTHON}")),
            GoMicro => (!built(PROGRAM).exists()).then(|| format!("there is no target/network-bench/{PROGRAM}")),
            Contender::Avahi => None,
        }
    }

    fn command(self, words: &[String]) -> Vec<String> {
        let text = |path: PathBuf| path.to_str().expect("UTF-8").to_owned();
        let own = || text(std::env::current_exe().expect("this program"));
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/network/peer.py");
        let program = match self {
            Native | MdnsSd => vec![own(), "library".into(), self.options()],
            Zeroconf => vec![text(built(PYTHON)), text(source)],
            Contender::Avahi => vec![own(), "avahi".into()],
            GoMicro => vec![text(built(PROGRAM))],
        };
        program.into_iter().chain(words.iter().cloned()).collect()
    }
}

const PYTHON: &str = "venv/bin/python";
const PROGRAM: &str = "gomicro";

/// What `benches/network.sh` has made.
pub fn built(path: &str) -> PathBuf {
    let target = std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from);
    Path::new(env!("CARGO_MANIFEST_DIR")).join(target).join("network-bench").join(path)
}

/// Which receive buffers a program gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Buffers {
    /// What it asks for.
    Asked,
    /// The kernel's default.
    Default,
}

/// A contender's program on a host.
pub struct Station<'a> {
    pub process: Process,
    /// The daemon, where it is that which does the work.
    avahi: Option<Avahi<'a>>,
}

impl<'a> Station<'a> {
    /// Starts a program with the words of a verb.
    pub fn start(who: Contender, host: &'a Host, words: &str, buffers: Buffers) -> Station<'a> {
        let words: Vec<String> = words.split_whitespace().map(str::to_owned).collect();
        let mut command = who.command(&words);
        if buffers == Buffers::Default {
            let own = Contender::Native.command(&[]).swap_remove(0);
            command.splice(0..0, [own, "default-buffers".into()]);
        }
        let (program, args) = command.split_first().expect("a program");
        let avahi = (who == Contender::Avahi).then(|| Avahi::start(host));
        let process = match &avahi {
            Some(avahi) => avahi.spawn(program, &args.iter().map(String::as_str).collect::<Vec<_>>()),
            None => host.spawn(program, args),
        };
        Station { process, avahi }
    }

    /// A publisher of nodes from a number on, once it has them registered; and how long that took, milliseconds.
    pub fn publish(
        who: Contender,
        host: &'a Host,
        from: usize,
        nodes: usize,
        lease: u64,
        buffers: Buffers,
    ) -> (Station<'a>, f64) {
        let words = format!("publish {} {from} {nodes} {lease}", host.ipv4);
        let mut station = Station::start(who, host, &words, buffers);
        let ms = station.hear("registered", Duration::from_secs(120))["ms"].as_f64().expect("milliseconds");
        (station, ms)
    }

    /// A watcher that is up.
    pub fn watch(who: Contender, host: &'a Host) -> Station<'a> {
        let mut station = Station::start(who, host, "watch", Buffers::Asked);
        station.hear("watches", Duration::from_secs(15));
        station
    }

    /// The next thing it says.
    pub fn hear(&mut self, what: &str, limit: Duration) -> Value {
        self.process.expect(what, limit, |line| serde_json::from_str(line).ok().filter(Value::is_object))
    }

    /// Says a line and hears the answer.
    pub fn ask(&mut self, line: &str) -> Value {
        self.process.say(line);
        self.hear(line, Duration::from_secs(15))
    }

    /// The process whose memory and time count.
    pub fn pid(&mut self) -> u32 {
        self.avahi.as_mut().map_or(self.process.pid(), |avahi| avahi.daemon().pid())
    }
}
