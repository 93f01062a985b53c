//! The registry through its public face, over the real link on loopback.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use mdns_registry::{
    Action, Change, Event, LinkKind, Next, Node, Options, Reason, RegisterOptions, Registry, Selection, Service,
    Status, WatchOptions, Watcher,
};

const PATIENCE: Duration = Duration::from_secs(10);

/// `tests/all.sh` says the link in the environment, which one of the tests changes.
static GIVEN: LazyLock<Options> = LazyLock::new(|| Options::from_environment().unwrap());

fn open() -> Registry {
    Registry::open(Options { addrs: vec!["127.0.0.1".into()], ..GIVEN.clone() }).unwrap()
}

fn service(name: &str, version: &str, ids: &[&str], port: u16) -> Service {
    let node = |id: &&str| Node { id: (*id).to_owned(), port, ..Node::default() };
    Service { name: name.into(), version: version.into(), nodes: ids.iter().map(node).collect(), ..Service::default() }
}

fn register(registry: &Registry, service: &Service) {
    registry.register(service, RegisterOptions::default()).wait().unwrap();
}

fn ids(services: &[Service]) -> Vec<&str> {
    services.iter().flat_map(|s| &s.nodes).map(|n| n.id.as_str()).collect()
}

fn next(watcher: &Watcher) -> Event {
    match watcher.next_timeout(Some(PATIENCE)) {
        Next::Event(event) => event,
        other => panic!("no event came: {other:?}"),
    }
}

fn next_change(watcher: &Watcher) -> Change {
    loop {
        if let Event::Service(change) = next(watcher) {
            return *change;
        }
    }
}

/// Asks again until the answer is as wanted, or says what it was.
fn eventually<T: std::fmt::Debug>(mut ask: impl FnMut() -> T, wanted: impl Fn(&T) -> bool) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        let answer = ask();
        if wanted(&answer) {
            return answer;
        }
        assert!(Instant::now() < deadline, "still {answer:?}");
        std::thread::yield_now();
    }
}

#[test]
fn what_is_registered_here_is_seen_here_at_once() {
    let registry = open();
    register(&registry, &service("at-once", "1", &["b", "a"], 80));
    let found = registry.get_service("at-once").wait().unwrap();
    assert_eq!(ids(&found), ["a", "b"]);
    assert_eq!(found[0].nodes[0].address, "127.0.0.1");
    let names = registry.list_services().wait().unwrap();
    assert!(names.iter().any(|s| s.name == "at-once"), "{names:?}");
}

#[test]
fn another_registry_of_the_process_sees_every_change_once() {
    let (here, there) = (open(), open());
    let watcher = there.watch(WatchOptions::service("changes")).unwrap();
    assert_eq!(next(&watcher), Event::Synced);
    register(&here, &service("changes", "1", &["n"], 80));
    let created = next_change(&watcher);
    assert_eq!((created.action, created.reason), (Action::Create, Reason::Announced));
    assert_eq!(created.service.nodes[0].address, "127.0.0.1");
    register(&here, &service("changes", "1", &["n"], 80));
    register(&here, &service("changes", "1", &["n"], 81));
    let updated = next_change(&watcher);
    assert_eq!((updated.action, updated.service.nodes[0].port), (Action::Update, 81));
    register(&here, &service("changes", "2", &["n"], 81));
    assert_eq!(next_change(&watcher).action, Action::Delete);
    let created = next_change(&watcher);
    assert_eq!((created.action, created.service.version.as_str()), (Action::Create, "2"));
    here.deregister(&Selection::service("changes")).wait().unwrap();
    let gone = next_change(&watcher);
    assert_eq!((gone.action, gone.reason), (Action::Delete, Reason::Goodbye));
    assert_eq!(gone.key, created.key);
}

#[test]
fn a_cold_lookup_finds_what_was_there_before() {
    let here = open();
    register(&here, &service("cold", "", &["a", "b", "c"], 80));
    let there = open();
    assert_eq!(ids(&there.get_service("cold").wait().unwrap()), ["a", "b", "c"]);
}

