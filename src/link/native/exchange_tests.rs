use proptest::prelude::*;

use super::*;
use crate::wire::dnssd::instance_label;

fn range() -> impl Strategy<Value = Range> {
    (any::<u64>(), any::<u64>()).prop_map(|(a, b)| a.min(b)..=a.max(b))
}

fn sum() -> impl Strategy<Value = Sum> {
    (any::<u32>(), any::<u64>()).prop_map(|(count, hash)| Sum { count, hash })
}

fn held() -> impl Strategy<Value = Held> {
    (range(), sum()).prop_map(|(range, sum)| Held { range, sum })
}

fn exchange() -> impl Strategy<Value = Exchange> {
    let verdict = prop_oneof![
        range().prop_map(Verdict::Covered),
        range().prop_map(Verdict::Same),
        held().prop_map(Verdict::Differs),
    ];
    let tag = any::<[u8; 16]>().prop_map(Tag);
    prop_oneof![
        prop::collection::vec(tag.clone(), 0..HEARD).prop_map(|heard| Exchange::Ask { heard }),
        (any::<u64>(), tag.clone(), prop::collection::vec(held(), 0..RANGES), any::<u8>())
            .prop_map(|(token, registry, ranges, budget)| Exchange::Fetch { token, registry, ranges, budget }),
        (any::<u64>(), tag, prop::collection::vec(verdict, 0..RANGES), any::<bool>())
            .prop_map(|(token, registry, verdicts, last)| Exchange::Answer { token, registry, verdicts, last }),
        Just(Exchange::ForOthers),
        any::<u16>().prop_map(|port| Exchange::Here { port }),
    ]
}

proptest! {
    #[test]
    fn what_is_encoded_is_decoded_and_what_is_cut_is_refused(exchange in exchange(), cut in any::<prop::sample::Index>()) {
        let data = exchange.encode();
        prop_assert_eq!(Exchange::decode(&data), Some(exchange.clone()));
        if let Exchange::Answer { verdicts, .. } = &exchange {
            prop_assert!(data.len() <= Exchange::answer_len(verdicts.len()));
        }
        let cut = &data[..cut.index(data.len())];
        prop_assert!(Exchange::decode(cut) != Some(exchange));
    }

    #[test]
    fn any_bytes_are_decoded_without_a_panic(data in prop::collection::vec(any::<u8>(), 0..2_000)) {
        let _ = Exchange::decode(&data);
    }

    #[test]
    fn what_is_left_after_subtracting_is_what_no_cut_held(cuts in prop::collection::vec(range(), 0..20), probe in any::<u64>()) {
        let mut left = vec![ALL];
        cuts.iter().for_each(|cut| subtract(&mut left, cut));
        let wanted = cuts.iter().all(|cut| !cut.contains(&probe));
        prop_assert_eq!(left.iter().any(|range| range.contains(&probe)), wanted);
        prop_assert!(left.windows(2).all(|pair| pair[0].end() < pair[1].start()));
    }

    #[test]
    fn the_parts_of_a_range_are_the_range(range in range(), parts in 1..20_u64) {
        let split = split(&range, parts);
        let mut left = vec![range.clone()];
        split.iter().for_each(|part| subtract(&mut left, part));
        prop_assert!(left.is_empty());
        prop_assert!(split.windows(2).all(|pair| pair[0].end() + 1 == *pair[1].start()));
        prop_assert_eq!((split.first().map(|r| *r.start()), split.last().map(|r| *r.end())), (Some(*range.start()), Some(*range.end())));
    }
}

#[test]
fn a_sum_does_not_depend_on_the_order_and_tells_a_changed_revision() {
    let nodes = [(1, 1), (2, 5), (u64::MAX, 3)];
    let turned = Sum::of(nodes.iter().rev().copied());
    assert_eq!(Sum::of(nodes.iter().copied()), turned);
    assert_ne!(Sum::of([(1, 1), (2, 6), (u64::MAX, 3)].into_iter()), turned);
    assert_ne!(Sum::of([(1, 5), (2, 1), (u64::MAX, 3)].into_iter()), turned);
}

#[test]
fn a_node_lies_where_the_hash_in_its_label_says() {
    let label = instance_label("tag", "greeter", "Go.1");
    assert!(position(&label).is_some());
    assert_ne!(position(&label), position(&instance_label("tag", "greeter", "Go.2")));
    for label in ["", "printer", "a-label-without-a-hash!", "grüße-aus-köln-am-rhein"] {
        assert_eq!(position(label), None, "{label}");
    }
}

#[test]
fn an_owner_is_a_tag_only_if_it_spells_128_bits() {
    assert_eq!(Tag::of("aaaaaaaaaaaaaaaaaaaaaaaaaa"), Some(Tag([0; 16])));
    assert_eq!(Tag([7; 16]).owner().len(), 26);
    assert_eq!(Tag::of(&Tag([7; 16]).owner()), Some(Tag([7; 16])));
    assert_eq!(Tag::of("tag"), None);
    assert_eq!(Tag::of("printer-of-the-front-desk"), None);
}
