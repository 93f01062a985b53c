//! TXT strings (RFC 6763 §6): `key=value`, and a payload cut into numbered ones.

use std::io::{Read, Write};

use flate2::read::ZlibDecoder;
use flate2::write::ZlibEncoder;
use flate2::Compression;

use super::Refused;
use crate::limits;

/// One string, bytes, without its length byte (RFC 1035 §3.3.14).
const STRING_BYTES: usize = 255;
/// A shorter payload gains less by deflating than it costs: 20 bytes of 160 in some 15 µs.
const WORTH_DEFLATING: usize = 160;

/// `key=value`, if it fits one string.
pub(super) fn pair(key: &str, value: &[u8]) -> Option<Vec<u8>> {
    let size = key.len() + 1 + value.len();
    (size <= STRING_BYTES).then(|| [key.as_bytes(), b"=", value].concat())
}

/// The bytes that strings take in a TXT record.
pub(super) fn size(strings: &[impl AsRef<[u8]>]) -> usize {
    strings.iter().map(|s| 1 + s.as_ref().len()).sum()
}

/// The value of the first string with this key; keys differ by more than ASCII case (§6.4). A
/// string without `=` has no value.
pub(crate) fn find<'a>(strings: &'a [impl AsRef<[u8]>], key: &str) -> Option<&'a [u8]> {
    let split = |string: &'a [u8]| {
        let at = string.iter().position(|byte| *byte == b'=').unwrap_or(string.len());
        (&string[..at], string.get(at + 1..))
    };
    let first = strings.iter().map(|s| split(s.as_ref())).find(|(k, _)| k.eq_ignore_ascii_case(key.as_bytes()));
    first.and_then(|(_, value)| value)
}

/// Appends a payload: deflated under `z0`, `z1`… where that is shorter, else plain under `j0`….
pub(super) fn push_payload(strings: &mut Vec<Vec<u8>>, payload: &[u8]) {
    let deflated = deflate(payload);
    let (letter, mut rest) = match &deflated {
        Some(deflated) if deflated.len() < payload.len() => ('z', deflated.as_slice()),
        _ => ('j', payload),
    };
    for number in 0.. {
        let mut string = format!("{letter}{number}=").into_bytes();
        let (now, later) = rest.split_at(rest.len().min(STRING_BYTES - string.len()));
        string.extend_from_slice(now);
        strings.push(string);
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
}

/// Whether there is a payload to be inflated.
pub(super) fn is_deflated(strings: &[impl AsRef<[u8]>]) -> bool {
    find(strings, "z0").is_some()
}

/// The payload that [`push_payload`] appended; empty if there is none. See [`inflate`].
pub(super) fn payload(strings: &[impl AsRef<[u8]>], inflated: &mut usize) -> Result<Vec<u8>, Refused> {
    match join(strings, 'z') {
        Some(deflated) => inflate(&deflated, inflated),
        None => Ok(join(strings, 'j').unwrap_or_default()),
    }
}

fn join(strings: &[impl AsRef<[u8]>], letter: char) -> Option<Vec<u8>> {
    let chunks = (0..).map_while(|number: usize| find(strings, &format!("{letter}{number}")));
    chunks.fold(None, |joined: Option<Vec<u8>>, chunk| {
        let mut joined = joined.unwrap_or_default();
        joined.extend_from_slice(chunk);
        Some(joined)
    })
}

fn deflate(payload: &[u8]) -> Option<Vec<u8>> {
    (payload.len() >= WORTH_DEFLATING).then(|| zlib(payload))
}

/// Bytes as RFC 1950 has them.
pub(super) fn zlib(payload: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::with_capacity(payload.len() / 2), Compression::default());
    // Into a vector nothing fails.
    let written = encoder.write_all(payload).and_then(|()| encoder.finish());
    written.unwrap_or_default()
}

/// The bytes that were deflated, if they are not too many; how many they came to, or can have where that failed, is told in `size`.
pub(super) fn inflate(deflated: &[u8], size: &mut usize) -> Result<Vec<u8>, Refused> {
    let mut inflated = Vec::new();
    let limit = limits::INFLATED_BYTES as u64;
    let read = ZlibDecoder::new(deflated).take(limit + 1).read_to_end(&mut inflated);
    *size = if read.is_ok() { inflated.len() } else { limits::INFLATED_BYTES };
    match read {
        Err(_) => Err(Refused::TxtDeflate),
        Ok(size) if size > limits::INFLATED_BYTES => Err(Refused::TxtInflatedSize),
        Ok(_) => Ok(inflated),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_of_two_equal_keys_counts_whatever_its_case() {
        let strings = ["flag", "A=1", "a=2", "=x", "flag=3", "b=x=y", "c="];
        assert_eq!(find(&strings, "a"), Some(&b"1"[..]));
        assert_eq!(find(&strings, "flag"), None);
        assert_eq!(find(&strings, "b"), Some(&b"x=y"[..]));
        assert_eq!(find(&strings, "c"), Some(&b""[..]));
        assert_eq!(find(&strings, "d"), None);
    }

    #[test]
    fn a_payload_that_does_not_deflate_is_sent_plain_and_read_back() {
        for size in [0, 1, 40, 252, 253, 2_520, 5_000] {
            let noise: Vec<u8> = (0..size).map(|i: u64| ((i.wrapping_mul(i) * 2_654_435_761) >> 13) as u8).collect();
            for payload in [noise, vec![b'a'; size as usize]] {
                let mut strings = Vec::new();
                push_payload(&mut strings, &payload);
                assert!(strings.iter().all(|s| s.len() <= STRING_BYTES));
                assert_eq!(super::payload(&strings, &mut 0).unwrap(), payload);
            }
        }
    }

    #[test]
    fn what_inflates_beyond_the_bound_is_refused_without_being_held() {
        let bomb = deflate(&vec![0; 64 << 20]).unwrap();
        assert!(bomb.len() < 70_000);
        let mut size = 0;
        assert_eq!(inflate(&bomb, &mut size), Err(Refused::TxtInflatedSize));
        assert_eq!(size, limits::INFLATED_BYTES + 1);
        let most = deflate(&vec![0; limits::INFLATED_BYTES]).unwrap();
        assert_eq!(inflate(&most, &mut size).unwrap().len(), size);
        assert_eq!(size, limits::INFLATED_BYTES);
        let mut damaged = most;
        *damaged.last_mut().unwrap() ^= 1;
        assert_eq!(inflate(&damaged, &mut size), Err(Refused::TxtDeflate));
        assert_eq!(size, limits::INFLATED_BYTES, "what was in vain is told, too");
        assert_eq!(inflate(b"not zlib", &mut size), Err(Refused::TxtDeflate));
    }
}
