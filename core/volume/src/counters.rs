//! What a volume driver counts since its start.

facts::counters! {
    Reads: "reads", "Reads of guests answered with data";
    ReadBytes: "read_bytes", "Bytes of clusters answered to reads";
    LocalParts: "read_parts_local", "Parts of reads that came from the write buffer";
    BackendParts: "read_parts_backend", "Parts of reads that came from the backend";
    DamagedParts: "read_parts_damaged", "Parts of reads whose local file did not check";
    Writes: "writes", "Writes logged";
    WrittenBytes: "written_bytes", "Bytes of clusters logged";
    Discards: "discards", "Discards and write-zeroes logged";
    Merges: "merges", "Changes that touched a part of a cluster";
    Repeated: "changes_repeated", "Changes that were sent again and not applied again";
    Flushes: "flushes", "FLUSH and FUA requests";
    Syncs: "sync_rounds", "Rounds of syncs of the log";
    Batches: "tlog_batches", "Batches written to TLogs";
    ScosUploaded: "scos_uploaded", "SCOs stored on the backend";
    TlogsPublished: "tlogs_published", "TLogs published in their chain";
    ScosDeleted: "scos_deleted", "SCOs without a live cluster deleted from the backend";
    Waits: "room_waits", "Times that a write found no room in the write buffer";
    TakeOvers: "take_overs", "vDisks taken over";
    LossesAccepted: "losses_accepted", "Losses of the write buffer gone past at a take-over, as the operator said";
}
