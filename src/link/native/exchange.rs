//! What our endpoints tell each other beside plain DNS, in a private EDNS0 option (RFC 6891 §6.1.2):
//! the lookup exchange.
//!
//! The nodes of a registry lie on a ring of 64-bit positions. Whoever asks names ranges of it and
//! what it holds there, as a [`Sum`]; whoever answers says range by range that this is right, that it
//! is not, or sends all that lies there. So an answer that was lost, a node that was missed and a
//! state that is whole all look alike, and nobody keeps a state for anybody.
//!
//! Other software ignores the option and answers the question as any other.

use std::ops::RangeInclusive;

use data_encoding::BASE32_NOPAD;

use crate::record::Owner;

/// First byte of the option; another number is another protocol.
const VERSION: u8 = 1;
/// Ranges of one message, at most.
pub const RANGES: usize = 40;
/// Registries a question can say it has heard, at most.
pub const HEARD: usize = 64;

/// A registry, by the 128 bits that its owner tag spells.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(pub [u8; 16]);

impl Tag {
    /// The tag that an owner's 26 base32 characters spell; `None` if they are something else.
    pub fn of(owner: &str) -> Option<Tag> {
        let bits = BASE32_NOPAD.decode(owner.to_ascii_uppercase().as_bytes()).ok()?;
        bits.try_into().ok().map(Tag)
    }

    /// The owner that has this tag.
    pub fn owner(self) -> Owner {
        Owner::from(BASE32_NOPAD.encode(&self.0).to_ascii_lowercase())
    }
}

/// Where a node lies on the ring, from the hash that ends its instance label
/// ([`crate::wire::dnssd::instance_label`]); `None` for a label that ends in none.
pub fn position(label: &str) -> Option<u64> {
    let hash = label.len().checked_sub(16).and_then(|at| label.get(at..))?;
    let bits = BASE32_NOPAD.decode(hash.to_ascii_uppercase().as_bytes()).ok()?;
    bits.first_chunk().map(|first| u64::from_be_bytes(*first))
}

/// What a set of nodes comes to: two sets with one sum are taken for the same.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sum {
    /// How many they are.
    pub count: u32,
    /// Over their positions and revisions, in any order.
    pub hash: u64,
}

impl Sum {
    /// Takes one node in.
    pub fn add(&mut self, position: u64, revision: u64) {
        self.count = self.count.saturating_add(1);
        self.hash = self.hash.wrapping_add(mix(position ^ mix(revision)));
    }

    /// Over nodes given as (position, revision).
    pub fn of(nodes: impl Iterator<Item = (u64, u64)>) -> Sum {
        let mut sum = Sum::default();
        nodes.for_each(|(position, revision)| sum.add(position, revision));
        sum
    }
}

/// SplitMix64's finalizer: spreads each input bit over the output.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let x = (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    x ^ (x >> 31)
}

/// Positions, first and last included.
pub type Range = RangeInclusive<u64>;

/// The whole ring.
pub const ALL: Range = 0..=u64::MAX;

/// A range and what whoever speaks holds there.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Held {
    /// Where.
    pub range: Range,
    /// What.
    pub sum: Sum,
}

/// What an answer says of a range.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// The records of this message are all that lies there.
    Covered(Range),
    /// What the asker holds there is right.
    Same(Range),
    /// It is not; this is what lies there.
    Differs(Held),
}

/// The content of the option.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Exchange {
    /// With a question, mostly by multicast: each registry but those listed may answer at once, by
    /// unicast, with one message.
    Ask {
        /// Registries that have answered before.
        heard: Vec<Tag>,
    },
    /// With a question, by unicast to one registry: say what is in these ranges.
    Fetch {
        /// What that registry gave this address; with a wrong one the answer is one message with the
        /// right one.
        token: u64,
        /// The registry.
        registry: Tag,
        /// The ranges, and what the asker holds there.
        ranges: Vec<Held>,
        /// How many messages may be sent.
        budget: u8,
    },
    /// With an answer.
    Answer {
        /// Proves to this registry, later, that the asker can be reached where it says.
        token: u64,
        /// The registry.
        registry: Tag,
        /// What holds for the ranges asked for.
        verdicts: Vec<Verdict>,
        /// No further message comes for what was asked.
        last: bool,
    },
    /// With an announcement or a goodbye.
    Here {
        /// Where whoever speaks takes direct questions.
        port: u16,
    },
    /// With a question from the multicast DNS port: meant for other software, since we asked our own
    /// kind directly.
    ForOthers,
}

const ASK: u8 = 1;
const FETCH: u8 = 2;
const ANSWER: u8 = 3;
const FOR_OTHERS: u8 = 4;
const HERE: u8 = 5;

impl Exchange {
    /// The bytes an option with `verdicts` verdicts takes at most.
    pub const fn answer_len(verdicts: usize) -> usize {
        2 + 8 + 16 + 1 + verdicts * 29
    }

