//! The inputs of `fuzz/` again: its seeds, the corpus that was kept and all that ever broke a target, without a fuzzer.
#![allow(clippy::unwrap_used, clippy::panic)]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::time::{clock_gettime, ClockId};

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

/// What this thread has used of a processor.
fn cpu_time() -> Duration {
    clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).unwrap().into()
}

fn replay(target: &str) {
    replay_within(target, None);
}

/// Each input takes so long at most, of a processor.
fn replay_within(target: &str, limit: Option<Duration>) {
    let (_, run) = TARGETS.into_iter().find(|(name, _)| *name == target).unwrap();
    let kept = [format!("corpus/{target}"), format!("found/{target}")];
    let kept = kept.iter().flat_map(|place| names(place).into_iter().map(move |name| format!("{place}/{name}")));
    let kept = kept.map(|path| (path.clone(), fs::read(fuzz(&path)).unwrap()));
    let mut longest = (Duration::ZERO, String::new());
    for (name, bytes) in seeds::of(target).into_iter().map(|(name, bytes)| (format!("seed {name}"), bytes)).chain(kept)
    {
        println!("{name}");
        let before = cpu_time();
        run(&bytes);
        let took = cpu_time() - before;
        assert!(limit.is_none_or(|limit| took < limit), "{took:?} for {name}");
        longest = longest.max((took, name));
    }
    println!("the longest: {longest:?}");
}

/// As long as `make fuzz` allows, of processor time; the longest of those that are kept takes a hundredth of it.
const A_DATAGRAM: Option<Duration> = Some(Duration::from_secs(1));

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
    replay_within("packets", A_DATAGRAM);
}

#[test]
fn messages_are_read_as_they_are_said() {
    replay_within("parser", A_DATAGRAM);
}

#[test]
fn what_a_host_promises_holds_through_sequences_of_packets() {
    replay("sequences");
}

#[test]
fn txt_of_both_wires_is_read_as_it_is_said() {
    replay_within("txt", A_DATAGRAM);
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