#[test]
fn a_refused_call_changes_nothing() {
    let registry = open();
    let mut bad = service("refused", "1", &["good", "bad"], 80);
    bad.nodes[1].metadata.insert("blob".into(), random_text(20_000));
    let error = registry.register(&bad, RegisterOptions::default()).wait().unwrap_err();
    assert_eq!(error.status(), Status::TOO_LARGE);
    assert!(error.to_string().contains("nodes[1]"), "{error}");
    let error = registry.get_service("refused").wait().unwrap_err();
    assert_eq!(error.status(), Status::NOT_FOUND);
    let none = service("refused", "1", &[], 80);
    assert_eq!(registry.register(&none, RegisterOptions::default()).wait().unwrap_err().status(), Status::INVALID);
}

/// Text that deflate cannot shorten much.
fn random_text(bytes: usize) -> String {
    let mut rng = fastrand::Rng::with_seed(1);
    (0..bytes).map(|_| rng.alphanumeric()).collect()
}

#[test]
fn an_unknown_name_is_not_found_within_the_timeout() {
    let registry = open();
    let timeout = registry.options().timeout;
    let asked = Instant::now();
    assert_eq!(registry.get_service("nobody").wait().unwrap_err().status(), Status::NOT_FOUND);
    assert!(asked.elapsed() < timeout + PATIENCE / 10, "{:?}", asked.elapsed());
    let again = Instant::now();
    assert_eq!(registry.get_service("nobody").wait().unwrap_err().status(), Status::NOT_FOUND);
    assert!(again.elapsed() < timeout / 2, "an answer from the view took {:?}", again.elapsed());
}

#[test]
fn a_lease_that_the_application_does_not_renew_is_withdrawn() {
    let registry = open();
    let watcher = registry.watch(WatchOptions::service("lapsing")).unwrap();
    let options = RegisterOptions { ttl: Duration::from_secs(3), auto_renew: false };
    registry.register(&service("lapsing", "", &["n"], 80), options).wait().unwrap();
    assert_eq!(next_change(&watcher).action, Action::Create);
    let gone = next_change(&watcher);
    assert_eq!((gone.action, gone.reason), (Action::Delete, Reason::Withdrawn));
}

#[test]
fn two_owners_of_one_id_are_both_listed_and_the_later_is_said_to_be_a_duplicate() {
    let (one, two) = (open(), open());
    register(&one, &service("twins", "1", &["same"], 80));
    let watcher = two.watch(WatchOptions::service("twins")).unwrap();
    assert_eq!(next_change(&watcher).reason, Reason::Announced);
    register(&two, &service("twins", "1", &["same"], 81));
    assert_eq!(next_change(&watcher).reason, Reason::Duplicate);
    assert_eq!(ids(&two.get_service("twins").wait().unwrap()), ["same", "same"]);
}

#[test]
fn closing_ends_every_wait_and_withdraws() {
    let (registry, other) = (open(), open());
    register(&registry, &service("closing", "", &["n"], 80));
    let _found = eventually(|| other.get_service("closing").wait(), Result::is_ok);
    let watcher = registry.watch(WatchOptions::default()).unwrap();
    let reader = std::thread::spawn(move || while watcher.next_timeout(None) != Next::End {});
    let closed = Instant::now();
    registry.close().wait();
    assert!(closed.elapsed() < Duration::from_secs(2), "{:?}", closed.elapsed());
    reader.join().unwrap();
    let _gone = eventually(|| other.get_service("closing").wait(), Result::is_err);
    registry.close().wait();
    assert_eq!(registry.list_services().wait().unwrap_err().status(), Status::CLOSED);
    assert_eq!(registry.watch(WatchOptions::default()).unwrap_err().status(), Status::CLOSED);
}

#[test]
fn a_lookup_under_way_is_cancelled_by_close() {
    let registry = open();
    let lookup = registry.get_service("never-answered");
    registry.close_now();
    let status = lookup.wait().unwrap_err().status();
    assert_eq!(status, Status::CANCELLED);
}

#[test]
fn stopping_a_watcher_wakes_its_reader() {
    let registry = open();
    let watcher = std::sync::Arc::new(registry.watch(WatchOptions::service("quiet")).unwrap());
    assert_eq!(next(&watcher), Event::Synced);
    let reader = std::thread::spawn({
        let watcher = watcher.clone();
        move || watcher.next_timeout(None)
    });
    watcher.stop();
    assert_eq!(reader.join().unwrap(), Next::End);
    assert_eq!(watcher.try_next(), Next::End);
}

