//! Registering, watching, and the end of a network or a process.

use std::thread;
use std::time::{Duration, Instant};

use crate::cold::settle;
use crate::contender::{Buffers, Contender, Station};
use crate::lab::Lab;
use crate::library::now;
use crate::line::{side_by_side, Cell, Goal, Line};

fn seconds(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e9
}

/// From the call of register on one host to the event on another.
pub fn event() -> Vec<Line> {
    let line = Line::new("register to event on another host, 1 node", "ms", &[Goal::AsFastAsMdnsSd, Goal::P99(5.0)]);
    vec![line.compare(|who| {
        let lab = Lab::new("event");
        let (a, b) = (lab.host("a"), lab.host("b"));
        let mut watcher = Station::watch(who, &b);
        let (mut publisher, _) = Station::publish(who, &a, 0, 0, 0, Buffers::Asked);
        let rounds = match who {
            Contender::Avahi => 20,
            Contender::GoMicro => 50,
            _ => 100,
        };
        let mut cell = Cell::default();
        for round in 0..rounds {
            thread::sleep(Duration::from_millis(30));
            let id = format!("one-{round}");
            let said = publisher.ask(&format!("one {id}"))["at"].as_u64().expect("a time");
            let told = loop {
                let event = watcher.hear(&id, Duration::from_secs(10));
                if event["id"] == id.as_str() {
                    break event["at"].as_u64().expect("a time");
                }
            };
            cell.samples.push(seconds(said, told) * 1e3);
        }
        Ok(cell)
    })]
}

/// One call, until it returns.
pub fn register() -> Vec<Line> {
    vec![Line::new("registering 1,000 nodes in one call", "ms", &[Goal::Median(20.0)]).compare(|who| {
        let lab = Lab::new("register");
        let a = lab.host("a");
        let (runs, note) = match who {
            Contender::Native | Contender::MdnsSd => (5, ""),
            Contender::Zeroconf => (5, "it has no such call: 1,000 registrations awaited at once"),
            Contender::Avahi => (1, "1,000 static services written, until all are established"),
            Contender::GoMicro => (1, ""),
        };
        let ms = (0..runs).map(|_| Station::publish(who, &a, 0, 1_000, 0, Buffers::Asked).1);
        Ok(Cell::of(ms.collect()).noted(note))
    })]
}

pub fn warm() -> Vec<Line> {
    let line = |nodes: usize, us| {
        let work = format!("warm lookup, {nodes} node{} of another host", if nodes == 1 { "" } else { "s" });
        Line::new(work, "µs", &[Goal::Median(us)]).compare(|who| {
            let (rounds, note) = match who {
                Contender::Native | Contender::MdnsSd => (1_000, "through the C ABI"),
                Contender::Zeroconf => (1_000, "each node read from its cache"),
                Contender::Avahi => (10, "avahi-browse -c: its tools read the daemon's cache by a process each time"),
                Contender::GoMicro => (10, "it keeps nothing: each lookup asks the network"),
            };
            let lab = Lab::new("warm");
            let (a, b) = (lab.host("a"), lab.host("b"));
            let _publisher = Station::publish(who, &a, 0, nodes, 0, Buffers::Asked);
            settle(&a);
            let mut reader = Station::start(who, &b, &format!("warm {nodes} {rounds}"), Buffers::Asked);
            let took = reader.hear("how long it took", Duration::from_secs(60));
            let took = took["us"].as_array().expect("a list").iter().filter_map(serde_json::Value::as_f64);
            Ok(Cell::of(took.collect()).noted(note))
        })
    };
    vec![line(1, 2.0), line(100, 20.0)]
}

fn line_side_by_side(mut line: Line, measure: impl Fn(Contender) -> Result<Cell, String> + Sync) -> Line {
    for (who, cell) in side_by_side(measure) {
        line.put(who, cell);
    }
    line
}

