//! Translation logs: the entries of a volume's log (PROTOCOLS L1), as they stand in the batches of a TLog's
//! journal file, and the object that a closed TLog becomes (L6).
//!
//! ```text
//! entry                              object, whole clusters
//!   0  kind                 1          0  magic "OVSTLOBJ"              8
//!   1  flags                1          8  version                       2
//!   2  zero                 2         10  number of clients             2
//!   4  epoch of the right   4         12  number of entries             4
//!   8  number               8         16  vDisk                         8
//!  16  client               8         24  generation, sequence          4 + 4
//!  24  change               8         32  predecessor: gen., sequence   4 + 4
//!  32  address              8         40  predecessor: checksum         4
//!  40  clusters             8         44  zero                          4
//!  48  location             8         48  clients: id, applied          8 + 8 each
//!  56  CRC-32C per cluster  4 each     .  entries
//!                                      .  CRC-32C of all before         4
//!                                      .  zeros to 4 KiB
//! ```
//!
//! The checks of a file's entries are those of their batches. Predecessor 0.0 is none.

use alloc::vec::Vec;
use bytes::Bytes;
use checksum::crc32c;
use glossary::{CLUSTER_BYTES, ClientId, ClusterAddress, Generation, Location, TlogId, VdiskId};

use crate::crcs::Crcs;
use crate::namespace::ChainHead;

const ENTRY_FIXED: usize = 56;
const MAGIC: [u8; 8] = *b"OVSTLOBJ";
/// The version of TLogs as objects on the backend.
pub const VERSION: u16 = 1;
const OBJECT_FIXED: usize = 48;

/// What an entry does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum EntryKind {
    /// Clusters were written at a location.
    Write,
    /// Clusters read as zeros from here on: discard and write-zeroes.
    Discard,
}

/// An entry of a volume's log. A change that crosses the end of a SCO is several entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry {
    /// What it does.
    pub kind: EntryKind,
    /// Whether it is the last of its change.
    pub completes_change: bool,
    /// The epoch of the right to write (E3); 1 until that right is passed on.
    pub right: u32,
    /// Its place among its generation's entries; the TLog tells the generation.
    pub number: u64,
    /// Whose change it is.
    pub client: ClientId,
    /// That client's number for the change (E2).
    pub change: u64,
    /// The first cluster on the vDisk.
    pub address: ClusterAddress,
    /// How many clusters.
    pub clusters: u64,
    /// Where the first one rests; none for a discard.
    pub location: Location,
    /// A CRC-32C for each cluster written; empty for a discard.
    pub crcs: Crcs,
}

impl Entry {
    /// Bytes that [`Entry::encode`] appends.
    pub fn encoded_length(&self) -> usize {
        ENTRY_FIXED + 4 * self.crcs.len()
    }

    /// Appends the entry's bytes.
    pub fn encode(&self, bytes: &mut Vec<u8>) {
        let mut fixed = [0; ENTRY_FIXED];
        fixed[0] = match self.kind {
            EntryKind::Write => 1,
            EntryKind::Discard => 2,
        };
        fixed[1] = u8::from(self.completes_change);
        fixed[4..8].copy_from_slice(&self.right.to_le_bytes());
        let words =
            [self.number, self.client.0, self.change, self.address.0, self.clusters, self.location.bits()];
        for (place, word) in fixed[8..].chunks_exact_mut(8).zip(words) {
            place.copy_from_slice(&word.to_le_bytes());
        }
        bytes.extend_from_slice(&fixed);
        self.crcs.iter().for_each(|crc| bytes.extend_from_slice(&crc.to_le_bytes()));
    }

