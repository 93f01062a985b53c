//! The wall clock of a process steps; the machine's own is never touched.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::Duration;

use mdns_registry::LinkKind;
use serde_json::json;

use crate::lab::{tool, Lab};
use crate::measure::{all_see, now, sound};
use crate::peer::Peer;
use crate::report::Outcome;

const NODES: u32 = 10;
const HOUR_S: i64 = 3_600;
/// Whoever heeds the wall clock looks at it within this.
const NOTICED_WITHIN: Duration = Duration::from_secs(6);

/// The library that moves the clock, built once.
fn shifting() -> &'static Path {
    static BUILT: OnceLock<PathBuf> = OnceLock::new();
    BUILT.get_or_init(|| {
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("clock.so");
        let source = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/faults/clock.c");
        let library_text = library.to_str().expect("a path in UTF-8");
        tool("cc", &["-shared", "-fPIC", "-O1", "-Wall", "-Wextra", "-Werror", "-o", library_text, source, "-ldl"], "");
        library
    })
}

pub fn a_wall_clock_that_steps_by_an_hour(link: LinkKind) -> Outcome {
    let lab = Lab::new("clock");
    let hosts = [lab.host("a"), lab.host("b")];
    let offset = PathBuf::from(format!("/run/clock-{}", link.as_str()));
    let step = |seconds: i64| fs::write(&offset, seconds.to_ne_bytes()).expect("written in place");
    step(0);
    let (library, file) = (shifting().to_str().expect("a path"), offset.to_str().expect("a path"));
    let environment = [("LD_PRELOAD", library), ("MDNSREG_CLOCK", file)];
    let start = |host| Peer::start_with(host, &json!({"link": link.as_str()}), &environment);
    let mut peers: Vec<Peer> = hosts.iter().map(start).collect();
    let before = peers[1].ask(&json!({"do": "wall"})).as_i64().expect("seconds");
    peers[0].register(0..NODES, 120, 0);
    if all_see(&mut peers, NODES as usize, now(), Duration::from_secs(10)).is_none() {
        return Outcome::missed("not visible before the step");
    }
    thread::sleep(Duration::from_secs(3));
    let events = |peers: &mut [Peer]| peers.iter_mut().map(|peer| peer.state().events()).sum::<u64>();
    let told = events(&mut peers);
    for seconds in [HOUR_S, 0, -HOUR_S] {
        step(seconds);
        thread::sleep(NOTICED_WITHIN);
    }
    let after = peers[1].ask(&json!({"do": "wall"})).as_i64().expect("seconds");
    assert!((after - before + HOUR_S).abs() < 60, "the clock of the process did not step: {before}, {after}");
    let more = events(&mut peers) - told;
    Outcome::new(more == 0, format!("{more} events")).and(sound(&mut peers))
}
