//! What is run on the bytes of a fuzzer, and by `tests/fuzz_corpus.rs` on those that were kept.

mod input;
mod world;

pub mod descriptors;
pub mod packets;
pub mod sequences;
pub mod txt;
