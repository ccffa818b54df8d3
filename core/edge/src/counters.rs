//! What an Edge counts since its start.

facts::counters! {
    Reads: "reads", "Reads that guests asked for";
    ReadBytes: "read_bytes", "Bytes that guests asked to read";
    Writes: "writes", "Writes that guests asked for";
    WriteBytes: "write_bytes", "Bytes that guests wrote";
    Discards: "discards", "Discards that guests asked for";
    Flushes: "flushes", "Flushes that guests asked for";
    OwnFlushes: "own_flushes", "Flushes that the Edge asked for to get room in its memory of changes";
    HeldBack: "held_back", "Changes that waited for room in the memory of changes";
    Failed: "failed", "Requests of guests that failed";
    Sessions: "sessions", "Sessions opened with the volume driver";
    Resent: "resent", "Requests sent to the volume driver again";
    DamagedReads: "damaged_reads", "Answers to reads that did not match their checksums";
    StaleAnswers: "stale_answers", "Answers dropped because their owner or session was replaced";
}
