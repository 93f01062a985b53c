//! How much of what others say in TXT records is read: a datagram of theirs may inflate to megabytes.

use std::collections::HashMap;
use std::net::IpAddr;

use super::pace::Bucket;
use crate::limits;
use crate::record::{Record, Time};
use crate::refused::Refused;

/// Bytes as inflated, at once and a second: of all and of one sender.
const OF_ALL: (u64, u64) = (32 << 20, 16 << 20);
const OF_SENDER: (u64, u64) = (16 << 20, 8 << 20);
/// Senders that are told apart.
const SENDERS: usize = 256;

/// What may be read.
#[derive(Debug)]
pub struct Reading {
    all: Bucket,
    senders: HashMap<IpAddr, Bucket>,
}

impl Default for Reading {
    fn default() -> Reading {
        Reading { all: Bucket::new(OF_ALL.0, OF_ALL.1), senders: HashMap::new() }
    }
}

impl Reading {
    /// Reads a TXT record of so many bytes, unless too much was read lately.
    pub fn read(
        &mut self,
        (now, from): (Time, IpAddr),
        bytes: usize,
        decode: impl FnOnce() -> Result<Record, Refused>,
    ) -> Result<Record, Refused> {
        if self.senders.len() >= SENDERS {
            self.senders.retain(|_, bucket| bucket.left(now) < OF_SENDER.0);
        }
        let is_told_apart = self.senders.len() < SENDERS || self.senders.contains_key(&from);
        let sender =
            is_told_apart.then(|| self.senders.entry(from).or_insert_with(|| Bucket::new(OF_SENDER.0, OF_SENDER.1)));
        let mut buckets: Vec<&mut Bucket> = sender.into_iter().chain([&mut self.all]).collect();
        if buckets.iter_mut().any(|bucket| bucket.left(now) == 0) {
            return Err(Refused::ReadingLimited);
        }
        let read = decode();
        let taken = match &read {
            Ok(record) => bytes + record.heap_bytes(),
            // It was inflated, and read to where it makes no sense.
            Err(Refused::TxtInflatedSize | Refused::Json | Refused::JsonBound | Refused::JsonField | Refused::Utf8) => {
                limits::INFLATED_BYTES
            }
            Err(_) => bytes,
        };
        buckets.into_iter().for_each(|bucket| bucket.owe(now, taken as u64));
        read
    }
}
