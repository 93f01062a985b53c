//! Hours of an ordinary day in little: nodes come, change and go, packets are lost, a process is killed now and then.

mod ear;
mod judge;

use std::net::IpAddr;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use mdns_registry::LinkKind;

use self::ear::Ear;
use self::judge::Figures;
use crate::callers::{caller, told, MEASURED};
use crate::lab::{Host, Lab, Process, SOON};
use crate::measure::{all_see, now, seconds, sent, Truth};
use crate::peer::{Peer, State};
use crate::report::Outcome;

/// How long, minutes.
const MINUTES: &str = "SOAK_MINUTES";
const MINUTES_DEFAULT: u64 = 60;
const HOSTS: u32 = 4;
const NODES: u32 = 200;
const SHARE: u32 = NODES / HOSTS;
const LOSS_PER_CENT: u8 = 5;
/// Five changes a second.
const EVERY: Duration = Duration::from_millis(200);
/// The nodes and the lease of the process that is killed, in one minute of five.
const GUESTS: Range<u32> = 1_000..1_010;
const GUEST_LEASE_S: u64 = 10;
const KILLED_EVERY: u64 = 5;
/// How long it is waited until all see all, when the changes pause.
const PATIENCE: Duration = Duration::from_secs(15);
/// What a lookup keeps alive is let go of after a minute.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(75);

pub fn churn_and_loss(link: LinkKind) -> Outcome {
    let minutes = std::env::var(MINUTES).map_or(MINUTES_DEFAULT, |text| match text.parse() {
        Ok(minutes @ 1..) => minutes,
        _ => panic!("{MINUTES}={text:?} is no number of minutes, 1 at least"),
    });
    match Day::new(link).pass(minutes) {
        Ok(figures) => figures.judged(),
        Err(how) => Outcome::missed(how),
    }
}

struct Day {
    link: LinkKind,
    hosts: Vec<Host>,
    peers: Vec<Peer>,
    guest: Host,
    /// For how long the last one there was kept from running, before it was killed.
    guest_stalled: Duration,
    /// Watches and stops, without end.
    stopper: Process,
    /// On a host of its own, to which nothing is lost.
    ear: Ear,
    truth: Truth,
    rng: fastrand::Rng,
    changes: u64,
    /// For how long.
    churned: Duration,
    _others: [Host; 2],
    _lab: Lab,
}

impl Day {
    fn new(link: LinkKind) -> Day {
        let lab = Lab::new("soak");
        let hosts: Vec<Host> = (0..HOSTS).map(|i| lab.host(&format!("h{i}"))).collect();
        let [guest, on_ear, on_stopper] = ["guest", "ear", "stopper"].map(|name| lab.host(name));
        let (ear, stopper) = (Ear::on(&on_ear), caller(&on_stopper, "stops"));
        let peers = hosts.iter().map(|host| Peer::start(host, link)).collect();
        let rng = fastrand::Rng::with_seed(17);
        Day {
            link,
            hosts,
            peers,
            guest,
            guest_stalled: Duration::ZERO,
            stopper,
            ear,
            truth: Truth::default(),
            rng,
            changes: 0,
            churned: Duration::ZERO,
            _others: [on_ear, on_stopper],
            _lab: lab,
        }
    }

    fn pass(&mut self, minutes: u64) -> Result<Figures, String> {
        self.hosts.iter().chain([&self.guest]).for_each(|host| host.loss_to(LOSS_PER_CENT));
        // One round of everything, so that what is made once is there before the first measurement.
        self.fill();
        self.churn(Duration::from_secs(30));
        self.whole()?;
        self.heard_once()?;
        self.empty()?;
        self.heard_once()?;
        self.stopper.say("measure");
        self.stopper.expect_line("what it holds at first", SOON, |line| line == MEASURED);
        let mut figures = Figures::since(self.states());
        let sent_before = self.sent();
        self.fill();
        (self.changes, self.churned) = (0, Duration::ZERO);
        let began = Instant::now();
        for minute in 0..minutes {
            let of_minute = |how: String| format!("minute {minute}: {how}");
            if minute % KILLED_EVERY == 0 {
                self.kill_a_guest().map_err(of_minute)?;
                figures.kills += 1;
            }
            self.churn((Duration::from_secs(60) * (minute as u32 + 1)).saturating_sub(began.elapsed()));
            let whole = self.whole().map_err(of_minute)?;
            figures.longest = figures.longest.max(whole);
            let states = self.states();
            figures.sample(began.elapsed(), &states);
            self.heard_once().map_err(of_minute)?;
            println!("minute {minute}: {}", figures.last_sample());
        }
        let took = began.elapsed();
        figures.bytes_s = (self.sent() - sent_before) as f64 / took.as_secs_f64();
        figures.changes_a_second = self.changes as f64 / self.churned.as_secs_f64();
        figures.changes = self.changes;
        figures.longest = figures.longest.max(self.empty()?);
        figures.after = self.states();
        figures.records = self.heard_once()?;
        figures.excused = self.ear.excused();
        self.stopper.say("over");
        figures.stopper = told(&mut self.stopper)?;
        Ok(figures)
    }

