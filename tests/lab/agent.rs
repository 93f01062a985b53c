//! The agent: a role that holds one registry and one watcher, and does as it is told, a JSON object a line. It can what
//! the command line tool cannot: register again, read a watcher when asked to, change many nodes quickly.

use std::io::BufRead;
use std::time::{Duration, Instant};

use mdns_registry::{Next, Options, RegisterOptions, Registry, Result, Selection, Service, WatchOptions, Watcher};
use serde_json::{json, Value};

use super::role::tell;
use super::{Host, Process};

/// The test that plays the agent, in each binary that has one.
pub const ROLE: &str = "an_agent_sees_what_it_registers_at_once";
const ANSWERS_WITHIN: Duration = Duration::from_secs(25);

/// An agent on a host, seen from the test.
pub struct Agent {
    /// Its process, to be killed, stopped or counted.
    pub process: Process,
}

impl Agent {
    /// Starts one on a host; the binary must have the test that `agents!` makes.
    pub fn start(host: &Host) -> Agent {
        Agent::await_ready(host.role(ROLE))
    }

    /// The same, with options of its registry.
    pub fn start_with(host: &Host, options: &Value) -> Agent {
        Agent::await_ready(host.role_with(ROLE, &[(mdns_registry::options::ENVIRONMENT, &options.to_string())]))
    }

    fn await_ready(mut process: Process) -> Agent {
        process.expect_line("it is ready", ANSWERS_WITHIN, |line| line == "ready");
        Agent { process }
    }

    /// Has it do something; panics with the error if it cannot.
    pub fn ask(&mut self, command: &Value) -> Value {
        self.try_ask(command).unwrap_or_else(|error| panic!("{command}: {error}"))
    }

    fn try_ask(&mut self, command: &Value) -> std::result::Result<Value, String> {
        self.process.say(&command.to_string());
        let answer = self.process.expect("an answer", ANSWERS_WITHIN, |line| serde_json::from_str::<Value>(line).ok());
        match answer["error"].as_str() {
            Some(error) => Err(error.to_owned()),
            None => Ok(answer["answer"].clone()),
        }
    }

    /// Registers a service that may be refused; the text of the error then.
    pub fn try_register(&mut self, service: &Value) -> std::result::Result<(), String> {
        self.try_ask(&json!({"do": "register", "service": service})).map(|_| ())
    }

    /// Registers a service, or replaces its nodes.
    pub fn register(&mut self, service: &Value) {
        self.ask(&json!({"do": "register", "service": service}));
    }

    /// Registers a service with `{"ttl_ms", "auto_renew"}`.
    pub fn register_with(&mut self, service: &Value, options: &Value) {
        self.ask(&json!({"do": "register", "service": service, "options": options}));
    }

    /// Deregisters a selection.
    pub fn deregister(&mut self, selection: &Value) {
        self.ask(&json!({"do": "deregister", "service": selection}));
    }

    /// The services of a name, none where there is none.
    pub fn get(&mut self, name: &str) -> Vec<Value> {
        list(&self.ask(&json!({"do": "get", "name": name})))
    }

    /// Starts its watcher, of which nothing is read yet.
    pub fn watch(&mut self, options: &Value) {
        self.ask(&json!({"do": "watch", "options": options}));
    }

    /// Reads its watcher until it has had nothing to say for `quiet`.
    pub fn drain(&mut self, quiet: Duration) -> Vec<Value> {
        list(&self.ask(&json!({"do": "drain", "quiet_ms": quiet.as_millis()})))
    }

    /// Closes its registry, which withdraws what it registered.
    pub fn close(&mut self) {
        self.ask(&json!({"do": "close"}));
    }
}

fn list(value: &Value) -> Vec<Value> {
    value.as_array().expect("a list").clone()
}

/// Makes the test that plays the agent. It stands at the root of a binary, where `Agent::start` finds it.
macro_rules! agents {
    () => {
        #[test]
        fn an_agent_sees_what_it_registers_at_once() {
            crate::lab::agent::play_or_check();
        }
    };
}
pub(crate) use agents;

/// The body of the test `ROLE`: plays the agent where it was started as one, else has one register and looks.
pub fn play_or_check() {
    if super::role::is_played(ROLE) {
        return play();
    }
    let lab = super::Lab::new("agent");
    let mut agent = Agent::start(&lab.host("a"));
    agent.register(&shop());
    assert_eq!(agent.get("shop").len(), 1);
}

/// A service of two nodes.
pub fn shop() -> Value {
    json!({"name": "shop", "version": "1.2.0", "metadata": {"Team": "Front Desk"}, "nodes": [
        {"id": "Till.One", "port": 9090, "metadata": {"Zone": "Hall A"}},
        {"id": "till-2", "port": 9091}]})
}

/// Plays the agent: opens a registry with the options of the environment and obeys until standard input ends.
pub fn play() {
    let options = Options::from_environment().expect("options");
    let mut agent = Played { registry: Registry::open(options).expect("a registry"), watcher: None };
    tell("\nready");
    for line in std::io::stdin().lock().lines().map_while(std::result::Result::ok) {
        let command: Value = serde_json::from_str(&line).expect("JSON");
        let answer = agent
            .obey(&command)
            .map_or_else(|error| json!({ "error": error.to_string() }), |answer| json!({ "answer": answer }));
        tell(&answer.to_string());
    }
}

struct Played {
    registry: Registry,
    watcher: Option<Watcher>,
}

impl Played {
    fn obey(&mut self, command: &Value) -> Result<Value> {
        let text = |key: &str| command[key].to_string();
        let done = |()| Value::Bool(true);
        match command["do"].as_str() {
            Some("register") => {
                let options = command.get("options").unwrap_or(&json!({})).to_string();
                let service = Service::from_json(&text("service"))?;
                self.registry.register(&service, RegisterOptions::from_json(&options)?).wait().map(done)
            }
            Some("deregister") => self.registry.deregister(&Selection::from_json(&text("service"))?).wait().map(done),
            Some("get") => {
                let found = self.registry.get_service(command["name"].as_str().unwrap_or_default()).wait();
                match found {
                    Err(error) if error.status() == mdns_registry::Status::NOT_FOUND => Ok(json!([])),
                    found => found.map(|services| json!(services)),
                }
            }
            Some("watch") => {
                self.watcher = Some(self.registry.watch(WatchOptions::from_json(&text("options"))?)?);
                Ok(Value::Bool(true))
            }
            Some("drain") => Ok(self.drain(Duration::from_millis(command["quiet_ms"].as_u64().unwrap_or(0)))),
            Some("stats") => self.registry.stats().map(|stats| serde_json::from_str(&stats).expect("JSON")),
            Some("close") => {
                self.registry.close().wait();
                Ok(Value::Bool(true))
            }
            _ => panic!("not a command: {command}"),
        }
    }

    fn drain(&self, quiet: Duration) -> Value {
        let watcher = self.watcher.as_ref().expect("a watcher");
        let latest = Instant::now() + ANSWERS_WITHIN - Duration::from_secs(1);
        let mut events = Vec::new();
        while Instant::now() < latest {
            let Next::Event(event) = watcher.next_timeout(Some(quiet)) else { break };
            events.push(serde_json::from_str(&event.to_json()).expect("JSON"));
        }
        Value::Array(events)
    }
}
