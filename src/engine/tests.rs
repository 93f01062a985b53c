use super::*;
use crate::event::Action;
use crate::model::Node;

const SECOND: Duration = Duration::from_secs(1);
const PATIENCE: Patience =
    Patience { check_after: Duration::from_secs(90), grace: Duration::from_secs(2), answer: Duration::from_secs(6) };
const START: Time = Time(1_000_000);

fn at(seconds: u64) -> Time {
    START + SECOND * u32::try_from(seconds).unwrap()
}

fn interface(name: &str, ip: &str, loopback: bool) -> Interface {
    Interface { name: Arc::from(name), addrs: vec![ip.parse().unwrap()], loopback, usable: true }
}

fn engine() -> Engine {
    let mut engine = Engine::new(Owner::from("me"), Scope::Default, PATIENCE);
    let all = vec![interface("eth0", "10.0.0.1", false), interface("lo", "127.0.0.1", true)];
    engine.handle_sighting(START, &Sighting::Interfaces(all));
    engine
}

fn service(name: &str, id: &str, address: &str) -> Service {
    let node = Node { id: id.into(), address: address.into(), port: 80, ..Node::default() };
    Service { name: name.into(), nodes: vec![node], ..Service::default() }
}

fn seen(key: &str, name: &str, on: &str) -> Sighting {
    let mut service = service(name, "n", "");
    let node = service.nodes.remove(0);
    let (key, owner) = (Key::from(key), Owner::from(key));
    let record =
        Record { key, owner, revision: 1, lease: 10, go_micro: None, service: Arc::new(service), node: (&node).into() };
    Sighting::Seen {
        record: Arc::new(record),
        reach: [Reach { ip: [10, 0, 0, 2].into(), interface: on.into() }].into(),
    }
}

fn commands(engine: &mut Engine) -> Vec<Command> {
    let command = |output| match output {
        Output::Command(command) => Some(command),
        _ => None,
    };
    std::iter::from_fn(|| engine.poll_output()).filter_map(command).collect()
}

fn told(engine: &mut Engine, watch: WatchId) -> Vec<String> {
    let say = |event: Event| match event.change() {
        Some(c) => format!("{} {} {:?}", c.action.as_str(), c.service.name, c.reason),
        None => event.kind().to_owned(),
    };
    std::iter::from_fn(|| engine.next_event(watch)).map(say).collect()
}

fn watch(engine: &mut Engine, name: Option<&str>) -> WatchId {
    engine.watch(START, &WatchOptions { service: name.map(Into::into), queue: 8 }, SECOND)
}

#[test]
fn a_host_that_was_stopped_asks_before_it_deletes() {
    let mut engine = engine();
    let watch = watch(&mut engine, None);
    engine.handle_sighting(START, &seen("k", "greeter", "eth0"));
    engine.handle_timeout(at(1));
    told(&mut engine, watch);
    commands(&mut engine);
    engine.handle_timeout(at(60));
    assert_eq!(commands(&mut engine), [Command::Check(Key::from("k"))], "one check stands for all that were missed");
    assert!(told(&mut engine, watch).is_empty());
    engine.handle_sighting(at(64), &Sighting::Alive { keys: vec![Key::from("k")], at: at(60) });
    engine.handle_timeout(at(67));
    assert!(told(&mut engine, watch).is_empty());
}

#[test]
fn a_node_that_ends_in_silence_is_checked_four_times_and_its_link_is_told_when_it_is_deleted() {
    let mut engine = engine();
    let watch = watch(&mut engine, None);
    engine.handle_sighting(START, &seen("k", "greeter", "eth0"));
    commands(&mut engine);
    let mut checks = Vec::new();
    while let Some(due) = engine.next_due() {
        engine.handle_timeout(due);
        let at = (due - START).as_millis();
        checks.extend(commands(&mut engine).into_iter().map(|command| (at, command)));
    }
    let key = || Key::from("k");
    let mut expected: Vec<_> = [8_000, 8_500, 9_000, 9_500].map(|at| (at, Command::Check(key()))).into();
    expected.push((12_000, Command::Expired(key())));
    assert_eq!(checks, expected);
    assert_eq!(told(&mut engine, watch), ["synced"]);
    assert_eq!(engine.counts().expired, 1);
}

#[test]
fn a_label_that_comes_to_stand_for_another_service_is_a_delete_and_a_create() {
    let mut engine = engine();
    let (old, new) = (watch(&mut engine, Some("old")), watch(&mut engine, Some("new")));
    engine.handle_timeout(at(2));
    engine.handle_sighting(at(2), &seen("k", "old", "eth0"));
    assert_eq!(told(&mut engine, old), ["create old Announced", "synced"]);
    assert_eq!(told(&mut engine, new), ["synced"]);
    engine.handle_sighting(at(3), &seen("k", "new", "eth0"));
    assert_eq!(told(&mut engine, old), ["delete old Changed"]);
    assert_eq!(told(&mut engine, new), ["create new Announced"]);
}

