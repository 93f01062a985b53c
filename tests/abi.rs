//! The ABI that programs were linked with: `tests/abi/libmdns_registry.abi`, a dump by abidw, and the constants. What the
//! library beside this test takes away or changes is refused; what it adds is entered by `BLESS=1 cargo test --test abi`.
#![cfg(all(feature = "capi", target_os = "linux"))]

mod programs;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

use programs::{root, run};

fn committed() -> PathBuf {
    root().join("tests/abi/libmdns_registry.abi")
}

/// The dump of the library that cargo has built beside this test.
fn present() -> &'static Path {
    static DUMPED: OnceLock<PathBuf> = OnceLock::new();
    DUMPED.get_or_init(|| {
        let path = programs::out("abi").join("present.abi");
        fs::write(&path, dump(&programs::library("abi").join("libmdns_registry.so"))).unwrap();
        path
    })
}

/// What abidiff finds from one dump to another.
fn differences(from: &Path, to: &Path, flags: &[&str]) -> Option<String> {
    let output = Command::new("abidiff").args(flags).args([from, to]).output().expect("abidiff");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    let code = output.status.code().expect("an exit status");
    assert!(code & 3 == 0, "abidiff failed: {said}{}", String::from_utf8_lossy(&output.stderr));
    (code != 0).then_some(said)
}

fn taken_away_or_changed(from: &Path, to: &Path) -> Option<String> {
    differences(from, to, &["--no-added-syms"])
}

fn added(from: &Path, to: &Path) -> Option<String> {
    differences(from, to, &[])
}

/// An element of a dump, whose indentation shows where it ends.
struct Element<'a> {
    line: &'a str,
    parts: Vec<Element<'a>>,
    end: Option<&'a str>,
}

fn elements<'a>(lines: &mut std::iter::Peekable<std::str::Lines<'a>>, depth: usize) -> Vec<Element<'a>> {
    let depth_of = |line: &str| line.len() - line.trim_start().len();
    let mut found = Vec::new();
    while let Some(line) = lines.next_if(|line| depth_of(line) >= depth && !line.trim_start().starts_with("</")) {
        let single = line.ends_with("/>");
        let parts = if single { Vec::new() } else { elements(lines, depth_of(line) + 1) };
        found.push(Element { line, parts, end: if single { None } else { lines.next() } });
    }
    found
}

fn attribute<'a>(line: &'a str, name: &str) -> Option<&'a str> {
    line.split_once(&format!(" {name}='"))?.1.split('\'').next()
}

impl Element<'_> {
    fn is(&self, names: &[&str]) -> bool {
        names.iter().any(|name| self.line.trim_start().starts_with(&format!("<{name}")))
    }

    fn is_wanted(&self, types: &BTreeSet<String>) -> bool {
        let function = self.is(&["function-decl"]) && attribute(self.line, "name").unwrap().starts_with("mdnsreg_");
        let scope = self.is(&["abi-corpus", "abi-instr", "namespace-decl"]);
        function
            || self.is(&["elf-function-symbols"])
            || attribute(self.line, "id").is_some_and(|id| types.contains(id))
            || (scope && self.parts.iter().any(|part| part.is_wanted(types)))
    }

    /// The wanted lines; notes the types they speak of.
    fn write(&self, whole: bool, types: &mut BTreeSet<String>, into: &mut String) {
        let whole = whole || !self.is(&["abi-corpus", "abi-instr", "namespace-decl"]);
        if whole {
            types.extend(attribute(self.line, "type-id").map(str::to_owned));
        }
        // Where cargo keeps its crates is of this machine, and no part of the ABI.
        let kept = attribute(self.line, "path").and_then(|path| path.split_once("/registry/src/"));
        let kept = kept.map_or(String::new(), |(home, rest)| {
            format!("{home}/registry/src/{}/", rest.split('/').next().unwrap_or_default())
        });
        *into += &format!("{}\n", self.line.replacen(&kept, "", usize::from(!kept.is_empty())));
        for part in &self.parts {
            if whole || part.is_wanted(types) {
                part.write(whole, types, into);
            }
        }
        *into += &self.end.map_or(String::new(), |end| format!("{end}\n"));
    }
}

/// The dump of the library, without the types of Rust's that no function speaks of.
fn dump(library: &Path) -> String {
    let flags =
        ["--no-elf-needed", "--no-comp-dir-path", "--no-show-locs", "--no-corpus-path", "--type-id-style", "hash"];
    let whole = run(Command::new("abidw").args(flags).arg(library));
    let corpus = elements(&mut whole.lines().peekable(), 0).swap_remove(0);
    let (mut types, mut known) = (BTreeSet::new(), usize::MAX);
    let mut text = String::new();
    while known != types.len() {
        known = types.len();
        text.clear();
        corpus.write(false, &mut types, &mut text);
    }
    text
}

