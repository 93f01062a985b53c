#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| mdns_registry_fuzz::parser::run(data));
