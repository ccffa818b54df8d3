//! Bytes from anybody against every decoder of what lies on disks and comes by wire: none panics. The driver is
//! that of the tests.
#![no_main]

#[path = "../../core/formats/tests/hostile/decoders.rs"]
mod decoders;

libfuzzer_sys::fuzz_target!(|data: &[u8]| decoders::decode_all(data));
