//! The work that leaves the event loop: erasure coding, with its checks. Pure.

use alloc::vec;
use alloc::vec::Vec;
use bytes::Bytes;
use checksum::{Crc32c, crc32c};
use erasure::{Codec, ReedSolomon, Shape};
use formats::Payload;
use formats::fragment::{Geometry, TableWriter};
use formats::payload::{ZERO_CLUSTER_CRC, zero_pieces};
use formats::work::{Done, Encode, Reconstruct, Work};
use glossary::{CLUSTER_BYTES, FragmentId};

const CLUSTER: usize = CLUSTER_BYTES as usize;

static ZERO_CLUSTER: [u8; CLUSTER] = [0; CLUSTER];

/// Does the work. Never panics, whatever is asked: what makes no sense is [`Done::Impossible`].
pub fn perform(work: Work) -> Done {
    match work {
        Work::Encode(encode) => match Encoding::new(&encode) {
            Some(encoding) => encoding.run(),
            None => Done::Impossible,
        },
        Work::Reconstruct(request) => reconstruct(&request).map_or(Done::Impossible, Done::Reconstructed),
        Work::Check(data) => {
            if data.verify() {
                Done::Checked
            } else {
                Done::Damaged
            }
        }
    }
}

/// The data of a chunk, by the fragments that it goes to.
struct Input<'a> {
    request: &'a Encode,
    geometry: Geometry,
    /// The data's pieces, none of which ends within a cluster.
    pieces: Vec<Bytes>,
    /// Where each cluster of the data is: the piece, and the place in it.
    clusters: Vec<(usize, usize)>,
}

impl<'a> Input<'a> {
    /// `None` when the request makes no sense.
    fn new(request: &'a Encode) -> Option<Self> {
        let geometry =
            Geometry::new(request.k, request.m, request.block_clusters, request.fragment_clusters)?;
        let count = request.data.clusters()?;
        let fits = count > 0 && count <= u64::from(request.k) * u64::from(geometry.clusters());
        if !fits || request.attempts.len() != usize::from(request.k + request.m) {
            return None;
        }
        let mut pieces = request.data.pieces().to_vec();
        if pieces.iter().any(|piece| !piece.len().is_multiple_of(CLUSTER)) {
            pieces = vec![request.data.contiguous()];
        }
        let in_piece = |(piece, bytes): (usize, &Bytes)| {
            (0..bytes.len() / CLUSTER).map(move |cluster| (piece, cluster * CLUSTER))
        };
        let clusters = pieces.iter().enumerate().flat_map(in_piece).collect();
        Some(Input { request, geometry, pieces, clusters })
    }

    /// The `at`th cluster of a data fragment; zeros where the chunk has none.
    fn cluster(&self, index: usize, at: usize) -> &[u8] {
        match self.clusters.get(self.number(index, at)) {
            Some((piece, place)) => &self.pieces[*piece][*place..*place + CLUSTER],
            None => &ZERO_CLUSTER,
        }
    }

    /// The checksum that it came with.
    fn crc(&self, index: usize, at: usize) -> u32 {
        self.request.data.crcs().get(self.number(index, at)).copied().unwrap_or(ZERO_CLUSTER_CRC)
    }

    /// Appends `count` clusters from the `first`th of a data fragment on. Shares the bytes.
    fn push(&self, container: &mut Vec<Bytes>, index: usize, first: usize, count: usize) {
        let start = self.number(index, first).min(self.clusters.len());
        let end = (start + count).min(self.clusters.len());
        let mut at = start;
        while at < end {
            let (piece, place) = self.clusters[at];
            let take = (self.pieces[piece].len() - place).min((end - at) * CLUSTER);
            container.push(self.pieces[piece].slice(place..place + take));
            at += take / CLUSTER;
        }
        container.extend(zero_pieces((count - (end - start)) * CLUSTER));
    }

    /// The number within the chunk of the `at`th cluster of a data fragment.
    fn number(&self, index: usize, at: usize) -> usize {
        index * self.geometry.clusters() as usize + at
    }

    /// The clusters of a block, by their numbers within a fragment: the first, and how many.
    fn block(&self, block: u32) -> (usize, usize) {
        let first = block as usize * usize::from(self.geometry.block_clusters());
        (first, self.geometry.clusters_of(block) as usize)
    }
}

/// A chunk being encoded, block by block, so that what is read once stays in the cache for the checks, the
/// parity and the checks of the parity.
struct Encoding<'a> {
    input: Input<'a>,
    codec: ReedSolomon,
    /// One writer for each fragment.
    tables: Vec<TableWriter>,
    /// The checksums of each data fragment's clusters, as they go into its blocks.
    crcs: Vec<Vec<u8>>,
    /// The blocks of each parity fragment, one after another.
    parity: Vec<Vec<u8>>,
}

impl<'a> Encoding<'a> {
    /// `None` when the request makes no sense.
    fn new(request: &'a Encode) -> Option<Self> {
        let input = Input::new(request)?;
        let (k, m) = (usize::from(request.k), usize::from(request.m));
        let (object, chunk, geometry) = (request.object, request.chunk, input.geometry);
        let table = |(index, attempt): (u8, &_)| {
            TableWriter::new(FragmentId { object, chunk, index, attempt: *attempt }, geometry)
        };
        let plain = geometry.plain_range(0, geometry.blocks()).end as usize;
        Some(Encoding {
            input,
            codec: ReedSolomon::new(Shape::new(k, m).ok()?),
            tables: (0..).zip(&request.attempts).map(table).collect(),
            crcs: vec![Vec::with_capacity(geometry.clusters() as usize * 4); k],
            parity: vec![vec![0; plain]; m],
        })
    }

