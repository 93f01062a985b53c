//! docs/conformance.md, from the rows.

use std::fmt::Write;
use std::path::Path;

use crate::{Expected, NOT_APPLICABLE, ROWS};

const HEAD: &str = "# Conformance

What RFC 6762 and RFC 6763 ask of a registry, and what each link does. Each row is a test that sends and reads packets on another host
(`tests/conformance`); a row that a link fails is run as well and must fail, one
that it meets at times is not run on it. Sections are of RFC 6762 where no other is named; F-numbers are
findings in mdns-sd. The wire is DNS-SD; go-micro's own is what go-micro makes of it (docs/go-micro.md). This page is written by `make conformance`, from the rows of the tests.

| section | requirement | native | mdns-sd |
|---|---|---|---|
";

fn page() -> String {
    let told = |expected: &Expected| match expected {
        Expected::Meets => "yes".to_owned(),
        Expected::Fails(reason) => format!("no: {reason}"),
        Expected::Varies(reason) => format!("at times: {reason}"),
    };
    let mut page = HEAD.to_owned();
    for row in ROWS {
        let (native, mdns_sd) = (told(&row.native), told(&row.mdns_sd));
        writeln!(page, "| {} | {} | {native} | {mdns_sd} |", row.section, row.requirement).expect("text");
    }
    page += "\nNot applicable:\n\n| section | requirement | why |\n|---|---|---|\n";
    for (section, requirement, why) in NOT_APPLICABLE {
        writeln!(page, "| {section} | {requirement} | {why} |").expect("text");
    }
    page
}

#[test]
fn the_page_says_what_the_tests_check() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("docs/conformance.md");
    if std::env::var_os("BLESS").is_some() {
        std::fs::write(&path, page()).expect("written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(committed == page(), "docs/conformance.md is out of date: make conformance");
}
