//! Building, within a limit.

use std::convert::Infallible;

use domain::base::iana::{Class, OptionCode, Rtype};
use domain::base::message_builder::HashCompressor;
use domain::base::opt::{Opt, OptHeader, UnknownOptData};
use domain::base::rdata::{ComposeRecordData, RecordData};
use domain::base::wire::{Compose, Composer};
use domain::base::{self, Header, HeaderSection, Ttl};
use domain::dep::octseq::Truncate;
use domain::rdata::dnssec::RtypeBitmap;

use super::{Data, Question, Record, FLUSH, LARGEST_BUILT, OPTION_CODE, WINDOW};

/// An OPT record and its option, without the option's data, bytes.
const OPTION_OVERHEAD: usize = 11 + 4;

/// Where a record stands. A builder goes through the sections in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Section {
    Question,
    Answer,
    Authority,
    Additional,
}

/// Builds a message, names compressed (RFC 6762 §18.14), in at most `limit` bytes; records that come first and all at
/// once may take up to [`LARGEST_BUILT`] (§17). What does not fit changes nothing.
#[derive(Debug)]
pub struct Builder {
    out: HashCompressor<Vec<u8>>,
    header: Header,
    /// By section.
    counts: [u16; 4],
    section: Section,
    limit: usize,
    reserved: usize,
    has_records: bool,
}

impl Builder {
    /// A query.
    pub fn query(id: u16, limit: usize) -> Builder {
        let mut header = Header::new();
        header.set_id(id);
        let out = HashCompressor::new(vec![0; size_of::<HeaderSection>()]);
        Builder { out, header, counts: [0; 4], section: Section::Question, limit, reserved: 0, has_records: false }
    }

    /// An authoritative response.
    pub fn response(id: u16, limit: usize) -> Builder {
        let mut builder = Builder::query(id, limit);
        builder.header.set_qr(true);
        builder.header.set_aa(true);
        builder
    }

    /// See [`Message::truncated`](super::Message).
    pub fn truncated(&mut self, more_follows: bool) {
        self.header.set_tc(more_follows);
    }

    /// `false` if it does not fit.
    pub fn question(&mut self, question: &Question) -> bool {
        let class = Class::from_int(question.class | if question.unicast { FLUSH } else { 0 });
        let asked = base::Question::new(question.name.as_domain(), Rtype::from_int(question.rtype), class);
        self.push(Section::Question, 1, self.limit.saturating_sub(self.reserved), |out| asked.compose(out))
    }

    /// `false` if it does not fit, or if records of a later section are there.
    pub fn answer(&mut self, record: &Record) -> bool {
        self.records(Section::Answer, &[record])
    }

    /// All of the group or none of it.
    pub fn answers(&mut self, group: &[&Record]) -> bool {
        self.records(Section::Answer, group)
    }

    /// Records that room was kept for, behind others that may have taken more than the limit.
    pub fn kept_answers(&mut self, group: &[&Record]) -> bool {
        self.kept(Section::Answer, group)
    }

    /// The same as additional records.
    pub fn kept_additionals(&mut self, group: &[&Record]) -> bool {
        self.kept(Section::Additional, group)
    }

    fn kept(&mut self, section: Section, group: &[&Record]) -> bool {
        let limit = std::mem::replace(&mut self.limit, LARGEST_BUILT);
        let fits = self.records(section, group);
        self.limit = limit;
        fits
    }

    /// `false` as for `answer`.
    pub fn authority(&mut self, record: &Record) -> bool {
        self.records(Section::Authority, &[record])
    }

    /// `false` as for `answer`.
    pub fn additional(&mut self, record: &Record) -> bool {
        self.records(Section::Additional, &[record])
    }

    /// Keeps room for an option with `len` bytes of data.
    pub fn reserve_option(&mut self, len: usize) {
        self.reserve(OPTION_OVERHEAD + len);
    }

    /// Keeps room for so many bytes of records more.
    pub fn reserve_more(&mut self, len: usize) {
        self.reserve(self.reserved + len);
    }

    /// Keeps room for so many bytes.
    pub fn reserve(&mut self, len: usize) {
        self.reserved = len;
    }

