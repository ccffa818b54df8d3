//! Decoding of the data of options. Everything here returns `None` for data that is not of its form.

use alloc::string::String;

use bytes::{Buf, Bytes};

use crate::wire::{STRING_BYTES_MAX, base_allocation, info};

/// Which details about an export a client asked for. Those that are always sent are not listed, those
/// that are unknown are ignored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct InfoQuery {
    pub(crate) name: bool,
    pub(crate) description: bool,
}

/// Which metadata contexts a client asked for, about one export.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(crate) struct ContextQuery {
    /// No query was sent.
    pub(crate) empty: bool,
    /// `base:` was among the queries.
    pub(crate) wildcard: bool,
    /// `base:allocation` was among the queries.
    pub(crate) base_allocation: bool,
}

/// A string of the specification.
pub(crate) fn string(bytes: &[u8]) -> Option<String> {
    let text = core::str::from_utf8(string_bytes(bytes)?).ok()?;
    Some(text.into())
}

/// Data of `NBD_OPT_INFO` and `NBD_OPT_GO`.
pub(crate) fn info_query(mut data: Bytes) -> Option<(String, InfoQuery)> {
    //= NBD#option-types
    //# length of name; MUST be no larger than the option data length - 6
    let name = string(&prefixed(&mut data)?)?;
    let count = data.try_get_u16().ok()?;
    if data.remaining() != usize::from(count) * 2 {
        return None;
    }
    let mut query = InfoQuery::default();
    while let Ok(information) = data.try_get_u16() {
        match information {
            info::NAME => query.name = true,
            info::DESCRIPTION => query.description = true,
            //= NBD#option-types
            //# MUST ignore any information requests it does not understand
            _ => {}
        }
    }
    Some((name, query))
}

/// Data of `NBD_OPT_LIST_META_CONTEXT` and `NBD_OPT_SET_META_CONTEXT`.
pub(crate) fn context_query(mut data: Bytes) -> Option<(String, ContextQuery)> {
    let name = string(&prefixed(&mut data)?)?;
    let count = data.try_get_u32().ok()?;
    let mut query = ContextQuery { empty: count == 0, ..ContextQuery::default() };
    // Each turn takes at least 4 bytes or fails, so the data bounds it, not the count.
    for _ in 0..count {
        let text = prefixed(&mut data)?;
        match core::str::from_utf8(string_bytes(&text)?).ok()? {
            base_allocation::NAME => query.base_allocation = true,
            base_allocation::WILDCARD => query.wildcard = true,
            //= NBD#option-types
            //# MUST ignore query strings belonging to an unknown namespace
            //= NBD#the-base-metadata-namespace
            //# If a leaf-name is not recognized, the server MUST ignore it rather than report an error
            _ => {}
        }
    }
    data.is_empty().then_some((name, query))
}

/// A string with its length, 32 bits, in front.
fn prefixed(data: &mut Bytes) -> Option<Bytes> {
    let length = usize::try_from(data.try_get_u32().ok()?).ok()?;
    (length <= data.len()).then(|| data.split_to(length))
}

fn string_bytes(bytes: &[u8]) -> Option<&[u8]> {
    //= NBD#conventions
    //# MUST NOT contain NUL characters, and MUST be no longer than 4096 bytes
    (bytes.len() <= STRING_BYTES_MAX && !bytes.contains(&0)).then_some(bytes)
}
