//! How much of what others say in TXT records is read: a datagram of theirs may inflate to megabytes.

use std::net::IpAddr;

use super::pace::{Bucket, Sources};
use crate::record::{Record, Time};
use crate::refused::Refused;

/// Bytes as inflated, at once and a second: of all and of one sender.
const OF_ALL: (u64, u64) = (32 << 20, 16 << 20);
const OF_SENDER: (u64, u64) = (16 << 20, 4 << 20);

/// What may be read.
#[derive(Debug)]
pub struct Reading {
    all: Bucket,
    senders: Sources,
}

impl Default for Reading {
    fn default() -> Reading {
        Reading { all: Bucket::new(OF_ALL.0, OF_ALL.1), senders: Sources::new(OF_SENDER.0, OF_SENDER.1) }
    }
}

impl Reading {
    /// Reads what is to be inflated, unless too much was lately: `decode` tells how many bytes it came to.
    pub fn read(
        &mut self,
        now: Time,
        from: IpAddr,
        decode: impl FnOnce(&mut usize) -> Result<Record, Refused>,
    ) -> Result<Record, Refused> {
        let sender = self.senders.bucket(now, from);
        let mut buckets: Vec<&mut Bucket> = sender.into_iter().chain([&mut self.all]).collect();
        if buckets.iter_mut().any(|bucket| bucket.left(now) == 0) {
            return Err(Refused::ReadingLimited);
        }
        let mut inflated = 0;
        let read = decode(&mut inflated);
        buckets.into_iter().for_each(|bucket| bucket.owe(now, inflated as u64));
        read
    }
}

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn what_was_inflated_counts_whatever_came_of_it() {
        let mut reading = Reading::default();
        let mut read = |now, from: u32| {
            let decode = |inflated: &mut usize| {
                *inflated = 1 << 20;
                Err(Refused::LabelMismatch)
            };
            reading.read(Time(now), Ipv4Addr::from_bits(from).into(), decode).unwrap_err() == Refused::LabelMismatch
        };
        let mut many = |now, from| (0..100).filter(|_| read(now, from)).count();
        assert_eq!(many(0, 1), 16, "of one sender at once");
        assert_eq!(many(1_000, 1), 4, "and a second");
        assert_eq!(many(1_000, 2), 16);
        assert_eq!(many(1_000, 3), 12, "of all");
        assert_eq!((4..400).map(|from| many(100_000, from)).sum::<usize>(), 32);
    }
}
