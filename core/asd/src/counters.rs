//! What an ASD counts since its start.

facts::counters! {
    Reads: "reads", "Reads of values and of blocks";
    ReadBytes: "read_bytes", "Bytes read from the disk for reads";
    ReadBlocks: "read_blocks", "Blocks sent to readers";
    HeadsKnown: "heads_known", "Reads of blocks of long values that found the head in memory";
    Lists: "lists", "Lists of keys";
    Applies: "applies", "Applies answered as applied";
    Puts: "puts", "Values stored";
    Deletes: "deletes", "Keys removed";
    WrittenBytes: "written_bytes", "Bytes written to segments";
    Syncs: "syncs", "Syncs of segments that succeeded";
    Marks: "marks", "Empty batches written for their mark";
    Refused: "refused", "Applies refused for an assert or a bound";
    Full: "full", "Applies refused for want of room";
    Damaged: "damaged", "Records found damaged";
    DamagedValues: "damaged_values", "Values known to be damaged, as of now";
    Checkpoints: "checkpoints", "Checkpoints completed";
    CheckpointBytes: "checkpoint_bytes", "Bytes written to checkpoints";
    Compactions: "compactions", "Rounds of compaction completed";
    MovedBytes: "moved_bytes", "Bytes of records moved by compaction";
    FreedSegments: "freed_segments", "Segments freed";
    Reloads: "reloads", "Times that the log was read again after a failed write";
}

impl Counters {
    pub(crate) fn count(&mut self, counter: Counter) {
        self.add(counter, 1);
    }
}
