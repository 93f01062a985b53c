//! Programs in other languages: compiled and run against the library that cargo has built beside the test.

#![allow(dead_code)] // each test binary uses the part it needs

use std::ffi::OsStr;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

pub const WARNINGS: &[&str] = &["-Wall", "-Wextra", "-Wpedantic", "-Werror"];

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// A directory for what the tests make; `name` is the test program's own.
pub fn out(name: &str) -> PathBuf {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
    fs::create_dir_all(&directory).expect("a directory for what is made");
    directory
}

/// Runs a command that must succeed; says all it said if it does not.
pub fn run(command: &mut Command) -> String {
    let output = command.output().unwrap_or_else(|error| panic!("{command:?}: {error}"));
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8_lossy(&bytes).into_owned());
    assert!(output.status.success(), "{command:?}: {}\n{}{}", output.status, said[0], said[1]);
    said.concat()
}

/// A make with the profile and the directory that this test was built with.
pub fn make(target: &str) -> Command {
    let test = std::env::current_exe().expect("our own path");
    let profile = test.ancestors().nth(2).expect("the profile's directory");
    let mut command = Command::new("make");
    command.args(["--no-print-directory", target]).current_dir(root());
    command.arg(format!("PROFILE={}", profile.file_name().unwrap().to_str().unwrap()));
    command.env("CARGO_TARGET_DIR", profile.parent().unwrap()).env("CARGO_NET_OFFLINE", "true");
    // Of the make and the cargo that may have started this test.
    for name in ["MAKEFLAGS", "MAKELEVEL", "MFLAGS", "LD_LIBRARY_PATH"] {
        command.env_remove(name);
    }
    command
}

/// The shared library as `make` builds it.
pub fn shared_library() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        run(&mut make("library"));
        let test = std::env::current_exe().expect("our own path");
        test.ancestors().nth(2).expect("the profile's directory").join("libmdns_registry.so")
    })
}

/// A directory with a copy of the shared library under its file name and its soname.
pub fn library(name: &str) -> &'static Path {
    static PLACED: OnceLock<PathBuf> = OnceLock::new();
    PLACED.get_or_init(|| {
        let directory = out(name).join("lib");
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory for the library");
        fs::copy(shared_library(), directory.join("libmdns_registry.so.0")).expect("the library was built");
        symlink("libmdns_registry.so.0", directory.join("libmdns_registry.so")).expect("a link");
        directory
    })
}

/// A command on a loopback of its own: the programs run at once and must not hear each other. Cargo sets the library
/// path, which goes before the path in the program: what an older build left there must not be what is tested.
pub fn alone(library: &Path, program: impl AsRef<OsStr>) -> Command {
    let mut command = Command::new("unshare");
    command.env("LD_LIBRARY_PATH", library);
    command.args(["--net", "sh", "-c", "ip link set lo up && exec \"$0\" \"$@\""]).arg(program);
    command
}

/// The fenced blocks of a language in a document.
pub fn blocks(document: &str, language: &str) -> Vec<String> {
    let fenced = document.split("\n```").skip(1).step_by(2);
    let block = |text: &str| text.split_once('\n').map(|(head, body)| (head.to_owned(), body.to_owned()));
    fenced.filter_map(block).filter(|(head, _)| head == language).map(|(_, body)| body + "\n").collect()
}

/// The first fenced block of a page of docs/, which must be of this language: the five lines that work.
pub fn first_block(page: &str, language: &str) -> String {
    let text = fs::read_to_string(root().join("docs").join(page)).unwrap_or_else(|error| panic!("{page}: {error}"));
    let head = text.split("\n```").nth(1).and_then(|block| block.lines().next());
    assert_eq!(head, Some(language), "the first block of docs/{page}");
    blocks(&text, language).swap_remove(0)
}
