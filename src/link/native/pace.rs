//! How fast something may happen, in virtual time.

use std::collections::HashMap;
use std::net::IpAddr;

use crate::record::Time;

/// So many at once, and so many a second.
#[derive(Clone, Debug)]
pub struct Bucket {
    burst: i64,
    per_second: i64,
    /// Thousandths of one; less than none is owed.
    left: i64,
    filled: Time,
}

impl Bucket {
    /// A full one.
    pub fn new(burst: u64, per_second: u64) -> Bucket {
        let (burst, per_second) = (burst.cast_signed(), per_second.cast_signed());
        Bucket { burst, per_second, left: burst * 1_000, filled: Time(0) }
    }

    fn fill(&mut self, now: Time) {
        let passed = now.0.saturating_sub(self.filled.0).cast_signed();
        self.left = self.left.saturating_add(passed.saturating_mul(self.per_second)).min(self.burst * 1_000);
        self.filled = self.filled.max(now);
    }

    /// Takes `n` if there are so many.
    pub fn take(&mut self, now: Time, n: u64) -> bool {
        self.fill(now);
        let enough = self.left >= n.cast_signed() * 1_000;
        if enough {
            self.left -= n.cast_signed() * 1_000;
        }
        enough
    }

    /// Takes `n`, also of what there will be.
    pub fn owe(&mut self, now: Time, n: u64) {
        self.fill(now);
        self.left -= n.cast_signed() * 1_000;
    }

    /// How many there are.
    pub fn left(&mut self, now: Time) -> u64 {
        self.fill(now);
        self.left.max(0).cast_unsigned() / 1_000
    }

    /// When one will be there.
    pub fn next(&mut self, now: Time) -> Time {
        self.fill(now);
        let missing = (1_000 - self.left).max(0).cast_unsigned();
        Time(now.0 + missing.div_ceil(self.per_second.max(1).cast_unsigned()))
    }
}

/// Addresses that are told apart.
const SOURCES: usize = 256;

/// A bucket of each address that lately took of its own.
#[derive(Debug)]
pub struct Sources {
    full: Bucket,
    buckets: HashMap<IpAddr, Bucket>,
}

impl Sources {
    /// So many at once, and so many a second, of each address.
    pub fn new(burst: u64, per_second: u64) -> Sources {
        Sources { full: Bucket::new(burst, per_second), buckets: HashMap::new() }
    }

    /// That of an address, unless too many others have one that is not full.
    pub fn bucket(&mut self, now: Time, source: IpAddr) -> Option<&mut Bucket> {
        if self.buckets.len() >= SOURCES && !self.buckets.contains_key(&source) {
            let burst = self.full.left(now);
            self.buckets.retain(|_, bucket| bucket.left(now) < burst);
        }
        let is_told_apart = self.buckets.len() < SOURCES || self.buckets.contains_key(&source);
        is_told_apart.then(|| self.buckets.entry(source).or_insert_with(|| self.full.clone()))
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

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
    fn what_is_owed_is_paid_before_more_is_given() {
        let mut bucket = Bucket::new(3, 10);
        bucket.owe(Time(1_000), 5);
        assert_eq!(bucket.next(Time(1_000)), Time(1_300));
        assert_eq!((bucket.left(Time(1_299)), bucket.left(Time(1_300))), (0, 1));
    }

    #[test]
    fn a_clock_that_stands_still_fills_nothing() {
        let mut bucket = Bucket::new(1, 1_000);
        assert!(bucket.take(Time(5), 1) && !bucket.take(Time(5), 1) && !bucket.take(Time(4), 1));
    }

    #[test]
    fn addresses_are_told_apart_until_too_many_owe() {
        let mut sources = Sources::new(2, 1);
        let address = |n| Ipv4Addr::from_bits(n).into();
        let mut take = |at, n| sources.bucket(Time(at), address(n)).map(|bucket| bucket.take(Time(at), 2));
        assert!((0..256).all(|n| take(0, n) == Some(true)));
        assert_eq!((take(0, 0), take(0, 256)), (Some(false), None));
        assert_eq!((take(1_999, 256), take(1_999, 255)), (None, Some(false)));
        assert_eq!((take(2_000, 256), take(2_000, 0), take(2_000, 256)), (Some(true), Some(true), Some(false)));
    }
}
