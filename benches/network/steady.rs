//! What many nodes cost while nothing happens.

use std::fs;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use nix::unistd::{sysconf, SysconfVar};

use crate::cold::settle;
use crate::contender::{Buffers, Contender, Station};
use crate::lab::Lab;
use crate::life::comes_to;
use crate::line::{side_by_side, Cell, Goal, Line};

const TEN_THOUSAND: usize = 10_000;

/// What 10,000 nodes cost who publishes and who watches them, and whether all stay.
pub fn steady(watched: Duration) -> Vec<Line> {
    let mut lines = vec![
        Line::new("memory for 10,000 nodes, watcher", "MB", &[Goal::Max(20.0)]),
        Line::new("memory for 10,000 nodes, publisher", "MB", &[Goal::Max(25.0)]),
        Line::new(format!("CPU of a watcher of 10,000 nodes over {} s", watched.as_secs()), "%", &[Goal::Max(0.5)]),
    ];
    let turn = Mutex::new(());
    let results = side_by_side(|who| match who {
        Contender::GoMicro | Contender::Avahi => Err("see the cold lookup of 10,000 nodes".into()),
        _ => Ok(steady_cells(who, watched, &turn)),
    });
    for (who, cells) in results {
        for (number, line) in lines.iter_mut().enumerate() {
            line.put(who, cells.clone().map(|cells: [Cell; 3]| cells[number].clone()));
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