    fn run(mut self) -> Done {
        for block in 0..self.input.geometry.blocks() {
            if self.encode_block(block).is_none() {
                return Done::Damaged;
            }
        }
        Done::Encoded(self.containers().into_iter().map(entering).collect())
    }

    /// Checks the clusters of one block of every data fragment, and makes parity and table entries.
    /// `None` when a cluster doesn't have the checksum it came with (F1).
    fn encode_block(&mut self, block: u32) -> Option<()> {
        let (first, count) = self.input.block(block);
        let parity_at = self.input.geometry.plain_range(block, 1).start as usize;
        for cluster in 0..count {
            let data: Vec<&[u8]> =
                (0..self.crcs.len()).map(|index| self.input.cluster(index, first + cluster)).collect();
            for (index, bytes) in data.iter().enumerate() {
                let crc = self.input.crc(index, first + cluster);
                if crc32c(bytes) != crc {
                    return None;
                }
                self.crcs[index].extend_from_slice(&crc.to_le_bytes());
            }
            encode_strips(&self.codec, &data, &mut self.parity, parity_at + cluster * CLUSTER);
        }
        let crcs: Vec<&[u8]> = self.crcs.iter().map(|crcs| &crcs[first * 4..]).collect();
        encode_strips(&self.codec, &crcs, &mut self.parity, parity_at + count * CLUSTER);
        self.add_entries(block);
        Some(())
    }

    /// Enters one block of every fragment into its table.
    fn add_entries(&mut self, block: u32) {
        let (first, count) = self.input.block(block);
        let plain = self.input.geometry.plain_range(block, 1);
        let (data_tables, parity_tables) = self.tables.split_at_mut(self.crcs.len());
        for (index, (table, crcs)) in data_tables.iter_mut().zip(&self.crcs).enumerate() {
            let clusters = (first..first + count).map(|at| self.input.cluster(index, at));
            let pieces: Vec<&[u8]> = clusters.chain([&crcs[first * 4..]]).collect();
            table.add(&pieces);
        }
        for (table, parity) in parity_tables.iter_mut().zip(&self.parity) {
            table.add(&[&parity[plain.start as usize..plain.end as usize]]);
        }
    }

    /// The containers: heads, then blocks. The data's bytes are shared.
    fn containers(self) -> Vec<Vec<Bytes>> {
        let mut containers: Vec<Vec<Bytes>> =
            self.tables.into_iter().map(|table| vec![table.finish().into()]).collect();
        let (data, parity) = containers.split_at_mut(self.crcs.len());
        for (index, (container, crcs)) in data.iter_mut().zip(self.crcs).enumerate() {
            let crcs = Bytes::from(crcs);
            for block in 0..self.input.geometry.blocks() {
                let (first, count) = self.input.block(block);
                self.input.push(container, index, first, count);
                container.push(crcs.slice(first * 4..(first + count) * 4));
            }
        }
        for (container, blocks) in parity.iter_mut().zip(self.parity) {
            container.push(blocks.into());
        }
        containers
    }
}

/// Makes the parity of strips, at byte `at` of the parity fragments' blocks.
fn encode_strips(codec: &ReedSolomon, data: &[&[u8]], parity: &mut [Vec<u8>], at: usize) {
    let length = data.first().map_or(0, |strip| strip.len());
    let mut out: Vec<&mut [u8]> = parity.iter_mut().map(|parity| &mut parity[at..at + length]).collect();
    codec.encode(data, &mut out).expect("as many strips as the shape has, all of one length");
}

/// Gets strips back; `None` when the request makes no sense.
fn reconstruct(request: &Reconstruct) -> Option<Vec<Bytes>> {
    let shape = Shape::new(usize::from(request.k), usize::from(request.m)).ok()?;
    let length = request.present.first()?.1.len();
    let present: Vec<(usize, &[u8])> =
        request.present.iter().map(|(index, bytes)| (usize::from(*index), &bytes[..])).collect();
    let wanted: Vec<usize> = request.wanted.iter().map(|index| usize::from(*index)).collect();
    if wanted.len() > shape.strips() {
        return None;
    }
    let mut out = vec![vec![0; length]; wanted.len()];
    let mut slices: Vec<&mut [u8]> = out.iter_mut().map(|strip| &mut strip[..]).collect();
    ReedSolomon::new(shape).reconstruct(&present, &wanted, &mut slices).ok()?;
    Some(out.into_iter().map(Bytes::from).collect())
}

/// A container as payload: its bytes get checksums for the way, every 4 KiB from its start. What is in it
/// has been checked while it was encoded, and proves itself by checks of its own. All of that is work for the
/// compute pool: the event loop reads no byte of it.
fn entering(container: Vec<Bytes>) -> Payload {
    let mut crcs = Vec::new();
    let (mut crc, mut filled) = (Crc32c::new(), 0);
    for piece in &container {
        let mut rest = &piece[..];
        while !rest.is_empty() {
            let (taken, after) = rest.split_at(rest.len().min(CLUSTER - filled));
            crc.update(taken);
            filled += taken.len();
            rest = after;
            if filled == CLUSTER {
                crcs.push(crc.finish());
                (crc, filled) = (Crc32c::new(), 0);
            }
        }
    }
    if filled > 0 {
        crcs.push(crc.finish());
    }
    Payload::with_crcs(container, crcs).expect("a checksum for every 4 KiB")
}
