//! What clients must not do: a case for each clause. The cases say what is answered and whether the
//! session goes on, which a harmless message behind each refusal proves.

use nbd::{Fatal, Item, Listing, Purpose, Refusal, Session, Settings};

use crate::client::{self, Client};
use crate::driver::{Driver, Event, SMALL};
use crate::transcript::{bytes, check};

/// A greeted client.
const HELLO: &str = "
S: 'NBDMAGIC' 'IHAVEOPT' 0003
C: 00000003
";

/// The same with structured replies.
const STRUCTURED: &str = "
S: 'NBDMAGIC' 'IHAVEOPT' 0003
C: 00000003
C: 'IHAVEOPT' 00000008 00000000
S: 0003e889045565a9 00000008 00000001 00000000
";

/// The session goes on: an option is answered.
const GOES_ON: &str = "
C: 'IHAVEOPT' 00000008 00000000
S: 0003e889045565a9 00000008 00000001 00000000
";

/// The session goes on: a request is carried out.
const WORKS_ON: &str = "
C: 25609513 0000 0000 00000000000000ff 0000000000000000 00001000
D: read 0+4096
S: 67446698 00000000 00000000000000ff 00*4096
";

fn attach(name: &str, flags: &str) -> String {
    let length = name.len();
    format!(
        "{HELLO}
C: 'IHAVEOPT' 00000001 {length:08x} '{name}'
D: find \"{name}\" to Attach
S: 0000000000040000 {flags}
"
    )
}

fn cases(before: &str, after: &str, cases: &[(&str, &str)]) {
    for (clause, script) in cases {
        check(SMALL, &format!("# {clause}\n{before}{script}{after}"));
    }
}

#[test]
fn handshake_is_cut_off() {
    let start = "
S: 'NBDMAGIC' 'IHAVEOPT' 0003
";
    let table = [
        //= NBD#client-flags
        //# MUST drop the TCP connection if the client sets an unknown flag
        ("unknown flag", "C: 00000004\nX: unknown client flags in 0x00000004"),
        ("unknown flags", "C: ffffffff\nX: unknown client flags in 0xffffffff"),
        (
            "wrong magic of an option",
            "C: 00000003 'IHAVEOPR' 00000003 00000000\nX: option starts with 0x49484156454f5052 instead of its magic number",
        ),
        (
            "magic of another answer",
            "C: 00000003 0003e889045565a9 00000003 00000000\nX: option starts with 0x0003e889045565a9 instead of its magic number",
        ),
        (
            "option data that nobody would skip",
            "C: 00000003 'IHAVEOPT' 00000099 ffffffff\nX: option data of 4294967295 bytes",
        ),
        (
            "option data just above the limit",
            "C: 00000003 'IHAVEOPT' 00000099 00018001\nX: option data of 98305 bytes",
        ),
        //= NBD#option-types
        //# If the chosen export does not exist, the server MUST terminate the session
        (
            "export name unknown",
            "C: 00000003 'IHAVEOPT' 00000001 00000004 'none'\nD: find \"none\" to Attach\nX: export refused: Unknown",
        ),
        (
            "export name refused",
            "C: 00000003 'IHAVEOPT' 00000001 00000006 'secret'\nD: find \"secret\" to Attach\nX: export refused: Policy",
        ),
        //= NBD#conventions
        //# MUST be no longer than 4096 bytes
        (
            "export name too long",
            "C: 00000003 'IHAVEOPT' 00000001 00001001\nX: export name is too long, not UTF-8, or has a NUL",
        ),
        (
            "export name not UTF-8",
            "C: 00000003 'IHAVEOPT' 00000001 00000002 c328\nX: export name is too long, not UTF-8, or has a NUL",
        ),
        //= NBD#conventions
        //# MUST NOT contain NUL characters
        (
            "export name with NUL",
            "C: 00000003 'IHAVEOPT' 00000001 00000003 'a' 00 'b'\nX: export name is too long, not UTF-8, or has a NUL",
        ),
    ];
    cases(start, "", &table);
}

