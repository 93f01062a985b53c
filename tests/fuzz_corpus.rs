//! The inputs of `fuzz/` again: its seeds, the corpus that was kept and all that ever broke a target, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

#[path = "../fuzz/targets/mod.rs"]
mod targets;

use targets::{seeds, TARGETS};

fn fuzz(place: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(place)
}

fn names(place: &str) -> BTreeSet<String> {
    let Ok(entries) = fs::read_dir(fuzz(place)) else { return BTreeSet::new() };
    entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
}

fn replay(target: &str) {
    let (_, run) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    for (name, bytes) in seeds::of(target) {
        println!("seed {name}");
        run(&bytes);
    }
    for place in [format!("corpus/{target}"), format!("found/{target}")] {
        for name in names(&place) {
            println!("{place}/{name}");
            run(&fs::read(fuzz(&place).join(name)).unwrap());
        }
    }
}

#[test]
fn descriptors_are_read_or_refused_by_name() {
    replay("descriptors");
}

#[test]
fn calls_of_the_c_abi_give_what_their_comments_list() {
    replay("handles");
}

#[test]
fn packets_are_borne() {
    replay("packets");
}

#[test]
fn messages_are_read_as_they_are_said() {
    replay("parser");
}

#[test]
fn what_a_host_promises_holds_through_sequences_of_packets() {
    replay("sequences");
}

#[test]
fn txt_of_both_wires_is_read_as_it_is_said() {
    replay("txt");
}

#[test]
fn each_target_has_a_corpus_and_each_file_a_target() {
    let targets: BTreeSet<String> = TARGETS.iter().map(|(name, _)| (*name).to_owned()).collect();
    assert_eq!(names("corpus"), targets);
    assert!(names("found").is_subset(&targets), "{:?}", names("found"));
    let mains: BTreeSet<String> = names("mains").iter().map(|name| name.trim_end_matches(".rs").to_owned()).collect();
    assert_eq!(&mains - &targets, BTreeSet::from(["seeds".to_owned()]));
    assert!(targets.is_subset(&mains));
    let (manifest, script) = (fs::read_to_string(fuzz("Cargo.toml")), fs::read_to_string(fuzz("run.sh")));
    let (manifest, script) = (manifest.unwrap(), script.unwrap());
    let mut bytes = 0;
    for target in &targets {
        assert!(manifest.contains(&format!("name = \"{target}\"")) && script.contains(target.as_str()), "{target}");
        let files = names(&format!("corpus/{target}"));
        assert!((1..=300).contains(&files.len()), "{} files of {target}", files.len());
        let size = |name| fs::metadata(fuzz("corpus").join(target).join(name)).unwrap().len();
        bytes += files.iter().map(size).sum::<u64>();
    }
    assert!(bytes <= 1_500_000, "{bytes} bytes of corpus");
}
