//! What was measured in a soak, and what of it must hold.

use std::time::Duration;

use serde_json::Value;

use crate::measure::{megabytes, seconds};
use crate::peer::State;
use crate::report::Outcome;

/// What may be left of live heap, bytes (I6).
const LEFT: i64 = 64_000;
/// How much more live heap a peer may have at the end of each minute than when nothing was there, bytes (I9): four times
/// what 200 nodes take, of which it publishes 50.
const HEAP: i64 = 2_000_000;
/// The growth of resident memory, bytes an hour; `LEFT` more or less in all are pages, not growth, which matters in less
/// than five minutes only.
const SLOPE: f64 = 1e6;
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
    /// What the caller tells that watches and stops (I5).
    pub stopper: Value,
}

/// Of the peer that has most.
struct Sample {
    hours: f64,
    stalled_us: u64,
    resident: i64,
    heap: i64,
}

impl Figures {
    pub fn since(before: Vec<State>) -> Figures {
        Figures { before, ..Figures::default() }
    }

    pub fn sample(&mut self, elapsed: Duration, states: &[State]) {
        let heap = grown(&self.before, states, |state| state.heap);
        let resident = states.iter().map(|state| state.resident).max().unwrap_or(0);
        let stalled_us = states.iter().map(|state| state.stalled_us).max().unwrap_or(0);
        self.samples.push(Sample { hours: elapsed.as_secs_f64() / 3_600.0, stalled_us, resident, heap });
    }

    pub fn last_sample(&self) -> String {
        let last = self.samples.last();
        last.map_or_else(String::new, |last| {
            format!("live heap {}, resident {}", megabytes(last.heap), megabytes(last.resident))
        })
    }

    pub fn judged(&self) -> Outcome {
        let heap = grown(&self.before, &self.after, |state| state.heap);
        let descriptors = grown(&self.before, &self.after, |state| state.descriptors as i64);
        let threads = grown(&self.before, &self.after, |state| state.threads as i64);
        let most = self.samples.iter().map(|sample| sample.heap).max().unwrap_or(0);
        let stalled = self.samples.iter().map(|sample| sample.stalled_us).max().unwrap_or(0) / 1_000;
        let slope = slope(&self.samples.iter().map(|s| (s.hours, s.resident as f64)).collect::<Vec<_>>());
        let of_stopper = |key: &str| self.stopper[key].as_u64().unwrap_or(0);
        let (stops, called, late) = (of_stopper("stops"), of_stopper("called"), of_stopper("late"));
        let measured = format!(
            "{} minutes, {} changes ({:.1} a second but for the looks), {} kills: whole {} after each minute at most; {} records multicast, none too soon (by \
             peers that were kept from running for {stalled} ms at most); {stops} \
             watches stopped after {called} callbacks, {late} later; live heap {} at most and {:+.1} kB at the end, resident \
             {:+.2} MB an hour, {descriptors:+} descriptors, {threads:+} threads; {:.1} kB/s sent by all",
            self.samples.len(),
            self.changes,
            self.changes_a_second,
            self.kills,
            seconds(self.longest),
            self.records,
            megabytes(most),
            heap as f64 / 1e3,
            slope / 1e6,
            self.bytes_s / 1e3,
        );
        let pages = self
            .samples
            .iter()
            .map(|sample| sample.resident)
            .fold((i64::MAX, 0), |(least, most), resident| (least.min(resident), most.max(resident)));
        let steady = slope <= SLOPE || pages.1 - pages.0 <= LEFT;
        let heard = self.records > 0 && stops > 0 && called > 0;
        let returned = heap <= LEFT && most <= HEAP && steady && descriptors <= 0 && threads <= 0;
        let churned = self.changes_a_second >= CHANGES_A_SECOND;
        Outcome::new(churned && heard && late == 0 && returned, measured)
    }
}

/// By how much that peer has more of it that has most.
fn grown(before: &[State], after: &[State], of: fn(&State) -> i64) -> i64 {
    before.iter().zip(after).map(|(before, after)| of(after) - of(before)).max().unwrap_or(0)
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
