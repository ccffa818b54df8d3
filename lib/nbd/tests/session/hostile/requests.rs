//! Requests that are cut off or refused, and how that is said.

use nbd::Settings;

use super::{HELLO, STRUCTURED, WORKS_ON, attach, cases};
use crate::driver::SMALL;
use crate::transcript::check;

#[test]
fn transmission_is_cut_off() {
    let table = [
        (
            "wrong magic",
            "C: 25609514 0000 0000 0000000000000001 0000000000000000 00000001\nX: request starts with 0x25609514 instead of its magic number",
        ),
        (
            "an option in the transmission phase",
            "C: 'IHAVEOPT' 00000003 00000000 00*12\nX: request starts with 0x49484156 instead of its magic number",
        ),
        //= NBD#block-size-constraints
        //# MAY initiate a hard disconnect if the payload would be a denial of service attack
        (
            "payload that nobody would skip",
            "C: 25609513 0000 0001 0000000000000001 0000000000000000 ffffffff\nX: write payload of 4294967295 bytes",
        ),
        (
            "payload just above the limit",
            "C: 25609513 0000 0001 0000000000000001 0000000000000000 00018001\nX: write payload of 98305 bytes",
        ),
        (
            "goodbye with a range, flags and more behind it",
            "C: 25609513 ffff 0002 0000000000000001 0000000000000001 00000001 'more'\nD: disconnect",
        ),
    ];
    cases(&attach("disk", "096d"), "", &table);
}

const PERMISSION: u32 = 1;

const INVALID: u32 = 22;

const SPACE: u32 = 28;

/// Requests on an export with these transmission flags: each is answered by the session with this
/// error, after which the session works on.
fn refused(export: &str, flags: &str, table: &[(&str, &str, u32)]) {
    for (clause, request, error) in table {
        let script = format!("C: 25609513 {request}\nS: 67446698 {error:08x} 0000000000000001");
        cases(&attach(export, flags), WORKS_ON, &[(clause, &script)]);
    }
}

#[test]
fn commands_and_flags_that_are_refused() {
    let table = [
        //= NBD#error-values
        //# SHOULD return NBD_EINVAL if it receives an unknown command
        ("unknown command", "0000 0008 0000000000000001 0000000000000000 00000001", INVALID),
        ("highest command", "0000 ffff 0000000000000001 0000000000000000 ffffffff", INVALID),
        ("CACHE, not advertised", "0000 0005 0000000000000001 0000000000000000 00000001", INVALID),
        //= NBD#error-values
        //# SHOULD return NBD_EINVAL if it receives an unknown command flag
        ("unknown flag on READ", "8000 0000 0000000000000001 0000000000000000 00000001", INVALID),
        ("PAYLOAD_LEN, not negotiated", "0020 0001 0000000000000001 0000000000000000 00000002 'ab'", INVALID),
        //= NBD#error-values
        //# SHOULD return NBD_EINVAL if it receives a flag not documented as applicable to the request
        ("NO_HOLE on WRITE", "0002 0001 0000000000000001 0000000000000000 00000002 'ab'", INVALID),
        ("REQ_ONE on TRIM", "0008 0004 0000000000000001 0000000000000000 00000001", INVALID),
        ("FAST_ZERO on FLUSH", "0010 0003 0000000000000001 0000000000000000 00000000", INVALID),
        ("DF without structured replies", "0004 0000 0000000000000001 0000000000000000 00000001", INVALID),
        //= NBD#metadata-querying
        //# SHOULD reply with NBD_EINVAL without selecting at least one metadata context
        ("BLOCK_STATUS, not selected", "0000 0007 0000000000000001 0000000000000000 00000001", INVALID),
        //= NBD#request-types
        //# For a flush request, length and offset are reserved, and MUST be set to all-zero
        ("FLUSH with a length", "0000 0003 0000000000000001 0000000000000000 00000001", INVALID),
        ("FLUSH with an offset", "0000 0003 0000000000000001 0000000000000001 00000000", INVALID),
    ];
    refused("disk", "096d", &table);
}

