#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| kfp_client::fuzzing::cron(text));
