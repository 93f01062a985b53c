//! Hours of an ordinary day in little: nodes come, change and go, packets are lost, a process is killed now and then.

use std::collections::BTreeMap;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

use mdns_registry::LinkKind;
use serde_json::json;

use crate::lab::{Host, Lab};
use crate::measure::{all_see, now, seconds, sent, since, sound, within};
use crate::peer::{id, register, Peer, Place, Present, State};
use crate::report::Outcome;

/// How long, minutes.
const MINUTES: &str = "SOAK_MINUTES";
const MINUTES_DEFAULT: u64 = 20;
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
/// Until all see all, when the changes pause.
const WHOLE_WITHIN: Duration = Duration::from_secs(15);
/// What a lookup keeps alive is let go of after a minute.
const FORGOTTEN_AFTER: Duration = Duration::from_secs(75);
/// What may be left of live heap, bytes, and the growth of resident memory, bytes an hour.
const LEFT: i64 = 64_000;
const SLOPE: f64 = 1e6;

pub fn a_day_of_churn_and_loss(link: LinkKind) -> Outcome {
    let minutes = std::env::var(MINUTES).ok().and_then(|text| text.parse().ok()).unwrap_or(MINUTES_DEFAULT);
    let mut day = Day::new(link);
    match day.pass(minutes) {
        Ok(outcome) => outcome,
        Err(how) => Outcome::missed(how),
    }
}

struct Day {
    link: LinkKind,
    hosts: Vec<Host>,
    peers: Vec<Peer>,
    guest: Host,
    /// The round of each node that is registered.
    truth: BTreeMap<u32, u64>,
    rng: fastrand::Rng,
    changes: u64,
    _lab: Lab,
}

impl Day {
    fn new(link: LinkKind) -> Day {
        let lab = Lab::new("soak");
        let hosts: Vec<Host> = (0..HOSTS).map(|i| lab.host(&format!("h{i}"))).collect();
        let guest = lab.host("guest");
        let peers = hosts.iter().map(|host| Peer::start(host, link)).collect();
        let rng = fastrand::Rng::with_seed(17);
        Day { link, hosts, peers, guest, truth: BTreeMap::new(), rng, changes: 0, _lab: lab }
    }

    fn pass(&mut self, minutes: u64) -> Result<Outcome, String> {
        self.hosts.iter().chain([&self.guest]).for_each(|host| host.loss_to(LOSS_PER_CENT));
        // One round of everything, so that what is made once is there before the first measurement.
        self.fill();
        self.churn(Duration::from_secs(30));
        self.whole()?;
        self.empty()?;
        let (before, sent_before) = (self.states(), self.sent());
        self.fill();
        let (began, mut samples, mut longest, mut kills) = (Instant::now(), Vec::new(), Duration::ZERO, 0);
        for minute in 0..minutes {
            if minute % KILLED_EVERY == 0 {
                self.kill_a_guest().map_err(|how| format!("minute {minute}: {how}"))?;
                kills += 1;
            }
            self.churn((Duration::from_secs(60) * (minute as u32 + 1)).saturating_sub(began.elapsed()));
            longest = longest.max(self.whole().map_err(|how| format!("minute {minute}: {how}"))?);
            let resident: i64 = self.states().iter().map(|state| state.resident).max().unwrap_or(0);
            samples.push((began.elapsed().as_secs_f64() / 3_600.0, resident as f64));
            println!("minute {minute}: resident {resident}, whole after {}", seconds(longest));
        }
        let took = began.elapsed();
        let bytes_s = (self.sent() - sent_before) as f64 / took.as_secs_f64();
        self.empty()?;
        let after = self.states();
        Ok(judge(&before, &after, &samples, longest, self.changes, kills, bytes_s))
    }

    fn states(&mut self) -> Vec<State> {
        self.peers.iter_mut().map(Peer::state).collect()
    }

    fn sent(&self) -> u64 {
        self.hosts.iter().map(|host| sent(host).1).sum()
    }

    fn fill(&mut self) {
        for (i, peer) in (0..).zip(&mut self.peers) {
            peer.register(i * SHARE..(i + 1) * SHARE, 120, self.changes);
            self.truth.extend((i * SHARE..(i + 1) * SHARE).map(|node| (node, self.changes)));
        }
    }

