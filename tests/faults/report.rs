//! docs/faults.md: what must hold in each scenario, and what was measured when all were run last.

use std::fmt::Write;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use mdns_registry::LinkKind;

use crate::measure::seconds;
use crate::{Links, SCENARIOS};

const HEAD: &str = "# Faults

What is done to registries, what must hold, and what was measured, on the native link and, for comparison, on mdns-sd's, of which nothing is
promised. Hosts are network namespaces joined by a bridge; every peer is a process that publishes and watches. `make faults` runs all and
writes this page, `make faults SCENARIO=a_link_that_loses_30_per_cent` runs one; those that take less than half a minute are part of `make test`.
In each no thread of the library has panicked (I7). Of each peer that is there in the end, events have alternated (I4), what they add up to is
what `get_service` finds and `list_services` names (I3), in 7, 11 and 12 of the nodes that peers registered, no watch has begun anew, except in
12, and no descriptor or thread is left that was not there when its watch began; and of each on the native link, once its registry is closed, none
that was not there before it was opened, and at most 64 kB of heap (I6).
";

/// What came of a scenario on one link.
pub struct Outcome {
    measured: String,
    held: bool,
}

impl Outcome {
    pub fn new(held: bool, measured: impl Into<String>) -> Outcome {
        Outcome { measured: measured.into(), held }
    }

    /// It did not hold, for this reason.
    pub fn missed(why: impl Into<String>) -> Outcome {
        Outcome::new(false, why)
    }

    /// The same, unless this is an error as well.
    pub fn and<T>(self, sound: Result<T, String>) -> Outcome {
        match sound {
            Ok(_) => self,
            Err(how) => Outcome::missed(format!("{}; {how}", self.measured)),
        }
    }
}

/// Where one run of all keeps what it measured, beside `commit`, and `minutes` without the soak; nothing is kept elsewhere.
const KEPT: &str = "MDNSREG_FAULTS";
/// How a cell of the native link begins if what must hold did; no other does.
const HELD: &str = "✓ ";
const MISSED: &str = "✗ ";
/// A `short` scenario takes no longer on the native link.
const SHORT: Duration = Duration::from_secs(30);
const MINUTES: u64 = 60;
/// The soak, whose cell begins with its minutes, takes so many at least.
const SOAK: &str = "17";
const SOAK_MINUTES: u64 = 60;

/// Plays a scenario, keeps what was measured for the page, and panics if what must hold on the native link did not.
pub fn play(name: &str, link: LinkKind, scenario: fn(LinkKind) -> Outcome) {
    let (described, began) =
        (SCENARIOS.iter().find(|scenario| scenario.name == name).expect("in the table"), Instant::now());
    let played = catch_unwind(|| scenario(link)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Outcome::missed(format!("not played to its end: {}", text.unwrap_or("a panic")))
    });
    let took = began.elapsed();
    let in_time = match described.class == "short" && took > SHORT {
        true => Err(format!("it took {}, not {} at most", seconds(took), seconds(SHORT))),
        false => Ok(()),
    };
    let played = if link == LinkKind::Native { played.and(in_time) } else { played };
    println!("{name} on {} in {}: {}", link.as_str(), seconds(took), played.measured);
    let held = link != LinkKind::Native || played.held;
    let mark = match held {
        true if link == LinkKind::Native => HELD,
        true => "",
        false => MISSED,
    };
    if let Some(kept) = kept(&format!("{name}.{}", link.as_str())) {
        fs::write(kept, format!("{mark}{}", played.measured.replace(['|', '\n'], " "))).expect("written");
    }
    assert!(held, "{name} must hold: {}; measured: {}", described.must, played.measured);
}

/// A file of the run, if this is one.
fn kept(file: &str) -> Option<PathBuf> {
    Some(Path::new(&std::env::var_os(KEPT)?).join(file))
}

/// What such a file says, without spaces around it.
fn told(file: &str) -> Option<String> {
    let text = fs::read_to_string(kept(file).expect("MDNSREG_FAULTS: make faults")).ok()?;
    Some(text.trim().to_owned())
}

const NOT_RUN: &str = "not run";

fn page_path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/faults.md")
}

fn said(program: &str, args: &[&str]) -> String {
    let output = Command::new(program).args(args).output().unwrap_or_else(|error| panic!("{program}: {error}"));
    String::from_utf8_lossy(&output.stdout).trim().to_owned()
}

