//! What an objects client counts since its start.

facts::counters! {
    Puts: "puts", "Objects stored";
    PutBytes: "put_bytes", "Bytes of objects stored";
    Gets: "gets", "Reads answered with data";
    GetBytes: "get_bytes", "Bytes answered to reads";
    Deletes: "deletes", "Objects deleted";
    BytesToAsds: "bytes_to_asds", "Payload bytes sent to ASDs";
    BytesFromAsds: "bytes_from_asds", "Payload bytes received from ASDs";
    BlocksRead: "blocks_read", "Blocks received from ASDs";
    Reconstructs: "reconstructs", "Reads that were served from other fragments by decoding";
    Hedges: "hedges", "Reads that asked other fragments because one was late";
    Replacements: "replacements", "Fragments that went to another OSD because one failed or was late";
    LateJoins: "late_joins", "Fragments that joined their object after it had been published";
    DamagedBlocks: "damaged_blocks", "Answers of ASDs whose blocks or checksums did not check";
    MissingFragments: "missing_fragments", "Answers of ASDs that a fragment is not there or damaged";
    DamagedPuts: "damaged_puts", "Uploads refused because the data did not match its checksums";
    Resends: "resends", "Requests sent to an ASD again because no answer came";
    OsdsLost: "osds_lost", "Times that an OSD was found not to answer";
    GarbageDeleted: "garbage_deleted", "Fragments deleted from ASDs";
    OrphansFound: "orphans_found", "Objects on ASDs that no manifest names, found by collection";
    EpochsEnded: "epochs_ended", "Epochs ended by collection";
    GarbageLeft: "garbage_left", "Fragments left to garbage collection because too many waited";
}
