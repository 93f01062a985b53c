//! Lookups by a process that has just started, on a network where nothing else asks.

use std::thread;
use std::time::{Duration, Instant};

use crate::contender::{Buffers, Contender, Station};
use crate::lab::{Host, Lab};
use crate::line::{Cell, Goal, Line};

/// What a lookup finds, and how.
#[derive(Clone, Copy)]
struct Field {
    hosts: usize,
    nodes_each: usize,
    /// Per cent lost of what is sent to who looks.
    loss: u8,
    buffers: Buffers,
}

impl Field {
    const fn one(nodes_each: usize) -> Field {
        Field { hosts: 1, nodes_each, loss: 0, buffers: Buffers::Asked }
    }

    fn nodes(self) -> usize {
        self.hosts * self.nodes_each
    }
}

/// How often a contender looks, and how long each time.
struct Patience {
    runs: usize,
    limit: Duration,
}

/// Quick ones look often; the slow ones just often enough to tell.
fn patience(who: Contender, field: Field) -> Result<Patience, String> {
    let seconds = Duration::from_secs;
    let (runs, limit) = match (who, field.nodes()) {
        (Contender::Native, 10_000) => (10, seconds(10)),
        (Contender::Native, 1_000) if field.loss == 0 => (20, seconds(10)),
        (Contender::GoMicro, 100..=1_000) => (5, seconds(3)),
        (Contender::Avahi, 1_000) => (1, seconds(40)),
        (_, 1_000) if field.loss > 0 => (2, seconds(40)),
        (Contender::GoMicro, 10_000) => {
            return Err("see how long it registers 1,000; that grows with the square of the nodes".into());
        }
        (Contender::Avahi, 10_000) => {
            return Err("see how long it takes for 1,000; that grows with the square of the nodes".into());
        }
        (_, 10_000) => (1, seconds(30)),
        (_, _) => (5, seconds(20)),
    };
    Ok(Patience { runs, limit })
}

pub fn few() -> Vec<Line> {
    vec![
        compare("cold lookup, 1 node", &[Goal::Median(40.0), Goal::ByFirstCall], Field::one(1)),
        compare("cold lookup, 100 nodes", &[Goal::Median(60.0), Goal::ByFirstCall], Field::one(100)),
    ]
}

pub fn thousand() -> Vec<Line> {
    vec![compare("cold lookup, 1,000 nodes", &[Goal::Median(100.0), Goal::ByFirstCall], Field::one(1_000))]
}

pub fn ten_thousand() -> Vec<Line> {
    let work = "cold lookup, 10,000 nodes of one publisher";
    with_both_buffers(work, 600.0, Field::one(10_000))
}

pub fn twenty_hosts() -> Vec<Line> {
    let work = "cold lookup, 10,000 nodes of 20 hosts";
    with_both_buffers(work, 1_000.0, Field { hosts: 20, ..Field::one(500) })
}

pub fn loss() -> Vec<Line> {
    let goal = |nodes: usize, ms| {
        let work = format!("cold lookup, {nodes} nodes, 30 % lost on the way to who looks");
        compare(&work, &[Goal::Median(ms)], Field { loss: 30, ..Field::one(nodes) })
    };
    vec![goal(100, 1_000.0), goal(1_000, 2_000.0)]
}

fn with_both_buffers(work: &str, ms: f64, field: Field) -> Vec<Line> {
    let asked = compare(work, &[Goal::Median(ms)], field);
    let work = format!("{work}, default receive buffers");
    let plain = Field { buffers: Buffers::Default, ..field };
    let plain = Line::new(work, "ms", &[Goal::Median(3_000.0)]).compare(|who| match who {
        Contender::Native | Contender::MdnsSd => measure(who, plain),
        _ => Err("as in the line above: it asks for no larger ones".into()),
    });
    vec![asked, plain]
}

fn compare(work: &str, goals: &[Goal], field: Field) -> Line {
    Line::new(work, "ms", goals).compare(|who| measure(who, field))
}

/// The time until all nodes are known, where they come to be. It begins with the first call of an open registry.
fn measure(who: Contender, field: Field) -> Result<Cell, String> {
    let Patience { runs, limit } = patience(who, field)?;
    let lab = Lab::new("cold");
    let looks = lab.host("looks");
    let hosts: Vec<Host> = (0..field.hosts).map(|number| lab.host(&format!("h{number}"))).collect();
    let publish =
        |(number, host)| Station::publish(who, host, number * field.nodes_each, field.nodes_each, 0, field.buffers).0;
    let publishers: Vec<Station<'_>> = hosts.iter().enumerate().map(publish).collect();
    thread::scope(|scope| hosts.iter().for_each(|host| drop(scope.spawn(|| settle(host)))));
    looks.loss_to(field.loss);

    let (mut cell, mut first, mut whole) = (Cell::default(), 0, 0);
    for _ in 0..runs {
        // A record may be multicast but once a second: who looked before must not stand in the way.
        thread::sleep(Duration::from_millis(1_500));
        let words = format!("look {} {}", field.nodes(), limit.as_millis());
        let mut look = Station::start(who, &looks, &words, field.buffers);
        let found = look.hear("what it found", limit + Duration::from_secs(20));
        let count = found["found"].as_u64().expect("a count");
        first += count;
        whole += usize::from(count as usize >= field.nodes());
        match found["all_ms"].as_f64() {
            Some(ms) => cell.samples.push(ms),
            None => cell.short += 1,
        }
    }
    drop(publishers);
    cell.late = runs - whole - cell.short;
    if cell.short > 0 {
        cell.note = format!("{} of {runs} not whole within {} s; ", cell.short, limit.as_secs());
    }
    if whole < runs {
        cell.note += &format!("the first call has {} nodes on average", first / runs as u64);
    }
    Ok(cell)
}

/// Waits until a host has sent nothing for longer than anybody's announcements are apart.
pub fn settle(host: &Host) {
    const QUIET: Duration = Duration::from_millis(2_500);
    let began = Instant::now();
    let (mut sent, mut since) = (String::new(), Instant::now());
    while since.elapsed() < QUIET && began.elapsed() < Duration::from_secs(40) {
        let table = host.run("cat", ["/proc/net/dev"], Duration::from_secs(5)).success();
        let eth0 = table.lines().find(|line| line.trim_start().starts_with("eth0:")).expect("eth0");
        let now = eth0.split_whitespace().nth(10).expect("packets sent").to_owned();
        if now != sent {
            (sent, since) = (now, Instant::now());
        }
        thread::sleep(Duration::from_millis(100));
    }
}
