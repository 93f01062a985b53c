//! What a row of the table comes from: samples, goals, and why there is none.

use std::collections::BTreeMap;
use std::panic::{catch_unwind, AssertUnwindSafe};
use std::thread;
use std::time::Instant;

use serde::{Deserialize, Serialize};

use crate::contender::Contender;

/// A number out of samples, and what it may be at most.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub enum Goal {
    Median(f64),
    P99(f64),
    Max(f64),
    /// Every run comes to the whole result by its first call.
    ByFirstCall,
    /// The median is at most that of mdns-sd in the same run.
    AsFastAsMdnsSd,
}

/// One line of the table.
#[derive(Debug, Serialize, Deserialize)]
pub struct Line {
    pub work: String,
    /// Of the samples.
    pub unit: String,
    pub goals: Vec<Goal>,
    /// By the contender's name.
    pub cells: BTreeMap<String, Cell>,
}

/// What one contender made of it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Cell {
    pub samples: Vec<f64>,
    /// Runs that did not come to the whole result.
    pub short: usize,
    /// Runs that came to it, but not by the first call.
    pub late: usize,
    /// What else is to be said.
    pub note: String,
    /// Why there are no samples.
    pub reason: Option<String>,
}

impl Cell {
    pub fn of(samples: Vec<f64>) -> Cell {
        Cell { samples, ..Cell::default() }
    }

    pub fn noted(self, note: impl Into<String>) -> Cell {
        Cell { note: note.into(), ..self }
    }

    pub fn without(reason: impl Into<String>) -> Cell {
        Cell { reason: Some(reason.into()), ..Cell::default() }
    }

    pub fn runs(&self) -> usize {
        self.samples.len() + self.short
    }

    /// The sample below or at which so many per cent are; `None` where there is none.
    pub fn percentile(&self, percent: f64) -> Option<f64> {
        let mut sorted = self.samples.clone();
        sorted.sort_by(f64::total_cmp);
        let rank = (percent / 100.0 * sorted.len() as f64).ceil() as usize;
        sorted.get(rank.max(1) - 1).copied()
    }

    pub fn median(&self) -> Option<f64> {
        self.percentile(50.0)
    }
}

impl Line {
    pub fn new(work: impl Into<String>, unit: &str, goals: &[Goal]) -> Line {
        Line { work: work.into(), unit: unit.into(), goals: goals.to_vec(), cells: BTreeMap::new() }
    }

    pub fn cell(&self, who: Contender) -> Cell {
        self.cells.get(who.name()).cloned().unwrap_or_default()
    }

    /// Measures one contender after the other.
    pub fn compare(mut self, mut measure: impl FnMut(Contender) -> Result<Cell, String>) -> Line {
        for who in Contender::ALL {
            self.put(who, attempt(who, || measure(who)));
        }
        self
    }

    /// Enters what a contender made of it, or why there is nothing.
    pub fn put(&mut self, who: Contender, result: Result<Cell, String>) {
        self.cells.insert(who.name().into(), result.unwrap_or_else(Cell::without));
    }
}

/// Gives what a measurement gives, or why there is none: who is absent, what it cannot do, what went wrong.
pub fn attempt<T>(who: Contender, measure: impl FnOnce() -> Result<T, String>) -> Result<T, String> {
    if let Some(reason) = who.absent() {
        return Err(reason);
    }
    let began = Instant::now();
    let result = catch_unwind(AssertUnwindSafe(measure)).unwrap_or_else(|panic| {
        let said = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Err(format!("failed: {}", said.unwrap_or("for no reason given").lines().next().unwrap_or_default()))
    });
    eprintln!("  {}: {:.1} s", who.name(), began.elapsed().as_secs_f64());
    result
}

/// Measures all at once, each on a network of its own: they mostly wait.
pub fn side_by_side<T: Send>(
    measure: impl Fn(Contender) -> Result<T, String> + Sync,
) -> impl Iterator<Item = (Contender, Result<T, String>)> {
    let measure = &measure;
    let all = thread::scope(|scope| {
        let running = Contender::ALL.map(|who| (who, scope.spawn(move || attempt(who, || measure(who)))));
        running.map(|(who, result)| (who, result.join().expect("attempts do not panic")))
    });
    all.into_iter()
}