/// Waits until a watcher sees so many nodes; the time when that came to be, nanoseconds since 1970.
pub fn comes_to(watcher: &mut Station<'_>, nodes: usize, limit: Duration) -> Option<u64> {
    let began = Instant::now();
    loop {
        let told = watcher.ask("count");
        if told["visible"] == nodes {
            return told["changed_at"].as_u64();
        }
        if began.elapsed() > limit {
            return None;
        }
        thread::sleep(Duration::from_millis(20));
    }
}

const NEVER: &str = "its watcher takes no dead node away";

/// 130 s without a packet either way, which is longer than the usual lease; then a whole network.
pub fn partition() -> Vec<Line> {
    const NODES: usize = 100;
    let line = Line::new("partition of 130 s with 100 nodes, until a watcher has all again", "s", &[Goal::Max(3.0)]);
    vec![line_side_by_side(line, |who| {
        if who == Contender::GoMicro {
            return Err(NEVER.into());
        }
        let lab = Lab::new("part");
        let (a, b) = (lab.host("a"), lab.host("b"));
        let _publisher = Station::publish(who, &a, 0, NODES, 0, Buffers::Asked);
        let mut watcher = Station::watch(who, &b);
        comes_to(&mut watcher, NODES, Duration::from_secs(30)).ok_or("it did not see all before the partition")?;
        settle(&a);
        b.partition();
        thread::sleep(Duration::from_secs(130));
        let missing = NODES as u64 - watcher.ask("count")["visible"].as_u64().expect("a count");
        if missing == 0 {
            return Err("its watcher misses none after 130 s, so there is nothing to see again".into());
        }
        let healed = now();
        b.heal();
        let limit = Duration::from_secs(60);
        let mut cell = Cell::default().noted(format!("{missing} of {NODES} were gone"));
        match comes_to(&mut watcher, NODES, limit) {
            Some(at) => cell.samples.push(seconds(healed, at)),
            None => {
                cell.short = 1;
                let visible = watcher.ask("count")["visible"].clone();
                cell.note += &format!("; {visible} are there after {} s", limit.as_secs());
            }
        }
        Ok(cell)
    })]
}

/// The death of a process with 10 nodes, until the last of them is gone at a watcher.
pub fn kill() -> Vec<Line> {
    const NODES: usize = 10;
    let leases = [3, 10, 60];
    let line = |lease: u64| {
        let most = (lease + 1) as f64;
        let line = Line::new(format!("kill -9, lease of {lease} s, until gone"), "s", &[Goal::Max(most)]);
        line_side_by_side(line, |who| {
            match who {
                Contender::GoMicro => return Err(NEVER.into()),
                Contender::Avahi => return Err("its leases are fixed: 75 minutes".into()),
                _ => {}
            }
            let lab = Lab::new("kill");
            let (a, b) = (lab.host("a"), lab.host("b"));
            let (mut publisher, _) = Station::publish(who, &a, 0, NODES, lease, Buffers::Asked);
            let mut watcher = Station::watch(who, &b);
            comes_to(&mut watcher, NODES, Duration::from_secs(30)).ok_or("it did not see all before the death")?;
            settle(&a);
            publisher.process.kill9();
            let killed = now();
            let limit = Duration::from_secs(lease + 30);
            let gone = comes_to(&mut watcher, 0, limit);
            let mut cell = Cell { short: usize::from(gone.is_none()), ..Cell::default() };
            if gone.is_none() {
                cell.note = format!("not gone after {} s", limit.as_secs());
                if who == Contender::Zeroconf {
                    cell.note += ": it keeps a PTR record for 1,125 s at least";
                }
            }
            cell.samples.extend(gone.map(|at| seconds(killed, at)));
            Ok(cell)
        })
    };
    thread::scope(|scope| {
        leases.map(|lease| scope.spawn(move || line(lease))).map(|l| l.join().expect("a line")).into()
    })
}