#[test]
fn what_is_heard_on_an_interface_of_others_only_is_not_believed_any_more() {
    let mut engine = engine();
    let watch = watch(&mut engine, None);
    engine.handle_sighting(START, &seen("k", "greeter", "eth0"));
    engine.handle_timeout(at(1));
    assert_eq!(told(&mut engine, watch), ["create greeter Announced", "synced"]);
    engine.handle_sighting(at(2), &seen("k", "greeter", "eth9"));
    engine.handle_sighting(at(2), &seen("other", "greeter", "eth9"));
    assert_eq!(told(&mut engine, watch), ["delete greeter LinkDown"]);
    assert!(engine.services("greeter").is_empty());
}

#[test]
fn synced_comes_after_every_node_that_was_known_when_the_answers_were_in() {
    let mut engine = engine();
    let watch = watch(&mut engine, None);
    engine.handle_sighting(START, &seen("m", "greeter", "eth0"));
    assert_eq!(told(&mut engine, watch), ["create greeter Announced"]);
    engine.handle_sighting(START, &seen("a", "behind", "eth0"));
    engine.handle_timeout(at(1));
    engine.handle_sighting(at(2), &seen("b", "later", "eth0"));
    assert_eq!(told(&mut engine, watch), ["create behind Announced", "synced", "create later Announced"]);
}

#[test]
fn a_duplicate_is_one_while_its_twin_is_there() {
    let mut engine = engine();
    watch(&mut engine, None);
    engine.handle_sighting(START, &seen("a", "greeter", "eth0"));
    engine.handle_sighting(START, &seen("b", "greeter", "eth0"));
    engine.handle_timeout(at(1));
    let both = watch(&mut engine, None);
    engine.handle_timeout(at(2));
    assert_eq!(told(&mut engine, both), ["create greeter Announced", "create greeter Duplicate", "synced"]);
    engine.handle_sighting(at(2), &Sighting::Gone { key: Key::from("a"), reason: Reason::Goodbye });
    let one = watch(&mut engine, None);
    assert_eq!(told(&mut engine, one), ["create greeter Announced", "synced"]);
}

#[test]
fn registering_identical_data_says_nothing_and_restarts_the_lease() {
    let mut engine = engine();
    let options = RegisterOptions { ttl: SECOND * 10, auto_renew: false };
    let greeter = service("greeter", "n", "");
    engine.register(START, &greeter, options).unwrap();
    assert!(matches!(commands(&mut engine)[..], [Command::Publish(_)]));
    engine.register(at(9), &greeter, options).unwrap();
    assert!(commands(&mut engine).is_empty());
    engine.handle_timeout(at(18));
    assert_eq!(engine.counts().registered, 1);
    engine.handle_timeout(at(19));
    assert!(matches!(commands(&mut engine)[..], [Command::Withdraw(_)]));
}

#[test]
fn a_loopback_address_is_refused_on_a_network_and_kept_as_registered_on_loopback() {
    let mut networked = engine();
    for address in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
        let refused = networked.register(START, &service("greeter", "n", address), RegisterOptions::default());
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("nodes[0].address") && said.contains("eth0"), "{said}");
    }
    assert!(networked.services("greeter").is_empty() && commands(&mut networked).is_empty());
    let mut alone = Engine::new(Owner::from("me"), Scope::Default, PATIENCE);
    alone.handle_sighting(START, &Sighting::Interfaces(vec![interface("lo", "127.0.0.1", true)]));
    alone.register(START, &service("greeter", "n", "127.0.0.9"), RegisterOptions::default()).unwrap();
    assert_eq!(alone.services("greeter")[0].nodes[0].address, "127.0.0.9");
}

#[test]
fn a_name_is_asked_for_again_a_minute_after_its_last_use() {
    let mut engine = engine();
    let question = Question::Service(Arc::from("greeter"));
    assert!(matches!(engine.lookup(START, &question, SECOND), Lookup::Waits(_)));
    engine.handle_timeout(at(1));
    assert_eq!(engine.lookup(at(50), &question, SECOND), Lookup::Ready);
    assert_eq!(engine.lookup(at(109), &question, SECOND), Lookup::Ready);
    assert!(matches!(engine.lookup(at(169), &question, SECOND), Lookup::Waits(_)));
    assert_eq!(commands(&mut engine).len(), 2);
}

#[test]
fn the_oldest_of_more_than_1024_names_is_asked_for_again() {
    let mut engine = engine();
    let question = |i: usize| Question::Service(Arc::from(format!("name-{i}")));
    for i in 0..=limits::INTERESTS {
        let now = START + Duration::from_millis(i as u64);
        let _: Lookup = engine.lookup(now, &question(i), Duration::ZERO);
        engine.handle_timeout(now);
    }
    let now = at(2);
    assert_eq!(engine.lookup(now, &question(limits::INTERESTS), SECOND), Lookup::Ready);
    assert_eq!(engine.lookup(now, &question(1), SECOND), Lookup::Ready);
    assert!(matches!(engine.lookup(now, &question(0), SECOND), Lookup::Waits(_)));
}

