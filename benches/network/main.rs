//! Compares this library with others that do the same work, on hosts of the lab (`tests/lab`). `benches/network.sh` runs
//! it row by row and makes the table of benches/NETWORK.md.
#![allow(unsafe_code, missing_docs, clippy::expect_used, clippy::panic, clippy::unwrap_used)]
#![allow(clippy::cast_possible_truncation, clippy::cast_precision_loss, clippy::cast_sign_loss)]

#[path = "../../tests/lab/mod.rs"]
mod lab;

mod avahi;
mod buffers;
mod cold;
mod contender;
mod library;
mod life;
mod line;
mod steady;
mod table;

use std::time::Duration;

use line::Line;

/// A row: what is measured together, and kept together.
type Row = (&'static str, fn(long: bool) -> Vec<Line>);

const ROWS: &[Row] = &[
    ("event", |_| life::event()),
    ("cold-few", |_| cold::few()),
    ("cold-1000", |_| cold::thousand()),
    ("cold-10000", |_| cold::ten_thousand()),
    ("cold-20x500", |_| cold::twenty_hosts()),
    ("steady", |long| steady::steady(Duration::from_secs(if long { 600 } else { 60 }))),
    ("register", |_| life::register()),
    ("warm", |_| life::warm()),
    ("loss", |_| cold::loss()),
    ("partition", |_| life::partition()),
    ("kill", |_| life::kill()),
];

fn main() {
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let Some((verb, words)) = words.split_first() else {
        println!("benches/network.sh runs this");
        return;
    };
    match (verb.as_str(), words) {
        ("library", [options, words @ ..]) => library::play(options, words),
        ("avahi", words) => avahi::play(words),
        ("default-buffers", words) => buffers::exec(words),
        ("rows", []) => ROWS.iter().for_each(|(name, _)| println!("{name}")),
        ("row", [name, file, long @ ..]) => {
            lab::assert_in_sandbox();
            let (_, measure) = ROWS.iter().find(|(row, _)| row == name).unwrap_or_else(|| panic!("no row {name:?}"));
            let lines = measure(long.first().is_some_and(|word| word == "--long"));
            std::fs::write(file, serde_json::to_string_pretty(&lines).expect("JSON")).expect("a file");
            print!("{}", table::lines(&lines));
        }
        ("summary", files) => print!("{}", table::summary(files)),
        ("table", [head, files @ ..]) => print!("{}", table::page(head, files)),
        _ => panic!("not understood: {verb} {words:?}"),
    }
}
