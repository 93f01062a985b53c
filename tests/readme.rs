//! No claim without a test: what the documentation shows is run, what it names exists, and what it counts agrees with
//! the source. The Rust of README.md is run as a doctest, its C by `tests/examples.rs`,
//! its Python and `docs/python.md` by `bindings/python/tests`.

mod lab;
mod programs;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::Process;
use mdns_registry::refused::Refused;
use mdns_registry::{limits, Options, Status};
use programs::{blocks, root};

const PATIENCE: Duration = Duration::from_secs(15);

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// README and everything a reader is sent to, by its path from the root.
fn documents() -> Vec<(PathBuf, String)> {
    let mut paths: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CHANGELOG.md", "SECURITY.md"].map(PathBuf::from).to_vec();
    let docs = fs::read_dir(root().join("docs")).unwrap().map(|entry| entry.unwrap().file_name());
    paths.extend(docs.map(|name| Path::new("docs").join(name)));
    paths.into_iter().map(|path| (path.clone(), read(path.to_str().unwrap()))).collect()
}

/// What stands between `open` and the next `close`.
fn enclosed<'a>(text: &'a str, open: &'a str, close: char) -> impl Iterator<Item = &'a str> + 'a {
    text.split(open).skip(1).filter_map(move |rest| rest.split_once(close).map(|(inside, _)| inside))
}

#[test]
fn every_file_the_documentation_names_exists() {
    let tops = ["benches/", "bindings/", "docs/", "examples/", "fuzz/", "include/", "src/", "tests/"];
    for (path, text) in documents() {
        let prose: Vec<&str> = text.split("\n```").step_by(2).collect();
        let text = prose.join("\n");
        let links = enclosed(&text, "](", ')').filter(|link| !link.contains("://") && !link.starts_with('#'));
        let links = links.map(|link| root().join(path.parent().unwrap()).join(link.split('#').next().unwrap()));
        let named = text.split('`').skip(1).step_by(2).filter(|span| tops.iter().any(|top| span.starts_with(top)));
        let plain = named.filter(|span| !span.contains(['*', '{', ' ', '…'])).map(|span| root().join(span));
        for target in links.chain(plain) {
            assert!(target.exists(), "{} names {}, which is not there", path.display(), target.display());
        }
    }
}

#[test]
fn every_test_that_security_md_names_exists() {
    let page = read("SECURITY.md");
    let page: String = page.split_whitespace().collect::<Vec<_>>().join(" ");
    let spans: Vec<&str> = page.split('`').skip(1).step_by(2).collect();
    let mut named = 0;
    for pair in spans.windows(2).filter(|pair| pair[0].ends_with(".rs") && !pair[1].contains(['.', '/', '-'])) {
        let (text, test) = (read(pair[0]), pair[1]);
        // Some are made by a macro, which is given their names.
        let there = text.contains(&format!("fn {test}(")) || text.contains(&format!("; {test}:"));
        assert!(there, "{} has no test {test}", pair[0]);
        named += 1;
    }
    assert!(named >= 40, "{named} tests are named");
}

#[test]
fn every_reason_that_security_md_names_is_counted() {
    let page = read("SECURITY.md");
    let table = page.split("## What an attack looks like").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: String = table.lines().filter(|line| line.starts_with("| ")).collect();
    for name in rows.split('`').skip(1).step_by(2) {
        assert!(name == "stats" || Refused::named(name).is_some(), "{name}");
    }
}

#[test]
fn every_make_target_the_documentation_names_exists() {
    let makefile = read("Makefile");
    let targets: BTreeSet<&str> =
        makefile.lines().filter_map(|line| line.split_once(':')).map(|(name, _)| name).collect();
    for (path, text) in documents() {
        for after in text.match_indices("make ").map(|(at, found)| (&text[..at], &text[at + found.len()..])) {
            if let (true, Some(word)) = (after.0.ends_with(['`', '\n']), after.1.split([' ', '`', '\n']).next()) {
                assert!(targets.contains(word), "{} names make {word}", path.display());
            }
        }
    }
}

#[test]
fn the_session_of_the_readme_runs_as_it_is_shown() {
    lab::assert_in_sandbox();
    let readme = read("README.md");
    let shown: Vec<Vec<String>> = blocks(&readme, "console")
        .iter()
        .map(|block| block.replace("10.0.0.7", "127.0.0.1"))
        .map(|block| block.lines().filter(|line| !line.contains("cargo install")).map(str::to_owned).collect())
        .collect();
    let [watching, registering] = &shown[..] else { panic!("two terminals are shown, not {}", shown.len()) };
    let start = |lines: &[String]| {
        let words = lines[0].strip_prefix("$ mdns-registry ").expect("a command of the tool");
        let mut command = Command::new(env!("CARGO_BIN_EXE_mdns-registry"));
        command.args(words.split(' '));
        Process::start(words, command)
    };
    let expect = |process: &mut Process, line: &str| process.expect_line(line, PATIENCE, |_| true);

    let mut watch = start(watching);
    let mut register = start(registering);
    for line in &registering[1..] {
        assert_eq!(&expect(&mut register, line), line);
    }
    let [created, deleted] = &watching[1..] else { panic!("two lines of the watch are shown") };
    let clock = "12:04:31.207".len();
    assert_eq!(&expect(&mut watch, created)[clock..], &created[clock..]);
    register.signal(nix::sys::signal::Signal::SIGINT);
    assert_eq!(&expect(&mut watch, deleted)[clock..], &deleted[clock..]);
}

