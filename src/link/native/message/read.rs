//! Reading, record by record.

use std::sync::Arc;

use domain::base::iana::Rtype;
use domain::base::opt::{Opt, UnknownOptData};
use domain::base::rdata::ParseRecordData;
use domain::base::wire::ParseError;
use domain::base::{self, HeaderSection, ParsedName, ParsedRecord};
use domain::dep::octseq::Parser;
use domain::rdata::{Aaaa, Nsec, Ptr, Srv, Txt, A};

use super::{rtype, Data, Message, Question, Record, FLUSH, LARGEST, OPTION_CODE, WINDOW};
use crate::link::native::name::{Case, Name};

/// Records taken of a message.
const MOST_RECORDS: usize = 512;
/// Questions taken of a message.
const MOST_QUESTIONS: usize = 64;
/// Reads a message; `None` if it is too large, or if not even its header and questions can be read.
pub fn parse(bytes: &[u8]) -> Option<Message> {
    parse_as(bytes, Case::Folded)
}

/// The same with the letters of names as [`Case`] says.
pub fn parse_as(bytes: &[u8], case: Case) -> Option<Message> {
    let bytes = Some(bytes).filter(|bytes| bytes.len() <= LARGEST)?;
    let whole = base::Message::from_slice(bytes).ok()?;
    let (header, counts) = (whole.header(), whole.header_counts());
    let mut parser = Parser::from_ref(bytes);
    parser.advance(size_of::<HeaderSection>()).ok()?;
    let mut message = Message {
        id: header.id(),
        response: header.qr(),
        authoritative: header.aa(),
        truncated: header.tc(),
        opcode: header.opcode().to_int(),
        rcode: header.rcode().to_int(),
        ..Message::default()
    };
    for _ in 0..counts.qdcount() {
        let question = base::Question::<ParsedName<&[u8]>>::parse(&mut parser).ok()?;
        match Name::from_domain(question.qname(), case).filter(|_| message.questions.len() < MOST_QUESTIONS) {
            Some(name) => message.questions.push(question_of(name, &question)),
            None => message.malformed += 1,
        }
    }
    let mut taken = 0;
    for (section, count) in [counts.ancount(), counts.nscount(), counts.arcount()].into_iter().enumerate() {
        for _ in 0..count {
            let Ok(next) = Read::next(&mut parser) else {
                message.malformed += 1;
                return Some(message);
            };
            let good =
                next.filter(|_| taken < MOST_RECORDS).is_some_and(|read| message.take(section, &read, case).is_some());
            taken += usize::from(good);
            message.malformed += u32::from(!good);
        }
    }
    Some(message)
}

fn question_of(name: Name, question: &base::Question<ParsedName<&[u8]>>) -> Question {
    let class = question.qclass().to_int();
    let (class, unicast) = (class & !FLUSH, class & FLUSH != 0);
    Question { name, rtype: question.qtype().to_int(), class, unicast }
}

impl Message {
    /// Puts a record where it belongs; `None` if it makes no sense.
    fn take(&mut self, section: usize, read: &Read<'_>, case: Case) -> Option<()> {
        let record = &read.record;
        if record.rtype() == Rtype::OPT {
            let options = read.rdata_as::<Opt<&[u8]>>().filter(|_| section == 2 && record.owner().is_root())?;
            let mut options = options.iter::<UnknownOptData<_>>().filter_map(Result::ok);
            let ours = options.find(|option| option.code().to_int() == OPTION_CODE);
            self.option = self.option.take().or(ours.map(|option| option.as_slice().to_vec()));
            return Some(());
        }
        let class = record.class().to_int();
        let (class, flush) = (class & !FLUSH, class & FLUSH != 0);
        let name = Name::from_domain(&record.owner(), case)?;
        let new = Record { name, class, flush, ttl: record.ttl().as_secs(), data: read.data(case)? };
        match section {
            0 => self.answers.push(new),
            1 => self.authorities.push(new),
            _ => self.additionals.push(new),
        }
        Some(())
    }
}

/// A record whose name and length were read.
struct Read<'a> {
    record: ParsedRecord<'a, [u8]>,
    rdata: &'a [u8],
}

impl<'a> Read<'a> {
    /// The record at the parser, which then stands behind it; `None` if its name makes no sense, an error if its end
    /// cannot be found.
    fn next(parser: &mut Parser<'a, [u8]>) -> Result<Option<Read<'a>>, ParseError> {
        let mut ahead = *parser;
        ParsedRecord::skip(parser)?;
        let Ok(record) = ParsedRecord::parse(&mut ahead) else { return Ok(None) };
        let end = parser.pos();
        let rdata = &parser.octets_ref()[end - usize::from(record.rdlen())..end];
        Ok(Some(Read { record, rdata }))
    }

    /// Its data as a `T`, if they are just that.
    fn rdata_as<T: ParseRecordData<'a, [u8]>>(&self) -> Option<T> {
        Some(self.record.to_record::<T>().ok()??.into_data())
    }

    fn data(&self, case: Case) -> Option<Data> {
        type Parsed<'a> = ParsedName<&'a [u8]>;
        Some(match self.record.rtype().to_int() {
            rtype::A => Data::A(self.rdata_as::<A>()?.addr()),
            rtype::AAAA => Data::Aaaa(self.rdata_as::<Aaaa>()?.addr()),
            rtype::PTR => Data::Ptr(Name::from_domain(self.rdata_as::<Ptr<Parsed<'a>>>()?.ptrdname(), case)?),
            rtype::SRV => {
                let srv = self.rdata_as::<Srv<Parsed<'a>>>()?;
                Data::Srv { port: srv.port(), target: Name::from_domain(srv.target(), case)? }
            }
            // No string at all is the same as one empty string (RFC 6763 §6.1).
            rtype::TXT if self.rdata.is_empty() => Data::Txt(Arc::from([0])),
            rtype::TXT => self.rdata_as::<Txt<&[u8]>>().map(|_| Data::Txt(Arc::from(self.rdata)))?,
            rtype::NSEC => {
                let nsec = self.rdata_as::<Nsec<&[u8], Parsed<'a>>>()?;
                let types: Vec<u16> = nsec.types().iter().map(Rtype::to_int).filter(|rtype| *rtype < WINDOW).collect();
                // Each window comes once, in order (RFC 4034 §4.1.2).
                let types = Some(types).filter(|types| types.is_sorted_by(|one, next| one < next))?;
                Data::Nsec { next: Name::from_domain(nsec.next_name(), case)?, types }
            }
            other => Data::Other(other, Arc::from(self.rdata)),
        })
    }
}
