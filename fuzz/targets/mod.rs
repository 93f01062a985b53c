//! What is run on the bytes of a fuzzer, and by `tests/fuzz_corpus.rs` on those that were kept.

mod input;
mod repeats;
mod world;

pub mod descriptors;
pub mod handles;
pub mod packets;
pub mod parser;
pub mod seeds;
pub mod sequences;
pub mod txt;

/// Its name, and what runs one input.
pub type Target = (&'static str, fn(&[u8]));

/// Each target by its name.
pub const TARGETS: [Target; 6] = [
    ("descriptors", descriptors::run),
    ("handles", handles::run),
    ("packets", packets::run),
    ("parser", parser::run),
    ("sequences", sequences::run),
    ("txt", txt::run),
];
