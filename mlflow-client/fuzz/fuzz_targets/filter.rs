#![no_main]

libfuzzer_sys::fuzz_target!(|text: &str| mlflow_client::fuzzing::filter(text));
