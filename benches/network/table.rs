//! The table in Markdown.

use std::fmt::Write;

use crate::contender::Contender;
use crate::line::{Cell, Goal, Line};

/// The whole page: what stands above, the table, and what is to be said of its cells.
pub fn page(head: &str, files: &[String]) -> String {
    format!("{head}\n\n{}\n{}", summary(files), lines(&all(files)))
}

/// What README.md shows of it: the lines that the native link has a figure in, beside the best other.
pub fn summary(files: &[String]) -> String {
    let mut text = String::new();
    for line in all(files) {
        let Some(median) = line.cell(Contender::Native).median() else { continue };
        let best = best_other(&line)
            .map_or("no other comes to it".into(), |(other, name)| format!("{} ({name})", number(other)));
        let _ = writeln!(text, "| {}, {} | {} | {best} |", line.work, line.unit, number(median));
    }
    if text.is_empty() {
        return text;
    }
    format!("| `make bench-network`, medians | this library | best other |\n|---|---|---|\n{text}")
}

fn all(files: &[String]) -> Vec<Line> {
    let read = |file: &String| -> Vec<Line> {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    files.iter().flat_map(read).collect()
}

/// The table of some lines, and their notes.
pub fn lines(lines: &[Line]) -> String {
    let names = Contender::ALL.map(Contender::name).join(" | ");
    let mut text = format!("| work | goal | {names} | ahead of the best other |\n|---|---|{}---|\n", "---|".repeat(5));
    let mut notes = String::new();
    for line in lines {
        let _ = write!(text, "| {}, {} | {} |", line.work, line.unit, goals(line));
        for who in Contender::ALL {
            let cell = line.cell(who);
            let _ = write!(text, " {} |", shown(&cell));
            for said in [cell.reason.as_deref().unwrap_or_default(), cell.note.trim_end_matches("; ")] {
                if !said.is_empty() {
                    let _ = writeln!(notes, "- {}, {}: {said}", line.work, who.name());
                }
            }
        }
        let _ = writeln!(text, " {} |", ahead(line));
    }
    format!("{text}\n{notes}")
}

/// Median, least and most, and of how many; a dash where there is nothing, with the reason in the notes.
fn shown(cell: &Cell) -> String {
    let Some(median) = cell.median() else {
        return match cell.short {
            0 => "–".into(),
            short => format!("not whole in {short} of {short}"),
        };
    };
    let mut text = number(median);
    if cell.samples.len() > 1 {
        let end = |percent| number(cell.percentile(percent).unwrap_or_default());
        let _ = write!(text, " ({}–{}", end(0.0), end(100.0));
        if cell.samples.len() >= 50 {
            let _ = write!(text, ", p99 {}", end(99.0));
        }
        let _ = write!(text, ", n={})", cell.runs());
    }
    match (cell.short, cell.late) {
        (0, 0) => {}
        (0, late) => text += &format!(", by the first call {} times", cell.runs() - late),
        (short, _) => text += &format!(", not whole {short} times"),
    }
    text
}

fn number(value: f64) -> String {
    match value {
        value if value >= 100.0 => format!("{value:.0}"),
        value if value >= 10.0 => format!("{value:.1}"),
        value => format!("{value:.2}"),
    }
}

/// Each goal, and whether the native link meets it.
fn goals(line: &Line) -> String {
    let cell = line.cell(Contender::Native);
    let one = |goal: &Goal| {
        let (text, value, limit) = match *goal {
            Goal::Median(limit) => (format!("≤ {}", number(limit)), cell.median(), Some(limit)),
            Goal::P99(limit) => (format!("p99 ≤ {}", number(limit)), cell.percentile(99.0), Some(limit)),
            Goal::Max(limit) => (format!("≤ {}", number(limit)), cell.percentile(100.0), Some(limit)),
            Goal::ByFirstCall => ("by the first call".into(), cell.median().map(|_| cell.late as f64), Some(0.0)),
            Goal::AsFastAsMdnsSd => ("≤ mdns-sd".into(), cell.median(), line.cell(Contender::MdnsSd).median()),
        };
        let met = match value.zip(limit) {
            Some((value, limit)) if value <= limit && cell.short == 0 => "met",
            Some(_) => "**missed**",
            None => "not measured",
        };
        format!("{text}: {met}")
    };
    line.goals.iter().map(one).collect::<Vec<_>>().join("; ")
}

fn whole(line: &Line, who: Contender) -> Option<(f64, &'static str)> {
    let cell = line.cell(who);
    cell.median().filter(|_| cell.short == 0).map(|median| (median, who.name()))
}

/// The quickest, or smallest, of the others that came to the whole result.
fn best_other(line: &Line) -> Option<(f64, &'static str)> {
    Contender::ALL[1..].iter().filter_map(|who| whole(line, *who)).min_by(|a, b| a.0.total_cmp(&b.0))
}

/// How many times less the native link takes than the best other.
fn ahead(line: &Line) -> String {
    match (whole(line, Contender::Native), best_other(line)) {
        (Some((own, _)), Some((other, name))) => format!("×{:.1} ({name})", other / own),
        (Some(_), None) => "no other comes to it".into(),
        (None, Some((_, name))) => format!("best: {name}"),
        (None, None) => "–".into(),
    }
}
