//! Standard output: whole lines, flushed at once, with colour where a person looks.

use std::borrow::Cow;
use std::io::{self, IsTerminal, Write};

use crate::Failure;

/// The colours in use, by their ANSI number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Colour {
    Red = 31,
    Green = 32,
    Yellow = 33,
}

/// Writes `text`, which may be several lines, and hands it on at once.
pub fn line(text: &str) -> Result<(), Failure> {
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{text}").and_then(|()| stdout.flush()).map_err(Failure::system("standard output"))
}

/// Whether colour is wanted: on a terminal, unless `NO_COLOR` is set (no-color.org).
pub fn colourful() -> bool {
    io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// `text` in a colour.
pub fn coloured(text: &str, colour: Colour) -> String {
    format!("\x1b[{}m{text}\x1b[0m", colour as u8)
}

/// Text from the network made harmless to a terminal: control characters and marks that reorder
/// text are written as escapes.
pub fn visible(text: &str) -> Cow<'_, str> {
    let hidden = |c: char| {
        c.is_control() || matches!(c, '\u{200e}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
    };
    if !text.contains(hidden) {
        return Cow::Borrowed(text);
    }
    let escaped = |c: char| match hidden(c) {
        true => c.escape_default().collect::<String>(),
        false => c.to_string(),
    };
    Cow::Owned(text.chars().map(escaped).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_could_steer_a_terminal_is_shown_as_an_escape() {
        assert_eq!(visible("plain \u{1f600} text"), "plain \u{1f600} text");
        assert_eq!(visible("\x1b[2Jgone\n\u{202e}x"), "\\u{1b}[2Jgone\\n\\u{202e}x");
    }

    #[test]
    fn a_colour_ends_where_its_text_ends() {
        assert_eq!(coloured("+", Colour::Green), "\x1b[32m+\x1b[0m");
    }
}
