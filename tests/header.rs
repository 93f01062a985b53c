//! The C header: generated from the sources, committed, complete.
#![cfg(feature = "capi")]

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};

use mdns_registry::{ffi, Status};

/// The sources in the order in which the header reads best.
const SOURCES: &[&str] = &["version", "error", "text", "callback", "registry", "event", "watch", "json", "log"];

const LEVELS: &[(&str, i32)] = &[
    ("OFF", ffi::MDNSREG_LOG_OFF),
    ("ERROR", ffi::MDNSREG_LOG_ERROR),
    ("WARN", ffi::MDNSREG_LOG_WARN),
    ("INFO", ffi::MDNSREG_LOG_INFO),
    ("DEBUG", ffi::MDNSREG_LOG_DEBUG),
    ("TRACE", ffi::MDNSREG_LOG_TRACE),
];

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn committed_path() -> PathBuf {
    root().join("include/mdns_registry.h")
}

fn committed() -> String {
    fs::read_to_string(committed_path()).expect("include/mdns_registry.h is committed")
}

/// `MDNSREG_ERR_NULL` for an error, `MDNSREG_OK` for what is none.
fn constant(status: Status) -> String {
    let kind = if status.code() < 0 { "ERR_" } else { "" };
    format!("MDNSREG_{kind}{}", status.name())
}

/// The version as macros, the statuses and levels as enumerators: those a debugger and LuaJIT see, and an
/// enum without a name has no type that a signature could use.
fn constants() -> String {
    let mut text = String::from("\n/* The version of this header; mdnsreg_version() is that of the library. */\n");
    let version = env!("CARGO_PKG_VERSION");
    let mut parts = version.split('.').map(|part| part.parse::<u32>().expect("MAJOR.MINOR.PATCH"));
    let mut number = 0;
    writeln!(text, "#define MDNSREG_VERSION \"{version}\"").unwrap();
    for name in ["MAJOR", "MINOR", "PATCH"] {
        let part = parts.next().expect("three parts");
        number = number * 1_000 + part;
        writeln!(text, "#define MDNSREG_VERSION_{name} {part}").unwrap();
    }
    writeln!(text, "/* MAJOR * 1000000 + MINOR * 1000 + PATCH */\n#define MDNSREG_VERSION_NUMBER {number}").unwrap();
    writeln!(text, "\n/* What mdnsreg_status can be. */\nenum {{").unwrap();
    for status in Status::ALL {
        writeln!(text, "  /* {} */\n  {} = {},", status.text(), constant(*status), status.code()).unwrap();
    }
    text.truncate(text.len() - 2);
    writeln!(text, "\n}};\n\n/* Levels of mdnsreg_log_set. */\nenum {{").unwrap();
    for (name, level) in LEVELS {
        writeln!(text, "  MDNSREG_LOG_{name} = {level},").unwrap();
    }
    text.truncate(text.len() - 2);
    text.push_str("\n};");
    text
}

fn generated() -> String {
    let mut config = cbindgen::Config::from_file(root().join("cbindgen.toml")).expect("cbindgen.toml is valid");
    config.after_includes = Some(constants());
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in SOURCES {
        builder = builder.with_src(root().join("src/ffi").join(format!("{source}.rs")));
    }
    let mut header = Vec::new();
    builder.generate().expect("the sources parse").write(&mut header);
    String::from_utf8(header).expect("UTF-8")
}

#[test]
fn the_committed_header_is_the_generated_one() {
    let header = generated();
    if std::env::var_os("BLESS").is_some() {
        fs::write(committed_path(), &header).unwrap();
    }
    let differs = committed().lines().zip(header.lines()).position(|(old, new)| old != new);
    assert!(
        committed() == header,
        "include/mdns_registry.h is out of date at line {:?}: BLESS=1 cargo test --test header",
        differs.map(|line| line + 1)
    );
}

#[test]
fn each_constant_of_the_header_has_the_number_of_the_rust_table() {
    let header = committed();
    let in_header: Vec<(String, i32)> = header
        .lines()
        .filter_map(|line| line.trim().strip_prefix("MDNSREG_")?.trim_end_matches(',').split_once(" = "))
        .map(|(name, number)| (format!("MDNSREG_{name}"), number.parse().unwrap()))
        .collect();
    let statuses = Status::ALL.iter().map(|status| (constant(*status), status.code()));
    let levels = LEVELS.iter().map(|(name, level)| (format!("MDNSREG_LOG_{name}"), *level));
    assert_eq!(in_header, statuses.chain(levels).collect::<Vec<_>>());
}

