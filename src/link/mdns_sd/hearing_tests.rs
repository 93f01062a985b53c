use super::*;
use crate::model::{Node, Service};

const MS: Duration = Duration::from_millis(1);

/// A hearing on a clock of its own, milliseconds after its start.
struct Ear {
    hearing: Hearing,
    start: Instant,
}

fn instance(key: &str, revision: u64, interface: &str) -> (Record, Vec<Reach>) {
    let (service, node) = (Arc::new(Service::default()), Node::default());
    let record = Record {
        key: key.into(),
        owner: "o".into(),
        revision,
        lease: 10,
        go_micro: None,
        service,
        node: (&node).into(),
    };
    (record, vec![Reach { ip: [10, 0, 0, 1].into(), interface: interface.into() }])
}

impl Ear {
    fn new() -> Ear {
        let mut ear = Ear { hearing: Hearing::default(), start: Instant::now() };
        ear.browse();
        ear.replayed(10, &[]);
        ear
    }

    fn at(&self, ms: u32) -> Instant {
        self.start + MS * ms
    }

    fn browse(&mut self) {
        let number = self.hearing.begin_browse();
        self.hearing.read(number, false);
    }

    /// The daemon replays its cache: PTR records of these keys.
    fn replayed(&mut self, ms: u32, ptrs: &[&str]) {
        let now = self.at(ms);
        self.hearing.started(now, |_| false);
        ptrs.iter().for_each(|key| self.hearing.found(now, (*key).into()));
        self.hearing.started(now, |name| name == "down0");
    }

    fn resolved(&mut self, ms: u32, key: &str, revision: u64, interface: &str) {
        self.hearing.resolved(self.at(ms), &key.into(), key, Ok(instance(key, revision, interface)));
    }

    fn removed(&mut self, ms: u32, key: &str) {
        self.hearing.removed(self.at(ms), &key.into());
    }

    fn told(&mut self) -> Vec<String> {
        let say = |sighting| match sighting {
            Sighting::Seen { record, .. } => format!("seen {} {}", record.key, record.revision),
            Sighting::Held { record, .. } => format!("held {} {}", record.key, record.revision),
            Sighting::Alive { keys, .. } => format!("alive {keys:?}"),
            Sighting::Gone { key, reason } => format!("gone {key} {reason:?}"),
            Sighting::Settled(_) => "settled".into(),
            Sighting::Dropped(reason) => format!("dropped {reason}"),
            Sighting::Interfaces(_) => "interfaces".into(),
        };
        std::iter::from_fn(|| self.hearing.pop()).map(say).collect()
    }
}

#[test]
fn a_replay_of_what_is_known_is_not_told_and_a_change_is() {
    let mut ear = Ear::new();
    ear.resolved(20, "k", 1, "eth0");
    ear.resolved(30, "k", 1, "eth0");
    ear.resolved(40, "k", 2, "eth0");
    ear.resolved(50, "k", 1, "eth0");
    ear.resolved(60, "k", 2, "eth1");
    assert_eq!(ear.told(), ["seen k 1", "seen k 2", "seen k 2"]);
}

#[test]
fn a_removal_is_a_goodbye_only_where_the_next_replay_has_no_ptr_record() {
    let mut ear = Ear::new();
    ear.resolved(20, "left", 1, "eth0");
    ear.resolved(20, "silent", 1, "eth0");
    ear.told();
    ear.removed(30, "left");
    ear.removed(30, "silent");
    assert!(ear.hearing.wants_browse(ear.at(30)));
    assert!(ear.told().is_empty());
    ear.browse();
    assert!(!ear.hearing.wants_browse(ear.at(40)));
    ear.replayed(50, &["silent"]);
    assert_eq!(ear.told(), ["gone left Goodbye"]);
    // It answers again: a sign of life, although nothing changed.
    ear.resolved(60, "silent", 1, "eth0");
    assert_eq!(ear.told(), ["seen silent 1"]);
}

#[test]
fn a_removal_during_a_replay_waits_for_the_next() {
    let mut ear = Ear::new();
    ear.resolved(20, "k", 1, "eth0");
    ear.told();
    ear.browse();
    ear.removed(30, "k");
    ear.replayed(40, &[]);
    assert!(ear.told().is_empty());
    ear.browse();
    ear.replayed(90, &[]);
    assert_eq!(ear.told(), ["gone k Goodbye"]);
}

