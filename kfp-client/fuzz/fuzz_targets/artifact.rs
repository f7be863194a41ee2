#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| kfp_client::fuzzing::artifact(bytes));
