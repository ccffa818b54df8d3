//! Handshakes and options that are cut off or refused.

use nbd::Fatal;

use super::{GOES_ON, HELLO, STRUCTURED, cases};
use crate::client::{self, Client};
use crate::driver::{Driver, Event, SMALL};

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
