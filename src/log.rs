//! What the library says of itself, handed to one function. Without it nothing is said anywhere.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU8, Ordering};
use std::sync::OnceLock;

use tracing::field::{Field, Visit};
use tracing::span;
use tracing::subscriber::{Interest, Subscriber};
use tracing::{Level, Metadata};

use crate::error::{Error, Result};

/// Is told a line: how talkative it is (1 for errors to 5 for traces), the module that says it, the text.
/// On any thread, on several at once.
pub type Sink = fn(u8, &'static str, String);

static LIMIT: AtomicU8 = AtomicU8::new(0);

/// From now on every line of this process that [`limit`] lets pass goes to `sink`. For the life of the
/// process: a later call keeps the first sink.
///
/// # Errors
/// `UNSUPPORTED` if the program has a tracing subscriber of its own.
pub fn forward(sink: Sink) -> Result<()> {
    static INSTALLED: OnceLock<bool> = OnceLock::new();
    if *INSTALLED.get_or_init(|| tracing::subscriber::set_global_default(Forward(sink)).is_ok()) {
        return Ok(());
    }
    let why = "this program has a tracing subscriber of its own, which gets the library's events";
    Err(Error::Unsupported { what: "a log of the library's own".into(), why })
}

/// The most talkative line that passes; 0, as at first, for none.
pub fn limit(talk: u8) {
    LIMIT.store(talk, Ordering::Relaxed);
}

fn talk(level: Level) -> u8 {
    match level {
        Level::ERROR => 1,
        Level::WARN => 2,
        Level::INFO => 3,
        Level::DEBUG => 4,
        Level::TRACE => 5,
    }
}

struct Forward(Sink);

impl Subscriber for Forward {
    fn register_callsite(&self, metadata: &'static Metadata<'static>) -> Interest {
        match metadata.is_event() && metadata.target().starts_with(env!("CARGO_CRATE_NAME")) {
            true => Interest::sometimes(),
            false => Interest::never(),
        }
    }

    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        talk(*metadata.level()) <= LIMIT.load(Ordering::Relaxed)
    }

    fn event(&self, event: &tracing::Event<'_>) {
        let mut line = Line::default();
        event.record(&mut line);
        (self.0)(talk(*event.metadata().level()), event.metadata().target(), line.0);
    }

    fn new_span(&self, _: &span::Attributes<'_>) -> span::Id {
        span::Id::from_u64(1)
    }

    fn record(&self, _: &span::Id, _: &span::Record<'_>) {}
    fn record_follows_from(&self, _: &span::Id, _: &span::Id) {}
    fn enter(&self, _: &span::Id) {}
    fn exit(&self, _: &span::Id) {}
}

/// The message, then `key=value` of every other field.
#[derive(Default)]
struct Line(String);

impl Visit for Line {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let space = if self.0.is_empty() { "" } else { " " };
        // Writing to a String does not fail; a Debug of ours that fails loses its own text.
        let _ = match field.name() {
            "message" => write!(self.0, "{space}{value:?}"),
            name => write!(self.0, "{space}{name}={value:?}"),
        };
    }
}