#[test]
fn the_abi_number_of_the_header_is_that_of_the_source() {
    assert!(committed().contains(&format!("#define MDNSREG_ABI_VERSION {}\n", ffi::MDNSREG_ABI_VERSION)));
}

/// An export as the header declares it.
struct Declared {
    comment: String,
    returns: String,
    name: String,
    /// Each parameter with its type.
    signature: Vec<String>,
}

/// Every function of the header with its comment.
fn declared() -> Vec<Declared> {
    let header = committed();
    let mut functions = Vec::new();
    for part in header.split("/**").skip(1) {
        let (comment, rest) = part.split_once("*/").expect("a comment ends");
        let Some((declaration, _)) = rest.split_once(';') else { continue };
        let declaration = declaration.split_whitespace().collect::<Vec<_>>().join(" ");
        let Some((head, parameters)) = declaration.split_once('(') else { continue };
        if declaration.starts_with("typedef") || declaration.starts_with('#') {
            continue;
        }
        let (returns, name) = head.rsplit_once([' ', '*']).expect("a type and a name");
        let parameters = parameters.trim_end_matches(')').split(',').map(|p| p.trim().to_owned());
        functions.push(Declared {
            comment: comment.into(),
            returns: returns.replace('*', " "),
            name: name.into(),
            signature: parameters.filter(|parameter| parameter != "void").collect(),
        });
    }
    functions
}

#[test]
fn every_export_of_the_sources_is_declared_once() {
    let mut exported: Vec<String> = Vec::new();
    for source in SOURCES {
        let text = fs::read_to_string(root().join(format!("src/ffi/{source}.rs"))).unwrap();
        let names = text.lines().filter_map(|line| line.strip_prefix("pub unsafe extern \"C\" fn "));
        exported.extend(names.map(|line| line.split('(').next().unwrap().to_owned()));
    }
    assert!(exported.len() >= 30, "{exported:?}");
    assert_eq!(declared().into_iter().map(|f| f.name).collect::<Vec<_>>(), exported);
}

#[test]
fn every_export_says_all_there_is_to_know() {
    let mut missing = Vec::new();
    for function in declared() {
        let mut need = |line: &str| {
            let there = function.comment.lines().any(|l| l.trim_start_matches([' ', '*']).starts_with(line));
            if !there {
                missing.push(format!("{}: {line}", function.name));
            }
        };
        for parameter in &function.signature {
            let name = parameter.rsplit([' ', '*']).next().unwrap_or_default();
            need(&format!("@param {name}  "));
        }
        if function.returns != "void" {
            need("@return ");
        }
        ["Threads: ", "Blocks: ", "Since: "].into_iter().for_each(&mut need);
        let first = function.comment.lines().nth(1).unwrap_or("").trim_start_matches([' ', '*']);
        if first.is_empty() || first.starts_with('@') {
            missing.push(format!("{}: what it does", function.name));
        }
        let named = function.comment.matches("@param ").count();
        assert_eq!(named, function.signature.len(), "{} names a parameter it does not have", function.name);
    }
    assert!(missing.is_empty(), "{missing:#?}");
}

#[test]
fn every_status_a_comment_lists_exists_and_each_call_lists_the_universal_ones() {
    let known: Vec<String> = Status::ALL.iter().map(|status| constant(*status)).collect();
    for function in declared() {
        let words = function.comment.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
        let listed: Vec<&str> =
            words.filter(|word| word.starts_with("MDNSREG_") && !word.starts_with("MDNSREG_LOG")).collect();
        for word in &listed {
            let other = ["MDNSREG_VERSION", "MDNSREG_ABI_VERSION"].contains(word);
            assert!(other || known.iter().any(|name| name == word), "{}: {word}", function.name);
        }
        if function.returns == "mdnsreg_status" && function.name != "mdnsreg_error_code" {
            for universal in ["MDNSREG_OK", "MDNSREG_ERR_BUSY", "MDNSREG_ERR_FORKED", "MDNSREG_ERR_PANIC"] {
                assert!(listed.contains(&universal), "{} does not list {universal}", function.name);
            }
        }
    }
}

