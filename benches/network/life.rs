//! Registering, watching, and the end of a network or a process.

use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{sysconf, SysconfVar};

use crate::cold::settle;
use crate::contender::{Buffers, Contender, Station};
use crate::lab::Lab;
use crate::library::now;
use crate::line::{attempt, Cell, Goal, Line};

const TEN_THOUSAND: usize = 10_000;

fn since_ms(from: u64, to: u64) -> f64 {
    to.saturating_sub(from) as f64 / 1e6
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
            cell.samples.push(since_ms(said, told));
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
        let work = format!("warm lookup, {nodes} nodes of another host");
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

/// Measures all at once, each on a network of its own: they mostly wait.
fn side_by_side(mut line: Line, measure: impl Fn(Contender) -> Result<Cell, String> + Sync) -> Line {
    let measure = &measure;
    let cells = thread::scope(|scope| {
        let each = |who| (who, scope.spawn(move || attempt(who, || measure(who)).unwrap_or_else(Cell::without)));
        let running = Contender::ALL.map(each);
        running.map(|(who, cell)| (who.name().to_owned(), cell.join().expect("attempts do not panic")))
    });
    line.cells.extend(cells);
    line
}

/// Waits until a watcher sees so many nodes; the time when that came to be, nanoseconds since 1970.
fn comes_to(watcher: &mut Station<'_>, nodes: usize, limit: Duration) -> Option<u64> {
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
    let line = Line::new("partition of 130 s with 100 nodes, until a watcher has all again", "ms", &[Goal::Max(3_000.0)]);
    vec![side_by_side(line, |who| {
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
        let healed = now();
        b.heal();
        let limit = Duration::from_secs(60);
        let mut cell = Cell::default().noted(format!("{missing} of {NODES} were gone"));
        match comes_to(&mut watcher, NODES, limit) {
            Some(at) => cell.samples.push(since_ms(healed, at)),
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
        let most = (lease + 1) as f64 * 1e3;
        let line = Line::new(format!("kill -9, lease of {lease} s, until gone"), "ms", &[Goal::Max(most)]);
        side_by_side(line, |who| {
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
            cell.samples.extend(gone.map(|at| since_ms(killed, at)));
            Ok(cell)
        })
    };
    thread::scope(|scope| leases.map(|lease| scope.spawn(move || line(lease))).map(|l| l.join().expect("a line")).into())
}

/// What 10,000 nodes cost who publishes and who watches them, and whether all stay.
pub fn steady(watched: Duration) -> Vec<Line> {
    let mut lines = vec![
        Line::new("memory for 10,000 nodes, watcher", "MB", &[Goal::Max(20.0)]),
        Line::new("memory for 10,000 nodes, publisher", "MB", &[Goal::Max(25.0)]),
        Line::new(format!("CPU of a watcher of 10,000 nodes over {} s", watched.as_secs()), "%", &[Goal::Max(0.5)]),
    ];
    let results = Mutex::new(Vec::new());
    let turn = Mutex::new(());
    side_by_side(Line::new("", "", &[]), |who| {
        let cells = match who {
            Contender::GoMicro | Contender::Avahi => Err("see the cold lookup of 10,000 nodes".into()),
            _ => attempt(who, || Ok(steady_cells(who, watched, &turn))),
        };
        let cells = cells.unwrap_or_else(|reason| [(); 3].map(|()| Cell::without(reason.clone())));
        results.lock().expect("no panic while held").push((who, cells));
        Ok(Cell::default())
    });
    for (who, cells) in results.into_inner().expect("no panic while held") {
        for (line, cell) in lines.iter_mut().zip(cells) {
            line.cells.insert(who.name().into(), cell);
        }
    }
    lines
}

fn steady_cells(who: Contender, watched: Duration, turn: &Mutex<()>) -> [Cell; 3] {
    let lab = Lab::new("steady");
    let (a, b) = (lab.host("a"), lab.host("b"));
    // One contender fills at a time; a failed one leaves its turn poisoned, and that is all.
    let held = turn.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let (mut publisher, _) = Station::publish(who, &a, 0, TEN_THOUSAND, 0, Buffers::Asked);
    settle(&a);
    let mut watcher = Station::watch(who, &b);
    comes_to(&mut watcher, TEN_THOUSAND, Duration::from_secs(30));
    settle(&a);
    drop(held);
    let before = watcher.ask("count");
    let (spent, began) = (cpu_seconds(watcher.pid()), Instant::now());
    thread::sleep(watched);
    let percent = (cpu_seconds(watcher.pid()) - spent) / began.elapsed().as_secs_f64() * 100.0;
    let after = watcher.ask("count");
    let (seen, deletes) = (before["visible"].as_u64().expect("a count"), after["deletes"].as_u64().expect("a count"));
    let of = if seen == TEN_THOUSAND as u64 { String::new() } else { format!("with {seen} of {TEN_THOUSAND} nodes; ") };
    let wrong = usize::from(seen < TEN_THOUSAND as u64 || deletes > 0);
    let cell = |sample, short, note| Cell { samples: vec![sample], short, note, ..Cell::default() };
    let few = usize::from(!of.is_empty());
    [
        cell(resident_mb(watcher.pid()), few, of.clone()),
        cell(resident_mb(publisher.pid()), 0, String::new()),
        cell(percent, wrong, format!("{of}{deletes} false deletes")),
    ]
}

fn resident_mb(pid: u32) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).expect("a running process");
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).expect("VmRSS");
    line.split_whitespace().nth(1).expect("kB").parse::<f64>().expect("a number") / 1e3
}

fn cpu_seconds(pid: u32) -> f64 {
    let ticks = sysconf(SysconfVar::CLK_TCK).ok().flatten().expect("ticks a second") as f64;
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).expect("a running process");
    let fields = stat.rsplit_once(')').expect("a name").1.split_whitespace().skip(11).take(2);
    fields.map(|ticks| ticks.parse::<f64>().expect("a number")).sum::<f64>() / ticks
}