    fn states(&mut self) -> Vec<State> {
        self.peers.iter_mut().map(Peer::state).collect()
    }

    /// How many records were multicast, if none of them too soon since it was asked last: less than the 100 s ago of which
    /// peers tell for how long they were kept from running.
    fn heard_once(&mut self) -> Result<u64, String> {
        let states = self.states();
        self.ear.records(|from| {
            let is_its = |(host, _): &(&Host, _)| [IpAddr::from(host.ipv4), host.link_local.into()].contains(&from);
            let sender = self.hosts.iter().zip(&states).find(is_its);
            sender.map_or(self.guest_stalled, |(_, state)| Duration::from_micros(state.stalled_us))
        })
    }

    fn sent(&self) -> u64 {
        self.hosts.iter().map(|host| sent(host).1).sum()
    }

    fn fill(&mut self) {
        for (i, peer) in (0..).zip(&mut self.peers) {
            self.truth.register(peer, i * SHARE..(i + 1) * SHARE, 120, self.changes);
        }
    }

    /// Changes five nodes a second: each is registered, registered with other metadata, or deregistered.
    fn churn(&mut self, length: Duration) {
        let began = Instant::now();
        for number in 1.. {
            let due = EVERY * number;
            if due > length {
                break;
            }
            let node = self.rng.u32(0..NODES);
            self.changes += 1;
            let peer = &mut self.peers[(node / SHARE) as usize];
            if self.truth.has(node) && self.rng.u8(0..3) == 0 {
                self.truth.deregister(peer, node..node + 1);
            } else {
                self.truth.register(peer, node..node + 1, 120, self.changes);
            }
            thread::sleep(due.saturating_sub(began.elapsed()));
        }
        self.churned += began.elapsed().max(length);
    }

    /// Pauses until all have been told of what there is, and holds them to the invariants; how long it took. It is not looked
    /// up before, which might mend it.
    fn whole(&mut self) -> Result<Duration, String> {
        let Day { peers, truth, .. } = self;
        let told = truth.comes_to(&mut *peers, now(), PATIENCE);
        let sound = truth.seen_by(peers);
        let missed = || format!("I1: not all are told of what there is within {}", seconds(PATIENCE));
        let told = told.ok_or_else(missed)?;
        sound.map(|()| told)
    }

    /// A process that registers and is killed (I2).
    fn kill_a_guest(&mut self) -> Result<(), String> {
        let all = self.truth.len();
        let mut guest = Peer::start(&self.guest, self.link);
        guest.register(GUESTS, GUEST_LEASE_S, 0);
        all_see(&mut self.peers, all + GUESTS.len(), now(), PATIENCE).ok_or("the guests are not seen by all")?;
        self.guest_stalled = Duration::from_micros(guest.state().stalled_us);
        let killed = now();
        guest.process.kill9();
        let limit = Duration::from_secs(GUEST_LEASE_S + 1);
        let gone = all_see(&mut self.peers, all, killed, limit * 2).ok_or("I2: the killed guests are still there")?;
        match gone <= limit {
            true => Ok(()),
            false => Err(format!("I2: killed guests were seen for {}", seconds(gone))),
        }
    }

    /// Takes everything away, and waits until it is forgotten; how long until all saw that.
    fn empty(&mut self) -> Result<Duration, String> {
        let Day { peers, truth, .. } = &mut *self;
        peers.iter_mut().for_each(|peer| truth.deregister(peer, 0..NODES));
        let whole = self.whole()?;
        thread::sleep(FORGOTTEN_AFTER);
        Ok(whole)
    }
}
