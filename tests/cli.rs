//! The command line tool as a person or a script runs it, on loopback. Each test has a UDP port of its own, so that
//! none sees another's services.

mod lab;

use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use lab::process::Finished;
use lab::Process;
use mdns_registry::Service;
use nix::sys::signal::Signal;
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(15);

const GREETER: &str = r#"{
    "name": "greeter", "version": "1.2.0", "metadata": {"Team": "Front Desk", "a=b": "=", "emoji": "👋"},
    "endpoints": [
        {"name": "Greeter.Hello", "metadata": {"stream": "false"},
         "request": {"name": "HelloRequest", "type": "HelloRequest", "values": [
            {"name": "from", "type": "Place", "values": [{"name": "city", "type": "string"}]}]},
         "response": {"name": "HelloResponse", "type": "HelloResponse"}},
        {"name": "Greeter.Wave"}],
    "nodes": [
        {"id": "greeter-1", "address": "127.0.0.1", "port": 9090, "metadata": {"zone": "Hall A"}},
        {"id": "dots.and spaces", "address": "127.0.0.1", "port": 9091}]}"#;

/// The tool on one UDP port.
struct Tool {
    port: u16,
}

impl Tool {
    fn command(&self, arguments: &[&str]) -> Command {
        lab::assert_in_sandbox();
        let mut command = Command::new(env!("CARGO_BIN_EXE_mdns-registry"));
        // `tests/all.sh` says the link in the environment.
        let link = mdns_registry::Options::from_environment().expect("options").link;
        let options = format!(r#"{{"port":{},"link":"{}"}}"#, self.port, link.as_str());
        command.env("MDNS_REGISTRY_OPTIONS", options);
        command.args(["--addrs", "127.0.0.1"]).args(arguments);
        command
    }

    fn run(&self, arguments: &[&str]) -> Finished {
        self.start(arguments).finish(PATIENCE)
    }

    fn start(&self, arguments: &[&str]) -> Process {
        Process::start(&arguments.join(" "), self.command(arguments))
    }

    /// The tool as `"$@"` of a shell script.
    fn start_by(&self, script: &str, arguments: &[&str]) -> Process {
        let tool = self.command(arguments);
        let mut shell = Command::new("sh");
        shell.args(["-c", script, "sh"]).arg(tool.get_program()).args(tool.get_args());
        shell.envs(tool.get_envs().filter_map(|(key, value)| Some((key, value?))));
        Process::start(script, shell)
    }

    /// Registers, and waits until that is done.
    fn register(&self, arguments: &[&str]) -> Process {
        let mut process = self.start(&[&["register", "--json"], arguments].concat());
        Service::from_json(&line(&mut process)).unwrap();
        process
    }

    /// `watch --json`, past the events of what is present.
    fn watch(&self) -> Process {
        let mut process = self.start(&["watch", "--json"]);
        process.expect_line("synced", PATIENCE, |line| line == r#"{"type":"synced"}"#);
        process
    }

    fn get(&self, name: &str) -> Vec<Service> {
        let got = self.run(&["get", name, "--json"]).success();
        got.lines().map(|line| Service::from_json(line).unwrap()).collect()
    }
}

fn line(process: &mut Process) -> String {
    process.expect_line("a line", PATIENCE, |_| true)
}

fn event(process: &mut Process) -> Value {
    serde_json::from_str(&line(process)).unwrap()
}

/// The exit status after a signal.
fn end(process: &mut Process, signal: Signal) -> Option<i32> {
    process.signal(signal);
    process.wait(PATIENCE).code()
}

/// The exit status and the one line on standard error.
fn refusal(finished: &Finished) -> (i32, &str) {
    let said = &finished.stderr;
    assert_eq!(said.lines().count(), 1, "{said:?}");
    assert!(said.starts_with("mdns-registry: "), "{said:?}");
    (finished.status.code().unwrap(), said)
}

#[test]
fn what_one_process_registers_others_list_get_and_watch() {
    let tool = Tool { port: 20_001 };
    let mut watch = tool.watch();
    let node = ["greeter", "127.0.0.1:9090", "--id", "g-1", "--version", "1.2.0", "--meta", "zone=a"];
    let mut register = tool.register(&node);

    let created = event(&mut watch);
    assert_eq!((&created["action"], &created["reason"]), (&"create".into(), &"announced".into()), "{created}");
    assert_eq!(created["service"]["nodes"][0]["id"], "g-1");
    assert_eq!(tool.run(&["list"]).success(), "greeter\n");
    let got = tool.run(&["get", "greeter"]).success();
    assert_eq!(got, "greeter  1.2.0\n  node      g-1  127.0.0.1:9090  zone=a\n");

    assert_eq!(end(&mut register, Signal::SIGTERM), Some(0));
    let deleted = event(&mut watch);
    assert_eq!((&deleted["action"], &deleted["reason"]), (&"delete".into(), &"goodbye".into()), "{deleted}");
    assert_eq!(deleted["key"], created["key"]);
    assert_eq!(deleted["service"], created["service"]);
}

#[test]
fn a_descriptor_on_standard_input_comes_back_exactly_as_it_was_registered() {
    let tool = Tool { port: 20_002 };
    let mut register = tool.start(&["register", "--file", "-", "--json"]);
    register.say(GREETER);
    register.end_input();
    let mut registered = Service::from_json(GREETER).unwrap();
    assert_eq!(Service::from_json(&line(&mut register)).unwrap(), registered);

    registered.nodes.sort_by(|a, b| a.id.cmp(&b.id));
    assert_eq!(tool.get("greeter"), [registered]);
}

#[test]
fn json_is_one_object_a_line_with_every_key_in_order() {
    let tool = Tool { port: 20_003 };
    let _one = tool.register(&["greeter", "127.0.0.1:9090", "--id", "g-1", "--version", "1"]);
    let _two = tool.register(&["greeter", "127.0.0.1:9091", "--id", "g-2", "--version", "2"]);

    let node = |id: &str, port: u16| {
        format!(r#""nodes":[{{"id":"{id}","address":"127.0.0.1","port":{port},"metadata":{{}}}}]"#)
    };
    let service = |version: &str, nodes: &str| {
        format!(r#"{{"name":"greeter","version":"{version}","metadata":{{}},"endpoints":[],{nodes}}}"#)
    };
    let [first, second] = [service("1", &node("g-1", 9090)), service("2", &node("g-2", 9091))];
    assert_eq!(tool.run(&["list", "--json"]).success(), service("", r#""nodes":[]"#) + "\n");
    assert_eq!(tool.run(&["get", "greeter", "--json"]).success(), format!("{first}\n{second}\n"));

    let mut watch = tool.start(&["watch", "greeter", "--json"]);
    let mut told: Vec<String> = (0..3).map(|_| line(&mut watch)).collect();
    assert_eq!(told.pop().unwrap(), r#"{"type":"synced"}"#);
    told.sort_by_key(|line| line.find(r#""version":"2""#).is_some());
    for (line, service) in told.iter().zip([first, second]) {
        let event: Value = serde_json::from_str(line).unwrap();
        let key = event["key"].as_str().unwrap();
        let expected =
            format!(r#"{{"type":"service","action":"create","key":"{key}","reason":"announced","service":{service}}}"#);
        assert_eq!(line, &expected);
    }
}

#[test]
fn watch_tells_people_what_came_changed_and_went_and_why() {
    let tool = Tool { port: 20_004 };
    let mut watch = tool.start(&["watch", "greeter"]);
    let node = |port: &str| tool.register(&["greeter", port, "--id", "greeter-1", "--version", "1.2.0"]);
    let mut register = node("127.0.0.1:9090");
    let created = line(&mut watch);
    let (clock, rest) = created.split_at(12);
    assert_eq!(rest, "  +  greeter  1.2.0  greeter-1  127.0.0.1:9090  announced");
    let shape: String = clock.chars().map(|c| if c.is_ascii_digit() { '0' } else { c }).collect();
    assert_eq!(shape, "00:00:00.000");

    assert_eq!(end(&mut register, Signal::SIGINT), Some(0));
    assert_eq!(&line(&mut watch)[12..], "  -  greeter  1.2.0  greeter-1  127.0.0.1:9090  goodbye");
}

#[test]
fn a_process_that_dies_is_gone_when_its_lease_ends() {
    let tool = Tool { port: 20_005 };
    let mut watch = tool.watch();
    let mut register = tool.register(&["greeter", "127.0.0.1:9090", "--ttl", "3s"]);
    assert_eq!(event(&mut watch)["action"], "create");
    register.kill9();
    let killed = Instant::now();
    let event = event(&mut watch);
    assert_eq!((&event["action"], &event["reason"]), (&"delete".into(), &"expired".into()), "{event}");
    assert!(killed.elapsed() <= Duration::from_secs(8), "{:?}", killed.elapsed());
}

#[test]
fn a_node_is_registered_while_its_program_runs_and_the_status_is_the_programs() {
    let tool = Tool { port: 20_006 };
    let mut watch = tool.watch();
    let output = tool.run(&["register", "job", "127.0.0.1:9", "--", "sh", "-c", "echo working; exit 7"]);
    assert_eq!((output.status.code(), &*output.stdout), (Some(7), "working\n"));
    assert_eq!(event(&mut watch)["action"], "create");
    assert_eq!(event(&mut watch)["reason"], "goodbye");
}

#[test]
fn a_signal_withdraws_the_node_and_then_reaches_the_program() {
    let tool = Tool { port: 20_007 };
    let mut watch = tool.watch();
    let program = "trap 'exit 9' TERM; echo ready; while :; do sleep 0.1; done";
    let mut register = tool.start(&["register", "job", "127.0.0.1:9", "--", "sh", "-c", program]);
    assert_eq!(line(&mut register), "ready");
    assert_eq!(event(&mut watch)["action"], "create");
    register.signal(Signal::SIGTERM);
    assert_eq!(event(&mut watch)["reason"], "goodbye");
    assert_eq!(register.wait(PATIENCE).code(), Some(9));
}

#[test]
fn a_closed_terminal_ends_a_registration_unless_it_was_told_to_outlive_it() {
    let tool = Tool { port: 20_015 };
    let mut lasting = tool.start_by(r#"trap '' HUP; exec "$@""#, &["register", "lasting", "127.0.0.1:9", "--json"]);
    line(&mut lasting);
    // Whatever ran this test may be deaf to it.
    let mut passing = tool.start_by(r#"exec env --default-signal=HUP "$@""#, &["register", "passing", "127.0.0.1:9"]);
    line(&mut passing);

    lasting.signal(Signal::SIGHUP);
    assert_eq!(end(&mut passing, Signal::SIGHUP), Some(0));
    assert_eq!(tool.run(&["list"]).success(), "lasting\n");
    assert_eq!(end(&mut lasting, Signal::SIGTERM), Some(0));
}

#[test]
fn a_name_nobody_has_is_exit_status_1_within_the_timeout() {
    let tool = Tool { port: 20_008 };
    let begun = Instant::now();
    let finished = tool.run(&["get", "nobody", "--timeout", "500ms"]);
    let (code, said) = refusal(&finished);
    assert_eq!((code, said), (1, "mdns-registry: no node of service \"nobody\" was found\n"));
    assert!(begun.elapsed() < Duration::from_secs(2), "{:?}", begun.elapsed());
    let listed = tool.run(&["list"]);
    assert_eq!((listed.status.code(), &*listed.stdout), (Some(0), ""));
}

#[test]
fn what_cannot_be_is_exit_status_2_with_one_line_that_names_it() {
    let tool = Tool { port: 20_009 };
    for (arguments, named) in [
        (&["get"] as &[&str], "NAME"),
        (&["list", "--jso"], "--json"),
        (&["list", "--timeout", "5"], "250ms"),
        (&["list", "--addrs", "nosuch0"], "nosuch0"),
        (&["list", "--link", "avahi"], "mdns-sd, native"),
        (&["list", "--wire", "go-micro", "--link", "mdns-sd"], "go-micro"),
        (&["list", "--domain", "lan"], "micro, local"),
        (&["register", "greeter", ":0"], "nodes[0].port"),
        (&["register", "greeter", ":1", "--ttl", "1s"], "3000 to 86400000"),
        (&["register", "greeter", ":1", "--id", ""], "nodes[0].id"),
        (&["register", "greeter", ":1", "--meta", "x"], "KEY=VALUE"),
    ] {
        let finished = tool.run(arguments);
        let (code, said) = refusal(&finished);
        assert_eq!(code, 2, "{arguments:?}: {said}");
        assert!(said.contains(named), "{arguments:?}: {said}");
    }
}

#[test]
fn a_bad_descriptor_is_refused_by_field_and_nothing_is_registered() {
    let tool = Tool { port: 20_010 };
    let file = Path::new(env!("CARGO_TARGET_TMPDIR")).join("descriptor.json");
    let large = format!(r#"{{"name":"{}"}}"#, "x".repeat(2 << 20)).into_bytes();
    for (descriptor, named) in [
        (&br#"{"name":"greeter","colour":1}"#[..], "colour"),
        (br#"{"name":"greeter","nodes":[]}"#, "nodes"),
        (br#"{"name":"greeter","nodes":[{"id":"a","port":"http"}]}"#, "nodes[0].port"),
        (b"{\"name\":\"\xff\"}", "0xff"),
        (b"{", "line 1"),
        (&large, "1048576"),
    ] {
        std::fs::write(&file, descriptor).unwrap();
        let finished = tool.run(&["register", "--file", file.to_str().unwrap()]);
        let (code, said) = refusal(&finished);
        assert_eq!(code, 2, "{said}");
        assert!(said.contains(named), "{named}: {said}");
    }
    assert_eq!(tool.run(&["list"]).success(), "");
}

#[test]
fn a_file_or_program_that_is_not_there_is_exit_status_3() {
    let tool = Tool { port: 20_011 };
    for arguments in [
        &["register", "--file", "no/such/file.json"] as &[&str],
        &["register", "greeter", ":9090", "--", "no/such/program"],
    ] {
        let finished = tool.run(arguments);
        let (code, said) = refusal(&finished);
        assert_eq!(code, 3, "{said}");
        assert!(said.contains("no/such/"), "{said}");
    }
    assert_eq!(tool.run(&["list"]).success(), "");
}

#[test]
fn flags_stand_over_the_environment() {
    let tool = Tool { port: 20_012 };
    let environment = |options: &str, arguments: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_mdns-registry"));
        command.env("MDNS_REGISTRY_OPTIONS", options).args(arguments);
        Process::start(options, command).finish(PATIENCE)
    };
    let wrong = r#"{"addrs":["nosuch0"],"port":20012}"#;
    let finished = environment(wrong, &["list"]);
    let (code, said) = refusal(&finished);
    assert!(code == 2 && said.contains("nosuch0"), "{said}");
    let _register = tool.register(&["greeter", "127.0.0.1:9090"]);
    assert_eq!(environment(wrong, &["list", "--addrs", "lo"]).success(), "greeter\n");
    let finished = environment("{]", &["list"]);
    let (code, said) = refusal(&finished);
    assert!(code == 2 && said.contains("not JSON"), "{said}");
}

#[test]
fn a_reader_that_goes_away_ends_it_quietly() {
    let tool = Tool { port: 20_013 };
    let mut reader = tool.start_by(r#"{ "$@"; echo $? >&2; } | head -n 1"#, &["watch", "--json"]);
    assert_eq!(line(&mut reader), r#"{"type":"synced"}"#);
    let _register = tool.register(&["greeter", "127.0.0.1:9090"]);
    assert_eq!(reader.finish(PATIENCE).stderr, "0\n");
}

#[test]
fn help_names_the_commands_that_exist_and_no_other() {
    let help = Tool { port: 20_014 }.run(&["--help"]).success();
    let commands = help.split("Commands:").nth(1).unwrap().split("\n\n").next().unwrap();
    let names: Vec<&str> = commands.lines().filter_map(|line| line.split_whitespace().next()).collect();
    assert_eq!(names, ["list", "get", "register", "watch"]);
}
