#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| iap_protocol_fuzz::image_header(bytes));