    /// Changes five nodes a second: each is registered, registered with other metadata, or deregistered.
    fn churn(&mut self, length: Duration) {
        let began = Instant::now();
        while began.elapsed() < length {
            let node = self.rng.u32(0..NODES);
            self.changes += 1;
            let peer = &mut self.peers[(node / SHARE) as usize];
            if self.truth.contains_key(&node) && self.rng.u8(0..3) == 0 {
                self.truth.remove(&node);
                peer.ask(&json!({"do": "deregister", "nodes": [node, node + 1]}));
            } else {
                self.truth.insert(node, self.changes);
                peer.ask(&register(node..node + 1, 120, self.changes));
            }
            thread::sleep(EVERY);
        }
    }

    /// Pauses until all see what there is, and holds them to the invariants; how long it took.
    fn whole(&mut self) -> Result<Duration, String> {
        let Day { peers, truth, .. } = self;
        let began = now();
        within(WHOLE_WITHIN, || as_it_is(truth, &sound(&mut *peers)?)).map(|()| since(began))
    }

    /// A process that registers and is killed (I2).
    fn kill_a_guest(&mut self) -> Result<(), String> {
        let all = self.truth.len();
        let mut guest = Peer::start(&self.guest, self.link);
        guest.register(GUESTS, GUEST_LEASE_S, 0);
        all_see(&mut self.peers, all + GUESTS.len(), now(), WHOLE_WITHIN).ok_or("the guests are not seen by all")?;
        let killed = now();
        guest.process.kill9();
        let limit = Duration::from_secs(GUEST_LEASE_S + 1);
        let gone = all_see(&mut self.peers, all, killed, limit * 2).ok_or("I2: the killed guests are still there")?;
        match gone <= limit {
            true => Ok(()),
            false => Err(format!("I2: killed guests were seen for {}", seconds(gone))),
        }
    }

    /// Takes everything away, and waits until it is forgotten.
    fn empty(&mut self) -> Result<(), String> {
        self.peers.iter_mut().for_each(|peer| peer.deregister(0..NODES));
        self.truth.clear();
        self.whole()?;
        thread::sleep(FORGOTTEN_AFTER);
        Ok(())
    }
}

fn as_it_is(truth: &BTreeMap<u32, u64>, present: &Present) -> Result<(), String> {
    let seen: BTreeMap<String, u64> = present.iter().map(|(id, Place { round, .. })| (id.clone(), *round)).collect();
    let wanted: BTreeMap<String, u64> = truth.iter().map(|(node, round)| (id(*node), *round)).collect();
    match seen == wanted {
        true => Ok(()),
        false => Err(format!("I1: {} nodes are seen, {} are registered, or others", seen.len(), wanted.len())),
    }
}

/// By least squares, per unit of the first.
fn slope(samples: &[(f64, f64)]) -> f64 {
    let n = samples.len() as f64;
    let mean = |of: fn(&(f64, f64)) -> f64| samples.iter().map(of).sum::<f64>() / n;
    let (x, y) = (mean(|sample| sample.0), mean(|sample| sample.1));
    let (over, under) = samples.iter().fold((0.0, 0.0), |(over, under), sample| {
        (over + (sample.0 - x) * (sample.1 - y), under + (sample.0 - x).powi(2))
    });
    if under == 0.0 {
        0.0
    } else {
        over / under
    }
}

fn judge(
    before: &[State],
    after: &[State],
    samples: &[(f64, f64)],
    longest: Duration,
    changes: u64,
    kills: u64,
    bytes_s: f64,
) -> Outcome {
    let most = |of: fn(&State) -> i64| before.iter().zip(after).map(|(before, after)| of(after) - of(before)).max();
    let heap = most(|state| state.heap).unwrap_or(0);
    let descriptors = most(|state| state.descriptors as i64).unwrap_or(0);
    let threads = most(|state| state.threads as i64).unwrap_or(0);
    let slope = slope(samples);
    let measured = format!(
        "{} minutes, {changes} changes, {kills} kills: whole {} after each minute at most; live heap {:+.1} kB, resident \
         {:+.2} MB an hour, {descriptors:+} descriptors, {threads:+} threads; {:.1} kB/s sent by all",
        samples.len(),
        seconds(longest),
        heap as f64 / 1e3,
        slope / 1e6,
        bytes_s / 1e3,
    );
    Outcome::new(heap <= LEFT && slope <= SLOPE && descriptors <= 0 && threads <= 0, measured)
}