    /// Takes one entry off the front of `bytes`; `None` when they aren't one.
    pub fn decode(bytes: &mut &[u8]) -> Option<Self> {
        let (fixed, rest) = bytes.split_at_checked(ENTRY_FIXED)?;
        let word =
            |index: usize| u64::from_le_bytes(fixed[8 + 8 * index..][..8].try_into().expect("8 bytes"));
        let (clusters, location) = (word(4), Location::from_bits(word(5))?);
        let kind = match fixed[0] {
            1 => EntryKind::Write,
            2 => EntryKind::Discard,
            _ => return None,
        };
        let crc_count = if kind == EntryKind::Write { usize::try_from(clusters).ok()? } else { 0 };
        let (crcs, rest) = rest.split_at_checked(crc_count.checked_mul(4)?)?;
        let fits = match kind {
            EntryKind::Write => !location.is_none() && u64::from(location.offset().0) + clusters <= 1 << 16,
            EntryKind::Discard => location.is_none(),
        };
        if !fits || clusters == 0 || fixed[1] > 1 || word(3).checked_add(clusters).is_none() {
            return None;
        }
        *bytes = rest;
        Some(Entry {
            kind,
            completes_change: fixed[1] == 1,
            right: u32::from_le_bytes(fixed[4..8].try_into().expect("4 bytes")),
            number: word(0),
            client: ClientId(word(1)),
            change: word(2),
            address: ClusterAddress(word(3)),
            clusters,
            location,
            crcs: crcs.chunks_exact(4).map(|c| u32::from_le_bytes([c[0], c[1], c[2], c[3]])).collect(),
        })
    }

    /// All entries of a batch's body; `None` when something else is among them.
    pub fn decode_all(mut bytes: &[u8]) -> Option<Vec<Self>> {
        let mut entries = Vec::new();
        while !bytes.is_empty() {
            entries.push(Entry::decode(&mut bytes)?);
        }
        Some(entries)
    }
}

/// Each client and the change up to which all of its changes are in the log (E2).
pub type Clients = Vec<(ClientId, u64)>;

/// The label of a TLog's file: the clients when it was opened.
pub fn encode_label(clients: &Clients) -> Vec<u8> {
    clients
        .iter()
        .flat_map(|(client, applied)| [client.0.to_le_bytes(), applied.to_le_bytes()].concat())
        .collect()
}

/// Reads what [`encode_label`] wrote.
pub fn decode_label(label: &[u8]) -> Option<Clients> {
    let pair = |p: &[u8]| {
        let number = |at: usize| Some(u64::from_le_bytes(p.get(at..at + 8)?.try_into().ok()?));
        Some((ClientId(number(0)?), number(8)?))
    };
    label.len().is_multiple_of(16).then(|| label.chunks_exact(16).map(pair).collect())?
}

/// A closed TLog, as an object.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlogObject {
    /// Whose log.
    pub vdisk: VdiskId,
    /// Which TLog.
    pub tlog: TlogId,
    /// The one before it in the chain.
    pub predecessor: Option<ChainHead>,
    /// The clients after its last entry.
    pub clients: Clients,
    /// Its entries.
    pub entries: Vec<Entry>,
}

