//! A client's bytes against a whole NBD session over a memory disk: every promise of the session is
//! checked, and that it makes no difference how the bytes are cut. The driver is that of the tests.
#![no_main]

#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../lib/nbd/tests/session/client.rs"]
mod client;
#[allow(dead_code, reason = "the tests use more of it")]
#[path = "../../lib/nbd/tests/session/driver.rs"]
mod driver;

libfuzzer_sys::fuzz_target!(|data: &[u8]| driver::fuzz(data));