#[test]
fn options_that_are_refused() {
    let unknown = "'unknown option'";
    let table = [
        //= NBD#baseline
        //# MUST reply with NBD_REP_ERR_UNSUP, and MUST NOT fail to parse the next message
        ("unknown", format!("C: 'IHAVEOPT' 00000099 00000000\nS: 0003e889045565a9 00000099 80000001 0000000e {unknown}")),
        ("unknown, with data", format!("C: 'IHAVEOPT' ffffffff 00000005 'IHAVE'\nS: 0003e889045565a9 ffffffff 80000001 0000000e {unknown}")),
        ("unknown, with the most data that is skipped", format!("C: 'IHAVEOPT' 00000099 00018000 00*98304\nS: 0003e889045565a9 00000099 80000001 0000000e {unknown}")),
        ("withdrawn PEEK_EXPORT", format!("C: 'IHAVEOPT' 00000004 00000000\nS: 0003e889045565a9 00000004 80000001 0000000e {unknown}")),
        ("option 0", format!("C: 'IHAVEOPT' 00000000 00000000\nS: 0003e889045565a9 00000000 80000001 0000000e {unknown}")),
        ("extended headers", format!("C: 'IHAVEOPT' 0000000b 00000000\nS: 0003e889045565a9 0000000b 80000001 0000000e {unknown}")),
        //= NBD#notls-mode
        //# If the server receives NBD_OPT_STARTTLS it MUST respond with NBD_REP_ERR_UNSUP
        ("STARTTLS", format!("C: 'IHAVEOPT' 00000005 00000000\nS: 0003e889045565a9 00000005 80000001 0000000e {unknown}")),
        ("STARTTLS with data", format!("C: 'IHAVEOPT' 00000005 00000001 00\nS: 0003e889045565a9 00000005 80000001 0000000e {unknown}")),
        //= NBD#option-types
        //# SHOULD reject a request that includes data with NBD_REP_ERR_INVALID
        ("LIST with data", invalid(3, "this option has no data", "00000001 00")),
        ("STRUCTURED_REPLY with data", invalid(8, "this option has no data", "00000002 0000")),
        //= NBD#option-types
        //# This option MUST NOT be requested unless structured replies have been negotiated first
        ("SET_META_CONTEXT first", invalid(10, "negotiate structured replies first", "0000000c 00000004 'disk' 00000000")),
        ("LIST_META_CONTEXT first", invalid(9, "negotiate structured replies first", "0000000c 00000004 'disk' 00000000")),
        //= NBD#option-reply-types
        //# NBD_REP_ERR_TOO_BIG: The request or the reply is too large to process
        ("INFO with too much data", "C: 'IHAVEOPT' 00000006 00003001 00*12289\nS: 0003e889045565a9 00000006 80000009 0000000d 'too much data'".into()),
        ("INFO with the most data", invalid(6, "malformed option data", "00003000 00*12288")),
        //= NBD#option-types
        //# NBD_REP_ERR_UNKNOWN: The chosen export does not exist on this server
        ("INFO about nothing", "C: 'IHAVEOPT' 00000006 0000000a 00000004 'none' 0000\nD: find \"none\" to Describe\nS: 0003e889045565a9 00000006 80000006 0000000e 'no such export'".into()),
        ("GO to nothing", "C: 'IHAVEOPT' 00000007 0000000a 00000004 'none' 0000\nD: find \"none\" to Attach\nS: 0003e889045565a9 00000007 80000006 0000000e 'no such export'".into()),
        ("GO to what is forbidden", "C: 'IHAVEOPT' 00000007 0000000c 00000006 'secret' 0000\nD: find \"secret\" to Attach\nS: 0003e889045565a9 00000007 80000002 0000000d 'not permitted'".into()),
    ];
    for (clause, script) in &table {
        cases(HELLO, GOES_ON, &[(clause, script)]);
    }
}

/// `NBD_REP_ERR_INVALID` with its words, for an option with this length and data.
fn invalid(option: u32, words: &str, data: &str) -> String {
    let length = words.len();
    format!(
        "C: 'IHAVEOPT' {option:08x} {data}\nS: 0003e889045565a9 {option:08x} 80000003 {length:08x} '{words}'"
    )
}

