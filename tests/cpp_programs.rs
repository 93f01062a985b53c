//! The C++ programs in `tests/cpp`: each runs as gcc and clang make it, with gcc's sanitizers; and how the header may be
//! included.
#![cfg(all(feature = "capi", target_os = "linux"))]

mod programs;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use programs::{root, run, WARNINGS};

const STRICTER: &[&str] = &["-Wshadow", "-Wconversion", "-Wsign-conversion"];
const WITHOUT: &[&str] = &["-fno-exceptions", "-fno-rtti"];
const SANITIZED: (&str, &str, &[&str]) =
    ("g++", "c++17", &["-fsanitize=address,undefined", "-fno-sanitize=vptr", "-fno-sanitize-recover=undefined"]);
const OPTIMIZED: (&str, &str, &[&str]) = ("clang++", "c++20", &["-O2"]);
const HEADER: &[(&str, &str)] = &[
    ("g++", "c++17"),
    ("g++", "c++20"),
    ("g++", "c++2b"),
    ("clang++", "c++17"),
    ("clang++", "c++20"),
    ("clang++", "c++2b"),
];

fn out() -> PathBuf {
    programs::out("cpp")
}

fn library() -> &'static Path {
    programs::library("cpp")
}

fn compiler(name: &str, standard: &str) -> Command {
    let mut command = Command::new(name);
    command.arg(format!("-std={standard}")).arg("-g").args(WARNINGS).args(STRICTER);
    command.arg("-I").arg(root().join("include")).arg("-isystem").arg(root().join("tests/c"));
    command
}

/// Compiles and runs a program of one or more units; those named `…_without` are compiled without exceptions.
fn program(units: &[&str]) {
    for (name, standard, flags) in [SANITIZED, OPTIMIZED] {
        let binary = out().join(format!("{}-{name}", units[0]));
        let objects = units.iter().map(|unit| {
            let object = out().join(format!("{unit}-{name}.o"));
            let mut command = compiler(name, standard);
            command.args(flags).args(if unit.ends_with("_without") { WITHOUT } else { &[] });
            run(command.arg("-c").arg(root().join(format!("tests/cpp/{unit}.cpp"))).arg("-o").arg(&object));
            object
        });
        let objects: Vec<PathBuf> = objects.collect();
        let mut link = compiler(name, standard);
        link.args(flags).args(objects).arg("-o").arg(&binary).arg("-L").arg(library());
        run(link.args(["-lmdns_registry", "-lpthread"]));
        assert_eq!(run(&mut programs::alone(library(), &binary)), "", "{} prints nothing", units[0]);
    }
}

#[test]
fn what_goes_in_typed_comes_out_the_same() {
    program(&["round_trip"]);
}

#[test]
fn errors_say_field_limit_and_value_thrown_or_returned() {
    program(&["errors"]);
}

#[test]
fn a_watch_tells_the_same_by_each_face_and_ends_its_listener_once() {
    program(&["watching"]);
}

#[test]
fn units_with_and_without_exceptions_make_one_program() {
    program(&["units_with", "units_without"]);
}

#[test]
fn every_program_is_run() {
    let this = fs::read_to_string(root().join("tests/cpp_programs.rs")).unwrap();
    let files = fs::read_dir(root().join("tests/cpp")).unwrap().map(|entry| entry.unwrap().path());
    let units = files.filter(|path| path.extension().is_some_and(|extension| extension == "cpp"));
    let units: BTreeSet<String> = units.map(|path| path.file_stem().unwrap().to_string_lossy().into()).collect();
    assert!(units.len() >= 5);
    for unit in units {
        assert!(this.contains(&format!("\"{unit}\"")), "{unit}.cpp is not run");
    }
}

#[test]
fn each_header_stands_alone_and_all_may_come_twice() {
    let parts = fs::read_dir(root().join("include/mdns_registry")).unwrap();
    let parts = parts.map(|entry| format!("mdns_registry/{}", entry.unwrap().file_name().to_string_lossy()));
    let headers: Vec<String> = ["mdns_registry.hpp".to_owned()].into_iter().chain(parts).collect();
    let check = |name: &str, text: &str, compilers: &[(&str, &str)], form: &[&str]| {
        let source = out().join(name);
        fs::write(&source, format!("{text}int of_the_header;\n")).unwrap();
        for (compiled_by, standard) in compilers {
            run(compiler(compiled_by, standard).args(form).arg("-fsyntax-only").arg(&source));
        }
    };
    let include = |header: &String| format!("#include <{header}>\n");
    for (index, header) in headers.iter().enumerate() {
        check(&format!("header-{index}.cpp"), &include(header), &HEADER[..1], &[]);
    }
    let all: String = headers.iter().map(include).collect();
    check("headers.cpp", &all.repeat(2), &[HEADER[0], HEADER[5]], WITHOUT);
}

/// Templates are looked into only where they are used.
#[test]
fn the_story_compiles_in_every_standard() {
    for &(name, standard) in HEADER {
        run(compiler(name, standard).arg("-fsyntax-only").arg(root().join("examples/cpp/story.cpp")));
    }
}