#[test]
fn what_nobody_has_kept_up_to_date_is_no_answer() {
    let mut engine = engine();
    let question = Question::Service(Arc::from("greeter"));
    let found = |engine: &Engine| engine.services("greeter").len();
    // Another registry of the process has asked for it.
    engine.handle_sighting(START, &seen("k", "greeter", "eth0"));
    for asked in [START, at(61)] {
        engine.handle_timeout(asked);
        assert!(matches!(engine.lookup(asked, &question, SECOND), Lookup::Waits(_)));
        assert_eq!(found(&engine), 0);
        engine.handle_sighting(asked, &seen("k", "greeter", "eth0"));
        engine.handle_sighting(asked, &Sighting::Settled(question.clone()));
        assert_eq!(found(&engine), 1);
    }
    // A watch that has no answer yet has been told of it.
    let watch = engine.watch(at(62), &WatchOptions::default(), SECOND);
    assert_eq!(engine.lookup(at(62), &Question::Names, SECOND), Lookup::Waits(LookupId(2)));
    assert_eq!((found(&engine), told(&mut engine, watch)), (1, vec!["create greeter Announced".into()]));
}

#[test]
fn names_that_a_watch_of_everything_answers_are_bounded_too() {
    let mut engine = engine();
    engine.watch(START, &WatchOptions::default(), SECOND);
    engine.handle_sighting(START, &Sighting::Settled(Question::Everything));
    for i in 0..2 * limits::INTERESTS {
        let question = Question::Service(Arc::from(format!("name-{i}")));
        assert_eq!(engine.lookup(at(1), &question, SECOND), Lookup::Ready);
    }
    assert_eq!(engine.counts().interests, limits::INTERESTS);
}

#[test]
fn too_many_names_are_forgotten_as_soon_as_nobody_waits_for_them() {
    let mut engine = engine();
    let questions = (0..2 * limits::INTERESTS).map(|i| Question::Service(Arc::from(format!("name-{i}"))));
    let questions: Vec<Question> = questions.collect();
    for question in &questions {
        assert!(matches!(engine.lookup(START, question, SECOND), Lookup::Waits(_)));
    }
    assert_eq!(engine.counts().interests, questions.len());
    for question in questions {
        engine.handle_sighting(START, &Sighting::Settled(question));
    }
    assert!(engine.next_due().is_some_and(|due| due <= START));
    engine.handle_timeout(START);
    assert_eq!(engine.counts().interests, limits::INTERESTS);
    assert!(engine.next_due().is_some_and(|due| due > START), "woken for nothing");
}

#[test]
fn every_lookup_ends_with_its_timeout_however_many_there_are() {
    let mut engine = engine();
    let all = 2 * limits::INTERESTS;
    for i in 0..all {
        let question = Question::Service(Arc::from(format!("name-{i}")));
        assert!(matches!(engine.lookup(START, &question, SECOND), Lookup::Waits(_)));
    }
    engine.handle_timeout(at(1));
    let settled = std::iter::from_fn(|| engine.poll_output()).filter(|o| matches!(o, Output::Settled(_))).count();
    assert_eq!(settled, all);
}

#[test]
fn a_new_version_is_a_delete_and_a_create_under_one_key() {
    let mut engine = engine();
    let watch = watch(&mut engine, None);
    let mut greeter = service("greeter", "n", "");
    engine.register(START, &greeter, RegisterOptions::default()).unwrap();
    engine.handle_timeout(at(1));
    told(&mut engine, watch);
    greeter.version = "2".into();
    engine.register(at(1), &greeter, RegisterOptions::default()).unwrap();
    let actions: Vec<_> = std::iter::from_fn(|| engine.next_event(watch))
        .filter_map(|e| e.change().map(|c| (c.action, c.key.clone(), c.service.version.clone())))
        .collect();
    let [(Action::Delete, old, _), (Action::Create, new, version)] = &actions[..] else { panic!("{actions:?}") };
    assert_eq!((old, version.as_str()), (new, "2"));
}

#[test]
fn a_watch_that_is_not_read_keeps_no_more_than_a_view_may_hold_and_starts_over() {
    let mut engine = engine();
    let options = |queue| WatchOptions { service: None, queue };
    let watches = [1_000, 40_000].map(|queue| engine.watch(START, &options(queue), SECOND));
    engine.handle_sighting(START, &Sighting::Settled(Question::Everything));
    let _ = watches.map(|watch| told(&mut engine, watch));
    let changes = 2 * limits::VIEW_BYTES / 250_000;
    for revision in 1..=changes as u64 {
        let Sighting::Seen { record, reach } = seen("k", "greeter", "eth0") else { unreachable!() };
        let metadata = [("m".to_owned(), format!("{revision}{}", "a".repeat(250_000)))].into();
        let node = Node { id: "n".into(), port: 80, metadata, ..Node::default() };
        let record = Arc::new(Record { revision, node: (&node).into(), ..Record::clone(&record) });
        engine.handle_sighting(START, &Sighting::Seen { record, reach });
    }
    let [small, large] = watches.map(|watch| told(&mut engine, watch));
    assert_eq!(small[0], "resync");
    assert!(small.len() < 5, "{}", small.len());
    assert_eq!(large.len(), changes, "a queue of 40,000 may hold 8 KiB a change");
}