//= NBD#option-types
//# If syntactically invalid, the server MUST fail the request with NBD_REP_ERR_INVALID
#[test]
fn option_data_that_is_malformed() {
    let info = [
        ("no data", "00000000"),
        ("half a name length", "00000002 0000"),
        ("name longer than the data", "0000000a 00000005 'disk' 0000"),
        ("name longer than any memory", "0000000a ffffffff 'disk' 0000"),
        ("no count of requests", "00000008 00000004 'disk'"),
        ("fewer requests than counted", "0000000c 00000004 'disk' 0002 0003"),
        ("more requests than counted", "0000000e 00000004 'disk' 0001 0003 0001"),
        ("half a request", "0000000b 00000004 'disk' 0001 00"),
        ("name not UTF-8", "00000008 00000002 ff41 0000"),
        ("name with NUL", "00000008 00000002 4100 0000"),
        ("name of 4097 bytes", "00001007 00001001 41*4097 0000"),
    ];
    let contexts = [
        ("no data", "00000000"),
        ("name longer than the data", "0000000c 00000009 'disk' 00000000"),
        ("no count of queries", "00000008 00000004 'disk'"),
        ("fewer queries than counted", "00000010 00000004 'disk' 00000002 00000000"),
        ("queries counted without end", "0000000c 00000004 'disk' ffffffff"),
        ("more than the queries counted", "00000010 00000004 'disk' 00000000 00000000"),
        ("query longer than the data", "00000013 00000004 'disk' 00000001 00000004 'x:y'"),
        ("query not UTF-8", "00000011 00000004 'disk' 00000001 00000001 ff"),
        ("query with NUL", "00000011 00000004 'disk' 00000001 00000001 00"),
        ("query of 4097 bytes", "00001011 00000004 'disk' 00000001 00001001 3a*4097"),
        ("name not UTF-8", "0000000a 00000002 ff41 00000000"),
    ];
    for (clause, data) in info {
        for option in [6, 7] {
            cases(HELLO, GOES_ON, &[(clause, &invalid(option, "malformed option data", data))]);
        }
    }
    for (clause, data) in contexts {
        for option in [9, 10] {
            cases(STRUCTURED, GOES_ON, &[(clause, &invalid(option, "malformed option data", data))]);
        }
    }
}

/// Names of just the longest length are fine, in every option that has one.
#[test]
fn longest_names_are_looked_up() {
    let name = "n".repeat(4096);
    let asks = [
        (client::OPT_INFO, "Describe"),
        (client::OPT_GO, "Attach"),
        (client::OPT_EXPORT_NAME, "Attach"),
        (client::OPT_LIST_META_CONTEXT, "Describe"),
        (client::OPT_SET_META_CONTEXT, "Describe"),
    ];
    for (option, purpose) in asks {
        let client = Client::modern().option(client::OPT_STRUCTURED_REPLY, &[]);
        let client = match option {
            client::OPT_EXPORT_NAME => client.option(option, name.as_bytes()),
            client::OPT_INFO | client::OPT_GO => client.export(option, &name, &[0, 1, 2, 3]),
            _ => client.contexts(option, &name, &["base:allocation", &"q".repeat(4096)]),
        };
        let events = Driver::run(SMALL, [&client.sends[..]]);
        assert_eq!(events[2], Event::Did(format!("find {name:?} to {purpose}")), "option {option}");
    }
}

