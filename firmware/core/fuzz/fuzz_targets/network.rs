#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| iap_core_fuzz::network(bytes));
