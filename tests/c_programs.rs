//! The C programs in `tests/c`: each compiles as C99, C11 and C++17 with gcc and clang, every warning an error, and
//! runs; once more under valgrind. And what the shared library exports.
#![cfg(all(feature = "capi", target_os = "linux"))]

mod programs;

use std::collections::BTreeSet;
use std::ffi::OsStr;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::thread;

use programs::{root, run, WARNINGS};

/// What a program is compiled as, and with.
const COMPILERS: &[(&str, &str, &str)] = &[
    ("gcc", "c", "c99"),
    ("gcc", "c", "c11"),
    ("g++", "c++", "c++17"),
    ("clang", "c", "c99"),
    ("clang", "c", "c11"),
    ("clang++", "c++", "c++17"),
];
/// Those whose result also runs.
const RUN: &[(&str, &str, &str)] = &[COMPILERS[0], COMPILERS[5]];
/// What only the header is compiled as.
const HEADER_ONLY: &[(&str, &str, &str)] = &[("gcc", "c", "c2x"), ("clang", "c", "c2x")];

fn out() -> PathBuf {
    programs::out("c")
}

fn library() -> &'static Path {
    programs::library("c")
}

fn alone(program: &OsStr) -> Command {
    programs::alone(library(), program)
}

fn compiler((compiler, language, standard): (&str, &str, &str)) -> Command {
    let mut command = Command::new(compiler);
    command.args(["-x", language, &format!("-std={standard}"), "-g", "-O1"]).args(WARNINGS);
    command.arg("-I").arg(root().join("include"));
    command
}

/// Compiles a program every way; gives those to run.
fn compile(name: &str) -> Vec<PathBuf> {
    let source = root().join("tests/c").join(format!("{name}.c"));
    let mut programs = Vec::new();
    for &way in COMPILERS {
        let program = out().join(format!("{name}-{}-{}", way.0, way.2));
        let mut command = compiler(way);
        command.arg(&source).arg("-o").arg(&program);
        if RUN.contains(&way) {
            command.arg("-L").arg(library()).args(["-lmdns_registry", "-lpthread"]);
            run(command.arg(format!("-Wl,-rpath,{}", library().display())));
            programs.push(program);
        } else {
            run(command.arg("-c"));
        }
    }
    programs
}

/// What memcheck is to find: lost memory as well, or only errors where the program leaves all in use.
const LEAKS: &[&str] = &["--leak-check=full", "--errors-for-leak-kinds=definite,possible"];
const NO_LEAKS: &[&str] = &["--leak-check=no"];

/// Compiles and runs a program; `less` is its work under valgrind.
fn program(name: &str, less: Option<u32>) {
    let programs = compile(name);
    // Beside each other: most wait more than they work.
    thread::scope(|scope| {
        for program in &programs {
            scope.spawn(move || {
                assert_eq!(run(&mut alone(program.as_os_str())), "", "{name} prints nothing, nor does the library");
            });
        }
        under_valgrind(name, &programs[0], less);
    });
}

fn under_valgrind(name: &str, program: &Path, less: Option<u32>) {
    let mut valgrind = alone(OsStr::new("valgrind"));
    valgrind.args(["--quiet", "--fair-sched=yes", "--child-silent-after-fork=yes", "--error-exitcode=99"]);
    valgrind.args(if name == "leave_main" { NO_LEAKS } else { LEAKS });
    valgrind.arg(format!("--suppressions={}", root().join("tests/c/valgrind.supp").display()));
    valgrind.arg(program).args(less.map(|less| less.to_string()));
    assert_eq!(run(&mut valgrind), "", "valgrind finds nothing in {name}");
}

macro_rules! programs {
    ($($test:ident: $name:literal $(, $less:literal)?;)*) => {
        $(
            #[test]
            fn $test() {
                program($name, None$(.or(Some($less)))?);
            }
        )*

        const TESTED: &[&str] = &[$($name),*];
    };
}