//= NBD#metadata-querying
//# MUST NOT use NBD_CMD_BLOCK_STATUS unless it selected a context and used the same export name
#[test]
fn block_status_needs_the_context_of_this_export() {
    let set = |name: &str, queries: &[&str]| {
        Client::modern().option(client::OPT_STRUCTURED_REPLY, &[]).contexts(
            client::OPT_SET_META_CONTEXT,
            name,
            queries,
        )
    };
    let good = || set("disk", &["base:allocation"]);
    let table = [
        ("selected", good(), "disk", true),
        (
            "selected among others",
            set("disk", &["x-y:z", "base:", "nocolon", "base:allocation"]),
            "disk",
            true,
        ),
        ("listed in between", good().contexts(client::OPT_LIST_META_CONTEXT, "disk", &[]), "disk", true),
        ("only asked for wildcard", set("disk", &["base:"]), "disk", false),
        ("only asked for the unknown", set("disk", &["base:other", "qemu:dirty-bitmap:a"]), "disk", false),
        ("nothing asked", set("disk", &[]), "disk", false),
        ("export without block status", set("plain", &["base:allocation"]), "plain", false),
        ("another name", good(), "readonly", false),
        ("another name for the same", good(), "", false),
        (
            "replaced by another name",
            good().contexts(client::OPT_SET_META_CONTEXT, "readonly", &["base:allocation"]),
            "disk",
            false,
        ),
        ("replaced by nothing", good().contexts(client::OPT_SET_META_CONTEXT, "disk", &[]), "disk", false),
        (
            "replaced by a failure",
            good().contexts(client::OPT_SET_META_CONTEXT, "none", &["base:allocation"]),
            "disk",
            false,
        ),
        ("replaced by garbage", good().option(client::OPT_SET_META_CONTEXT, b"x"), "disk", false),
        ("replaced by too much", good().option(client::OPT_SET_META_CONTEXT, &[0; 12289]), "disk", false),
    ];
    for (clause, client, name, works) in table {
        let client = client.export(client::OPT_GO, name, &[]).request(0, client::CMD_BLOCK_STATUS, 1, 0, 512);
        let events = Driver::run(SMALL, [&client.sends[..]]);
        assert_eq!(events.contains(&Event::Did("status 0+512".into())), works, "{clause}");
        let Some(Event::Sent(reply)) = events.last() else { panic!("{clause}: {events:?}") };
        let error = (!works).then_some([0, 0, 0, 22]);
        assert_eq!(error.is_some(), reply[6..8] == [0x80, 1], "{clause}: {reply:?}");
        assert!(error.is_none_or(|error| reply[20..24] == error), "{clause}: {reply:?}");
    }
}

#[test]
fn haggling_without_end() {
    let client = (0..SMALL.options_max)
        .fold(Client::modern(), |client, _| client.option(client::OPT_STRUCTURED_REPLY, &[]));
    let sent = |events: &[Event]| events.iter().filter(|event| matches!(event, Event::Sent(_))).count();
    let most = Driver::run(SMALL, [&client.sends[..]]);
    assert_eq!(sent(&most), 1 + SMALL.options_max as usize);
    let over = Driver::run(SMALL, [&client.option(client::OPT_ABORT, &[]).sends[..]]);
    assert_eq!(over.last(), Some(&Event::Ended(Fatal::OptionsTooMany)));
}

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

/// A message that never becomes whole is waited for, and nothing is done or said meanwhile.
#[test]
fn half_messages() {
    let client = Client::attached("disk").write(0, 1, 0, b"payload").request(0, client::CMD_READ, 2, 0, 7);
    let whole = Driver::run(SMALL, [&client.sends[..]]);
    for cut in 0..client.sends.len() {
        let events = Driver::run(SMALL, [&client.sends[..cut]]);
        assert!(events.len() < whole.len(), "{cut} bytes cannot do all");
        assert_eq!(events, whole[..events.len()], "{cut} bytes");
    }
}

/// What is refused for its length is thrown away as it comes, never kept.
#[test]
fn skipped_bytes_are_not_held() {
    let mut driver = Driver::new(Settings::DEFAULT);
    driver.receive(&Client::attached("disk").request(0, client::CMD_WRITE, 1, 0, 64 << 20).sends);
    let before = driver.events.len();
    let piece = vec![0xff; 1 << 20];
    for _ in 0..63 {
        driver.receive(&piece);
        assert_eq!((driver.session.wants(), driver.events.len()), (1, before));
    }
    driver.receive(&piece);
    assert_eq!((driver.session.wants(), driver.events.len()), (28, before + 1));
}

/// Until a question is answered nothing is read, though there is more.
#[test]
fn questions_are_answered_first() {
    let client = Client::modern().option(client::OPT_LIST, &[]).export(client::OPT_GO, "disk", &[]);
    let mut input = client.sends.into();
    let mut session = Session::new(Settings::DEFAULT);
    assert!(matches!(session.next(&mut input), Ok(Some(Item::Send(_)))));
    assert_eq!(session.next(&mut input), Ok(Some(Item::ListExports)));
    assert_eq!((session.next(&mut input), session.wants(), input.len()), (Ok(None), 0, 26));
    let listing = Listing { name: "disk", description: "" };
    assert_eq!(session.provide_exports(Ok(&[listing])).len(), 20 + 8 + 20);
    let question = Item::FindExport { name: "disk".into(), purpose: Purpose::Attach };
    assert_eq!(session.next(&mut input), Ok(Some(question)));
    assert_eq!((session.next(&mut input), session.wants()), (Ok(None), 0));
    let refusal = session.provide_export(Err(Refusal::Unknown)).expect("GO has an error reply");
    assert_eq!(refusal, bytes("0003e889045565a9 00000007 80000006 0000000e 'no such export'"));
    assert_eq!((session.next(&mut input), session.wants()), (Ok(None), 16));
}