/// What a function's comment lists that a call outside the log callback, in no fork and with no defect, can come to.
fn listed(function: &Declared) -> BTreeSet<String> {
    let lines = function.comment.lines().map(|line| line.trim_start_matches([' ', '*']));
    let lines = lines.skip_while(|line| !line.starts_with("@return")).take_while(|line| !line.starts_with("Threads:"));
    statuses(&lines.collect::<Vec<_>>().join(" ").replace("MDNSREG_ERR_BUSY (inside the log callback)", ""))
}

fn statuses(text: &str) -> BTreeSet<String> {
    let words = text.split(|c: char| !c.is_ascii_alphanumeric() && c != '_');
    let universal = ["MDNSREG_OK", "MDNSREG_ERR_FORKED", "MDNSREG_ERR_PANIC"];
    words.filter(|word| word.starts_with("MDNSREG_") && !universal.contains(word)).map(str::to_owned).collect()
}

/// The program that calls every function at random, with anything.
fn calls_at_random() -> String {
    fs::read_to_string(root().join("tests/c/misuse_at_random.c")).unwrap()
}

#[test]
fn the_calls_at_random_leave_no_function_out() {
    let program = calls_at_random();
    let left_out = declared().into_iter().filter(|function| !program.contains(&format!("{}(", function.name)));
    assert_eq!(left_out.map(|function| function.name).collect::<Vec<_>>(), Vec::<String>::new());
}

/// The program can then tell a status that a comment should list from one that it should not.
#[test]
fn the_calls_at_random_know_the_lists_of_the_comments() {
    let program = calls_at_random();
    let sets = program.lines().filter_map(|line| line.strip_prefix("#define ")?.split_once(" MDNSREG_"));
    let code = sets.fold(program.clone(), |code, (name, set)| code.replace(name, &format!("MDNSREG_{set}")));
    let calls = code.split("LISTED(mdnsreg_").skip(1).map(|rest| rest.split(");").next().unwrap());
    let declared = declared();
    let mut checked = BTreeSet::new();
    for call in calls {
        let name = format!("mdnsreg_{}", call.split('(').next().unwrap());
        let function = declared.iter().find(|function| function.name == name).expect("a call of a function");
        assert_eq!(statuses(call), listed(function), "{name}");
        checked.insert(name);
    }
    assert!(checked.len() >= 17, "{checked:?}");
}

#[test]
fn signatures_use_only_types_that_every_language_can_call() {
    let allowed = ["int32_t", "int64_t", "char", "void", "const", "mdnsreg_status"];
    let handles = ["registry", "watch", "event", "error", "event_fn", "free_fn", "log_fn"];
    let handles: Vec<String> = handles.iter().map(|name| format!("mdnsreg_{name}")).collect();
    for function in declared() {
        let mut words: Vec<&str> = function.returns.split_whitespace().collect();
        for parameter in &function.signature {
            // The last word is the name.
            let parts: Vec<&str> = parameter.split([' ', '*']).filter(|word| !word.is_empty()).collect();
            words.extend(&parts[..parts.len() - 1]);
        }
        for word in words {
            let known = allowed.contains(&word) || handles.iter().any(|handle| handle == word);
            assert!(known, "{} speaks of a {word}", function.name);
        }
    }
}

/// The whole body of an export runs inside one of the guard's functions.
#[test]
fn no_export_does_anything_outside_the_guard() {
    for source in SOURCES {
        let text = fs::read_to_string(root().join(format!("src/ffi/{source}.rs"))).unwrap();
        for part in text.split("pub unsafe extern \"C\" fn ").skip(1) {
            let name = part.split('(').next().unwrap();
            let body = &part[part.find("{\n").unwrap() + 2..part.find("\n}\n").unwrap()];
            let constant = ["mdnsreg_version", "mdnsreg_abi_version"].contains(&name);
            let statements = body.lines().filter(|line| line.starts_with("    ") && !line.starts_with("     "));
            for line in statements.map(str::trim) {
                let prepared = line.starts_with("let out = Out::new(") || line.starts_with("let user = ");
                let guarded = ["guard::", "read(", "of_change(", "match guard::caught("];
                let closes = line.starts_with('}') || line.starts_with(')');
                let known = prepared || closes || guarded.iter().any(|call| line.starts_with(call));
                assert!(constant || known, "{name}: {line}");
            }
        }
    }
}
