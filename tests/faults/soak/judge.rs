//! What was measured in a soak, and what of it must hold.

use std::time::Duration;

use serde_json::Value;

use crate::measure::{megabytes, seconds, Held, HEAP_LEFT};
use crate::peer::State;
use crate::report::Outcome;

/// Until all see all, when the changes pause (I1).
const WHOLE_WITHIN: Duration = Duration::from_secs(3);
/// How much more live heap a peer may have at the end of each minute than when nothing was there, bytes (I9): four times
/// what 200 nodes take, of which it publishes 50.
const HEAP: i64 = 2_000_000;
/// The growth of resident memory of each peer, bytes an hour; `HEAP_LEFT` more or less in all are pages, not growth, which
/// matters in less than five minutes only.
const SLOPE: f64 = 1e6;
/// Of fewer samples there is no slope.
const SLOPE_OF: usize = 3;
/// In one of so many minutes a sender may have been stopped for so long that what it says is not judged.
const EXCUSED_OF: u64 = 10;
/// Of five.
const CHANGES_A_SECOND: f64 = 4.5;

#[derive(Default)]
pub struct Figures {
    before: Vec<State>,
    pub after: Vec<State>,
    samples: Vec<Sample>,
    /// Until all saw all, after the worst minute.
    pub longest: Duration,
    pub changes: u64,
    /// While there were any.
    pub changes_a_second: f64,
    pub kills: u64,
    pub bytes_s: f64,
    /// Multicast in all, and none too soon (I8).
    pub records: u64,
    /// How often a sender was not judged, as it had been stopped.
    pub excused: u64,
    /// What the caller tells that watches and stops (I5, I6).
    pub stopper: Value,
}

struct Sample {
    hours: f64,
    /// Of each peer.
    resident: Vec<i64>,
    /// Of the peer that has most.
    stalled_us: u64,
    heap: i64,
}

impl Figures {
    pub fn since(before: Vec<State>) -> Figures {
        Figures { before, ..Figures::default() }
    }

    pub fn sample(&mut self, elapsed: Duration, states: &[State]) {
        let heap = grown(&self.before, states, |state| state.heap);
        let resident = states.iter().map(|state| state.resident).collect();
        let stalled_us = states.iter().map(|state| state.stalled_us).max().unwrap_or(0);
        self.samples.push(Sample { hours: elapsed.as_secs_f64() / 3_600.0, stalled_us, resident, heap });
    }

    pub fn last_sample(&self) -> String {
        let last = self.samples.last();
        last.map_or_else(String::new, |last| {
            let resident: Vec<String> = last.resident.iter().map(|resident| megabytes(*resident)).collect();
            format!("live heap {}, resident {}", megabytes(last.heap), resident.join(", "))
        })
    }

    pub fn judged(&self) -> Outcome {
        let heap = grown(&self.before, &self.after, |state| state.heap);
        let descriptors = grown(&self.before, &self.after, |state| state.descriptors as i64);
        let threads = grown(&self.before, &self.after, |state| state.threads as i64);
        let most = self.samples.iter().map(|sample| sample.heap).max().unwrap_or(0);
        let stalled = self.samples.iter().map(|sample| sample.stalled_us).max().unwrap_or(0) / 1_000;
        let growth: Vec<Growth> = (0..self.before.len()).map(|peer| self.growth(peer)).collect();
        let resident = match growth.iter().filter_map(|growth| growth.slope).reduce(f64::max) {
            Some(slope) => format!("{:+.2} MB an hour", slope / 1e6),
            None => format!("not judged, of {} samples", self.samples.len()),
        };
        let of_stopper = |key: &str| self.stopper[key].as_u64().unwrap_or(0);
        let stopper = self.stopper_left();
        let (stops, called, late) = (of_stopper("stops"), of_stopper("called"), of_stopper("late"));
        let measured = format!(
            "{} minutes, {} changes ({:.1} a second but for the looks), {} kills: whole {} after each minute at most; {} \
             records multicast, none too soon (by peers that were kept from running for {stalled} ms at most, and {} times \
             not judged for that); {stops} \
             watches stopped after {called} callbacks, {late} later, live heap of their process {}; of the peers live heap \
             {} at most and {:+.1} kB at the end, resident {resident}, {descriptors:+} descriptors, {threads:+} threads; \
             {:.1} kB/s sent by all",
            self.samples.len(),
            self.changes,
            self.changes_a_second,
            self.kills,
            seconds(self.longest),
            self.records,
            self.excused,
            stopper.as_ref().map_or_else(String::clone, |left| format!("{:+.1} kB", *left as f64 / 1e3)),
            megabytes(most),
            heap as f64 / 1e3,
            self.bytes_s / 1e3,
        );
        let steady = growth.iter().all(Growth::is_none);
        let heard = self.records > 0 && stops > 0 && called > 0;
        let returned =
            heap <= HEAP_LEFT && most <= HEAP && steady && descriptors <= 0 && threads <= 0 && stopper.is_ok();
        let churned = self.changes_a_second >= CHANGES_A_SECOND;
        let whole = self.longest <= WHOLE_WITHIN;
        let judged = self.excused <= self.samples.len() as u64 / EXCUSED_OF;
        Outcome::new(churned && heard && whole && judged && late == 0 && returned, measured)
    }

    fn growth(&self, peer: usize) -> Growth {
        let samples: Vec<(f64, i64)> = self.samples.iter().map(|s| (s.hours, s.resident[peer])).collect();
        let resident = || samples.iter().map(|sample| sample.1);
        let range = resident().max().unwrap_or(0) - resident().min().unwrap_or(0);
        Growth { slope: (samples.len() >= SLOPE_OF).then(|| slope(&samples)), range }
    }

    /// What the process that watches and stops holds more in the end than when nothing was there, bytes.
    fn stopper_left(&self) -> Result<i64, String> {
        let [first, last]: [Held; 2] = serde_json::from_value(self.stopper["held"].clone()).expect("what it holds");
        last.back_to(&first)
    }
}

/// Of the resident memory of one peer.
struct Growth {
    /// Bytes an hour.
    slope: Option<f64>,
    /// Between the least and the most, bytes.
    range: i64,
}

impl Growth {
    fn is_none(&self) -> bool {
        self.slope.is_none_or(|slope| slope <= SLOPE) || self.range <= HEAP_LEFT
    }
}

/// By how much that peer has more of it that has most.
fn grown(before: &[State], after: &[State], of: fn(&State) -> i64) -> i64 {
    before.iter().zip(after).map(|(before, after)| of(after) - of(before)).max().unwrap_or(0)
}

/// By least squares, per unit of the first; there are two of them at least.
fn slope(samples: &[(f64, i64)]) -> f64 {
    let n = samples.len() as f64;
    let x = samples.iter().map(|sample| sample.0).sum::<f64>() / n;
    let y = samples.iter().map(|sample| sample.1 as f64).sum::<f64>() / n;
    let (over, under) = samples.iter().fold((0.0, 0.0), |(over, under), sample| {
        (over + (sample.0 - x) * (sample.1 as f64 - y), under + (sample.0 - x).powi(2))
    });
    over / under
}
