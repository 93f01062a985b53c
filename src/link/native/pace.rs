//! How fast something may happen, in virtual time.

use crate::record::Time;

/// So many at once, and so many a second.
#[derive(Clone, Debug)]
pub struct Bucket {
    burst: u64,
    per_second: u64,
    /// Thousandths of one.
    left: u64,
    filled: Time,
}

impl Bucket {
    /// A full one.
    pub fn new(burst: u64, per_second: u64) -> Bucket {
        Bucket { burst, per_second, left: burst * 1_000, filled: Time(0) }
    }

    fn fill(&mut self, now: Time) {
        let passed = now.0.saturating_sub(self.filled.0);
        self.left = self.left.saturating_add(passed.saturating_mul(self.per_second)).min(self.burst * 1_000);
        self.filled = self.filled.max(now);
    }

    /// Takes `n` if there are so many.
    pub fn take(&mut self, now: Time, n: u64) -> bool {
        self.fill(now);
        let enough = self.left >= n * 1_000;
        if enough {
            self.left -= n * 1_000;
        }
        enough
    }

    /// How many there are.
    pub fn left(&mut self, now: Time) -> u64 {
        self.fill(now);
        self.left / 1_000
    }

    /// When one will be there.
    pub fn next(&mut self, now: Time) -> Time {
        self.fill(now);
        let missing = 1_000_u64.saturating_sub(self.left);
        Time(now.0 + missing.div_ceil(self.per_second.max(1)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_gives_its_burst_and_then_its_rate() {
        let mut bucket = Bucket::new(3, 10);
        let taken = |bucket: &mut Bucket, at: u64| (0..10).filter(|_| bucket.take(Time(at), 1)).count();
        assert_eq!(taken(&mut bucket, 1_000), 3);
        assert_eq!(bucket.next(Time(1_000)), Time(1_100));
        assert_eq!(taken(&mut bucket, 1_099), 0);
        assert_eq!(taken(&mut bucket, 1_200), 2);
        assert_eq!(taken(&mut bucket, 1_000_000), 3);
    }

    #[test]
    fn a_clock_that_stands_still_fills_nothing() {
        let mut bucket = Bucket::new(1, 1_000);
        assert!(bucket.take(Time(5), 1) && !bucket.take(Time(5), 1) && !bucket.take(Time(4), 1));
    }
}
