//! RFC 6762 and RFC 6763 requirement by requirement, as packets between two hosts, on both links.
//!
//! `ROWS` says what each link is to do; a row that a link is known to fail is run as well and must fail, so the table
//! stays true. docs/conformance.md is written from it: `make conformance`.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod answers;
mod asks;
mod ignores;
#[path = "../lab/mod.rs"]
mod lab;
mod letter;
mod page;
mod says;
mod stage;

use mdns_registry::LinkKind;
use stage::{Stage, Verdict};

/// What a link does about a requirement.
enum Expected {
    /// It meets it.
    Meets,
    /// It does not, for this reason.
    Fails(&'static str),
    /// Sometimes it does, for this reason: a check would prove nothing, so there is none on this link.
    Varies(&'static str),
}
use Expected::{Fails, Meets, Varies};

/// One requirement.
struct Row {
    /// Of RFC 6762, where no other is named.
    section: &'static str,
    /// In a sentence.
    requirement: &'static str,
    /// The native link.
    native: Expected,
    /// The adapter to mdns-sd.
    mdns_sd: Expected,
}

macro_rules! rows {
    ($(
        $module:ident::$check:ident, $section:literal, $requirement:literal,
        $native:ident $(($native_how:literal))?, $mdns_sd:ident $(($mdns_sd_how:literal))?;
    )*) => {
        const ROWS: &[Row] = &[$(Row {
            section: $section,
            requirement: $requirement,
            native: $native $(($native_how))?,
            mdns_sd: $mdns_sd $(($mdns_sd_how))?,
        }),*];

        mod on_native {
            use super::*;
            $(check!($module::$check, Native, $native $(($native_how))?);)*
        }

        mod on_mdns_sd {
            use super::*;
            $(check!($module::$check, MdnsSd, $mdns_sd $(($mdns_sd_how))?);)*
        }
    };
}

macro_rules! check {
    ($module:ident::$check:ident, $link:ident, Varies($how:literal)) => {};
    ($module:ident::$check:ident, $link:ident, $($expected:tt)+) => {
        #[test]
        fn $check() {
            judge(LinkKind::$link, super::$module::$check, &$($expected)+);
        }
    };
}

rows! {
    says::an_announcement_is_repeated_after_a_second, "8.3", "A record is announced at least twice, a second or more apart", Meets, Meets;
    says::what_is_unique_flushes_and_what_is_shared_does_not, "10.2", "SRV, TXT, A and AAAA are sent with the cache-flush bit, PTR without", Meets, Meets;
    says::a_message_has_the_form_of_multicast_dns, "3, 6, 18", "A response goes from port 5353 to the group's, by IPv4 and IPv6; id, opcode and rcode 0, AA set, no question", Meets, Meets;
    says::messages_fit_a_frame_but_for_one_record_that_does_not, "17", "A message fits a frame, but for one large node, within 9,000 bytes", Meets, Meets;
    says::the_hop_limit_of_a_multicast_is_255, "11", "What is multicast has hop limit 255", Meets, Meets;
    says::a_record_lives_as_long_as_the_lease, "10", "The time to live is the lease", Meets, Fails("120 s and 75 min, not settable");
    says::a_change_is_announced_and_nothing_withdrawn, "8.4", "Changed data are announced with the cache-flush bit, without a goodbye", Meets, Meets;
    says::a_goodbye_is_said_twice, "10.1", "A goodbye has TTL 0 and is said twice", Meets, Meets;
    says::a_goodbye_by_another_is_answered_by_saying_the_record_again, "10.1", "A goodbye that another host says of our record is answered with the record, within a second", Meets, Fails("ignores it (F11)");
    says::a_record_of_another_under_its_name_is_answered_by_its_own, "9", "A conflicting record is answered at any time", Meets, Fails("ignores it once announced (F11)");
    says::all_is_announced_when_the_link_is_back, "8, 13", "Everything is announced again when the link comes back", Meets, Varies("looks every 5 s, and may miss a short one (F12)");
    says::all_is_announced_after_sleep, "8, 13", "Everything is announced again after sleep", Meets, Fails("ages its cache only");
    says::each_interface_hears_its_own_address_only, "14", "An interface hears its own addresses only", Meets, Meets;
    says::an_instance_label_has_63_bytes_at_most, "6763 4.1", "An instance label is UTF-8 of 63 bytes at most, without control characters", Meets, Meets;

    answers::a_shared_record_is_answered_after_20_to_120_ms, "6", "A shared record is answered after a random 20 to 120 ms", Meets, Varies("10 to 50 ms");
    answers::a_unique_record_is_answered_at_once, "6", "A unique record is answered within 10 ms", Meets, Varies("10 to 50 ms");
    answers::a_record_is_multicast_once_a_second, "6", "A record is multicast once a second at most", Meets, Meets;
    answers::an_answer_that_another_has_just_given_is_not_given, "7.4", "An answer that another host has just given is not given", Meets, Fails("gives it");
    answers::a_question_repeated_in_a_message_is_answered_once, "6", "A question repeated in one message is answered once", Meets, Meets;
    answers::a_question_for_unicast_is_answered_by_unicast, "5.4", "A question with the QU bit is answered by unicast", Meets, Fails("answers by multicast");
    answers::a_one_shot_question_gets_an_answer_of_its_kind, "6.7", "A one-shot question gets its id and itself back, TTL 10 s at most, no cache-flush bit", Meets, Meets;
    answers::a_one_shot_question_gets_one_message_at_most, "6.7", "A one-shot question gets one message at most", Meets, Fails("as many as it takes (F5)");
    answers::a_unicast_answer_has_hop_limit_255, "11", "What is sent by unicast has hop limit 255", Meets, Fails("64");
    answers::what_the_asker_knows_is_not_answered, "7.1", "A known answer with half its time left is not given", Meets, Meets;
    answers::what_the_asker_knows_for_less_than_half_its_time_is_answered, "7.1", "A known answer with less than half its time left is given", Meets, Meets;
    answers::a_truncated_question_is_answered_after_400_to_500_ms, "7.2", "With TC set, more known answers are waited for, 400 to 500 ms", Meets, Fails("answers at once");
    answers::known_answers_in_a_second_message_count, "7.2", "Known answers in a second message count", Meets, Fails("answers before it comes");
    answers::a_host_denies_the_addresses_it_has_not, "6.1", "NSEC denies the address family that a host has not", Meets, Meets;
    answers::an_instance_denies_the_records_it_has_not, "6.1", "NSEC denies what an instance has not", Meets, Fails("says nothing");
    answers::the_case_of_a_name_does_not_matter, "16", "Names match whatever their case", Meets, Fails("not for PTR");
    answers::a_question_for_anything_gets_all, "6", "A question of type ANY for an instance gets SRV and TXT", Meets, Meets;
    answers::a_question_by_ipv6_is_answered_by_ipv6, "20", "A question by IPv6 is answered by IPv6", Meets, Meets;
    answers::a_subtype_is_answered, "6763 7.1", "A subtype is answered", Meets, Fails("the adapter publishes none");
    answers::the_service_type_is_enumerated, "6763 9", "The service type is enumerated", Meets, Meets;
    answers::all_that_belongs_to_a_pointer_comes_with_it, "6763 12", "SRV, TXT, A and AAAA come with a PTR", Meets, Fails("addresses of one family only");

    ignores::a_question_from_off_the_link_gets_nothing, "11", "A question from off the link gets nothing, neither multicast nor unicast", Meets, Fails("answers (F5)");
    ignores::a_response_from_off_the_link_is_ignored, "11", "A response from off the link is ignored", Meets, Fails("believes it (F6)");
    ignores::a_response_from_another_port_is_ignored, "6", "A response from another port than 5353 is ignored", Meets, Fails("believes it (F6)");
    ignores::a_question_with_an_opcode_is_ignored, "18.3", "A question with an opcode other than 0 is ignored", Meets, Fails("answers (F6)");
    ignores::a_response_with_an_opcode_is_ignored, "18.3", "A response with an opcode other than 0 is ignored", Meets, Fails("believes it (F6)");
    ignores::a_question_with_an_rcode_is_ignored, "18.11", "A question with an rcode other than 0 is ignored", Meets, Fails("answers (F6)");
    ignores::a_response_with_an_rcode_is_ignored, "18.11", "A response with an rcode other than 0 is ignored", Meets, Fails("believes it (F6)");
    ignores::a_question_of_another_class_is_not_answered, "6", "A question of another class than IN is not answered", Meets, Fails("answers (F6)");
    ignores::records_of_another_class_are_ignored, "6", "Records of another class than IN are ignored", Meets, Fails("believes them (F6)");
    ignores::a_message_of_more_than_9000_bytes_is_dropped, "17", "A message of more than 9,000 bytes is dropped, a smaller one taken", Meets, Meets;
    ignores::an_address_that_is_no_host_of_the_network_is_not_believed, "21", "A loopback address of another host is not believed", Meets, Meets;

    asks::the_first_question_waits_20_to_120_ms, "5.2", "The first question of a browse waits 20 ms or more", Meets, Varies("10 to 50 ms, once for all services; at once on an interface that is new to it");
    asks::questions_are_repeated_at_growing_intervals, "5.2", "Questions are repeated after 1, 2, 4 s", Meets, Meets;
    asks::a_question_that_another_has_just_asked_is_not_asked, "7.3", "A question that another host has just asked is not asked", Meets, Fails("asks it");
    asks::what_is_known_is_said_with_the_question, "7.1", "A question lists the answers that are known", Meets, Meets;
    asks::a_record_is_asked_for_from_80_per_cent_of_its_time_on, "5.2", "A record in use is asked for at 80, 85, 90 and 95 % of its time, and gone after it", Meets, Meets;
    asks::a_node_lives_as_long_as_its_records, "10", "A node of other software lives as long as its records", Meets, Meets;
    asks::a_goodbye_is_believed_after_a_second, "10.1", "A goodbye of another's node takes effect a second later", Meets, Meets;
    asks::a_goodbye_of_a_label_with_capitals_is_believed, "16", "The same of an instance whose label has capitals", Meets, Meets;
    asks::the_flush_bit_takes_older_records_away, "10.2", "The cache-flush bit takes away what is older than a second", Meets, Meets;
    asks::the_flush_bit_spares_what_was_heard_within_a_second, "10.2", "The cache-flush bit spares what was heard within a second", Meets, Meets;
    asks::a_bad_record_costs_no_other_of_its_message, "18", "A bad record costs no other of its message", Meets, Meets;
    asks::a_node_said_by_ipv6_alone_is_found, "20", "A node that is said by IPv6 alone is found", Meets, Meets;
    asks::a_node_without_a_subtype_is_found, "6763 7.1", "A node of other software that has no subtype is asked for and found", Meets, Meets;
    asks::the_first_of_two_keys_of_txt_counts_and_odd_strings_do_not, "6763 6.4", "The first of two equal TXT keys counts; empty strings and keys are ignored", Meets, Fails("an empty string ends its TXT");
    asks::a_label_with_dots_and_capitals_is_asked_for_as_it_is, "6763 4.3", "An instance label with dots and capitals is asked for as it is", Meets, Fails("asks for other labels (F10)");
}

/// What does not concern a registry.
const NOT_APPLICABLE: &[(&str, &str, &str)] = &[
    (
        "8.1, 8.2",
        "Probing and its tiebreak",
        "names are unique by construction: 80 bits of a hash over 128 random bits (8.1)",
    ),
    ("9", "Renaming after a conflict", "the same"),
    ("10.4", "Asking on a hint of failure", "no such hint: a node is asked for before its time is over"),
    ("10.5", "Passive observation of failures", "optional; leases are short"),
];

lab::agent::agents!();

fn judge(link: LinkKind, check: fn(&mut Stage) -> Verdict, expected: &Expected) {
    match (expected, check(&mut Stage::new(link))) {
        (Meets, Err(how)) => panic!("not met: {how}"),
        (Fails(reason), Ok(())) => panic!("met, though listed as failed: {reason}"),
        (Fails(_), Err(how)) => println!("not met, as listed: {how}"),
        (Meets, Ok(())) => {}
        (Varies(reason), _) => unreachable!("checked, though it proves nothing: {reason}"),
    }
}