#[test]
fn the_bounds_in_docs_limits_md_are_those_of_the_source() {
    let document = read("docs/limits.md");
    let bounds: [(&str, u64); 20] = [
        ("CALL_JSON_BYTES", limits::CALL_JSON_BYTES as u64),
        ("CALL_NODES", limits::CALL_NODES as u64),
        ("JSON_DEPTH", limits::JSON_DEPTH as u64),
        ("ENDPOINTS", limits::ENDPOINTS as u64),
        ("NAME_BYTES", limits::NAME_BYTES as u64),
        ("TTL_MS.start()", *limits::TTL_MS.start()),
        ("TTL_MS.end()", *limits::TTL_MS.end()),
        ("TTL_DEFAULT_MS", limits::TTL_DEFAULT_MS),
        ("TIMEOUT_MS.end()", *limits::TIMEOUT_MS.end()),
        ("WATCH_QUEUE.end()", *limits::WATCH_QUEUE.end() as u64),
        ("WATCH_QUEUE_DEFAULT", limits::WATCH_QUEUE_DEFAULT as u64),
        ("INTERESTS", limits::INTERESTS as u64),
        ("INTEREST_MS", limits::INTEREST_MS),
        ("VIEW_NODES", limits::VIEW_NODES as u64),
        ("SENDER_NODES", limits::SENDER_NODES as u64),
        ("VIEW_BYTES", limits::VIEW_BYTES as u64),
        ("SENDER_BYTES", limits::SENDER_BYTES as u64),
        ("CHANGE_BYTES", limits::CHANGE_BYTES as u64),
        ("TXT_BYTES", limits::TXT_BYTES as u64),
        ("INFLATED_BYTES", limits::INFLATED_BYTES as u64),
    ];
    let rows: Vec<Vec<&str>> = document.lines().map(|line| line.split('|').map(str::trim).collect()).collect();
    for (name, value) in bounds {
        let row = rows.iter().find(|row| row.get(3) == Some(&&*format!("`{name}`")));
        let said = row.unwrap_or_else(|| panic!("no row for {name}"))[2];
        assert_eq!(said.split(' ').next(), Some(&*value.to_string()), "{name}");
    }
    assert!(read("README.md").contains(&format!("at most {} bytes", limits::TXT_BYTES)));
}

#[test]
fn the_reasons_in_docs_limits_md_are_those_of_the_source() {
    let document = read("docs/limits.md");
    let section = document.split("## What was refused").nth(1).unwrap().split("\n## ").next().unwrap();
    let rows: Vec<&str> = section.lines().filter(|line| line.starts_with("| `")).collect();
    let expected = Refused::ALL.map(|reason| {
        let by = format!("{:?}", reason.by()).to_lowercase();
        format!("| `{}` | {by} | {} |", reason.name(), reason.meaning())
    });
    assert_eq!(rows, expected);
}

#[test]
fn the_statuses_in_docs_c_md_are_those_of_the_source() {
    let document = read("docs/c.md");
    let rows: Vec<&str> = document.lines().filter(|line| line.starts_with("| `MDNSREG_")).collect();
    let expected = Status::ALL.iter().map(|status| {
        let prefix = if status.code() < 0 { "MDNSREG_ERR_" } else { "MDNSREG_" };
        format!("| `{prefix}{}` | {} | {} |", status.name(), status.code(), status.text())
    });
    assert_eq!(rows, expected.collect::<Vec<_>>());
}

#[test]
fn what_is_said_not_to_be_built_is_refused_and_nothing_else_is() {
    let document = read("docs/limits.md");
    let section = document.split("## Not built yet").nth(1).unwrap().split("\n## ").next().unwrap();
    let said: BTreeSet<&str> = section.split('`').skip(1).step_by(2).collect();
    let refused = [
        ("secure", "true"),
        ("tls", r#"{"ca":"x"}"#),
        ("allow_unsigned", r#"["greeter"]"#),
        ("user", r#""u""#),
        ("password", r#""p""#),
        ("addrs", r#"["etcd://localhost:2379"]"#),
    ];
    for (key, value) in refused {
        let error = Options::from_json(&format!(r#"{{"{key}":{value}}}"#)).unwrap_err();
        assert_eq!(error.status(), Status::UNSUPPORTED, "{key}: {error}");
        assert!(said.contains(key), "{key} is not named");
    }
    let values = ["UNSUPPORTED", "etcd://…"];
    let known: BTreeSet<&str> = refused.iter().map(|(key, _)| *key).chain(values).collect();
    assert_eq!(said, known);
}

#[test]
fn the_numbers_of_the_readme_stand_in_the_last_report() {
    let readme = read("README.md");
    let report = ["benches/REPORT.md", "benches/NETWORK.md", "bindings/python/benches/REPORT.md"].map(read).concat();
    let section = readme.split("## Numbers").nth(1).unwrap().split("\n## ").next().unwrap();
    for row in section.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| benchmark")) {
        assert!(report.contains(row), "{row:?} is in no report");
    }
}

#[test]
fn what_the_examples_describe_is_valid() {
    for entry in fs::read_dir(root().join("examples")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|extension| extension == "json") {
            let service = mdns_registry::Service::from_json(&fs::read_to_string(&path).unwrap());
            let service = service.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!((&*service.name, service.nodes.len()), ("greeter", 1), "{}", path.display());
        }
    }
}
