//! The base map on disk: an image, and a delta for each TLog published since. It never runs ahead of the
//! published chain (L7); it may lag behind, and a start replays the rest.

use alloc::collections::VecDeque;
use alloc::vec::Vec;
use bytes::Bytes;
use formats::journal::{FileHeader, Kind, Writer};
use formats::map_image::{MapBatch, MapRun};
use formats::namespace::ChainHead;
use formats::tlog::{Clients, Entry};
use step::{DiskError, DiskOperation, DiskResult};

use super::{Operation, Serving};
use crate::context::Context;
use crate::files::{LocalFile, journal_owner};
use crate::map::{Base, PAGE_CLUSTERS};

/// Runs in one batch of an image.
const IMAGE_RUNS: usize = 32 << 10;

/// Deltas below this many bytes are not worth a new image.
const DELTA_MIN: u64 = 1 << 20;

/// The map file of a volume.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MapFile {
    number: u64,
    writer: Option<Writer>,
    deltas: VecDeque<MapBatch>,
    state: State,
    image_bytes: u64,
    delta_bytes: u64,
    /// Files of earlier numbers, to be deleted once this one is whole.
    old: Vec<u64>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Nothing under way; a new file is wanted when there is no writer.
    Idle,
    Creating,
    Writing,
    Syncing,
}

impl MapFile {
    /// A map file to be made: past every number in `old`, which go when it is whole.
    pub(crate) fn new(old: Vec<u64>) -> Self {
        let number = old.iter().max().map_or(1, |last| last + 1);
        let (deltas, state) = (VecDeque::new(), State::Idle);
        MapFile { number, writer: None, deltas, state, image_bytes: 0, delta_bytes: 0, old }
    }

    /// Adds what a published TLog changed.
    pub(crate) fn add_delta(&mut self, cork: ChainHead, clients: Clients, entries: &[Entry]) {
        let runs =
            entries.iter().map(|entry| (entry.address, entry.clusters, entry.location.bits())).collect();
        self.deltas.push_back(MapBatch::Delta { cork, clients, runs });
    }

    /// Whether everything that the base says is on stable storage.
    pub(crate) fn is_persisted(&self) -> bool {
        self.state == State::Idle && self.deltas.is_empty() && self.writer.is_some()
    }
}

impl Serving {
    /// Persists what waits: a new file with an image, or deltas.
    pub(crate) fn write_map(&mut self, context: &mut Context<'_>) {
        if self.map_file.state != State::Idle {
            return;
        }
        if self.map_file.writer.is_none() {
            self.map_file.state = State::Creating;
            let file = LocalFile::Map(self.map_file.number).name(self.id);
            self.operations.start(Operation::MapCreate, DiskOperation::Create { file }, context);
        } else if !self.map_file.deltas.is_empty() {
            let outgrown = self.map_file.delta_bytes > self.map_file.image_bytes.max(DELTA_MIN);
            if outgrown { self.begin_new_map_file(context) } else { self.write_deltas(context) }
        }
    }

    /// The deltas have outgrown the image: the base is written anew, and takes in what waits.
    fn begin_new_map_file(&mut self, context: &mut Context<'_>) {
        let map = &mut self.map_file;
        map.old.push(map.number);
        map.number += 1;
        map.writer = None;
        self.write_map(context);
    }

    fn write_deltas(&mut self, context: &mut Context<'_>) {
        let map = &mut self.map_file;
        let writer = map.writer.as_mut().expect("a file is open");
        let (offset, synced) = (writer.end().position, writer.end());
        let deltas = map.deltas.drain(..);
        let pieces: Vec<Bytes> =
            deltas.flat_map(|delta| writer.batch(synced, alloc::vec![delta.encode().into()])).collect();
        map.delta_bytes += writer.end().position - offset;
        map.state = State::Writing;
        self.write_map_pieces(offset, pieces, context);
    }

    fn write_image(&mut self, context: &mut Context<'_>) {
        let header = FileHeader {
            kind: Kind::MAP,
            owner: journal_owner(self.id),
            sequence: self.map_file.number,
            predecessor: None,
            label: Vec::new(),
        };
        let (mut writer, page) = Writer::begin(&header);
        // What waits is in the base already.
        self.map_file.deltas.clear();
        let mut pieces = alloc::vec![page];
        let synced = writer.end();
        for batch in image(&self.base, self.cork, &self.published_clients) {
            pieces.extend(writer.batch(synced, alloc::vec![batch.encode().into()]));
        }
        self.map_file.image_bytes = writer.end().position;
        self.map_file.delta_bytes = 0;
        self.map_file.writer = Some(writer);
        self.map_file.state = State::Writing;
        self.write_map_pieces(0, pieces, context);
    }

    fn write_map_pieces(&mut self, offset: u64, pieces: Vec<Bytes>, context: &mut Context<'_>) {
        let file = LocalFile::Map(self.map_file.number).name(self.id);
        self.operations.start(Operation::MapWrite, DiskOperation::Write { file, offset, pieces }, context);
    }

    pub(crate) fn map_file_ended(&mut self, step: &Operation, result: DiskResult, context: &mut Context<'_>) {
        if let Err(error) = result {
            // A sync that failed is final even on a full disk (L4).
            let error = if *step == Operation::MapSync { DiskError::Failed } else { error };
            self.log_failed(error, "writing the map");
            return;
        }
        match step {
            Operation::MapCreate => self.write_image(context),
            Operation::MapWrite => {
                self.map_file.state = State::Syncing;
                let file = LocalFile::Map(self.map_file.number).name(self.id);
                self.operations.start(Operation::MapSync, DiskOperation::Sync { file }, context);
            }
            _ => {
                self.map_file.state = State::Idle;
                let old = core::mem::take(&mut self.map_file.old);
                old.into_iter().for_each(|number| self.delete_file(LocalFile::Map(number), context));
            }
        }
    }
}

/// The batches of an image of the base.
fn image(base: &Base, cork: Option<ChainHead>, clients: &Clients) -> Vec<MapBatch> {
    let mut batches = Vec::new();
    let mut runs: Vec<MapRun> = Vec::new();
    for (page, written) in base.pages() {
        let first = page * PAGE_CLUSTERS;
        let absolute = |run: &crate::map::Run| {
            (glossary::ClusterAddress(first + run.address.0), run.clusters, run.location.bits())
        };
        runs.extend(written.iter().map(absolute));
        if runs.len() >= IMAGE_RUNS {
            batches.push(MapBatch::Image(core::mem::take(&mut runs)));
        }
    }
    if !runs.is_empty() {
        batches.push(MapBatch::Image(runs));
    }
    batches.push(MapBatch::ImageEnd { cork, clients: clients.clone() });
    batches
}