impl TlogObject {
    /// The object's bytes and its place in the chain.
    pub fn encode(&self) -> (Bytes, ChainHead) {
        let before = self.predecessor.unwrap_or(ChainHead { tlog: TlogId::default(), checksum: 0 });
        let mut bytes = Vec::from(MAGIC);
        bytes.extend_from_slice(&VERSION.to_le_bytes());
        bytes.extend_from_slice(&(self.clients.len() as u16).to_le_bytes());
        bytes.extend_from_slice(&(self.entries.len() as u32).to_le_bytes());
        bytes.extend_from_slice(&self.vdisk.0.to_le_bytes());
        for id in [self.tlog, before.tlog] {
            bytes.extend_from_slice(&id.generation.0.to_le_bytes());
            bytes.extend_from_slice(&id.sequence.to_le_bytes());
        }
        bytes.extend_from_slice(&before.checksum.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
        bytes.extend_from_slice(&encode_label(&self.clients));
        self.entries.iter().for_each(|entry| entry.encode(&mut bytes));
        let check = crc32c(&bytes);
        bytes.extend_from_slice(&check.to_le_bytes());
        bytes.resize(bytes.len().next_multiple_of(CLUSTER_BYTES as usize), 0);
        let checksum = crc32c(&bytes);
        (bytes.into(), ChainHead { tlog: self.tlog, checksum })
    }

    /// Reads an object; `None` when it is damaged or of another version.
    pub fn decode(bytes: &[u8]) -> Option<Self> {
        let (fixed, mut rest) = bytes.split_at_checked(OBJECT_FIXED)?;
        if !fixed.starts_with(&MAGIC) || fixed[8..10] != VERSION.to_le_bytes() {
            return None;
        }
        let small = |at: usize| u32::from_le_bytes(fixed[at..at + 4].try_into().expect("4 bytes"));
        let id = |at: usize| TlogId { generation: Generation(small(at)), sequence: small(at + 4) };
        let clients = usize::from(u16::from_le_bytes([fixed[10], fixed[11]]));
        let (label, after) = rest.split_at_checked(clients * 16)?;
        rest = after;
        let mut entries = Vec::new();
        for _ in 0..small(12) {
            entries.push(Entry::decode(&mut rest)?);
        }
        let body = &bytes[..bytes.len() - rest.len()];
        if rest.get(..4)? != crc32c(body).to_le_bytes() {
            return None;
        }
        let predecessor = ChainHead { tlog: id(32), checksum: small(40) };
        Some(TlogObject {
            vdisk: VdiskId(u64::from_le_bytes(fixed[16..24].try_into().expect("8 bytes"))),
            tlog: id(24),
            predecessor: (predecessor.tlog != TlogId::default()).then_some(predecessor),
            clients: decode_label(label)?,
            entries,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use glossary::{ScoId, ScoOffset};
    use proptest::prelude::*;

    fn sample() -> Entry {
        Entry {
            kind: EntryKind::Write,
            completes_change: true,
            right: 1,
            number: 2,
            client: ClientId(3),
            change: 4,
            address: ClusterAddress(5),
            clusters: 2,
            location: Location::new(ScoId(7), ScoOffset(6)),
            crcs: alloc::vec![8, 9].into(),
        }
    }

    #[test]
    fn golden_entry_of_version_1() {
        let mut bytes = Vec::new();
        sample().encode(&mut bytes);
        let mut expected = alloc::vec![1, 1, 0, 0, 1, 0, 0, 0];
        for word in [2_u64, 3, 4, 5, 2, 7 << 16 | 6] {
            expected.extend_from_slice(&word.to_le_bytes());
        }
        expected.extend_from_slice(&[8, 0, 0, 0, 9, 0, 0, 0]);
        assert_eq!(bytes, expected);
        assert_eq!(bytes.len(), sample().encoded_length());
        assert_eq!(Entry::decode_all(&bytes), Some(alloc::vec![sample()]));
        assert_eq!(Entry::decode_all(&bytes[..bytes.len() - 1]), None);
    }

    #[test]
    fn an_object_comes_back_and_damage_is_seen() {
        let predecessor = ChainHead { tlog: TlogId { generation: Generation(1), sequence: 1 }, checksum: 77 };
        let object = TlogObject {
            vdisk: VdiskId(1),
            tlog: TlogId { generation: Generation(2), sequence: 1 },
            predecessor: Some(predecessor),
            clients: alloc::vec![(ClientId(3), 4)],
            entries: alloc::vec![sample()],
        };
        let (bytes, head) = object.encode();
        assert_eq!((bytes.len(), head.checksum), (4096, crc32c(&bytes)));
        assert_eq!(TlogObject::decode(&bytes), Some(object));
        for index in 0..132 {
            let mut bad = bytes.to_vec();
            bad[index] ^= 4;
            assert_eq!(TlogObject::decode(&bad), None, "byte {index}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            let _ = Entry::decode_all(&bytes);
            let _ = TlogObject::decode(&[&MAGIC[..], &[1, 0], &bytes].concat());
        }
    }
}
