//! One datagram: what is read of it builds a message that reads the same, and bounds hold.

use mdns_registry::link::native::message::{self, Builder, Message, LARGEST, LARGEST_BUILT};
use mdns_registry::link::native::name::Case;

/// The whole is the datagram.
pub fn run(data: &[u8]) {
    let Some(read) = message::parse(data) else { return };
    assert!(data.len() <= LARGEST && read.questions.len() <= 64);
    assert!(read.answers.len() + read.authorities.len() + read.additionals.len() <= 512);
    // Names that differ in case alone share what is compressed (RFC 1035 §2.3.3).
    let kept = message::parse_as(data, Case::Kept).expect("what can be read in one case can in the other");
    let (bytes, expected) = rebuilt(&read);
    assert!(message::parse(&bytes).as_ref() == Some(&expected), "{read:?} is read as something else");
    if kept != read {
        assert!(message::parse(&rebuilt(&kept).0) == Some(expected), "{kept:?} is read as something else");
    }
}

/// What can be built of a message, and as what that is to be read.
fn rebuilt(read: &Message) -> (Vec<u8>, Message) {
    let mut built = if read.response { Builder::response(read.id, 8_000) } else { Builder::query(read.id, 8_000) };
    built.truncated(read.truncated);
    let expected = Message {
        id: read.id,
        response: read.response,
        authoritative: read.response,
        truncated: read.truncated,
        questions: read.questions.iter().filter(|question| built.question(question)).cloned().collect(),
        answers: read.answers.iter().filter(|record| built.answer(record)).cloned().collect(),
        authorities: read.authorities.iter().filter(|record| built.authority(record)).cloned().collect(),
        additionals: read.additionals.iter().filter(|record| built.additional(record)).cloned().collect(),
        option: read.option.clone().filter(|option| built.option(option)),
        ..Message::default()
    };
    let bytes = built.finish();
    assert!(bytes.len() <= LARGEST_BUILT);
    (bytes, expected)
}