//= NBD#option-types
//# syntactically valid, but server-side policy forbids the server to allow the option
//= NBD#conventions
//# MUST be no longer than 4096 bytes
#[test]
fn what_is_there_but_cannot_be_served_says_why() {
    for (why, said) in [("its log is damaged".to_owned(), 18_usize), ("\u{fc}".repeat(3000), 4096)] {
        let mut input = Client::modern().export(client::OPT_GO, "disk", &[]).sends.into();
        let mut session = Session::new(Settings::DEFAULT);
        assert!(matches!(session.next(&mut input), Ok(Some(Item::Send(_)))));
        assert!(matches!(session.next(&mut input), Ok(Some(Item::FindExport { .. }))));
        let refusal = session.provide_export(Err(Refusal::Unavailable(why.clone()))).expect("GO may fail");
        assert_eq!(refusal[8..16], bytes("00000007 80000002")[..], "a reply to GO, of the kind ERR_POLICY");
        assert_eq!(refusal[20..], why.as_bytes()[..said]);
        assert_eq!((session.next(&mut input), session.wants()), (Ok(None), 16), "it may ask for another");
    }
}

//= NBD#termination-of-the-session-during-option-haggling
//# SHOULD error further options (other than an NBD_OPT_ABORT) with NBD_REP_ERR_SHUTDOWN
//= NBD#terminating-the-transmission-phase
//# any subsequently received requests SHOULD be NBD_ESHUTDOWN
#[test]
fn shutting_down() {
    let words = "S: 0003e889045565a9 00000006 80000007 0000001b 'the server is shutting down'";
    let ack = "S: 0003e889045565a9 00000002 00000001 00000000";
    let last = |driver: &Driver| driver.events.last().cloned();
    let sent = |line: &str| Some(Event::Sent(bytes(line.trim_start_matches("S: ")).into()));

    let mut driver = Driver::new(SMALL);
    driver.receive(&Client::modern().sends);
    driver.session.shut_down();
    driver.receive(&Client::default().export(client::OPT_INFO, "disk", &[1]).sends);
    assert_eq!(last(&driver), sent(words));
    let mut old = Driver::new(SMALL);
    old.receive(&Client::modern().sends);
    old.session.shut_down();
    old.receive(&Client::default().option(client::OPT_EXPORT_NAME, b"disk").sends);
    assert_eq!(last(&old), Some(Event::Ended(Fatal::ExportRefused(Refusal::Shutdown))));
    driver.receive(&Client::default().option(client::OPT_ABORT, &[]).sends);
    assert_eq!(
        driver.events[driver.events.len() - 2..],
        [sent(ack).expect("sent"), Event::Did("disconnect".into())]
    );

    let mut driver = Driver::new(SMALL);
    driver.receive(&Client::modern().option(client::OPT_EXPORT_NAME, b"disk").sends);
    driver.receive(&Client::default().request(0, client::CMD_WRITE, 1, 0, 4).raw(b"in").sends);
    driver.session.shut_down();
    driver.receive(b"it");
    assert_eq!(last(&driver), sent("67446698 00000000 0000000000000001"), "its payload was awaited");
    driver.receive(&Client::default().write(0, 2, 0, b"late").sends);
    assert_eq!(last(&driver), sent("67446698 0000006c 0000000000000002"));
    driver.receive(&Client::default().request(0, client::CMD_FLUSH, 3, 0, 0).sends);
    assert_eq!(last(&driver), sent("67446698 0000006c 0000000000000003"));
    driver.receive(&Client::default().request(0, client::CMD_DISC, 4, 0, 0).sends);
    assert_eq!(last(&driver), Some(Event::Did("disconnect".into())));
}
