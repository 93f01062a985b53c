//! docs/faults.md: what must hold in each scenario, and what was measured when all were run last.

use std::fmt::Write;
use std::fs;
use std::panic::catch_unwind;
use std::path::{Path, PathBuf};
use std::process::Command;

use mdns_registry::LinkKind;

use crate::{Links, SCENARIOS};

const HEAD: &str = "# Faults

What is done to registries, what must hold, and what was measured, on the native link and, for comparison, on mdns-sd's, of which nothing is
promised. Hosts are network namespaces joined by a bridge; every peer is a process that publishes and watches. `make faults` runs all and
writes this page, `make faults SCENARIO=a_link_that_loses_30_per_cent` runs one; those that take less than half a minute are part of `make test`.
In each no thread of the library has panicked (I7). But for 7, events have alternated (I4) and what they add up to is what a lookup finds (I3), in 11 and
12 of the nodes that peers registered.
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

/// Where one run of all keeps what it measured; nothing is kept elsewhere.
const KEPT: &str = "MDNSREG_FAULTS";

/// Plays a scenario, keeps what was measured for the page, and panics if what must hold on the native link did not.
pub fn play(name: &str, link: LinkKind, scenario: fn(LinkKind) -> Outcome) {
    let played = catch_unwind(|| scenario(link)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().map(String::as_str).or(panic.downcast_ref::<&str>().copied());
        Outcome::missed(format!("not played to its end: {}", text.unwrap_or("a panic")))
    });
    println!("{name} on {}: {}", link.as_str(), played.measured);
    let held = link != LinkKind::Native || played.held;
    if let Some(kept) = kept(name, link) {
        let cell = if held { played.measured.clone() } else { format!("**missed**: {}", played.measured) };
        fs::create_dir_all(kept.parent().expect("a directory")).expect("a directory");
        fs::write(kept, cell.replace(['|', '\n'], " ")).expect("written");
    }
    let must = SCENARIOS.iter().find(|scenario| scenario.name == name).expect("in the table").must;
    assert!(held, "{name} must hold: {must}; measured: {}", played.measured);
}

fn kept(name: &str, link: LinkKind) -> Option<PathBuf> {
    Some(Path::new(&std::env::var_os(KEPT)?).join(format!("{name}.{}", link.as_str())))
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

#[test]
fn the_page_has_every_scenario_and_none_missed() {
    if std::env::var_os("BLESS").is_some() {
        let measured = |name: &str, link: LinkKind| {
            let kept = kept(name, link).expect("MDNSREG_FAULTS: make faults");
            fs::read_to_string(kept).unwrap_or_else(|_| NOT_RUN.into())
        };
        let (commit, date) =
            (said("git", &["describe", "--always", "--dirty", "--abbrev=12"]), said("date", &["-u", "+%F"]));
        let (machine, linux) = (machine(), said("uname", &["-r"]));
        let run = format!("\nOne run of {date}, of commit {commit}, on {machine}, Linux {linux}.\n");
        fs::write(page_path(), format!("{HEAD}{run}{}", rows(measured))).expect("written");
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
    for row in &told[2..] {
        assert!(row.len() == 6 && !row[4].is_empty() && !row[5].is_empty(), "{row:?}");
        assert!(!row[4].contains("missed") && (row[4] != NOT_RUN || std::env::var_os("BLESS").is_none()), "{row:?}");
    }
}
