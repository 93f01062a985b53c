//! Whole native endpoints by the thousand on a simulated link, in virtual time: how soon all know all, and what it
//! costs in messages. `make simulate`; prints a table in Markdown.

#[path = "../../tests/segment/net.rs"]
#[allow(dead_code)]
mod net;

use std::time::Instant;

use net::{service, Net, Weather};

const NODES: usize = 10;
const LEASE_S: u64 = 120;
/// Until alive records come as seldom as they do when nothing changes.
const PEACE_MS: u64 = 120_000;

/// Hosts with ten nodes each; so many of the first watch everything, the rest one service each.
struct World {
    net: Net,
    watchers: usize,
    kinds: usize,
}

impl World {
    /// Boots all hosts within two seconds.
    fn boot(seed: u64, hosts: usize, watchers: usize) -> World {
        let kinds = (hosts / 10).max(1);
        let mut net = Net::new(seed, Weather { loss: 0.01, duplicates: 0.0, delay: 1 });
        for i in 0..hosts {
            let host = net.host();
            net.register(host, &service(&name(i % kinds), i * NODES..(i + 1) * NODES), LEASE_S);
            if i < watchers {
                net.watch(host, None);
            } else {
                net.watch(host, Some(&name((i + 1) % kinds)));
            }
            net.run(2_000 / hosts as u64);
        }
        World { net, watchers, kinds }
    }

    /// The nodes that a host should see of a service, from its group.
    fn expected(&self, of: usize, kind: usize) -> usize {
        let seen = |(i, host): (usize, &net::Host)| {
            host.up && i % self.kinds == kind && host.group == self.net.hosts[of].group
        };
        self.net.hosts.iter().enumerate().filter(|at| seen(*at)).count() * NODES
    }

    fn is_whole(&self, host: usize) -> bool {
        let kinds =
            if host < self.watchers { 0..self.kinds } else { (host + 1) % self.kinds..(host + 1) % self.kinds + 1 };
        kinds.into_iter().all(|kind| self.net.found(host, &name(kind)) == self.expected(host, kind))
    }

    /// Runs until every host sees what it should; the milliseconds, or the share of hosts that do.
    fn converge(&mut self, limit_ms: u64) -> Result<u64, f64> {
        let start = self.net.now.0;
        let mut left: Vec<usize> = (0..self.net.hosts.len()).filter(|host| self.net.hosts[*host].up).collect();
        let all = left.len();
        while self.net.now.0 < start + limit_ms {
            left.retain(|host| !self.is_whole(*host));
            if left.is_empty() {
                return Ok(self.net.now.0 - start);
            }
            self.net.run(50);
        }
        Err(1.0 - left.len() as f64 / all as f64)
    }

    /// Messages and bytes a second since, as sent.
    fn traffic(&mut self, ms: u64) -> (f64, f64) {
        self.net.sent.clear();
        self.net.run(ms);
        let sent = |kind: &str| self.net.sent.get(kind).copied().unwrap_or(0) as f64;
        let seconds = ms as f64 / 1_000.0;
        ((sent("multicast") + sent("asks") + sent("unicast")) / seconds, sent("bytes") / seconds)
    }

    fn expired(&self) -> u64 {
        self.net.hosts.iter().map(|host| host.engine.counts().expired).sum()
    }
}

fn name(kind: usize) -> String {
    format!("service-{kind}")
}

fn row(what: &str, figure: &str) {
    println!("| {what} | {figure} |");
}

fn tell(what: &str, result: Result<u64, f64>) {
    match result {
        Ok(ms) => row(what, &format!("{:.1} s", ms as f64 / 1_000.0)),
        Err(share) => row(what, &format!("NOT ALL: {:.2} % of hosts", share * 100.0)),
    }
}

/// Boot, hours in peace, a partition, deaths.
fn story(hosts: usize, watchers: usize, minutes: u64) {
    let begun = Instant::now();
    println!("\n### {hosts} hosts × {NODES} nodes, {watchers} watch everything, {minutes} min, loss 1 %\n\n| what | figure |\n|---|---|");
    let mut world = World::boot(1, hosts, watchers);
    tell("all hosts started: every view whole after", world.converge(60_000));
    let nodes = (hosts * NODES) as f64;
    world.net.run(PEACE_MS);
    let (messages, bytes) = world.traffic(60_000);
    row("in peace, a node a second", &format!("{:.4} messages, {:.2} bytes", messages / nodes, bytes / nodes));
    row("in peace, in all", &format!("{messages:.0} messages/s, {:.1} kB/s", bytes / 1_000.0));
    let before = world.expired();
    world.net.run((minutes * 60_000).saturating_sub(180_000 + PEACE_MS));
    row("deleted for silence meanwhile, though alive", &(world.expired() - before).to_string());
    for host in 0..hosts / 10 {
        world.net.hosts[host].group = 1;
    }
    world.net.run(130_000);
    world.net.hosts.iter_mut().for_each(|host| host.group = 0);
    tell("a tenth cut off for 130 s: whole after", world.converge(60_000));
    for host in hosts / 2..hosts / 2 + hosts / 20 {
        world.net.kill(host);
    }
    tell("one in twenty killed, lease 120 s: gone after", world.converge(180_000));
    row("real time", &format!("{:.0} s", begun.elapsed().as_secs_f64()));
    row("peak memory", &memory());
}

fn memory() -> String {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap_or("unknown");
    peak.trim().to_owned()
}

/// How traffic in peace grows with nodes and with watchers.
fn curve() {
    println!("\n### Traffic in peace\n\n| hosts | nodes | watchers of everything | messages/s | kB/s |\n|---|---|---|---|---|");
    for (hosts, watchers) in [(10, 1), (10, 10), (100, 1), (100, 20), (100, 100), (300, 20)] {
        let mut world = World::boot(2, hosts, watchers);
        let _ = world.converge(60_000);
        world.net.run(PEACE_MS);
        let (messages, bytes) = world.traffic(60_000);
        println!("| {hosts} | {} | {watchers} | {messages:.1} | {:.1} |", hosts * NODES, bytes / 1_000.0);
    }
}

fn main() {
    let arguments: Vec<usize> = std::env::args().skip(1).filter_map(|argument| argument.parse().ok()).collect();
    match arguments[..] {
        [hosts, watchers, minutes] => story(hosts, watchers, minutes as u64),
        _ => {
            story(100, 20, 120);
            story(1_000, 20, 10);
            curve();
        }
    }
}
