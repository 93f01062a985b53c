//! The seeds that a plan is played with: `MDNSREG_SEED=7` plays one, `MDNSREG_SEEDS=5000` the first so many.

use std::ops::Range;

/// Those asked for, or the first `usual`.
fn wanted(usual: u64) -> Range<u64> {
    let number = |name: &str| {
        let value = std::env::var(name).ok()?;
        Some(value.parse::<u64>().unwrap_or_else(|_| panic!("{name} must be a number, not {value:?}")))
    };
    match (number("MDNSREG_SEED"), number("MDNSREG_SEEDS")) {
        (Some(seed), _) => seed..seed + 1,
        (None, seeds) => 0..seeds.unwrap_or(usual),
    }
}

/// Plays each seed.
pub fn over_seeds(usual: u64, play: impl Fn(u64) -> Result<(), String>) {
    for seed in wanted(usual) {
        let _named = Named(seed);
        if let Err(broken) = play(seed) {
            panic!("{broken}");
        }
    }
}

/// Prints the seed when a run ends in a panic.
struct Named(u64);

impl Drop for Named {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the failing seed is {0}; replay with MDNSREG_SEED={0}", self.0);
        }
    }
}
