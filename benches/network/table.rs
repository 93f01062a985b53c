//! The table in Markdown.

use std::fmt::Write;

use crate::contender::Contender;
use crate::line::{Cell, Goal, Line};

/// The whole page: what stands above, the table, and what is to be said of its cells.
pub fn page(head: &str, files: &[String]) -> String {
    let read = |file: &String| -> Vec<Line> {
        let text = std::fs::read_to_string(file).unwrap_or_else(|error| panic!("{file}: {error}"));
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("{file}: {error}"))
    };
    let all: Vec<Line> = files.iter().flat_map(read).collect();
    format!("{head}\n\n{}", lines(&all))
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
            Goal::AsFastAsMdnsSd => ("≤ mdns-sd".into(), cell.median(), line.cell(Contender::MdnsSd).median()),
        };
        let met = match value.zip(limit) {
            Some((value, limit)) if value <= limit && cell.short + cell.late == 0 => "met",
            Some(_) => "**missed**",
            None => "not measured",
        };
        format!("{text}: {met}")
    };
    line.goals.iter().map(one).collect::<Vec<_>>().join("; ")
}

/// How many times less the native link takes than the best other that came to the whole result.
fn ahead(line: &Line) -> String {
    let whole = |who: &Contender| {
        let cell = line.cell(*who);
        cell.median().filter(|_| cell.short == 0).map(|median| (median, who.name()))
    };
    let best = Contender::ALL[1..].iter().filter_map(whole).min_by(|a, b| a.0.total_cmp(&b.0));
    match (whole(&Contender::Native), best) {
        (Some((own, _)), Some((other, name))) => format!("×{:.1} ({name})", other / own),
        (Some(_), None) => "no other comes to it".into(),
        (None, Some((_, name))) => format!("best: {name}"),
        (None, None) => "–".into(),
    }
}
