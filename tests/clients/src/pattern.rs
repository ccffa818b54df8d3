//! Clusters that say which change wrote them, all the way through.

use crate::random::Random;

/// Bytes of a cluster.
pub(crate) const CLUSTER: usize = 4096;

/// The tag of a cluster that holds zeros.
pub(crate) const ZERO: u64 = 0;

/// Fills a cluster: its tag, then numbers that follow from tag and address.
pub(crate) fn fill(cluster: &mut [u8], tag: u64, address: u64) {
    let mut random = Random::new(tag ^ address.rotate_left(32));
    let (first, rest) = cluster.split_at_mut(8);
    first.copy_from_slice(&tag.to_le_bytes());
    for word in rest.chunks_exact_mut(8) {
        word.copy_from_slice(&random.next().to_le_bytes());
    }
}

/// The tag of a cluster, where it is whole and in its place; none for anything else.
pub(crate) fn tag_of(cluster: &[u8], address: u64) -> Option<u64> {
    if cluster.iter().all(|&byte| byte == 0) {
        return Some(ZERO);
    }
    let tag = u64::from_le_bytes(cluster.first_chunk().copied()?);
    let mut expected = vec![0; cluster.len()];
    fill(&mut expected, tag, address);
    (tag != ZERO && cluster == expected).then_some(tag)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clusters_tell_their_tag_unless_torn_or_misplaced() {
        let mut cluster = vec![0; CLUSTER];
        assert_eq!(tag_of(&cluster, 7), Some(ZERO));
        fill(&mut cluster, 42, 7);
        assert_eq!(tag_of(&cluster, 7), Some(42));
        assert_eq!(tag_of(&cluster, 8), None);
        cluster[CLUSTER - 1] ^= 1;
        assert_eq!(tag_of(&cluster, 7), None);
    }
}