programs! {
    the_constants_of_the_header_are_those_of_the_library: "constants";
    every_misuse_of_every_handle_has_its_status: "misuse";
    arguments_are_checked_before_anything_happens: "arguments";
    a_bad_descriptor_is_refused_with_field_limit_and_value: "bad_descriptors";
    a_callback_may_stop_and_close_its_own_watch: "stop_inside";
    stopping_against_a_callback_that_does_not_return_ends_busy: "stop_busy";
    handles_may_be_closed_in_every_order: "close_order";
    the_three_faces_tell_the_same_events: "faces";
    user_data_is_freed_once_on_every_path: "user_data", 20;
    cycles_leave_no_descriptor_and_no_thread: "cycles", 24;
    a_forked_child_is_refused_and_the_parent_goes_on: "fork", 6;
    one_value_is_read_from_json_and_one_text_written: "json";
    an_unknown_name_is_not_found_in_time: "lookup", 20_000;
    the_default_registry_counts_its_references: "default";
    leaving_main_without_closing_harms_nothing: "leave_main";
    the_log_is_replaced_at_any_time: "log", 8;
    threads_may_share_every_handle: "threads", 20;
    calls_at_random_have_a_status_and_leave_nothing: "misuse_at_random", 800;
    the_process_is_left_as_it_was: "process";
    no_event_is_lost_when_handles_run_out: "exhaustion";
}

#[test]
fn every_program_is_run() {
    let sources = fs::read_dir(root().join("tests/c")).unwrap().map(|entry| entry.unwrap().path());
    let names = sources.filter(|path| path.extension() == Some(OsStr::new("c")));
    let names: BTreeSet<String> = names.map(|path| path.file_stem().unwrap().to_string_lossy().into()).collect();
    assert_eq!(names, TESTED.iter().map(|name| name.to_string()).collect());
}

#[test]
fn the_header_stands_alone_and_may_come_twice() {
    let source = out().join("header_twice.c");
    let include = "#include \"mdns_registry.h\"\n";
    fs::write(&source, format!("{include}{include}int mdnsreg_test_of_the_header;\n")).unwrap();
    for &way in COMPILERS.iter().chain(HEADER_ONLY) {
        run(compiler(way).args(["-c", "-o"]).arg(out().join(format!("header-{}-{}.o", way.0, way.2))).arg(&source));
    }
}

#[test]
fn only_the_functions_of_the_header_are_exported() {
    let names = run(Command::new("nm").args(["-D", "--defined-only"]).arg(library().join("libmdns_registry.so")));
    let exported: BTreeSet<&str> = names.lines().filter_map(|line| line.split_whitespace().nth(2)).collect();
    let header = fs::read_to_string(root().join("include/mdns_registry.h")).unwrap();
    let code = header.split("extern \"C\"").nth(1).expect("the declarations");
    let declared: BTreeSet<&str> = code
        .match_indices("mdnsreg_")
        .filter(|(at, _)| !code[..*at].rsplit('\n').next().unwrap_or("").starts_with(" *"))
        .map(|(at, _)| code[at..].split(|c: char| !c.is_ascii_alphanumeric() && c != '_').next().unwrap())
        .filter(|name| code.contains(&format!("{name}(")))
        .collect();
    assert_eq!(exported, declared);
}

#[test]
fn the_library_has_its_soname_and_stays_loaded() {
    let dynamic = run(Command::new("readelf").arg("-d").arg(library().join("libmdns_registry.so")));
    assert!(dynamic.contains("soname: [libmdns_registry.so.0]"), "{dynamic}");
    assert!(dynamic.contains("NODELETE"), "{dynamic}");
    let needed: Vec<&str> = dynamic.lines().filter(|line| line.contains("(NEEDED)")).collect();
    let known = ["libgcc_s.so", "libc.so", "libm.so", "libpthread.so", "libdl.so", "librt.so", "ld-linux"];
    assert!(needed.iter().all(|line| known.iter().any(|name| line.contains(name))), "{needed:?}");
}
