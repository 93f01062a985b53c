//! The house rules, read off the sources.

use std::fs;
use std::path::{Path, PathBuf};

fn sources(under: &str) -> Vec<(PathBuf, String)> {
    files(under, &["rs"])
}

fn files(under: &str, extensions: &[&str]) -> Vec<(PathBuf, String)> {
    fn walk(dir: &Path, extensions: &[&str], found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true if path.ends_with("node_modules") => {}
                true => walk(&path, extensions, found),
                false if path.extension().is_some_and(|e| extensions.iter().any(|extension| e == *extension)) => {
                    found.push((path.clone(), fs::read_to_string(&path).unwrap()));
                }
                false => {}
            }
        }
    }
    let (mut found, root) = (Vec::new(), Path::new(env!("CARGO_MANIFEST_DIR")).join(under));
    match root.is_dir() {
        true => walk(&root, extensions, &mut found),
        false => found.push((root.clone(), fs::read_to_string(&root).unwrap())),
    }
    assert!(!found.is_empty(), "no sources under {under}");
    found
}

fn none_says(under: &[&str], words: &[&str]) {
    let broken: Vec<String> = under
        .iter()
        .flat_map(|place| sources(place))
        .flat_map(|(path, text)| {
            let hit = move |word: &&str| text.contains(*word).then(|| format!("{} says {word}", path.display()));
            words.iter().filter_map(hit).collect::<Vec<_>>()
        })
        .collect();
    assert!(broken.is_empty(), "{broken:#?}");
}

const PURE: &[&str] =
    &["src/engine", "src/wire", "src/model", "src/event.rs", "src/error.rs", "src/options.rs", "src/record.rs"];

#[test]
fn pure_modules_know_no_clock_socket_or_runtime() {
    let words = ["tokio", "mdns_sd", "Instant::now", "SystemTime", "UdpSocket", "crate::clock", "thread::", "nix::"];
    none_says(PURE, &words);
}

#[test]
fn the_native_endpoint_knows_no_clock_socket_or_thread() {
    let words =
        ["Instant::now", "SystemTime", "UdpSocket", "crate::clock", "thread::", "nix::", "socket2", "tokio::time"];
    let impure = ["socket.rs", "worker.rs", "mod.rs"];
    let files = sources("src/link/native");
    let is_test = |path: &Path| path.to_string_lossy().ends_with("_tests.rs");
    let pure = files.iter().filter(|(path, _)| !is_test(path) && !impure.iter().any(|name| path.ends_with(name)));
    let hit = |(path, text): &(PathBuf, String)| words.iter().any(|word| text.contains(word)).then(|| path.clone());
    assert_eq!(pure.filter_map(hit).collect::<Vec<_>>(), Vec::<PathBuf>::new());
}

#[test]
fn arrows_point_down() {
    none_says(&["src/engine"], &["crate::driver", "crate::core", "crate::registry", "crate::watcher", "crate::ffi"]);
    none_says(&["src/wire"], &["crate::engine", "crate::link", "crate::driver", "crate::core", "crate::registry"]);
    none_says(&["src/link"], &["crate::engine", "crate::driver", "crate::core", "crate::registry", "crate::ffi"]);
    let leaves = [
        "src/model",
        "src/event.rs",
        "src/error.rs",
        "src/options.rs",
        "src/record.rs",
        "src/limits.rs",
        "src/refused.rs",
    ];
    none_says(&leaves, &["crate::engine", "crate::link", "crate::wire", "crate::driver", "crate::core"]);
}

#[test]
fn one_place_names_the_crate_mdns_sd() {
    for (path, text) in sources("src") {
        let text = text.replace("link::mdns_sd", "the adapter");
        let names = text.contains("mdns_sd::{") || text.contains("::mdns_sd") || text.contains("use mdns_sd");
        assert!(!names || path.to_string_lossy().contains("src/link/mdns_sd"), "{}", path.display());
    }
}

#[test]
fn unsafe_is_allowed_where_the_page_says() {
    for (path, text) in sources("src") {
        let place = path.to_string_lossy().into_owned();
        let allowed = place.contains("src/ffi/") || place.ends_with("src/fork.rs") || place.ends_with("src/ffi.rs");
        assert!(allowed || !text.contains("allow(unsafe_code)"), "{place}");
    }
}

#[test]
fn no_file_is_over_600_lines() {
    let languages = ["rs", "h", "hpp", "c", "cpp", "py", "pyi", "sh", "go", "mjs", "java", "cs", "lua", "rb"];
    for place in ["src", "tests", "benches", "bindings", "packaging", "include", "examples", "fuzz"] {
        let written_by_hand = |(path, _): &(PathBuf, String)| !path.ends_with("include/mdns_registry.h");
        for (path, text) in files(place, &languages).into_iter().filter(written_by_hand) {
            assert!(text.lines().count() <= 600, "{} has {} lines", path.display(), text.lines().count());
        }
    }
}

#[test]
fn every_dependency_has_its_line_on_the_page() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let read = |path: &str| fs::read_to_string(root.join(path)).unwrap();
    let manifest = ["Cargo.toml", "bindings/python/Cargo.toml", "fuzz/Cargo.toml"].map(read).concat();
    let page = read("ARCHITECTURE.md");
    let rows: String = page.lines().filter(|line| line.starts_with("| ")).collect();
    let mut listing = false;
    for line in manifest.lines() {
        if line.starts_with('[') {
            listing = line.contains("dependencies");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|(name, _)| listing && *name != "mdns-registry") {
            assert!(rows.contains(name), "{name} has no row");
        }
    }
}