    /// The option [`OPTION_CODE`]: last, and once.
    pub fn option(&mut self, data: &[u8]) -> bool {
        let Ok(data) = UnknownOptData::new(OptionCode::from_int(OPTION_CODE), data) else { return false };
        let mut opt = Opt::<Vec<u8>>::empty();
        let mut header = OptHeader::default();
        header.set_udp_payload_size(LARGEST_BUILT as u16);
        let reserved = std::mem::take(&mut self.reserved);
        let limit = self.limit.max(self.len() + reserved).min(LARGEST_BUILT);
        let fits = opt.push(&data).is_ok()
            && self.push(Section::Additional, 1, limit, |out| {
                header.compose(out)?;
                opt.compose_len_rdata(out)
            });
        if !fits {
            self.reserved = reserved;
        }
        fits
    }

    /// Whether there is neither question nor record.
    pub fn is_empty(&self) -> bool {
        self.len() == size_of::<HeaderSection>()
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.out.as_slice().len()
    }

    /// The message.
    pub fn finish(self) -> Vec<u8> {
        let (mut message, mut section) = (self.out.into_target(), HeaderSection::new());
        *section.header_mut() = self.header;
        let counts = section.counts_mut();
        counts.set_qdcount(self.counts[0]);
        counts.set_ancount(self.counts[1]);
        counts.set_nscount(self.counts[2]);
        counts.set_arcount(self.counts[3]);
        message[..size_of::<HeaderSection>()].copy_from_slice(section.as_slice());
        message
    }

    fn records(&mut self, section: Section, group: &[&Record]) -> bool {
        let limit = if self.has_records { self.limit } else { LARGEST_BUILT };
        let limit = limit.min(LARGEST_BUILT).saturating_sub(self.reserved);
        let count = u16::try_from(group.len()).ok().filter(|_| group.iter().all(|record| record.data.can_be_built()));
        let fits = count.is_some_and(|count| {
            self.push(section, count, limit, |out| group.iter().try_for_each(|record| record.compose(out)))
        });
        self.has_records |= fits && !group.is_empty();
        fits
    }

    fn push(
        &mut self,
        section: Section,
        count: u16,
        limit: usize,
        compose: impl FnOnce(&mut HashCompressor<Vec<u8>>) -> Result<(), Infallible>,
    ) -> bool {
        let Some(after) = self.counts[section as usize].checked_add(count).filter(|_| section >= self.section) else {
            return false;
        };
        let start = self.len();
        let Ok(()) = compose(&mut self.out);
        if self.len() > limit {
            self.out.truncate(start);
            return false;
        }
        self.counts[section as usize] = after;
        self.section = section;
        true
    }
}

impl Record {
    fn compose<Target: Composer>(&self, out: &mut Target) -> Result<(), Target::AppendError> {
        let class = Class::from_int(self.class | if self.flush { FLUSH } else { 0 });
        base::Record::new(self.name.as_domain(), class, Ttl::from_secs(self.ttl), &self.data).compose(out)
    }
}

impl Data {
    /// Whether it has a length at all: what is longer is in no message.
    fn can_be_built(&self) -> bool {
        !matches!(self, Data::Txt(bytes) | Data::Other(_, bytes) if bytes.len() > LARGEST_BUILT)
    }
}

impl RecordData for Data {
    fn rtype(&self) -> Rtype {
        Rtype::from_int(Data::rtype(self))
    }
}

impl ComposeRecordData for Data {
    fn rdlen(&self, _compress: bool) -> Option<u16> {
        None
    }

    fn compose_rdata<Target: Composer + ?Sized>(&self, out: &mut Target) -> Result<(), Target::AppendError> {
        match self {
            Data::A(address) => out.append_slice(&address.octets()),
            Data::Aaaa(address) => out.append_slice(&address.octets()),
            Data::Ptr(name) => out.append_compressed_name(name.as_domain()),
            Data::Srv { port, target } => {
                out.append_slice(&[0; 4])?;
                port.compose(out)?;
                out.append_compressed_name(target.as_domain())
            }
            Data::Txt(strings) if strings.is_empty() => out.append_slice(&[0]),
            Data::Txt(bytes) | Data::Other(_, bytes) => out.append_slice(bytes),
            Data::Nsec { next, types } => {
                let mut bitmap = RtypeBitmap::<Vec<u8>>::builder();
                for rtype in types.iter().filter(|rtype| **rtype < WINDOW) {
                    let Ok(()) = bitmap.add(Rtype::from_int(*rtype));
                }
                out.append_compressed_name(next.as_domain())?;
                out.append_slice(bitmap.finalize().as_slice())
            }
        }
    }

    fn compose_canonical_rdata<Target: Composer + ?Sized>(&self, out: &mut Target) -> Result<(), Target::AppendError> {
        // Names are in lower case, and a canonical form is not asked for where they are compressed.
        self.compose_rdata(out)
    }
}
