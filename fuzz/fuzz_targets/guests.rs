#![no_main]

libfuzzer_sys::fuzz_target!(|bytes: &[u8]| seatpilot_fuzz::guests::hold(bytes));
