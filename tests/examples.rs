//! The C and C++ that people are shown: the examples, README.md and docs/, compiled against the headers and run.

mod lab;
mod programs;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::Process;
use programs::{blocks, first_block, root, run, shared_library, WARNINGS};

const PATIENCE: Duration = Duration::from_secs(15);
const DEMO: Duration = Duration::from_secs(60);

/// A directory of a test's own in which the library and the tool stand as `make build` leaves them.
fn built(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    let library = shared_library();
    for (target, link) in [
        (library, "libmdns_registry.so"),
        (library, "libmdns_registry.so.0"),
        (Path::new(env!("CARGO_BIN_EXE_mdns-registry")), "mdns-registry"),
    ] {
        std::os::unix::fs::symlink(target, directory.join(link)).unwrap();
    }
    directory
}

/// Compiles as `make demo` does, or as C++ where the source is.
fn compile(built: &Path, source: &Path, program: &str) -> PathBuf {
    let binary = built.join(program);
    let cpp = source.extension().is_some_and(|extension| extension == "cpp");
    let mut command = if cpp { Command::new("c++") } else { Command::new("cc") };
    command.arg(if cpp { "-std=c++17" } else { "-std=c99" }).args(WARNINGS).args(["-Iinclude", "-o"]);
    command.args([&binary, source]).arg(format!("-L{}", built.display()));
    run(command.args(["-lmdns_registry", "-Wl,-rpath,$ORIGIN"]).current_dir(root()));
    binary
}

/// Compiles what a document shows, under the name of the document.
fn shown(document: &str, language: &str, program: &str) -> PathBuf {
    let built = built(&format!("{document}-{language}"));
    let source = built.join(format!("{document}.{language}"));
    std::fs::write(&source, program).unwrap();
    compile(&built, &source, document)
}

/// A program in a sandbox of its own: all speak on loopback, and none is to hear the others.
fn alone(program: &Path) -> Command {
    lab::assert_in_sandbox();
    let mut command = Command::new("tests/lab/sandbox");
    command.env_remove("MDNSREG_SANDBOX").arg(program).current_dir(env!("CARGO_MANIFEST_DIR"));
    command
}

#[test]
fn the_c_of_the_readme_does_what_it_says() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let binary = shown("readme", "c", &blocks(&readme, "c")[0]);
    let said = Process::start("readme.c", alone(&binary)).finish(PATIENCE).success();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with(r#"[{"name":"greeter""#), "{said}");
    assert!(lines[1].contains(r#""action":"create""#) && lines[1].contains(r#""id":"greeter-1""#), "{said}");
}

#[test]
fn the_cpp_of_the_readme_does_what_it_says() {
    let readme = std::fs::read_to_string(root().join("README.md")).unwrap();
    let mut program = Process::start("readme.cpp", alone(&shown("readme", "cpp", &blocks(&readme, "cpp")[0])));
    program.expect_line("the service", PATIENCE, |line| line == "greeter 127.0.0.1:9090");
    program.expect_line("the event", PATIENCE, |line| line.starts_with("greeter-1-"));
    program.finish(PATIENCE).success();
}

#[test]
fn the_first_lines_of_the_pages_for_c_and_cpp_work() {
    let c = shown("page", "c", &first_block("c.md", "c"));
    let said = Process::start("docs/c.md", alone(&c)).finish(PATIENCE).success();
    assert!(said.contains(r#""action":"create""#) && said.contains(r#""id":"greeter-1""#), "{said}");
    let cpp = shown("page", "cpp", &first_block("cpp.md", "cpp"));
    let said = Process::start("docs/cpp.md", alone(&cpp)).finish(PATIENCE).success();
    let lines: Vec<&str> = said.lines().collect();
    assert!(
        lines.len() == 2 && lines[0].starts_with("announced greeter greeter-1-") && lines[1].trim().is_empty(),
        "{said}"
    );
}

#[test]
fn the_story_is_told_from_register_to_deregister() {
    let built = built("story");
    let binary = compile(&built, Path::new("examples/c/story.c"), "story");
    let said = Process::start("story.c", alone(&binary)).finish(PATIENCE).success();
    let told = "create greeter greeter-1 9090\nlist greeter\nget greeter greeter-1 9090\n\
                update greeter greeter-1 9091\ndelete greeter greeter-1 9091\n";
    assert_eq!(said, told);
}

/// A library that interrupts every other call of poll, as signals do.
fn interrupts_poll(built: &Path) -> PathBuf {
    let (source, library) = (built.join("interrupts.c"), built.join("interrupts.so"));
    let poll = "#define _GNU_SOURCE
        #include <errno.h>
        #include <poll.h>
        int poll(struct pollfd *fds, nfds_t n, int timeout_ms) {
            static int calls;
            struct timespec timeout = {timeout_ms / 1000, timeout_ms % 1000 * 1000000L};
            if (__atomic_fetch_add(&calls, 1, __ATOMIC_RELAXED) % 2 == 0) return errno = EINTR, -1;
            return ppoll(fds, n, timeout_ms < 0 ? 0 : &timeout, 0);
        }";
    std::fs::write(&source, poll).unwrap();
    run(Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]));
    library
}

#[test]
fn an_event_loop_is_woken_by_events_and_ends_with_its_input() {
    lab::assert_in_sandbox();
    let built = built("poll");
    let mut poll = Command::new(compile(&built, Path::new("examples/c/poll.c"), "poll"));
    poll.env("LD_PRELOAD", interrupts_poll(&built));
    let story = Command::new(compile(&built, Path::new("examples/c/story.c"), "story"));
    poll.arg("greeter");
    let mut poll = Process::start("poll.c", poll);
    poll.expect_line("synced", PATIENCE, |line| line == r#"{"type":"synced"}"#);
    poll.say("a line that is no event");
    Process::start("story.c", story).finish(PATIENCE).success();
    for action in ["create", "update", "delete"] {
        poll.expect_line(action, PATIENCE, |line| line.contains(&format!(r#""action":"{action}""#)));
    }
    assert_eq!(poll.finish(PATIENCE).success(), "");
}

#[test]
fn the_demo_sees_all_that_it_promises() {
    let built = built("demo");
    compile(&built, Path::new("examples/c/greeter.c"), "greeter");
    let mut demo = alone(Path::new("examples/demo.sh"));
    demo.arg(&built);
    let said = Process::start("demo.sh", demo).finish(DEMO).success();
    assert!(said.contains("Seen: create, update, delete"), "{said}");
}