#[test]
fn a_removal_with_the_interface_is_link_down_and_after_a_step_of_the_clock_nothing() {
    let mut ear = Ear::new();
    ear.resolved(20, "cut", 1, "down0");
    ear.told();
    ear.removed(30, "cut");
    ear.browse();
    ear.replayed(40, &[]);
    assert_eq!(ear.told(), ["gone cut LinkDown"]);

    ear.resolved(50, "k", 1, "eth0");
    ear.told();
    ear.hearing.jumped(ear.at(60));
    ear.removed(70, "k");
    ear.browse();
    ear.replayed(80, &[]);
    assert!(ear.told().is_empty());
}

#[test]
fn a_check_is_answered_unless_the_node_was_removed_in_its_window() {
    let mut ear = Ear::new();
    ear.resolved(20, "lives", 1, "eth0");
    ear.resolved(20, "dies", 1, "eth0");
    ear.told();
    for key in ["lives", "dies"] {
        let (_, window) = ear.hearing.check(&key.into()).unwrap().unwrap();
        assert_eq!(window, MS * 1_500);
        ear.hearing.checking(key.into(), Time(1), ear.at(30) + window);
        assert_eq!(ear.hearing.check(&key.into()), Ok(None));
    }
    ear.removed(1_530, "dies");
    assert!(ear.hearing.handle_timeout(ear.at(1_629)).is_empty());
    let over = ear.hearing.handle_timeout(ear.at(1_630));
    assert_eq!(over, [Key::from("lives")]);
    ear.hearing.answered(ear.at(1_640), over);
    assert_eq!(ear.told(), ["alive [\"lives\"]"]);
    assert_eq!(ear.hearing.check(&"dies".into()), Err(()));
}

#[test]
fn a_lookup_settles_when_nothing_new_has_come_for_150_ms() {
    let mut ear = Ear::new();
    let ask = |ear: &mut Ear, ms| ear.hearing.ask(ear.at(ms), Question::Everything);
    let settled = |ear: &mut Ear, ms| {
        let now = ear.at(ms);
        assert!(ear.hearing.handle_timeout(now).is_empty());
        ear.told().contains(&"settled".to_owned())
    };
    ask(&mut ear, 1_000);
    assert!(!settled(&mut ear, 1_249) && settled(&mut ear, 1_250));

    ask(&mut ear, 2_000);
    ear.resolved(2_100, "k", 1, "eth0");
    assert!(!settled(&mut ear, 2_249) && settled(&mut ear, 2_250));

    // A replay is not new.
    ask(&mut ear, 3_000);
    ear.resolved(3_100, "k", 1, "eth0");
    assert!(!settled(&mut ear, 3_149) && settled(&mut ear, 3_150));
}

#[test]
fn after_a_broken_subscription_what_is_not_replayed_is_lost_but_not_gone() {
    let mut ear = Ear::new();
    ear.resolved(20, "still", 1, "eth0");
    ear.resolved(20, "missed", 1, "eth0");
    ear.told();
    let number = ear.hearing.begin_browse();
    ear.hearing.read(number, true);
    ear.hearing.started(ear.at(30), |_| false);
    ear.resolved(30, "still", 1, "eth0");
    ear.hearing.started(ear.at(40), |_| false);
    assert!(ear.told().is_empty());
    assert!(ear.hearing.check(&"still".into()).is_ok());
    assert_eq!(ear.hearing.check(&"missed".into()), Err(()));
}

#[test]
fn what_is_refused_is_counted_once_and_ends_what_was_known() {
    let mut ear = Ear::new();
    ear.resolved(20, "k", 1, "eth0");
    ear.told();
    for ms in [30, 40] {
        ear.hearing.resolved(ear.at(ms), &"k".into(), "k", Err(Refused::Port));
    }
    assert_eq!(ear.told(), ["dropped port", "gone k Refused"]);
}

#[test]
fn a_node_too_many_is_refused() {
    let mut ear = Ear::new();
    (0..=limits::VIEW_NODES).for_each(|i| ear.resolved(20, &format!("k{i}"), 1, "eth0"));
    let told = ear.told();
    assert_eq!(told.len(), limits::VIEW_NODES + 1);
    assert_eq!(told[limits::VIEW_NODES], format!("dropped {}", Refused::LinkFull));
}

