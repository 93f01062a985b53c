//! One story, told in every language of `tests/stories/languages`: alone on loopback, and between two hosts, where each
//! language leads and the next one of the table follows. It is run on what `make install` leaves.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

mod lab;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::{Lab, Process};

/// A story waits at most 10 s for each of three events.
const PATIENCE: Duration = Duration::from_secs(40);

macro_rules! languages {
    ($($language:ident)*) => {
        const LANGUAGES: &[&str] = &[$(stringify!($language)),*];

        mod tells_its_story_alone {
            $(#[test] fn $language() { super::alone(stringify!($language)); })*
        }

        mod ends_with_what_the_library_refuses {
            $(#[test] fn $language() { super::refused(stringify!($language)); })*
        }

        mod leads_the_next_language_on_another_host {
            $(#[test] fn $language() { super::leads_the_next(stringify!($language)); })*
        }
    };
}

languages!(rust c node cpp python go java python_asyncio csharp lua ruby);

macro_rules! pages {
    ($($language:ident)*) => {
        mod starts_its_page_with_lines_that_work {
            $(#[test] fn $language() { super::first_lines(stringify!($language)); })*
        }

        mod refuses_a_name_with_nul_and_tells_the_end_of_a_watch_from_a_timeout {
            $(#[test] fn $language() { super::edges(stringify!($language)); })*
        }
    };
}

pages!(node go java csharp lua ruby);

/// What every program of `tests/stories/edges` says.
const EDGES: &str = "\
    -8 name: must have no control characters, got U+0000\n\
    -8 service: must have no control characters, got U+0000 at byte 1\n\
    timeout\nended\nended\nended\n";

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The rows of the table: language, folder, tools, prepare, story, program.
fn table() -> Vec<Vec<String>> {
    let table = fs::read_to_string(root().join("tests/stories/languages")).unwrap();
    let rows = table.lines().filter(|line| !line.starts_with('#'));
    rows.map(|row| row.split('|').map(|field| field.trim().to_owned()).collect()).collect()
}

/// The arguments of `sandbox` or `nsenter` that run a step of a language; panics where it was not prepared as it stands.
fn run(language: &str, step: &str, arguments: &[&str]) -> Vec<String> {
    let row = table().into_iter().find(|row| row[0] == language).expect("a row of the table");
    let prepared = Path::new(env!("CARGO_TARGET_TMPDIR")).with_file_name("languages").join(language);
    for source in files(&root().join("examples").join(&row[1])) {
        let copy = prepared.join(source.strip_prefix(root().join("examples").join(&row[1])).unwrap());
        assert!(
            fs::read(&copy).ok() == fs::read(&source).ok(),
            "{} is not what stands in examples: run tests/stories/run.sh prepare",
            copy.display()
        );
    }
    let script = root().join("tests/stories/run.sh").display().to_string();
    [&script, language, step].iter().chain(arguments).map(|word| (*word).to_owned()).collect()
}

fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A step in a sandbox of its own: all speak on loopback, and none is to hear the others.
fn on_loopback(language: &str, step: &str, arguments: &[&str]) -> Process {
    Process::start(language, sandboxed(language, step, arguments))
}

/// The same to be started: without a home, as on a machine that is being set up.
fn sandboxed(language: &str, step: &str, arguments: &[&str]) -> Command {
    lab::assert_in_sandbox();
    let mut command = Command::new(root().join("tests/lab/sandbox"));
    command.env_remove("MDNSREG_SANDBOX").env_remove("HOME").args(run(language, step, arguments));
    command
}

fn transcript(watched: &str, listed: &str) -> String {
    format!(
        "create {watched} {watched}-1 9090\nlist {listed}\nget {watched} {watched}-1 9090\n\
         update {watched} {watched}-1 9091\ndelete {watched} {watched}-1 9091\n"
    )
}

fn alone(language: &str) {
    let told = on_loopback(language, "story", &[]).finish(PATIENCE).success();
    assert_eq!(told, transcript("greeter", "greeter"));
}

fn refused(language: &str) {
    let ended = on_loopback(language, "story", &[&"x".repeat(256)]).finish(PATIENCE);
    let told = (ended.status.code(), &*ended.stdout, &*ended.stderr);
    assert_eq!(told, (Some(1), "", "story: service is 256 bytes, the limit is 255\n"));
}

fn leads_the_next(leader: &str) {
    let at = LANGUAGES.iter().position(|language| *language == leader).unwrap();
    let follower = LANGUAGES[(at + 1) % LANGUAGES.len()];
    let lab = Lab::new("story");
    let (a, b) = (lab.host("a"), lab.host("b"));
    let start = |host: &lab::Host, words: Vec<String>| host.spawn(&words[0], &words[1..]);
    let leads = start(&a, run(leader, "story", &["alice", "bob"]));
    let follows = start(&b, run(follower, "story", &["bob", "alice", "follow"]));
    let (leads, follows) = (leads.finish(PATIENCE), follows.finish(PATIENCE));
    let told = (leads.status.code(), &*leads.stdout, follows.status.code(), &*follows.stdout);
    let expected = (Some(0), &*transcript("bob", "alice bob"), Some(0), &*transcript("alice", "alice bob"));
    assert_eq!(told, expected, "{leader}: {}{follower}: {}", leads.stderr, follows.stderr);
}

#[test]
fn the_story_in_java_leaves_nothing_at_home() {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join("home");
    let _ = fs::remove_dir_all(&home);
    fs::create_dir_all(&home).unwrap();
    let mut command = sandboxed("java", "story", &[]);
    command.env("JDK_JAVA_OPTIONS", format!("-Duser.home={}", home.display()));
    Process::start("java", command).finish(PATIENCE).success();
    assert_eq!(fs::read_dir(&home).unwrap().count(), 0);
}

#[test]
fn a_story_that_fails_withdraws_its_node() {
    let lab = Lab::new("failing");
    let host = lab.host("a");
    let tool = env!("CARGO_BIN_EXE_mdns-registry");
    let mut watch = host.spawn(tool, ["watch", "--json"]);
    watch.expect_line("synced", PATIENCE, |line| line.contains("synced"));
    let mut languages = LANGUAGES.to_vec();
    let stories = languages.iter().map(|language| {
        let words = run(language, "story", &[language, "nobody"]);
        host.spawn(&words[0], &words[1..])
    });
    let told: Vec<_> = stories.collect::<Vec<_>>().into_iter().map(|story| story.finish(PATIENCE)).collect();
    for (language, told) in languages.iter().zip(told) {
        assert_eq!((told.status.code(), &*told.stdout), (Some(1), ""), "{language}: {}", told.stderr);
        assert!(told.stderr.starts_with("story: "), "{language}: {}", told.stderr);
    }
    watch.expect("the goodbye of each", PATIENCE, |event| {
        languages.retain(|language| !(event.contains("\"goodbye\"") && event.contains(&format!("\"{language}-1\""))));
        languages.is_empty().then_some(())
    });
}

fn first_lines(language: &str) {
    let page = fs::read_to_string(root().join(format!("docs/{language}.md"))).unwrap();
    let block = page.split("\n```").nth(1).expect("a block").split_once('\n').expect("its language").1;
    let said = program(language, "page", block);
    assert!(said.contains("greeter") && said.contains("9090"), "{said}");
}

fn edges(language: &str) {
    let programs = files(&root().join("tests/stories/edges"));
    let source = programs.iter().find(|path| path.file_stem().unwrap() == language).expect("a program");
    assert_eq!(program(language, "edges", &fs::read_to_string(source).unwrap()), EDGES);
}

fn program(language: &str, name: &str, source: &str) -> String {
    let mut process = on_loopback(language, "program", &[name]);
    process.say(source);
    process.finish(PATIENCE).success()
}

#[test]
fn every_language_of_the_table_is_tested() {
    let languages: Vec<String> = table().into_iter().map(|row| row[0].clone()).collect();
    assert_eq!(languages, LANGUAGES);
}

#[test]
fn every_page_says_how_its_story_is_run() {
    for row in table().iter().filter(|row| !row[5].is_empty()) {
        let page = fs::read_to_string(root().join(format!("docs/{}.md", row[0]))).unwrap();
        assert!(page.contains(&format!("\n{}\n```\n", row[4])), "{}", row[4]);
    }
}

#[test]
fn the_readme_leads_to_the_page_of_every_language() {
    let readme = fs::read_to_string(root().join("README.md")).unwrap();
    let paragraph = readme.split("\n\n").find(|text| text.starts_with("The same verbs in every language")).unwrap();
    for language in LANGUAGES.iter().filter(|language| **language != "python_asyncio") {
        assert!(paragraph.contains(&format!("(docs/{language}.md)")), "{language}");
    }
}

/// Runs of white space as one blank, without what the reader skips.
fn words(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ").replace("( ", "(")
}

#[test]
fn what_lua_declares_stands_in_the_header_word_by_word() {
    let read = |path: &str| fs::read_to_string(root().join(path)).unwrap();
    let header = words(&read("include/mdns_registry.h"));
    let lua = read("examples/lua/mdns_registry.lua");
    let declared = lua.split("ffi.cdef [[").nth(1).unwrap().split("]]").next().unwrap();
    let declarations: Vec<String> = declared.split_inclusive(';').map(words).filter(|said| !said.is_empty()).collect();
    assert!(declarations.len() > 10, "{declarations:?}");
    for declaration in declarations {
        assert!(header.contains(&declaration), "{declaration}");
    }
}
