#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| iapctl_fuzz::intel_hex(bytes));
