//! The C that people are shown: the examples and README.md, compiled against the header and run.

mod lab;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use lab::Process;

const PATIENCE: Duration = Duration::from_secs(15);
const DEMO: Duration = Duration::from_secs(60);

/// A directory of a test's own in which the library and the tool stand as `make build` leaves them.
fn built(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    let _ = std::fs::remove_dir_all(&directory);
    std::fs::create_dir_all(&directory).unwrap();
    let library = std::env::current_exe().unwrap().with_file_name("libmdns_registry.so");
    for (target, link) in [
        (library.as_path(), "libmdns_registry.so"),
        (&library, "libmdns_registry.so.0"),
        (Path::new(env!("CARGO_BIN_EXE_mdns-registry")), "mdns-registry"),
    ] {
        std::os::unix::fs::symlink(target, directory.join(link)).unwrap();
    }
    directory
}

/// Compiles as `make demo` does.
fn compile(built: &Path, source: &Path, program: &str) -> PathBuf {
    let binary = built.join(program);
    let said = Command::new("cc")
        .args(["-std=c99", "-Wall", "-Wextra", "-Wpedantic", "-Werror", "-Iinclude", "-o"])
        .args([&binary, source])
        .arg(format!("-L{}", built.display()))
        .args(["-lmdns_registry", "-Wl,-rpath,$ORIGIN"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(said.status.success(), "{}", String::from_utf8_lossy(&said.stderr));
    binary
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
    let built = built("readme");
    let readme = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("README.md")).unwrap();
    let program = readme.split("```c\n").nth(1).unwrap().split("```").next().unwrap();
    let source = built.join("readme.c");
    std::fs::write(&source, program).unwrap();
    let binary = compile(&built, &source, "readme");
    let said = Process::start("readme.c", alone(&binary)).finish(PATIENCE).success();
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.len() == 2 && lines[0].starts_with(r#"[{"name":"greeter""#), "{said}");
    assert!(lines[1].contains(r#""action":"create""#) && lines[1].contains(r#""id":"greeter-1""#), "{said}");
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

#[test]
fn an_event_loop_is_woken_by_events_and_ends_with_its_input() {
    lab::assert_in_sandbox();
    let built = built("poll");
    let mut poll = Command::new(compile(&built, Path::new("examples/c/poll.c"), "poll"));
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
