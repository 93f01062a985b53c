//! The one clock: it counts through suspend and does not step when the wall clock is set.

use nix::time::{clock_gettime, ClockId};

use crate::record::Time;

/// Now, in milliseconds of CLOCK_BOOTTIME.
pub fn now() -> Time {
    // The kernel cannot refuse a clock it has had since 2.6.39.
    let spec = clock_gettime(ClockId::CLOCK_BOOTTIME).unwrap_or(nix::sys::time::TimeSpec::new(0, 0));
    let seconds = u64::try_from(spec.tv_sec()).unwrap_or_default();
    let nanos = u64::try_from(spec.tv_nsec()).unwrap_or_default();
    Time(seconds.saturating_mul(1_000).saturating_add(nanos / 1_000_000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_clock_does_not_go_back() {
        let (first, second) = (now(), now());
        assert!(first <= second && first > Time(0));
    }
}