#[test]
fn ranges_that_are_refused() {
    let table = [
        //= NBD#error-values
        //# SHOULD return NBD_EINVAL if it receives a read or trim request beyond the size of the device
        ("READ across the end", "0000 0000 0000000000000001 000000000003ffff 00000002", INVALID),
        ("READ of nothing beyond the end", "0000 0000 0000000000000001 0000000000040001 00000000", INVALID),
        ("READ beyond all numbers", "0000 0000 0000000000000001 ffffffffffffffff 00000001", INVALID),
        ("TRIM across the end", "0000 0004 0000000000000001 0000000000000000 00040001", INVALID),
        ("TRIM of the longest kind", "0000 0004 0000000000000001 0000000000000000 ffffffff", INVALID),
        //= NBD#error-values
        //# SHOULD return NBD_ENOSPC if it receives a write request beyond the size of the device
        ("WRITE across the end", "0000 0001 0000000000000001 000000000003ffff 00000002 'ab'", SPACE),
        ("WRITE beyond all numbers", "0000 0001 0000000000000001 ffffffffffffffff 00000002 'ab'", SPACE),
        ("WRITE_ZEROES across the end", "0000 0006 0000000000000001 0000000000000001 00040000", SPACE),
        ("WRITE_ZEROES of the longest kind", "0000 0006 0000000000000001 0000000000000000 ffffffff", SPACE),
        //= NBD#block-size-constraints
        //# SHOULD report an NBD_EINVAL error if larger than the advertised maximum block size
        ("READ too long", "0000 0000 0000000000000001 0000000000000000 00010001", INVALID),
        ("READ far too long", "0000 0000 0000000000000001 0000000000000000 ffffffff", INVALID),
        ("WRITE too long", "0000 0001 0000000000000001 0000000000000000 00010001 ff*65537", INVALID),
        ("WRITE, longest skipped", "0000 0001 0000000000000001 0000000000000000 00018000 ff*98304", INVALID),
        //= NBD#request-types
        //# a length of 0 is unspecified although the server SHOULD NOT disconnect
        ("READ of nothing", "0000 0000 0000000000000001 0000000000040000 00000000", 0),
        ("WRITE of nothing", "0001 0001 0000000000000001 0000000000000000 00000000", 0),
        ("TRIM of nothing", "0000 0004 0000000000000001 0000000000000000 00000000", 0),
        ("WRITE_ZEROES of nothing", "0000 0006 0000000000000001 0000000000000000 00000000", 0),
    ];
    refused("disk", "096d", &table);
}

#[test]
fn exports_refuse_what_they_do_not_offer() {
    //= NBD#error-values
    //# SHOULD return NBD_EPERM if it receives a write or trim request on a read-only export
    let readonly = [
        ("WRITE", "0000 0001 0000000000000001 0000000000000000 00000002 'ab'", PERMISSION),
        ("WRITE of nothing", "0000 0001 0000000000000001 0000000000000000 00000000", PERMISSION),
        ("TRIM", "0000 0004 0000000000000001 0000000000000000 00000001", PERMISSION),
        ("WRITE_ZEROES", "0001 0006 0000000000000001 0000000000000000 00000001", PERMISSION),
    ];
    //= NBD#block-size-constraints
    //# SHOULD report NBD_EINVAL if not aligned to advertised minimum block size boundaries
    let blocks = [
        ("offset of READ", "0000 0000 0000000000000001 0000000000000200 00001000", INVALID),
        ("length of READ", "0000 0000 0000000000000001 0000000000000000 00000200", INVALID),
        ("length of WRITE", "0000 0001 0000000000000001 0000000000001000 00000200 ff*512", INVALID),
        ("offset of TRIM", "0000 0004 0000000000000001 0000000000000200 00001000", INVALID),
        ("length of WRITE_ZEROES", "0000 0006 0000000000000001 0000000000000000 00001001", INVALID),
    ];
    //= NBD#transmission-flags
    //# The client MUST NOT use a feature documented as exposed by a flag unless that flag was set
    let plain = [
        ("FLUSH", "0000 0003 0000000000000001 0000000000000000 00000000", INVALID),
        ("TRIM", "0000 0004 0000000000000001 0000000000000000 00000001", INVALID),
        ("WRITE_ZEROES", "0000 0006 0000000000000001 0000000000000000 00000001", INVALID),
        ("FUA", "0001 0001 0000000000000001 0000000000000000 00000002 'ab'", INVALID),
    ];
    //= NBD#request-types
    //# SHOULD fail with NBD_EINVAL if the NBD_CMD_FLAG_FAST_ZERO flag was set and not advertised
    let slow = [("FAST_ZERO", "0010 0006 0000000000000001 0000000000000000 00001000", INVALID)];
    refused("readonly", "096f", &readonly);
    refused("blocks", "096d", &blocks);
    refused("plain", "0001", &plain);
    refused("slow", "016d", &slow);
    //= NBD#transmission-flags
    //# NBD_FLAG_SEND_FAST_ZERO: MUST be 0 if NBD_FLAG_SEND_WRITE_ZEROES is not set
    refused("zeroless", "012d", &slow);
}