#[test]
fn a_lost_node_is_asked_for_less_and_less_often() {
    let mut ear = Ear::new();
    ear.resolved(20, "k", 1, "eth0");
    ear.removed(30, "k");
    let mut asked = Vec::new();
    for ms in (100..60_000).step_by(100) {
        let now = ear.at(ms);
        if ear.hearing.wants_browse(now) {
            asked.push(ms);
            ear.browse();
            ear.hearing.healing(now);
            ear.replayed(ms, &["k"]);
        }
    }
    assert_eq!(asked, [100, 5_100, 15_100, 35_100]);
}

#[test]
fn the_cache_is_dropped_for_a_txt_record_that_does_not_come() {
    let mut ear = Ear::new();
    ear.resolved(20, "other", 1, "eth0");
    ear.hearing.bare(ear.at(20), "k".into());
    ear.told();
    assert!(!ear.hearing.wants_refetch(ear.at(1_019)));
    assert!(ear.hearing.wants_refetch(ear.at(1_020)));
    ear.hearing.refetching(ear.at(1_020));
    assert!(!ear.hearing.wants_refetch(ear.at(3_019)));
    // What comes now comes from the network.
    ear.resolved(1_100, "other", 1, "eth0");
    ear.resolved(1_100, "k", 1, "eth0");
    assert_eq!(ear.told(), ["seen other 1", "seen k 1"]);
    assert!(!ear.hearing.wants_refetch(ear.at(9_000)));
}

#[test]
fn an_answer_of_the_owner_is_told_until_the_daemon_has_the_node_too() {
    let mut ear = Ear::new();
    let answer = |ear: &mut Ear, ms, revision| {
        ear.hearing.answered_directly(ear.at(ms), &"k".into(), "k", Ok(instance("k", revision, "eth0")));
    };
    answer(&mut ear, 10, 2);
    answer(&mut ear, 20, 2);
    answer(&mut ear, 30, 1);
    assert_eq!(ear.told(), ["seen k 2", "seen k 2"]);
    assert!(ear.hearing.check(&"k".into()).is_err(), "the daemon cannot verify what it does not have");
    ear.resolved(1_000, "k", 2, "eth0");
    answer(&mut ear, 1_010, 2);
    assert!(ear.told().is_empty());
    assert!(ear.hearing.check(&"k".into()).is_ok());
    answer(&mut ear, 1_020, 3);
    assert_eq!(ear.told(), ["seen k 3"]);
}

