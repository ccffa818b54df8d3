//! The seeds of the fuzz target: small sessions, made by hand here, kept as files, replayed as a test.

use std::fs;
use std::path::PathBuf;

use crate::client::{
    self, CMD_BLOCK_STATUS, CMD_CACHE, CMD_DISC, CMD_FLUSH, CMD_READ, CMD_TRIM, CMD_WRITE_ZEROES, Client,
    FLAG_DF, FLAG_FAST_ZERO, FLAG_FUA, FLAG_NO_HOLE, FLAG_REQ_ONE,
};
use crate::driver::fuzz;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../fuzz/corpus/nbd_session")
}

/// File name, how the stream is cut (see [`fuzz`]), and the stream.
fn seeds() -> Vec<(&'static str, u8, Client)> {
    let old = |name: &str| Client::modern().option(client::OPT_EXPORT_NAME, name.as_bytes());
    let structured = || Client::modern().option(client::OPT_STRUCTURED_REPLY, &[]);
    vec![
        ("list-then-abort", 0, Client::modern().option(client::OPT_LIST, &[]).option(client::OPT_ABORT, &[])),
        ("starttls-is-unknown", 3, Client::modern().option(client::OPT_STARTTLS, &[])),
        (
            "info-then-go",
            6,
            structured().export(client::OPT_INFO, "disk", &[0, 1, 2, 3]).export(client::OPT_GO, "", &[]),
        ),
        ("old-style-with-zeroes", 255, Client::default().raw(&[0; 4]).option(client::OPT_EXPORT_NAME, b"")),
        (
            "contexts-listed",
            16,
            structured().contexts(client::OPT_LIST_META_CONTEXT, "disk", &["base:", "x-y:z"]),
        ),
        (
            "contexts-malformed",
            1,
            structured().option(client::OPT_SET_META_CONTEXT, &[0, 0, 0, 0, 255, 255, 255, 255]),
        ),
        (
            "read-write-simple",
            27,
            old("disk")
                .write(FLAG_FUA, 1, 510, b"data")
                .request(0, CMD_READ, 2, 508, 8)
                .request(0, CMD_DISC, 3, 0, 0),
        ),
        (
            "read-structured",
            12,
            Client::attached("disk")
                .write(0, 1, 4096, b"x")
                .request(0, CMD_READ, 2, 2048, 4096)
                .request(FLAG_DF, CMD_READ, 3, 0, 8192),
        ),
        (
            "status",
            40,
            Client::attached("disk")
                .write(0, 1, 4096, b"x")
                .request(0, CMD_BLOCK_STATUS, 2, 1, 65536)
                .request(FLAG_REQ_ONE, CMD_BLOCK_STATUS, 3, 0, 9999),
        ),
        (
            "trim-zero-flush",
            200,
            Client::attached("disk")
                .request(FLAG_FUA, CMD_TRIM, 1, 0, 262_144)
                .request(FLAG_FAST_ZERO | FLAG_NO_HOLE, CMD_WRITE_ZEROES, 2, 1, 2)
                .request(0, CMD_FLUSH, 3, 0, 0),
        ),
        ("readonly", 5, old("readonly").write(0, 1, 0, b"no").request(0, CMD_READ, 2, 0, 2)),
        ("unaligned", 9, Client::attached("blocks").write(0, 1, 1, b"no").request(0, CMD_READ, 2, 0, 4096)),
        (
            "not-offered",
            11,
            old("plain")
                .request(0, CMD_FLUSH, 1, 0, 0)
                .request(0, CMD_CACHE, 2, 0, 1)
                .write(FLAG_FUA, 3, 0, b"no"),
        ),
        ("beyond-the-end", 13, old("disk").write(0, 1, u64::MAX, b"no").request(0, CMD_READ, 2, 262_143, 2)),
        ("wrong-magic", 100, old("disk").raw(b"IHAVEOPT and much more behind it")),
    ]
}

fn content(cut: u8, client: &Client) -> Vec<u8> {
    [&[cut], &client.sends[..]].concat()
}

/// Every file, those found by fuzzing too.
#[test]
fn every_file_is_survived() {
    let mut count = 0;
    for entry in fs::read_dir(folder()).expect("the corpus is part of the repository") {
        fuzz(&fs::read(entry.expect("an entry").path()).expect("a file"));
        count += 1;
    }
    assert!(count >= seeds().len());
}

/// The files say what the code above says. `UPDATE=1 cargo test -p nbd` writes them anew.
#[test]
fn the_files_are_those_of_this_code() {
    let update = std::env::var_os("UPDATE").is_some();
    for (name, cut, client) in seeds() {
        let file = folder().join(name).with_extension("bin");
        if update {
            fs::write(&file, content(cut, &client)).expect("a writable repository");
        }
        assert_eq!(fs::read(&file).ok(), Some(content(cut, &client)), "{}", file.display());
    }
}
