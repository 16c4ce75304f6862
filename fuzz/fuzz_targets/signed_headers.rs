#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| seatpilot_fuzz::signed_headers::hold(bytes));