/// The maximum block size is about payloads.
#[test]
fn commands_without_payload_take_any_length() {
    let script = "
C: 25609513 0000 0004 0000000000000001 0000000000000000 00040000
D: trim 0+262144
S: 67446698 00000000 0000000000000001
C: 25609513 0002 0006 0000000000000002 0000000000000000 00040000
D: zero 0+262144 no-hole
S: 67446698 00000000 0000000000000002
";
    cases(&attach("disk", "096d"), WORKS_ON, &[("longer than the maximum block size", script)]);
}

//= NBD#block-size-constraints
//# maximum: MUST be either an integer multiple of the minimum block size or 0xffffffff
#[test]
fn maximum_block_size_is_a_multiple_of_the_minimum() {
    let settings = Settings { payload_bytes_max: (64 << 10) + 4095, ..SMALL };
    check(
        settings,
        &format!(
            "{HELLO}
C: 'IHAVEOPT' 00000007 0000000c  00000006 'blocks' 0000
D: find \"blocks\" to Attach
S: 0003e889045565a9 00000007 00000003 0000000c  0000 0000000000040000 096d
S: 0003e889045565a9 00000007 00000003 0000000e  0003 00001000 00002000 00010000
S: 0003e889045565a9 00000007 00000001 00000000
"
        ),
    );
}

//= NBD#structured-reply-chunk-message
//# MUST NOT use a simple reply for NBD_CMD_READ (even for an early NBD_EINVAL due to bad flags)
#[test]
fn refusals_are_structured_once_that_is_negotiated() {
    let before = format!(
        "{STRUCTURED}
C: 'IHAVEOPT' 0000000a 0000001f  00000004 'disk' 00000001  0000000f 'base:allocation'
D: find \"disk\" to Describe
S: 0003e889045565a9 0000000a 00000004 00000013  00000001 'base:allocation'
S: 0003e889045565a9 0000000a 00000001 00000000
C: 'IHAVEOPT' 00000001 00000004 'disk'
D: find \"disk\" to Attach
S: 0000000000040000 09ed
"
    );
    let after = "
C: 25609513 0001 0003 00000000000000ff 0000000000000000 00000000   # FUA is valid for all commands
D: flush
S: 67446698 00000000 00000000000000ff
";
    let table = [
        (
            "READ with a bad flag",
            "C: 25609513 0100 0000 0000000000000001 0000000000000000 00000001
S: 668e33ef 0001 8001 0000000000000001 0000003b 00000016 0035 'flag unknown, not negotiated, or not for this command'",
        ),
        (
            "READ of nothing",
            "C: 25609513 0000 0000 0000000000000001 0000000000000000 00000000
S: 668e33ef 0001 0000 0000000000000001 00000000",
        ),
        (
            "BLOCK_STATUS of nothing",
            "C: 25609513 0000 0007 0000000000000001 0000000000000000 00000000
S: 668e33ef 0001 8001 0000000000000001 00000017 00000016 0011 'status of nothing'",
        ),
        (
            "WRITE beyond the end",
            "C: 25609513 0000 0001 0000000000000001 0000000000040000 00000001 'a'
S: 668e33ef 0001 8001 0000000000000001 00000022 0000001c 001c 'beyond the end of the export'",
        ),
    ];
    cases(&before, after, &table);
}