#[test]
fn a_node_heard_by_ipv6_first_waits_a_moment_for_its_ipv4_address() {
    let with = |ips: &[&str]| {
        let (record, _) = instance("k", 1, "eth0");
        let reach = ips.iter().map(|ip| Reach { ip: ip.parse().unwrap(), interface: "eth0".into() }).collect();
        Ok((record, reach))
    };
    let reached = |ear: &mut Ear| match ear.hearing.pop() {
        Some(Sighting::Seen { reach, .. }) => reach.len(),
        Some(other) => panic!("{other:?}"),
        None => 0,
    };
    // By the daemon, which then has both.
    let mut ear = Ear::new();
    ear.hearing.resolved(ear.at(20), &"k".into(), "k", with(&["fe80::1"]));
    assert_eq!(ear.hearing.next_due(), Some(ear.at(60)));
    ear.hearing.resolved(ear.at(30), &"k".into(), "k", with(&["10.0.0.1", "fe80::1"]));
    assert_eq!((reached(&mut ear), reached(&mut ear)), (2, 0));
    // A host without IPv4, and one that loses it.
    for ms in [1_000, 2_000] {
        ear.hearing.resolved(ear.at(ms), &"k".into(), "k", with(&["fe80::1"]));
        let _ = ear.hearing.handle_timeout(ear.at(ms + 39));
        assert_eq!(reached(&mut ear), 0);
        let _ = ear.hearing.handle_timeout(ear.at(ms + 40));
        assert_eq!(reached(&mut ear), usize::from(ms == 1_000));
    }
    // A check makes the daemon drop what is not answered for by both families.
    let mut ear = Ear::new();
    ear.hearing.resolved(ear.at(20), &"k".into(), "k", with(&["10.0.0.1", "fe80::1"]));
    ear.hearing.checking("k".into(), Time(1), ear.at(1_000));
    ear.hearing.resolved(ear.at(1_000), &"k".into(), "k", with(&["fe80::1"]));
    assert_eq!((reached(&mut ear), reached(&mut ear), ear.hearing.held.len()), (2, 0, 0));
    // A replay later on says no more than it did; another address is news.
    ear.hearing.resolved(ear.at(90_000), &"k".into(), "k", with(&["fe80::1"]));
    assert_eq!(reached(&mut ear), 0);
    ear.hearing.resolved(ear.at(90_001), &"k".into(), "k", with(&["10.0.0.2", "fe80::1"]));
    assert_eq!(reached(&mut ear), 2);
    // What two checks in a row leave out is given up.
    ear.hearing.checking("k".into(), Time(1), ear.at(100_000));
    ear.hearing.resolved(ear.at(100_000), &"k".into(), "k", with(&["fe80::1"]));
    ear.hearing.answered(ear.at(100_001), vec!["k".into()]);
    ear.told();
    ear.hearing.checking("k".into(), Time(1), ear.at(101_000));
    ear.hearing.answered(ear.at(101_001), vec!["k".into()]);
    assert_eq!((reached(&mut ear), reached(&mut ear)), (1, 0));
    // By a one-shot answer, of which the daemon missed the half.
    let mut ear = Ear::new();
    ear.hearing.answered_directly(ear.at(20), &"k".into(), "k", with(&["10.0.0.1"]));
    ear.hearing.resolved(ear.at(30), &"k".into(), "k", with(&["fe80::1"]));
    ear.hearing.resolved(ear.at(90), &"k".into(), "k", with(&["fe80::1"]));
    assert_eq!((reached(&mut ear), reached(&mut ear), reached(&mut ear)), (1, 2, 0));
    ear.hearing.resolved(ear.at(99), &"k".into(), "k", with(&["10.0.0.2"]));
    assert_eq!(reached(&mut ear), 1);
    // By one-shot answers, one for each family, in either order.
    for order in [["fe80::1", "10.0.0.1"], ["10.0.0.1", "fe80::1"]] {
        let mut ear = Ear::new();
        for ip in order {
            ear.hearing.answered_directly(ear.at(20), &"k".into(), "k", with(&[ip]));
        }
        let all: Vec<usize> = std::iter::from_fn(|| Some(reached(&mut ear)).filter(|n| *n > 0)).collect();
        assert_eq!(all.last(), Some(&2), "{order:?}");
        assert!(ear.hearing.held.is_empty());
    }
}

#[test]
fn who_asks_is_told_what_is_known_as_of_its_last_sign_of_life() {
    let mut ear = Ear::new();
    ear.resolved(20, "k", 1, "eth0");
    ear.resolved(20, "l", 1, "eth0");
    ear.removed(5_000, "l");
    ear.told();
    let told_at = |ear: &mut Ear, ms: u32, question: &Question| {
        ear.hearing.retell(ear.at(ms), Time(100_000 + u64::from(ms)), question);
        let held = |sighting| match sighting {
            Sighting::Held { record, at, .. } => (record.key.to_string(), at),
            other => panic!("{other:?}"),
        };
        let mut told: Vec<_> = std::iter::from_fn(|| ear.hearing.pop()).map(held).collect();
        told.sort();
        told
    };
    let sign = Time(100_020);
    assert_eq!(told_at(&mut ear, 9_000, &Question::Everything), [("k".into(), sign), ("l".into(), sign)]);
    assert_eq!(told_at(&mut ear, 10_020, &Question::Names), [("k".into(), sign)], "the lease of what was lost is over");
    assert_eq!(told_at(&mut ear, 10_020, &Question::Service(Arc::from("other"))), []);
}

#[test]
fn an_answer_after_the_lease_is_told_with_the_data() {
    let mut ear = Ear::new();
    ear.resolved(20, "k", 1, "eth0");
    ear.told();
    ear.hearing.checking("k".into(), Time(1), ear.at(10_000));
    let over = ear.hearing.handle_timeout(ear.at(10_100));
    ear.hearing.answered(ear.at(10_100), over);
    assert_eq!(ear.told(), ["seen k 1"], "its lease of 10 s was over: whoever listens has deleted it");
}