fn machine() -> String {
    let cores = std::thread::available_parallelism().map_or(0, usize::from);
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")).unwrap_or_default();
    format!("{cores} cores, {}", model.trim_start_matches(['\t', ' ', ':']))
}

/// The rows, each with what `cells` has for the two links.
fn rows(cells: impl Fn(&str, LinkKind) -> String) -> String {
    let mut rows =
        "\n| # | scenario | what is done | must hold | native | mdns-sd |\n|---|---|---|---|---|---|\n".to_owned();
    let mut scenarios: Vec<_> = SCENARIOS.iter().collect();
    scenarios.sort_by_key(|scenario| scenario.number.parse::<u32>().expect("a number"));
    for s in scenarios {
        let name = s.name.replace('_', " ");
        let other = if s.links == Links::Both { cells(s.name, LinkKind::MdnsSd) } else { "–".into() };
        let native = cells(s.name, LinkKind::Native);
        writeln!(rows, "| {} | {name} | {} | {} | {native} | {other} |", s.number, s.what, s.must).expect("text");
    }
    rows
}

/// The commit that the run was of: all of it, and nothing else.
fn commit() -> String {
    let (began, is) = (told("commit").expect("the commit"), said("git", &DESCRIBE));
    assert!(began == is, "docs/faults.md is not written: the run began with commit {began} and ended with {is}");
    assert!(is_commit(&is), "docs/faults.md is not written: the run was of {is}, which is no commit");
    is
}

/// As tests/faults.sh does.
const DESCRIBE: [&str; 6] = ["describe", "--always", "--dirty", "--abbrev=12", "--exclude", "*"];

fn is_commit(text: &str) -> bool {
    text.len() >= 12 && text.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f'))
}

const RUN: [&str; 5] = ["One run of ", ", of commit ", ", in ", " minutes without the soak, on ", ", Linux "];

/// What the line of the run says between these words.
fn run_of(page: &str) -> Option<Vec<&str>> {
    let mut rest = page.lines().find(|line| line.starts_with(RUN[0]))?.strip_suffix('.')?.strip_prefix(RUN[0])?;
    let mut parts = Vec::new();
    for words in &RUN[1..] {
        let (part, later) = rest.split_once(words)?;
        parts.push(part);
        rest = later;
    }
    parts.push(rest);
    Some(parts)
}

fn page() -> String {
    let parts = [
        said("date", &["-u", "+%F"]),
        commit(),
        told("minutes").expect("the minutes"),
        machine(),
        said("uname", &["-r"]),
    ];
    let run: String = RUN.iter().zip(&parts).flat_map(|(words, part)| [words, part.as_str()]).collect();
    let measured =
        |name: &str, link: LinkKind| told(&format!("{name}.{}", link.as_str())).unwrap_or_else(|| NOT_RUN.into());
    format!("{HEAD}\n{run}.\n{}", rows(measured))
}

#[test]
fn the_page_has_every_scenario_and_none_missed() {
    if std::env::var_os("BLESS").is_some() {
        fs::write(page_path(), page()).expect("written");
    }
    let page = fs::read_to_string(page_path()).expect("docs/faults.md: make faults");
    let cells = |line: &str| line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned()).collect::<Vec<_>>();
    let table = |text: &str| text.lines().filter(|line| line.starts_with('|')).map(cells).collect::<Vec<_>>();
    let (told, wanted) = (table(&page), table(&rows(|_, _| "?".into())));
    let described = |table: &[Vec<String>]| table.iter().map(|row| row[..4].to_vec()).collect::<Vec<_>>();
    assert!(
        page.starts_with(HEAD) && described(&told) == described(&wanted),
        "docs/faults.md is out of date: make faults"
    );
    let run = run_of(&page).expect("docs/faults.md: a line that tells of the run");
    assert!(run[0].len() == "2026-01-01".len() && is_commit(run[1]), "{run:?}");
    assert!(run[2].parse::<u64>().is_ok_and(|minutes| (1..=MINUTES).contains(&minutes)), "{run:?}");
    for row in &told[2..] {
        assert!(row.len() == 6 && row[4].starts_with(HELD) && !row[5].is_empty(), "{row:?}");
        let minutes = row[4].trim_start_matches(HELD).split(' ').next().and_then(|word| word.parse().ok());
        assert!(row[0] != SOAK || minutes.is_some_and(|minutes: u64| minutes >= SOAK_MINUTES), "{row:?}");
    }
}
