//! Reading containers, or some blocks of them, without trusting a byte.

use bytes::Bytes;
use core::ops::Range;
use glossary::FragmentId;

use super::{ENTRY_BYTES, Entry, FragmentError, Geometry, Header, Plaintext, block_check, table_range};

/// Where blocks and their entries are in a container, in bytes from its start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Located {
    /// The container's header.
    pub header: Header,
    /// The entries.
    pub table: Range<u64>,
    /// The blocks: they follow one another.
    pub blocks: Range<u64>,
}

/// Finds blocks in a container of which at least header and table up to the last of these blocks are given.
///
/// # Errors
/// Any of [`FragmentError`] but [`FragmentError::Block`] and [`FragmentError::Identity`].
pub fn locate(header_and_table: &[u8], first: u32, count: u32) -> Result<Located, FragmentError> {
    let header = Header::decode(header_and_table)?;
    let table = table_range(first, count);
    let blocks = header.geometry.blocks();
    if !header.geometry.has_blocks(first, count) {
        return Err(FragmentError::Range { blocks });
    }
    let entries = header_and_table.get(table.start as usize..table.end as usize);
    let blocks = check_entries(&header.geometry, first, entries.ok_or(FragmentError::Length)?)?;
    Ok(Located { header, table, blocks })
}

/// Checks blocks, for a store that knows a fragment by its key alone: `table` are their entries and `stored`
/// the bytes that [`locate`] pointed at.
///
/// # Errors
/// [`FragmentError::Identity`] when the key is for another fragment, or any of the others.
pub fn check_blocks(
    key: &FragmentId,
    header: &Header,
    first: u32,
    table: &[u8],
    stored: &[u8],
) -> Result<(), FragmentError> {
    if *key != header.id {
        return Err(FragmentError::Identity);
    }
    check_stored(key, &header.geometry, first, table, stored)
}

/// Opens `count` blocks from `first` on that came with their entries of the table, when they are of the
/// fragment `id` and undamaged. The checksums of the clusters are still to be verified.
///
/// # Errors
/// Any of [`FragmentError`].
pub fn open_blocks(
    id: &FragmentId,
    geometry: &Geometry,
    first: u32,
    count: u32,
    table: &[u8],
    stored: Bytes,
) -> Result<Plaintext, FragmentError> {
    let blocks = geometry.blocks();
    if !geometry.has_blocks(first, count) {
        return Err(FragmentError::Range { blocks });
    }
    if table.len() as u64 != u64::from(count) * ENTRY_BYTES as u64 {
        return Err(FragmentError::Length);
    }
    check_stored(id, geometry, first, table, &stored)?;
    Plaintext::new(*geometry, first, count, stored).ok_or(FragmentError::Length)
}

/// Reads a whole container.
///
/// # Errors
/// Any of [`FragmentError`].
pub fn decode(container: &Bytes) -> Result<(Header, Plaintext), FragmentError> {
    let header = Header::decode(container)?;
    let geometry = &header.geometry;
    if container.len() as u64 != u64::from(geometry.plain_total()) {
        return Err(FragmentError::Length);
    }
    let head = geometry.head_length() as usize;
    let table = &container[super::HEADER_BYTES..head];
    let plain = open_blocks(&header.id, geometry, 0, geometry.blocks(), table, container.slice(head..))?;
    Ok((header, plain))
}

/// Checks blocks and their entries; there are such blocks.
fn check_stored(
    id: &FragmentId,
    geometry: &Geometry,
    first: u32,
    table: &[u8],
    stored: &[u8],
) -> Result<(), FragmentError> {
    let range = check_entries(geometry, first, table)?;
    if stored.len() as u64 != range.end - range.start {
        return Err(FragmentError::Length);
    }
    let mut rest = stored;
    for (block, entry) in (first..).zip(table.as_chunks().0) {
        let entry = Entry::decode(entry, block)?;
        let (bytes, after) =
            rest.split_at_checked(entry.stored_length as usize).ok_or(FragmentError::Length)?;
        if block_check(id, block, geometry.plain_length(block), &[bytes]) != entry.check {
            return Err(FragmentError::Block { block });
        }
        rest = after;
    }
    Ok(())
}

/// Where the blocks of these entries are, when the entries say what they must: all blocks are stored plain,
/// so lengths and offsets follow from the geometry.
fn check_entries(geometry: &Geometry, first: u32, table: &[u8]) -> Result<Range<u64>, FragmentError> {
    let (entries, rest) = table.as_chunks();
    let count = u32::try_from(entries.len()).map_err(|_| FragmentError::Length)?;
    if !rest.is_empty() || !geometry.has_blocks(first, count) {
        return Err(FragmentError::Length);
    }
    let head = geometry.head_length();
    for (block, entry) in (first..).zip(entries) {
        let entry = Entry::decode(entry, block)?;
        let plain = geometry.plain_range(block, 1);
        if u64::from(entry.offset) != head + plain.start || entry.end() != head + plain.end {
            return Err(FragmentError::Table { block });
        }
    }
    let plain = geometry.plain_range(first, count);
    Ok(head + plain.start..head + plain.end)
}