/// The committed dump with one text in the place of another.
fn doctored(name: &str, from: &str, to: &str) -> PathBuf {
    let text = fs::read_to_string(committed()).unwrap();
    assert!(text.contains(from), "{from}");
    let path = programs::out("abi").join(name);
    fs::write(&path, text.replace(from, to)).unwrap();
    path
}

#[test]
fn nothing_that_a_program_uses_is_taken_away_or_changed() {
    if std::env::var_os("BLESS").is_some() && !committed().exists() {
        fs::copy(present(), committed()).unwrap();
    }
    let changed = taken_away_or_changed(&committed(), present());
    assert!(changed.is_none(), "programs linked with the library would break:\n{}", changed.unwrap_or_default());
    if std::env::var_os("BLESS").is_some() {
        fs::copy(present(), committed()).unwrap();
    }
    let added = added(&committed(), present());
    assert!(added.is_none(), "enter it by BLESS=1 cargo test --test abi:\n{}", added.unwrap_or_default());
}

/// The numbers of the header but its version, which are in no signature and so in no dump. `tests/header.rs` sees to it
/// that they are those of the sources.
fn constants(header: &str) -> BTreeSet<String> {
    let number = |line: &str| {
        let line = line.trim().trim_end_matches(',');
        let (name, number) = line.split_once(" = ").or_else(|| line.strip_prefix("#define ")?.split_once(' '))?;
        let known = name.starts_with("MDNSREG_") && !name.starts_with("MDNSREG_VERSION");
        number.parse::<i64>().ok().filter(|_| known).map(|number| format!("{name} {number}"))
    };
    header.lines().filter_map(number).collect()
}

#[test]
fn no_constant_is_taken_away_or_changed() {
    let path = root().join("tests/abi/constants.txt");
    let header = fs::read_to_string(root().join("include/mdns_registry.h")).unwrap();
    let present = constants(&header);
    let old: BTreeSet<String> = fs::read_to_string(&path).unwrap_or_default().lines().map(str::to_owned).collect();
    let gone: Vec<&String> = old.difference(&present).collect();
    assert!(gone.is_empty(), "programs know these: {gone:?}");
    if std::env::var_os("BLESS").is_some() {
        fs::write(&path, present.iter().map(|line| format!("{line}\n")).collect::<String>()).unwrap();
    } else {
        assert_eq!(old, present, "enter what is new by BLESS=1 cargo test --test abi");
    }
    for (line, other) in [
        ("MDNSREG_END = 1,", "MDNSREG_END = 4,"),
        ("MDNSREG_LOG_TRACE = 5", "MDNSREG_LOG_TRACE = 6"),
        ("#define MDNSREG_ABI_VERSION 0", "#define MDNSREG_ABI_VERSION 1"),
    ] {
        assert_eq!(present.difference(&constants(&header.replace(line, other))).count(), 1, "{line}");
    }
}

#[test]
fn what_is_taken_away_or_changed_is_told_from_what_is_added() {
    let gone = doctored("gone.abi", "mdnsreg_json_quote", "mdnsreg_json_quote_as_it_was");
    let said = taken_away_or_changed(&gone, present()).expect("a function is missing");
    assert!(said.contains("mdnsreg_json_quote_as_it_was"), "{said}");

    let i64 = "name='timeout_ms'";
    let text = fs::read_to_string(committed()).unwrap();
    let wide = attribute(text.lines().find(|line| line.contains(i64)).unwrap(), "type-id").unwrap();
    let narrow = attribute(text.lines().find(|line| line.contains("name='max'")).unwrap(), "type-id").unwrap();
    let narrower = doctored("narrower.abi", &format!("'{wide}' {i64}"), &format!("'{narrow}' {i64}"));
    let said = taken_away_or_changed(&narrower, present()).expect("a parameter has another type");
    assert!(said.contains("mdnsreg_watch_next"), "{said}");

    let line = |text: &str| {
        let all = fs::read_to_string(committed()).unwrap();
        all.lines().find(|line| line.contains(text)).unwrap().to_owned() + "\n"
    };
    let fewer = doctored("fewer.abi", &line("elf-symbol name='mdnsreg_version'"), "");
    assert!(taken_away_or_changed(&fewer, present()).is_none());
    assert!(added(&fewer, present()).expect("a function is new").contains("mdnsreg_version"));
}
