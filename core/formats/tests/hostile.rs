//! Bytes from anybody: random ones, and good ones with a bit flipped or an end cut off. The driver is that of the
//! fuzz target `decoders`.

#[path = "hostile/decoders.rs"]
mod decoders;

use decoders::decode_all;
use formats::journal::{FileHeader, Kind, Mark, Writer};
use proptest::prelude::*;

/// A journal, which nearly every file is.
fn journal(body: Vec<u8>) -> Vec<u8> {
    let label = b"label".to_vec();
    let header = FileHeader { kind: Kind::TLOG, owner: [9; 16], sequence: 1, predecessor: None, label };
    let (mut writer, page) = Writer::begin(&header);
    let mut bytes = page.to_vec();
    writer.batch(Mark::default(), vec![body.into()]).iter().for_each(|piece| bytes.extend_from_slice(piece));
    bytes
}

proptest! {
    #[test]
    fn nothing_panics(data in proptest::collection::vec(any::<u8>(), 0..600), at in any::<prop::sample::Index>()) {
        decode_all(&data);
        let mut good = journal(data);
        decode_all(&good[..at.index(good.len())]);
        let flipped = at.index(good.len());
        good[flipped] ^= 1;
        decode_all(&good);
    }
}
