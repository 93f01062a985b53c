//! A program on go-micro's own mDNS registry, of either age: `tests/peers/gomicro`.

use std::collections::VecDeque;
use std::path::{Path, PathBuf};
use std::time::Duration;

use mdns_registry::Service;
use serde_json::{json, Value};

use super::{Host, Process, SOON};

/// What it registers in one call it announces node by node, the more slowly the more there are.
const REGISTERED_WITHIN: Duration = Duration::from_secs(150);

/// Which go-micro.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Age {
    /// The newest that the module proxy serves.
    Today,
    /// 1.0, whose registry speaks as in January 2019.
    January2019,
}

impl Age {
    /// Both.
    pub const ALL: [Age; 2] = [Age::Today, Age::January2019];

    /// The last label of its names.
    pub fn domain(self) -> &'static str {
        match self {
            Age::Today => "micro",
            Age::January2019 => "local",
        }
    }

    /// The options of a registry of ours that is to meet it, by each wire.
    pub fn options(self) -> Value {
        json!({"domain": self.domain()})
    }

    /// The options of a registry of ours that speaks as it does and no other way.
    pub fn only(self) -> Value {
        json!({"domain": self.domain(), "wire": ["go-micro"]})
    }

    fn program(self) -> PathBuf {
        let name = match self {
            Age::Today => "gomicro-today",
            Age::January2019 => "gomicro-january2019",
        };
        let program = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("peers").join(name);
        assert!(program.exists(), "{} is missing: tests/peers/gomicro/build.sh makes it", program.display());
        program
    }
}

/// Makes a test of each age of functions that take one. It stands at the root of a binary.
macro_rules! for_both_ages {
    ($($test:ident;)*) => {
        mod today { $(#[test] fn $test() { super::$test(crate::lab::gomicro::Age::Today); })* }
        mod january_2019 { $(#[test] fn $test() { super::$test(crate::lab::gomicro::Age::January2019); })* }
    };
}
pub(crate) use for_both_ages;

/// One registry of go-micro, and at most one watcher.
pub struct GoMicro {
    /// Its process, to be killed.
    pub process: Process,
    events: VecDeque<Value>,
}

impl GoMicro {
    /// Starts one on a host.
    pub fn start(host: &Host, age: Age) -> GoMicro {
        let mut process = host.spawn::<&str>(age.program(), []);
        process.expect_line("it is ready", SOON, |line| line == r#"{"ready":true}"#);
        GoMicro { process, events: VecDeque::new() }
    }

    /// Has its registry do something; the text of its error where it refuses.
    pub fn try_ask(&mut self, command: &str, limit: Duration) -> Result<Value, String> {
        self.process.say(command);
        let events = &mut self.events;
        let answer = self.process.expect(command, limit, |line| {
            let said: Value = serde_json::from_str(line).expect("JSON");
            if said.get("event").is_none() {
                return Some(said);
            }
            events.push_back(said);
            None
        });
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer),
        }
    }

    fn ask(&mut self, command: &str, limit: Duration) -> Value {
        self.try_ask(command, limit).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    /// Registers a descriptor, in which a node's address and port are apart.
    pub fn register(&mut self, service: &Value) {
        self.ask(&format!("register {service}"), REGISTERED_WITHIN);
    }

    /// Deregisters the nodes of a descriptor; go-micro knows no other way.
    pub fn deregister(&mut self, service: &Value) {
        self.ask(&format!("deregister {service}"), REGISTERED_WITHIN);
    }

    /// What its `GetService` finds in 100 ms, as `view_of` has it.
    pub fn get(&mut self, name: &str) -> Vec<Value> {
        view_of(self.ask(&format!("get {name}"), SOON)["services"].as_array().into_iter().flatten())
    }

    /// The names that its `ListServices` finds in 100 ms, sorted.
    pub fn list(&mut self) -> Vec<String> {
        let names = self.ask("list", SOON)["names"].as_array().cloned().expect("names");
        names.iter().map(|name| name.as_str().expect("text").to_owned()).collect()
    }

    /// Starts its watcher; returns when that listens.
    pub fn watch(&mut self, name: &str) {
        self.ask(&format!("watch {name}"), SOON);
    }

    /// The next that its watcher says: `{"event","service"}`, the service as `view_of` has it.
    pub fn next_event(&mut self, limit: Duration) -> Value {
        let kept = self.events.pop_front();
        event_of(kept.unwrap_or_else(|| self.process.expect("an event", limit, |line| serde_json::from_str(line).ok())))
    }

    /// All that its watcher has said and says until `limit` is over.
    pub fn events_for(&mut self, limit: Duration) -> Vec<Value> {
        let lines = self.process.lines_for(limit);
        self.events.extend(lines.iter().map(|line| serde_json::from_str(line).expect("JSON")));
        self.events.drain(..).map(event_of).collect()
    }
}

fn event_of(said: Value) -> Value {
    assert!(said.get("event").is_some(), "not an event: {said}");
    json!({"event": said["event"], "service": view_of([&said["service"]])[0]})
}

/// Services as our own model has them, whoever says so: address and port apart, nothing null where it may be empty;
/// sorted by version, nodes by id.
pub fn view_of<'a>(services: impl IntoIterator<Item = &'a Value>) -> Vec<Value> {
    let mut view: Vec<Value> = services.into_iter().map(as_ours).collect();
    view.sort_by_key(|service| service["version"].to_string());
    for service in &mut view {
        let nodes = service["nodes"].as_array_mut().expect("nodes");
        nodes.sort_by_key(|node| node["id"].to_string());
    }
    view
}

fn as_ours(service: &Value) -> Value {
    let read = Service::from_json(&service.to_string()).unwrap_or_else(|error| panic!("{error}: {service}"));
    json!(read)
}

/// What crosses go-micro's wire of services: all but the metadata of the service itself.
pub fn crossing<'a>(services: impl IntoIterator<Item = &'a Value>) -> Vec<Value> {
    let mut view = view_of(services);
    view.iter_mut().for_each(|service| service["metadata"] = json!({}));
    view
}

/// Services cut into services of one node, as events have them; sorted.
pub fn nodes_with_services<'a>(services: impl IntoIterator<Item = &'a Value>) -> Vec<Value> {
    let mut cut = Vec::new();
    for service in view_of(services) {
        for node in service["nodes"].as_array().expect("nodes") {
            let mut one = service.clone();
            one["nodes"] = json!([node]);
            cut.push(one);
        }
    }
    cut.sort_by_key(Value::to_string);
    cut
}
