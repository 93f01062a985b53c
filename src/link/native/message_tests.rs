//! Messages as they should be, and as they are sent by those who want a parser to fall.

use std::net::{Ipv4Addr, Ipv6Addr};
use std::sync::Arc;
use std::time::{Duration, Instant};

use proptest::prelude::*;
use simple_dns::rdata::RData;
use simple_dns::Packet;

use super::*;

fn name(text: &str) -> Name {
    Name::from_dotted(text).unwrap()
}

fn record(owner: &str, data: Data) -> Record {
    Record { name: name(owner), class: IN, flush: true, ttl: 120, data }
}

fn txt(bytes: usize) -> Data {
    let strings = std::iter::repeat_n([&[200][..], &[b'x'; 200]].concat(), bytes / 201).flatten();
    Data::Txt(strings.collect())
}

/// The records of one node, as the link says them.
fn node(number: usize) -> [Record; 3] {
    let instance = format!("{number:026}._mreg._tcp.local");
    let ptr = Record { flush: false, ..record("_mreg._tcp.local", Data::Ptr(name(&instance))) };
    let srv = Data::Srv { port: 8080, target: name("host.local") };
    [ptr, record(&instance, srv), record(&instance, txt(201))]
}

/// A message written by hand.
struct Raw(Vec<u8>);

impl Raw {
    fn response(answers: u16) -> Raw {
        Raw([&[0, 0, 0x84, 0, 0, 0][..], &answers.to_be_bytes(), &[0; 4]].concat())
    }

    fn record(self, owner: &[u8], rtype: u16, rdata: &[u8]) -> Raw {
        self.record_of_length(owner, rtype, u16::try_from(rdata.len()).unwrap(), rdata)
    }

    fn record_of_length(mut self, owner: &[u8], rtype: u16, length: u16, rdata: &[u8]) -> Raw {
        self.0.extend([owner, &rtype.to_be_bytes(), &IN.to_be_bytes(), &[0, 0, 0, 120]].concat());
        self.0.extend([&length.to_be_bytes(), rdata].concat());
        self
    }

    /// A record to be found behind a bad one.
    fn good(self) -> Raw {
        self.record(b"\x04good\0", rtype::A, &[10, 0, 0, 1])
    }

    /// A pointer to this far behind what is there.
    fn pointer(&self, ahead: usize) -> [u8; 2] {
        u16::try_from(0xc000 | (self.0.len() + ahead)).unwrap().to_be_bytes()
    }

    fn parse(&self) -> Message {
        parse(&self.0).unwrap()
    }
}

fn expect_only_the_good(raw: &Raw) {
    let message = raw.parse();
    assert_eq!(message.answers, [Record { flush: false, ..record("good", Data::A(Ipv4Addr::new(10, 0, 0, 1))) }]);
    assert_eq!(message.malformed, 1);
}

mod building {
    use super::*;

    #[test]
    fn another_decoder_reads_what_is_built() {
        let mut builder = Builder::response(7, 1_452);
        let question = Question { name: name("_mreg._tcp.local"), rtype: rtype::PTR, class: IN, unicast: true };
        assert!(builder.question(&question));
        let [ptr, srv, text] = node(1);
        assert!(builder.answers(&[&ptr, &srv]) && builder.authority(&text));
        assert!(builder.additional(&record("host.local", Data::A(Ipv4Addr::new(10, 1, 2, 3)))));
        assert!(builder.additional(&record("host.local", Data::Aaaa(Ipv6Addr::LOCALHOST))));
        let types = vec![rtype::A, rtype::AAAA, rtype::SRV];
        assert!(builder.additional(&record("host.local", Data::Nsec { next: name("host.local"), types })));
        assert!(builder.option(b"option"));
        let bytes = builder.finish();
        let packet = Packet::parse(&bytes).unwrap();
        assert_eq!((packet.id(), packet.questions.len(), packet.answers.len()), (7, 1, 2));
        assert!(packet.has_flags(simple_dns::PacketFlag::RESPONSE | simple_dns::PacketFlag::AUTHORITATIVE_ANSWER));
        assert!(
            packet.questions[0].unicast_response && !packet.answers[0].cache_flush && packet.answers[1].cache_flush
        );
        let RData::PTR(ptr) = &packet.answers[0].rdata else { panic!() };
        assert_eq!(ptr.0.to_string(), "00000000000000000000000001._mreg._tcp.local");
        let RData::SRV(srv) = &packet.answers[1].rdata else { panic!() };
        assert_eq!((srv.port, srv.priority, srv.weight, srv.target.to_string()), (8080, 0, 0, "host.local".into()));
        assert!(matches!(&packet.name_servers[0].rdata, RData::TXT(_)));
        let RData::NSEC(nsec) = &packet.additional_records[2].rdata else { panic!() };
        assert_eq!(nsec.next_name.to_string(), "host.local");
        assert_eq!(nsec.type_bit_maps[0].window_block, 0);
        assert_eq!(*nsec.type_bit_maps[0].bitmap, [0x40, 0, 0, 0x08, 0x40]);
        let options = &packet.opt().unwrap().opt_codes;
        assert_eq!((options[0].code, &*options[0].data), (OPTION_CODE, &b"option"[..]));
    }

