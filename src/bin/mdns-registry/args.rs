//! What is typed: flags laid over `MDNS_REGISTRY_OPTIONS`, commands, descriptors.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use mdns_registry::{Options, RegisterOptions, Result, Service};
use serde_json::{json, Map, Value};

/// A service registry with no server: register, find and watch services over multicast DNS.
#[derive(Debug, Parser)]
#[command(
    version,
    arg_required_else_help = false,
    disable_help_subcommand = true,
    max_term_width = 100,
    after_help = "Exit status: 0 done, 1 not found, 2 usage, 3 anything else.\n\
    The environment variable MDNS_REGISTRY_OPTIONS (JSON) sets the defaults of the options."
)]
pub struct Arguments {
    #[command(flatten)]
    pub shared: Shared,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Options of the registry")]
pub struct Shared {
    /// Interfaces or local addresses to speak on, as in eth0,127.0.0.1 [default: all]
    #[arg(long, global = true, value_delimiter = ',', value_name = "NAME")]
    addrs: Option<Vec<String>>,
    /// Wires to speak: dns-sd, go-micro
    #[arg(long, global = true, value_delimiter = ',')]
    wire: Option<Vec<String>>,
    /// What carries the records: native, mdns-sd
    #[arg(long, global = true)]
    link: Option<String>,
    /// go-micro's domain: micro, local
    #[arg(long, global = true)]
    domain: Option<String>,
    /// How long a lookup waits for an answer nobody has given yet, as in 250ms
    #[arg(long, global = true, value_parser = duration)]
    timeout: Option<Duration>,
    /// One JSON object a line
    #[arg(long, global = true)]
    pub json: bool,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Names of services, one a line
    List,
    /// Versions, nodes, addresses, metadata and endpoints of a service
    Get {
        /// Name of the service
        name: String,
    },
    /// Register a node until Ctrl-C, SIGTERM or the end of PROGRAM, then withdraw it
    Register(Register),
    /// Each node that comes (+), changes (~) or goes (-), with the reason
    Watch {
        /// Only this service
        name: Option<String>,
    },
}

#[derive(Debug, Args)]
#[command(override_usage = "mdns-registry register NAME ADDRESS:PORT [OPTIONS] [-- PROGRAM ARGS…]\n       \
    mdns-registry register --file FILE [OPTIONS] [-- PROGRAM ARGS…]")]
pub struct Register {
    /// Name of the service
    #[arg(required_unless_present = "file", requires = "address")]
    name: Option<String>,
    /// Where it runs, as in 10.0.0.7:9090, [fd00::7]:9090, or :9090 for this host
    #[arg(value_name = "ADDRESS:PORT")]
    address: Option<String>,
    /// Id of the node [default: the name and eight random digits]
    #[arg(long)]
    id: Option<String>,
    /// Version of the service
    #[arg(long)]
    version: Option<String>,
    /// Metadata of the node; can be repeated
    #[arg(long, value_name = "KEY=VALUE", value_parser = key_value)]
    meta: Vec<(String, String)>,
    /// The lease: so long after a sudden death the node is gone from every view, as in 30s [default: 2m]
    #[arg(long, value_parser = duration)]
    ttl: Option<Duration>,
    /// A service as JSON, with its nodes, in place of name and address; - is standard input
    #[arg(long, conflicts_with_all = ["name", "address", "id", "version", "meta"])]
    pub file: Option<PathBuf>,
    /// Run this program and register while it runs; its exit status becomes this command's
    #[arg(last = true, value_name = "PROGRAM")]
    pub program: Vec<OsString>,
}

impl Shared {
    /// The options in force: the flags over the environment over the defaults.
    pub fn options(&self) -> Result<Options> {
        self.over(Options::from_environment()?)
    }

    fn over(&self, defaults: Options) -> Result<Options> {
        let mut changed = Map::new();
        let mut set = |key: &str, value: Option<Value>| value.map(|value| changed.insert(key.to_owned(), value));
        set("addrs", self.addrs.as_ref().map(|addrs| json!(addrs)));
        set("wire", self.wire.as_ref().map(|wires| json!(wires)));
        set("link", self.link.as_ref().map(|link| json!(link)));
        set("domain", self.domain.as_ref().map(|domain| json!(domain)));
        set("timeout_ms", self.timeout.map(|timeout| json!(milliseconds(timeout))));
        defaults.changed(&Value::Object(changed).to_string())
    }
}

impl Register {
    /// The descriptor that the arguments say, checked as any other.
    pub fn service(&self) -> Result<Service> {
        let name = self.name.as_deref().unwrap_or_default();
        let id = self.id.clone().unwrap_or_else(|| random_id(name));
        let metadata: Map<String, Value> = self.meta.iter().map(|(k, v)| (k.clone(), json!(v))).collect();
        let node = json!({"id": id, "address": self.address, "metadata": metadata});
        Service::from_json(&json!({"name": name, "version": self.version, "nodes": [node]}).to_string())
    }

