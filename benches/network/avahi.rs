//! Avahi as a program, in the words of `library.rs`: its daemon's static services, avahi-publish and avahi-browse. It
//! runs where `lab::avahi` has put a daemon, whose folder of services is then a private one.

use std::collections::BTreeSet;
use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use serde_json::json;

use crate::library::{lines, ms, now, numbered, tell, METADATA};

const TYPE: &str = "_mreg._tcp";
const SERVICES: &str = "/etc/avahi/services";
const REGISTERS_WITHIN: Duration = Duration::from_secs(90);

pub fn play(words: &[String]) {
    let number = |at: usize| words[at].parse::<usize>().expect("a number");
    match words[0].as_str() {
        "publish" => publish(number(2), number(3)),
        "look" => look(number(1), Duration::from_millis(number(2) as u64)),
        "watch" => watch(),
        "warm" => warm(number(1), number(2)),
        verb => panic!("no such verb: {verb}"),
    }
}

fn txt(id: &str) -> Vec<String> {
    let node = [("id", id), ("version", "1.0.0")];
    node.iter().chain(&METADATA).map(|(key, value)| format!("{key}={value}")).collect()
}

/// avahi-browse, whose lines are `+` or `=` or `-`, interface, protocol, name and more, with `;` between.
struct Browse(Child);

impl Browse {
    fn start(flags: &str) -> Browse {
        let mut command = Command::new("avahi-browse");
        Browse(command.args([flags, TYPE]).stdout(Stdio::piped()).spawn().expect("avahi-browse"))
    }

    /// Gives each line's sign and what names the instance: protocol (the daemon tells each apart) and name.
    fn each(&mut self, mut take: impl FnMut(char, &str, &str) -> bool) {
        let stdout = BufReader::new(self.0.stdout.take().expect("piped"));
        for line in stdout.lines().map_while(Result::ok) {
            let fields: Vec<&str> = line.splitn(5, ';').collect();
            let sign = line.chars().next().unwrap_or(' ');
            if fields.len() == 5 && take(sign, fields[2], fields[3]) {
                return;
            }
        }
    }

    /// Counts names until there are so many; `None` is not within the limit.
    fn count(mut self, sign: char, count: usize, limit: Duration) -> (usize, Option<f64>) {
        let names = Arc::new(Mutex::new(BTreeSet::new()));
        let (seen, began) = (names.clone(), Instant::now());
        let (done, whole) = std::sync::mpsc::channel();
        std::thread::spawn(move || {
            self.each(|line, _, name| {
                let mut names = seen.lock().expect("no panic while held");
                names.extend((line == sign).then(|| name.to_owned()));
                names.len() >= count
            });
            let _ = done.send(ms(began));
        });
        let all = whole.recv_timeout(limit).ok();
        let found = names.lock().expect("no panic while held").len();
        (found, all.filter(|_| found >= count))
    }
}

impl Drop for Browse {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn publish(from: usize, count: usize) {
    let began = Instant::now();
    for (id, port) in (from..from + count).map(numbered) {
        let records: String = txt(&id).iter().map(|text| format!("<txt-record>{text}</txt-record>")).collect();
        let group = format!(
            "<service-group><name>{id}</name><service><type>{TYPE}</type><port>{port}</port>{records}</service></service-group>"
        );
        std::fs::write(format!("{SERVICES}/{id}.service"), group).expect("a file of a service");
    }
    // A service of one's own is browsed once it is established.
    if count > 0 {
        let (found, all) = Browse::start("-p").count('+', count, REGISTERS_WITHIN);
        assert!(all.is_some(), "{found} of {count} established within {REGISTERS_WITHIN:?}");
    }
    tell(&json!({ "ms": ms(began) }));
    let mut publishers = Vec::new();
    for line in lines() {
        let id = line.split_whitespace().nth(1).expect("an id").to_owned();
        let at = now();
        let mut command = Command::new("avahi-publish");
        command.args(["-s", &id, TYPE, "9000"]).args(txt(&id));
        publishers.push(command.stdout(Stdio::null()).spawn().expect("avahi-publish"));
        tell(&json!({ "at": at }));
    }
    for mut publisher in publishers {
        let _ = publisher.kill();
        let _ = publisher.wait();
    }
}

fn look(count: usize, limit: Duration) {
    let began = Instant::now();
    let (found, all) = Browse::start("-rp").count('=', count, limit);
    tell(&json!({ "ms": ms(began), "found": found, "all_ms": all }));
}

fn watch() {
    let told = Arc::new(Mutex::new((BTreeSet::new(), 0, 0)));
    let count = told.clone();
    std::thread::spawn(move || {
        Browse::start("-rp").each(|sign, protocol, name| {
            let at = now();
            let mut told = count.lock().expect("no panic while held");
            let fresh = !told.0.iter().any(|(_, seen): &(String, String)| seen == name);
            let key = (protocol.to_owned(), name.to_owned());
            let changed = match sign {
                '=' => told.0.insert(key) && fresh,
                '-' => told.0.remove(&key) && !told.0.iter().any(|(_, seen)| seen == name),
                _ => false,
            };
            if changed {
                told.2 = at;
                told.1 += usize::from(sign == '-');
            }
            if changed && sign == '=' && name.starts_with("one-") {
                tell(&json!({"id": name, "at": at}));
            }
            false
        });
    });
    tell(&json!({"ms": 0}));
    for _ in lines() {
        let told = told.lock().expect("no panic while held");
        let visible: BTreeSet<&String> = told.0.iter().map(|(_, name)| name).collect();
        tell(&json!({"visible": visible.len(), "deletes": told.1, "changed_at": told.2}));
    }
}

/// What the daemon has cached, read by a process each time: Avahi's tools have no other way.
fn warm(count: usize, rounds: usize) {
    let keep = Browse::start("-rp").count('=', count, Duration::from_secs(10));
    assert!(keep.1.is_some(), "{} of {count}", keep.0);
    let mut took = Vec::new();
    for _ in 0..rounds {
        let began = Instant::now();
        let (found, _) = Browse::start("-rptc").count('=', count, Duration::from_secs(10));
        took.push(ms(began) * 1e3);
        assert_eq!(found, count);
    }
    tell(&json!({ "us": took }));
}