#[test]
fn the_descriptor_of_a_watch_is_readable_while_events_wait() {
    use nix::poll::{poll, PollFd, PollFlags, PollTimeout};
    let registry = open();
    let watcher = registry.watch(WatchOptions::service("polled")).unwrap();
    let fd = watcher.fd().unwrap();
    let readable = |limit: u16| {
        // SAFETY: the descriptor lives as long as the watcher, which outlives this call.
        #[allow(unsafe_code)]
        let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
        poll(&mut [PollFd::new(borrowed, PollFlags::POLLIN)], PollTimeout::from(limit)).unwrap() == 1
    };
    assert!(readable(10_000));
    assert_eq!(next(&watcher), Event::Synced);
    assert!(!readable(0));
    register(&registry, &service("polled", "", &["n"], 80));
    assert!(readable(10_000));
    assert_eq!(next_change(&watcher).action, Action::Create);
    assert!(!readable(0));
    watcher.stop();
    assert!(readable(10_000));
}

#[test]
fn the_default_registry_is_one_and_closes_with_its_last_reference() {
    LazyLock::force(&GIVEN);
    std::env::set_var(mdns_registry::options::ENVIRONMENT, r#"{"addrs":["127.0.0.1"],"timeout_ms":321}"#);
    let (one, two) = (Registry::open_default().unwrap(), Registry::open_default().unwrap());
    assert_eq!(one.options().timeout, Duration::from_millis(321));
    register(&one, &service("shared", "", &["n"], 80));
    one.close().wait();
    assert_eq!(one.get_service("shared").wait().unwrap_err().status(), Status::CLOSED);
    assert_eq!(ids(&two.get_service("shared").wait().unwrap()), ["n"]);
    two.close().wait();
    let fresh = Registry::open_default().unwrap();
    let _gone = eventually(|| fresh.get_service("shared").wait(), Result::is_err);
}

#[test]
fn init_changes_in_place_what_can_change_and_refuses_the_rest_while_in_use() {
    let registry = open();
    registry.init(r#"{"timeout_ms":111}"#).unwrap();
    assert_eq!(registry.options().timeout, Duration::from_millis(111));
    let watcher = registry.watch(WatchOptions::default()).unwrap();
    assert_eq!(registry.init(r#"{"port":5454}"#).unwrap_err().status(), Status::BUSY);
    assert_eq!(registry.init(r#"{"prot":5454}"#).unwrap_err().status(), Status::OPTION);
    drop(watcher);
    registry.init(r#"{"port":5454}"#).unwrap();
    register(&registry, &service("moved", "", &["n"], 80));
    let other = open();
    assert!(other.get_service("moved").wait().is_err(), "heard on the old port");
}

#[test]
fn an_interface_that_does_not_exist_is_refused_with_those_that_do() {
    let options = Options { addrs: vec!["eth77".into()], ..Options::default() };
    let error = Registry::open(options).unwrap_err();
    assert_eq!(error.status(), Status::OPTION);
    assert!(error.to_string().contains("lo (127.0.0.1)"), "{error}");
}

#[test]
fn the_async_face_works_in_the_callers_own_runtime() {
    let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
    runtime.block_on(async {
        let registry = open();
        let watcher = registry.watch(WatchOptions::service("async")).unwrap();
        assert_eq!(watcher.next().await, Some(Event::Synced));
        registry.register(&service("async", "", &["n"], 80), RegisterOptions::default()).await.unwrap();
        let Some(Event::Service(change)) = watcher.next().await else { panic!("no change") };
        assert_eq!(change.action, Action::Create);
        assert_eq!(registry.get_service("async").await.unwrap().len(), 1);
        watcher.stop();
        assert_eq!(watcher.next().await, None);
        registry.close().await;
    });
}

#[test]
fn stats_show_what_is_kept() {
    let registry = open();
    register(&registry, &service("counted", "", &["n"], 80));
    let named = r#"{"name":"named","nodes":[{"id":"n","address":"db.example.org","port":80}]}"#;
    register(&registry, &Service::from_json(named).unwrap());
    let stats: serde_json::Value = serde_json::from_str(&registry.stats().unwrap()).unwrap();
    assert_eq!(stats["registered"], 2);
    assert_eq!(stats["interfaces"][0]["name"], "lo");
    assert_eq!(stats["wires"]["dns-sd"], "in use");
    let left_out = match registry.options().link {
        LinkKind::Native => "in use; 1 nodes left out: address is a host name",
        _ => "left out: the link \"mdns-sd\" cannot carry it",
    };
    assert_eq!(stats["wires"]["go-micro"], left_out);
}