    /// The lease asked for.
    pub fn options(&self) -> Result<RegisterOptions> {
        let ttl = self.ttl.map_or(json!({}), |ttl| json!({"ttl_ms": milliseconds(ttl)}));
        RegisterOptions::from_json(&ttl.to_string())
    }
}

fn random_id(name: &str) -> String {
    let random = getrandom::u32().unwrap_or_else(|_| std::process::id());
    format!("{name}-{random:08x}")
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

/// `250ms`, `30s`, `1m`, `1h 30m`.
fn duration(text: &str) -> std::result::Result<Duration, String> {
    humantime::parse_duration(text).map_err(|error| format!("{error}; write it as 250ms, 30s or 1m"))
}

fn key_value(text: &str) -> std::result::Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("write it as KEY=VALUE")?;
    Ok((key.to_owned(), value.to_owned()))
}

/// What was wrong, without usage and help around it.
pub fn one_line(error: &clap::Error) -> String {
    let text = error.render().to_string();
    let said = text.lines().map(str::trim).take_while(|line| !line.starts_with("Usage:"));
    let said: Vec<&str> = said.filter(|line| !line.is_empty() && !line.starts_with("For more")).collect();
    let said = said.join(" ");
    format!("{} (see --help)", said.strip_prefix("error: ").unwrap_or(&said))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(line: &str) -> std::result::Result<Arguments, clap::Error> {
        Arguments::try_parse_from(["mdns-registry"].into_iter().chain(line.split_whitespace()))
    }

    fn refused(line: &str) -> String {
        one_line(&parse(line).expect_err(line))
    }

    fn register(line: &str) -> Register {
        match parse(line).unwrap().command {
            Command::Register(register) => register,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn durations_are_a_number_with_its_unit() {
        for (text, ms) in [("250ms", 250), ("30s", 30_000), ("1m", 60_000), ("2h", 7_200_000), ("1m 30s", 90_000)] {
            assert_eq!(duration(text), Ok(Duration::from_millis(ms)), "{text}");
        }
        for text in ["", "30", "s", "-1s", "1 fortnight", "99999999999999999999s"] {
            assert!(duration(text).is_err(), "{text:?}");
        }
    }

    #[test]
    fn flags_stand_over_the_environment_and_it_over_the_defaults() {
        let environment = Options::from_json(r#"{"timeout_ms":400,"domain":"local","port":5454}"#).unwrap();
        let flags = parse("--timeout 250ms --addrs lo,127.0.0.1 list").unwrap().shared;
        let options = flags.over(environment.clone()).unwrap();
        assert_eq!(options.timeout, Duration::from_millis(250));
        assert_eq!(options.addrs, ["lo", "127.0.0.1"]);
        assert_eq!((options.domain, options.port), (environment.domain, 5454));
        assert_eq!(parse("list").unwrap().shared.over(environment.clone()).unwrap(), environment);
    }

    #[test]
    fn shared_flags_may_follow_the_command() {
        let arguments = parse("get greeter --json --wire dns-sd").unwrap();
        assert!(arguments.shared.json);
        assert!(arguments.shared.over(Options::default()).is_ok());
    }

    #[test]
    fn a_wire_that_the_link_cannot_carry_is_refused_by_name() {
        let error = parse("--wire go-micro --link mdns-sd list").unwrap().shared.over(Options::default()).unwrap_err();
        assert_eq!(error.status(), mdns_registry::Status::UNSUPPORTED, "{error}");
    }

    #[test]
    fn a_node_is_registered_from_name_and_address() {
        let line = "register greeter 10.0.0.7:9090 --id g-1 --version 1.2.0 --meta zone=a --meta k=v=w --ttl 30s";
        let arguments = register(line);
        let service = arguments.service().unwrap();
        assert_eq!((&*service.name, &*service.version), ("greeter", "1.2.0"));
        let node = &service.nodes[0];
        assert_eq!((&*node.id, &*node.address, node.port), ("g-1", "10.0.0.7", 9090));
        assert_eq!(node.metadata["zone"], "a");
        assert_eq!(node.metadata["k"], "v=w");
        assert_eq!(arguments.options().unwrap().ttl, Duration::from_secs(30));
    }

    #[test]
    fn an_address_may_be_this_host_or_ipv6_or_a_name() {
        for (text, address) in [(":9090", ""), ("[fd00::7]:9090", "fd00::7"), ("box.lan:9090", "box.lan")] {
            let service = register(&format!("register greeter {text}")).service().unwrap();
            assert_eq!((&*service.nodes[0].address, service.nodes[0].port), (address, 9090));
        }
        let error = register("register greeter 10.0.0.7").service().unwrap_err();
        assert!(error.to_string().contains("nodes[0].port"), "{error}");
    }

    #[test]
    fn ids_made_up_differ() {
        let [one, two] = [(); 2].map(|()| register("register greeter :1").service().unwrap().nodes[0].id.clone());
        assert!(one.starts_with("greeter-") && one != two, "{one} {two}");
    }

    #[test]
    fn a_program_and_its_arguments_follow_two_dashes() {
        let arguments = register("register greeter :9090 --ttl 3s -- server --port 9090");
        assert_eq!(arguments.program, ["server", "--port", "9090"]);
    }

    #[test]
    fn what_cannot_be_understood_is_said_in_one_line() {
        assert_eq!(refused("list --jsn").lines().count(), 1);
        assert!(refused("list --jsn").contains("--json"), "{}", refused("list --jsn"));
        assert!(refused("register").contains("NAME"), "{}", refused("register"));
        assert!(refused("register greeter").contains("ADDRESS:PORT"), "{}", refused("register greeter"));
        assert!(refused("register greeter :1 --meta x").contains("KEY=VALUE"));
        assert!(refused("register greeter :1 --ttl 30").contains("30s"));
        assert!(refused("register --file a.json --id x").contains("--id"));
        assert!(refused("").contains("register"), "{}", refused(""));
    }
}