    #[test]
    fn names_are_compressed_in_srv_and_nsec_too() {
        let instance = "a._mreg._tcp.local";
        let mut builder = Builder::response(0, 1_452);
        builder.answer(&record(instance, Data::Srv { port: 1, target: name("host._mreg._tcp.local") }));
        let before = builder.len();
        builder.answer(&record(instance, Data::Nsec { next: name(instance), types: vec![rtype::SRV] }));
        assert_eq!(builder.len() - before, 2 + 10 + 2 + 2 + 5);
        assert_eq!(builder.finish().len(), 12 + (20 + 10 + 6 + 5 + 2) + 21);
    }

    #[test]
    fn what_does_not_fit_changes_nothing() {
        let [ptr, srv, text] = node(1);
        let mut small = Builder::response(0, 200);
        assert!(small.answers(&[&ptr, &srv]));
        let mut same = Builder::response(0, 200);
        same.answers(&[&ptr, &srv]);
        assert!(!small.answer(&text) && !small.answers(&[&srv, &text]) && !small.additional(&text));
        assert!(small.answer(&srv), "the section is still that of answers");
        same.answer(&srv);
        assert_eq!(small.finish(), same.finish());
    }

    #[test]
    fn sections_come_in_order() {
        let [ptr, ..] = node(1);
        let mut builder = Builder::query(0, 1_452);
        assert!(builder.authority(&ptr));
        assert!(!builder.answer(&ptr));
        assert!(!builder.question(&Question { name: name("x"), rtype: rtype::ANY, class: IN, unicast: false }));
        assert!(builder.additional(&ptr) && !builder.authority(&ptr));
    }

    #[test]
    fn a_group_that_is_too_large_goes_alone() {
        let (large, small) = (record("a.local", txt(4_000)), record("b.local", txt(201)));
        let mut builder = Builder::response(0, 1_452);
        builder.reserve_option(8);
        assert!(builder.answers(&[&large, &large]));
        assert!(!builder.answer(&small) && !builder.additional(&small));
        assert!(builder.option(&[0; 8]), "its room was kept");
        let message = parse(&builder.finish()).unwrap();
        assert_eq!((message.answers.len(), message.option), (2, Some(vec![0; 8])));
        let mut full = Builder::response(0, 1_452);
        assert!(full.answer(&small) && !full.answer(&large), "not behind another");
        let mut asked = Builder::query(0, 1_452);
        asked.question(&Question { name: name("a.local"), rtype: rtype::ANY, class: IN, unicast: true });
        assert!(asked.authority(&large), "a probe comes with its record");
    }