    /// The data of the option.
    pub fn encode(&self) -> Vec<u8> {
        let mut out = vec![VERSION];
        match self {
            Exchange::Ask { heard } => {
                out.push(ASK);
                heard.iter().take(HEARD).for_each(|tag| out.extend(tag.0));
            }
            Exchange::Fetch { token, registry, ranges, budget } => {
                out.push(FETCH);
                out.extend(token.to_be_bytes());
                out.extend(registry.0);
                out.push(*budget);
                ranges.iter().take(RANGES).for_each(|held| put_held(&mut out, held));
            }
            Exchange::Answer { token, registry, verdicts, last } => {
                out.push(ANSWER);
                out.extend(token.to_be_bytes());
                out.extend(registry.0);
                out.push(u8::from(*last));
                for verdict in verdicts.iter().take(RANGES) {
                    match verdict {
                        Verdict::Covered(range) => put_range(&mut out, 0, range),
                        Verdict::Same(range) => put_range(&mut out, 1, range),
                        Verdict::Differs(held) => {
                            out.push(2);
                            put_held(&mut out, held);
                        }
                    }
                }
            }
            Exchange::ForOthers => out.push(FOR_OTHERS),
            Exchange::Here { port } => {
                out.push(HERE);
                out.extend(port.to_be_bytes());
            }
        }
        out
    }

    /// Reads the data of an option; `None` for what is not of this version or is cut.
    pub fn decode(data: &[u8]) -> Option<Exchange> {
        let mut input = Input(data);
        if input.byte()? != VERSION {
            return None;
        }
        match input.byte()? {
            ASK => Some(Exchange::Ask { heard: input.list(HEARD, |i| i.array().map(Tag))? }),
            FETCH => {
                let (token, registry, budget) = (input.u64()?, Tag(input.array()?), input.byte()?);
                Some(Exchange::Fetch { token, registry, budget, ranges: input.list(RANGES, Input::held)? })
            }
            ANSWER => {
                let (token, registry) = (input.u64()?, Tag(input.array()?));
                let last = input.byte()? != 0;
                Some(Exchange::Answer { token, registry, last, verdicts: input.list(RANGES, Input::verdict)? })
            }
            FOR_OTHERS => Some(Exchange::ForOthers),
            HERE => Some(Exchange::Here { port: input.array().map(u16::from_be_bytes)? }),
            _ => None,
        }
    }
}

fn put_sum(out: &mut Vec<u8>, sum: Sum) {
    out.extend(sum.count.to_be_bytes());
    out.extend(sum.hash.to_be_bytes());
}

fn put_held(out: &mut Vec<u8>, held: &Held) {
    out.extend(held.range.start().to_be_bytes());
    out.extend(held.range.end().to_be_bytes());
    put_sum(out, held.sum);
}

fn put_range(out: &mut Vec<u8>, kind: u8, range: &Range) {
    out.push(kind);
    out.extend(range.start().to_be_bytes());
    out.extend(range.end().to_be_bytes());
}

struct Input<'a>(&'a [u8]);

impl Input<'_> {
    fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (first, rest) = self.0.split_first_chunk()?;
        self.0 = rest;
        Some(*first)
    }

    fn byte(&mut self) -> Option<u8> {
        self.array::<1>().map(|[byte]| byte)
    }

    fn u64(&mut self) -> Option<u64> {
        self.array().map(u64::from_be_bytes)
    }

    fn sum(&mut self) -> Option<Sum> {
        let count = self.array().map(u32::from_be_bytes)?;
        Some(Sum { count, hash: self.u64()? })
    }

    fn range(&mut self) -> Option<Range> {
        let (first, last) = (self.u64()?, self.u64()?);
        (first <= last).then_some(first..=last)
    }

    fn held(&mut self) -> Option<Held> {
        Some(Held { range: self.range()?, sum: self.sum()? })
    }

    fn verdict(&mut self) -> Option<Verdict> {
        match self.byte()? {
            0 => self.range().map(Verdict::Covered),
            1 => self.range().map(Verdict::Same),
            2 => self.held().map(Verdict::Differs),
            _ => None,
        }
    }

    fn list<T>(&mut self, most: usize, one: impl Fn(&mut Self) -> Option<T>) -> Option<Vec<T>> {
        let mut list = Vec::new();
        while !self.0.is_empty() {
            if list.len() == most {
                return None;
            }
            list.push(one(self)?);
        }
        Some(list)
    }
}

/// Takes `cut` out of `ranges`, which are in order and apart.
pub fn subtract(ranges: &mut Vec<Range>, cut: &Range) {
    let apart = |range: &Range| range.end() < cut.start() || cut.end() < range.start();
    if ranges.iter().all(apart) {
        return;
    }
    let mut rest = Vec::with_capacity(ranges.len() + 1);
    for range in ranges.drain(..) {
        if apart(&range) {
            rest.push(range);
            continue;
        }
        let (first, last) = range.into_inner();
        if first < *cut.start() {
            rest.push(first..=cut.start() - 1);
        }
        if last > *cut.end() {
            rest.push(cut.end() + 1..=last);
        }
    }
    *ranges = rest;
}

/// A range in `parts` of about one size.
pub fn split(range: &Range, parts: u64) -> Vec<Range> {
    let (first, last) = (*range.start(), *range.end());
    let step = (last - first) / parts;
    if step == 0 {
        return vec![range.clone()];
    }
    let part = |i: u64| first + step * i..=if i + 1 == parts { last } else { first + step * (i + 1) - 1 };
    (0..parts).map(part).collect()
}

#[cfg(test)]
#[path = "exchange_tests.rs"]
mod tests;
