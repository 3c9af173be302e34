//! Fuzz target; what it asserts is in `src/`.
#![no_main]

libfuzzer_sys::fuzz_target!(|data: &[u8]| godwit_test_fuzz::jmap::request(data));