    #[test]
    fn nothing_is_larger_than_a_packet_of_9000_bytes() {
        let fits = Data::Other(99, Arc::from([0; 8_952 - 12 - 3 - 10]));
        let mut builder = Builder::response(0, 1_452);
        assert!(builder.answer(&record("a", fits.clone())));
        assert_eq!(builder.finish().len(), LARGEST_BUILT);
        for more in [1, 70_000] {
            let more = Data::Other(99, Arc::from([&fits.rdata()[..], &vec![0; more]].concat()));
            assert!(!Builder::response(0, 1_452).answer(&record("a", more)));
        }
        let mut reserved = Builder::response(0, 100_000);
        reserved.reserve_option(0);
        assert!(!reserved.answer(&record("a", fits)));
    }

    #[test]
    fn room_is_kept_for_the_option() {
        let mut builder = Builder::query(0, 100);
        builder.reserve_option(20);
        let question = Question { name: name("_mreg._tcp.local"), rtype: rtype::PTR, class: IN, unicast: false };
        while builder.question(&question) {}
        assert!(builder.len() <= 100 - 35);
        assert!(builder.option(&[7; 20]));
        assert!(builder.len() <= 100);
        assert_eq!(parse(&builder.finish()).unwrap().option, Some(vec![7; 20]));
    }

    #[test]
    fn a_txt_without_strings_is_one_empty_string() {
        let mut builder = Builder::response(0, 1_452);
        builder.answer(&record("a.local", Data::Txt(Arc::from([]))));
        let message = parse(&builder.finish()).unwrap();
        assert_eq!(message.answers[0].data, Data::Txt(Arc::from([0])));
    }

    #[test]
    fn data_to_compare_are_uncompressed() {
        let srv = Data::Srv { port: 0x1234, target: name("H.local") };
        assert_eq!(srv.rdata(), b"\0\0\0\0\x12\x34\x01h\x05local\0");
    }
}

mod reading {
    use super::*;

