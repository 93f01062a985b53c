//! The command line tool on a host: it registers, and its watch is held to what it tells.

use std::time::Duration;

use serde_json::Value;

use super::{Host, Process, SOON};

/// The tool that was built with this test.
pub const TOOL: &str = env!("CARGO_BIN_EXE_mdns-registry");
/// Long enough to see that nothing more comes: announcements and goodbyes are repeated within little more than 1 s.
pub const QUIET: Duration = Duration::from_secs(3);

/// The port of a service's first node.
pub fn port(service: &Value) -> u64 {
    service["nodes"][0]["port"].as_u64().expect("a port")
}

/// The address of a service's first node.
pub fn address(service: &Value) -> &str {
    service["nodes"][0]["address"].as_str().expect("an address")
}

/// Registers a descriptor with the tool and waits until that is done.
pub fn register(host: &Host, service: &Value, more: &[&str]) -> Process {
    let mut args = vec!["register", "--json", "--file", "-"];
    args.extend(more);
    let mut process = host.spawn(TOOL, args);
    process.say(&service.to_string());
    process.end_input();
    process.expect_line("the service", SOON, |line| line.starts_with('{'));
    process
}

/// A watch by the tool, past what is present.
pub struct Watch(pub Process);

impl Watch {
    /// A watch of a name past `synced`, nothing being registered.
    pub fn start(host: &Host, name: &str) -> Watch {
        let mut watch = Watch(host.spawn(TOOL, ["watch", "--json", name]));
        watch.expect("synced", SOON, |event| event["type"] == "synced");
        watch
    }

    /// A watch past `synced` and what is present: one greeter, heard by IPv6 and IPv4 in either order.
    pub fn of_greeter(host: &Host, on: &Host) -> Watch {
        let mut watch = Watch(host.spawn(TOOL, ["watch", "--json", "greeter"]));
        let (mut whole, mut synced) = (false, false);
        watch.expect("the greeter and synced", SOON, |event| {
            whole |= event["type"] == "service" && address(&event["service"]) == on.ipv4.to_string();
            synced |= event["type"] == "synced";
            whole && synced
        });
        watch
    }

    /// The next event; it must be the one that is wanted.
    pub fn next(&mut self, what: &str, limit: Duration) -> Value {
        self.0.expect(what, limit, |line| Some(event_of(line)))
    }

    /// The next event for which `accept` holds.
    pub fn expect(&mut self, what: &str, limit: Duration, mut accept: impl FnMut(&Value) -> bool) -> Value {
        self.0.expect(what, limit, |line| Some(event_of(line)).filter(|event| accept(event)))
    }

    /// The next event must be this action for this reason, and nothing may follow it.
    pub fn only(&mut self, action: &str, reason: &str, limit: Duration) -> Value {
        let event = self.next(action, limit);
        assert_eq!((event["action"].as_str(), event["reason"].as_str()), (Some(action), Some(reason)), "{event}");
        self.nothing_for(QUIET);
        event
    }

    /// Follows creates and updates, the node being heard by IPv6 and IPv4 in either order, until it is at this address
    /// and port, and stays there.
    pub fn comes_to(&mut self, what: &str, at: &str, on: u64, limit: Duration) {
        self.expect(what, limit, |event| {
            assert_ne!(event["action"], "delete", "{event}");
            address(&event["service"]) == at && port(&event["service"]) == on
        });
        self.nothing_for(QUIET);
    }

    /// Nothing is told for so long.
    pub fn nothing_for(&mut self, time: Duration) {
        assert_eq!(self.0.lines_for(time), Vec::<String>::new());
    }
}

fn event_of(line: &str) -> Value {
    serde_json::from_str(line).expect("JSON")
}
