#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| dex_auth::fuzzing::flow(text));