    #[test]
    fn flags_and_the_header_are_read() {
        let mut builder = Builder::query(0xabcd, 1_452);
        builder.truncated(true);
        let message = parse(&builder.finish()).unwrap();
        assert_eq!(message, Message { id: 0xabcd, truncated: true, ..Message::default() });
        let message = parse(&[0, 0, 0xac, 0x03, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap();
        assert!(message.response && message.authoritative);
        assert_eq!((message.opcode, message.rcode), (5, 3));
    }

    #[test]
    fn what_has_no_header_or_no_whole_question_is_no_message() {
        assert_eq!(parse(&[]), None);
        assert_eq!(parse(&[0; 11]), None);
        assert_eq!(parse(&[0; LARGEST + 1]), None);
        assert!(parse(&[0; LARGEST]).is_some());
        let one_question = [0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for question in [&b""[..], b"\x01a\0\0\x0c\0", b"\xc0\x0c\0\x0c\0\x01", b"\x41a\0\0\x0c\0\x01"] {
            assert_eq!(parse(&[&one_question, question].concat()), None);
        }
    }

    #[test]
    fn pointers_in_circles_cost_their_record_only() {
        let start = Raw::response(2);
        let (to_itself, forward, outside) = (start.pointer(0), start.pointer(2), [0xff, 0xff]);
        for pointer in [to_itself, forward, outside] {
            expect_only_the_good(&Raw::response(2).record(&pointer, rtype::A, &[1, 2, 3, 4]).good());
            let rdata = start.pointer(1 + 10);
            expect_only_the_good(&Raw::response(2).record(b"\0", rtype::PTR, &rdata).good());
        }
        // a label, then a pointer back to it: it would grow for ever
        let circle = [&b"\x01a"[..], &start.pointer(0)].concat();
        expect_only_the_good(&Raw::response(2).record(&circle, rtype::A, &[1, 2, 3, 4]).good());
    }

    #[test]
    fn a_long_chain_of_pointers_costs_its_record_only_and_no_time() {
        for length in [1_500_usize, 4_000] {
            let start = Raw::response(3);
            let first = 0xc000 | (start.0.len() + 11);
            let chain: Vec<u8> = (0..length)
                .flat_map(|link| match link {
                    0 => [0; 2],
                    link => u16::try_from(first + 2 * (link - 1)).unwrap().to_be_bytes(),
                })
                .collect();
            let raw = start.record(b"\0", 99, &chain);
            let last = u16::try_from(0xc000 | (raw.0.len() - 2)).unwrap().to_be_bytes();
            let raw = raw.record(&last, rtype::A, &[1, 2, 3, 4]).good();
            let begun = Instant::now();
            let message = raw.parse();
            assert!(begun.elapsed() < Duration::from_millis(50));
            assert_eq!((message.answers.len(), message.malformed), (2, 1));
            assert_eq!(message.answers[1].name, name("good"));
        }
    }

    #[test]
    fn a_record_that_reads_into_the_next_is_skipped_by_its_length() {
        let name_too_long = b"\0\0\0\0\x1f\x90\x04host\0";
        let short = |cut: usize| &name_too_long[..name_too_long.len() - cut];
        expect_only_the_good(&Raw::response(2).record(b"\x01a\0", rtype::SRV, short(1)).good());
        expect_only_the_good(&Raw::response(2).record(b"\x01a\0", rtype::SRV, short(3)).good());
        expect_only_the_good(&Raw::response(2).record(b"\x01a\0", rtype::PTR, b"\x09host").good());
        expect_only_the_good(&Raw::response(2).record(b"\x01a\0", rtype::TXT, b"\x05four").good());
        expect_only_the_good(&Raw::response(2).record(b"\x01a\0", rtype::A, &[1, 2, 3]).good());
        expect_only_the_good(&Raw::response(2).record(b"\x01a\0", rtype::AAAA, &[0; 15]).good());
    }

    #[test]
    fn a_record_with_something_left_over_is_skipped() {
        for (rtype, rdata) in [
            (rtype::A, &[1, 2, 3, 4, 5][..]),
            (rtype::AAAA, &[0; 17]),
            (rtype::PTR, b"\x01a\0\0"),
            (rtype::SRV, b"\0\0\0\0\0\x01\x01a\0\0"),
            (rtype::NSEC, b"\x01a\0\0"),
        ] {
            expect_only_the_good(&Raw::response(2).record(b"\x01a\0", rtype, rdata).good());
        }
    }

    #[test]
    fn no_type_that_needs_data_is_read_without() {
        for rtype in [rtype::A, rtype::PTR, rtype::AAAA, rtype::SRV, rtype::NSEC] {
            expect_only_the_good(&Raw::response(2).record(b"\x01a\0", rtype, b"").good());
        }
        let message = Raw::response(2).record(b"\x01a\0", rtype::TXT, b"").record(b"\x01a\0", 99, b"").parse();
        let data: Vec<_> = message.answers.into_iter().map(|record| record.data).collect();
        assert_eq!(data, [Data::Txt(Arc::from([0])), Data::Other(99, Arc::from([]))]);
    }

    #[test]
    fn an_owner_longer_than_255_bytes_costs_its_record_only() {
        let half = [&b"\x3f"[..], &[b'x'; 63]].concat().repeat(2);
        let raw = Raw::response(3).record(&[&half[..], &[0]].concat(), 99, b"");
        let both = [&half[..], &0xc00c_u16.to_be_bytes()].concat();
        let message = raw.record(&both, rtype::A, &[1, 2, 3, 4]).good().parse();
        assert_eq!((message.answers.len(), message.malformed), (2, 1));
        assert_eq!(message.answers[1].name, name("good"));
    }

    #[test]
    fn a_record_whose_end_cannot_be_found_ends_the_message() {
        let cut = Raw::response(3).good().record_of_length(b"\x01a\0", rtype::A, 5, &[1, 2, 3, 4]);
        expect_only_the_good(&cut);
        let uncompressed = [&[&b"\x3f"[..], &[b'x'; 63]].concat().repeat(4)[..], &[0]].concat();
        expect_only_the_good(&Raw::response(3).good().record(&uncompressed, rtype::A, &[1, 2, 3, 4]).good());
        let label_of_no_kind = Raw::response(3).good().record(b"\x41a\0", rtype::A, &[1, 2, 3, 4]).good();
        expect_only_the_good(&label_of_no_kind);
    }

    #[test]
    fn counts_that_lie_are_not_believed() {
        expect_only_the_good(&Raw::response(u16::MAX).good());
        let more_than_said = Raw::response(1).good().good().good().parse();
        assert_eq!((more_than_said.answers.len(), more_than_said.malformed), (1, 0));
    }

    #[test]
    fn records_and_questions_have_a_limit() {
        let records = (0..600).fold(Raw::response(600), |raw, _| raw.record(b"\0", 99, b"")).parse();
        assert_eq!((records.answers.len(), records.malformed), (512, 88));
        let mut questions = vec![0, 0, 0, 0, 0, 100, 0, 1, 0, 0, 0, 0];
        questions.extend([0, 0, 12, 0, 1].repeat(100));
        let questions = Raw(questions).good().parse();
        assert_eq!((questions.questions.len(), questions.answers.len(), questions.malformed), (64, 1, 36));
    }

    #[test]
    fn an_nsec_says_types_of_the_first_window_only() {
        let nsec =
            |bitmap: &[u8]| Raw::response(2).record(b"\x01a\0", rtype::NSEC, &[b"\x01a\0", bitmap].concat()).good();
        for broken in [&[0, 0][..], &[0, 1], &[0, 2, 0x40], &[0, 33], &[1, 0], &[0, 1, 0x40, 0]] {
            expect_only_the_good(&nsec(broken));
        }
        expect_only_the_good(&nsec(&[&[0, 33][..], &[0xff; 33]].concat()));
        let types = |bitmap: &[u8]| match &nsec(bitmap).parse().answers[0].data {
            Data::Nsec { types, .. } => types.clone(),
            other => panic!("{other:?}"),
        };
        assert!(types(&[]).is_empty());
        assert_eq!(types(&[0, 4, 0x40, 0, 0, 0x08]), [rtype::A, rtype::AAAA]);
        assert_eq!(types(&[0, 1, 0x40, 1, 1, 0x40]), [rtype::A]);
        assert!(types(&[1, 1, 0x40]).is_empty());
    }

    #[test]
    fn the_first_option_of_ours_counts_and_others_are_passed_over() {
        let opt = |options: &[u8]| {
            let mut raw = Raw(vec![0, 0, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 1]);
            raw = raw.record(b"\0", rtype::OPT, options);
            (raw.parse().option, raw.parse().malformed)
        };
        assert_eq!(opt(b""), (None, 0));
        assert_eq!(opt(b"\0\x04\0\x01x\xff\x03\0\x02us\xff\x03\0\x01u"), (Some(b"us".to_vec()), 0));
        assert_eq!(opt(b"\xff\x03\0\x03us"), (None, 1));
        let as_an_answer = Raw::response(2).record(b"\0", rtype::OPT, b"").good();
        expect_only_the_good(&as_an_answer);
        let owned = Raw(vec![0, 0, 0x84, 0, 0, 0, 0, 0, 0, 0, 0, 1]).record(b"\x01a\0", rtype::OPT, b"\xff\x03\0\0");
        assert_eq!((owned.parse().option, owned.parse().malformed), (None, 1));
    }

    #[test]
    fn names_are_read_in_lower_case_and_labels_with_dots_stay_whole() {
        let instance = Data::Ptr(name("_Http._TCP.Local").child("Büro.2".as_bytes()).unwrap());
        let message = Raw::response(1).record(b"\x05_HTTP\x04_tcp\x05LOCAL\0", rtype::PTR, &instance.rdata()).parse();
        assert_eq!(message.answers[0].name, name("_http._tcp.local"));
        let Data::Ptr(read) = &message.answers[0].data else { panic!() };
        assert_eq!((read.first(), read.labels().count()), ("büro.2".as_bytes(), 4));
    }
}

fn any_name() -> impl Strategy<Value = Name> {
    let label =
        prop_oneof![proptest::collection::vec(any::<u8>(), 1..=20), Just(b"local".to_vec()), Just(b"a.b".to_vec())];
    proptest::collection::vec(label, 0..5)
        .prop_map(|labels| Name::from_labels(labels.iter().map(Vec::as_slice)).unwrap())
}

fn any_data() -> impl Strategy<Value = Data> {
    let string = proptest::collection::vec(any::<u8>(), 0..60);
    let length_and = |string: Vec<u8>| [&[u8::try_from(string.len()).unwrap()][..], &string].concat();
    prop_oneof![
        any::<u32>().prop_map(|bits| Data::A(bits.into())),
        any::<u128>().prop_map(|bits| Data::Aaaa(bits.into())),
        any_name().prop_map(Data::Ptr),
        (any::<u16>(), any_name()).prop_map(|(port, target)| Data::Srv { port, target }),
        proptest::collection::vec(string.clone(), 1..6)
            .prop_map(move |strings| Data::Txt(strings.into_iter().flat_map(length_and).collect())),
        (any_name(), proptest::collection::btree_set(0..256_u16, 0..9))
            .prop_map(|(next, types)| Data::Nsec { next, types: types.into_iter().collect() }),
        (prop_oneof![Just(rtype::CNAME), Just(rtype::NS), 100..u16::MAX], string)
            .prop_map(|(rtype, bytes)| Data::Other(rtype, bytes.into())),
    ]
}

fn any_record() -> impl Strategy<Value = Record> {
    (any_name(), 0..FLUSH, any::<bool>(), any::<u32>(), any_data()).prop_map(|(name, class, flush, ttl, data)| Record {
        name,
        class,
        flush,
        ttl,
        data,
    })
}

fn any_question() -> impl Strategy<Value = Question> {
    (any_name(), any::<u16>(), 0..FLUSH, any::<bool>()).prop_map(|(name, rtype, class, unicast)| Question {
        name,
        rtype,
        class,
        unicast,
    })
}

/// Builds as much of the message as fits, and takes out of it what does not.
fn build(message: &mut Message, limit: usize) -> Vec<u8> {
    let mut builder = match message.response {
        true => Builder::response(message.id, limit),
        false => Builder::query(message.id, limit),
    };
    message.authoritative = message.response;
    builder.truncated(message.truncated);
    message.option.iter().for_each(|data| builder.reserve_option(data.len()));
    message.questions.retain(|question| builder.question(question));
    message.answers.retain(|record| builder.answer(record));
    message.authorities.retain(|record| builder.authority(record));
    message.additionals.retain(|record| builder.additional(record));
    message.option.iter().for_each(|data| assert!(builder.option(data)));
    builder.finish()
}

prop_compose! {
    fn any_message()(
        (id, response, truncated) in any::<(u16, bool, bool)>(),
        questions in proptest::collection::vec(any_question(), 0..4),
        answers in proptest::collection::vec(any_record(), 0..12),
        authorities in proptest::collection::vec(any_record(), 0..4),
        additionals in proptest::collection::vec(any_record(), 0..8),
        option in proptest::option::of(proptest::collection::vec(any::<u8>(), 0..40)),
    ) -> Message {
        Message { id, response, truncated, questions, answers, authorities, additionals, option, ..Message::default() }
    }
}

proptest! {
    #[test]
    fn what_is_built_is_read_again(mut message in any_message(), limit in 200..3_000_usize) {
        let bytes = build(&mut message, limit);
        let records = message.answers.len() + message.authorities.len() + message.additionals.len();
        prop_assert!(bytes.len() <= limit || records == 1);
        prop_assert_eq!(parse(&bytes), Some(message));
    }

    #[test]
    fn no_bytes_make_it_fall(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
        let _ = parse(&bytes);
        let _ = parse(&[&[0, 0, 0x84, 0, 0, 1, 0, 9, 0, 9, 0, 9][..], &bytes].concat());
    }

    #[test]
    fn no_damage_makes_it_fall(
        mut message in any_message(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = build(&mut message, 1_452);
        for (place, byte) in damage {
            let place = place.index(bytes.len());
            bytes[place] = byte;
        }
        let _ = parse(&bytes);
        let _ = parse(&bytes[..cut.index(bytes.len())]);
    }
}
